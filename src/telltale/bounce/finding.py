"""What one of the readers found in a mail."""

from __future__ import annotations

from dataclasses import dataclass

from telltale.bounce.returned import Kind
from telltale.mail.report import Action, RecipientReport

# The gravest first: one failed recipient makes a bounce of the whole.
_KIND_OF_ACTIONS = (
    (Kind.BOUNCE, {Action.FAILED}),
    (Kind.DELAYED, {Action.DELAYED}),
    (Kind.DELIVERED, {Action.DELIVERED, Action.RELAYED, Action.EXPANDED}),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """The kind of a mail, what decided it, what it reports, and what was odd about it."""

    kind: Kind
    evidence: tuple[str, ...] = ()
    reports: tuple[RecipientReport, ...] = ()
    oddities: tuple[str, ...] = ()


def kind_of(reports: tuple[RecipientReport, ...]) -> Kind:
    """What these reports make of the mail; a report that tells of nobody is a bounce all the same."""
    actions = {report.action for report in reports}
    return next((kind for kind, such in _KIND_OF_ACTIONS if actions & such), Kind.BOUNCE)
