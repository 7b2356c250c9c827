"""Tells a notice of a mail server from a mail of a person, where no report part says it.

Each sign has its weight, and enough of them make a notice. Words alone never do: people quote bounces, forward
them, and write of parcels that could not be delivered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

from telltale.bounce import subjects
from telltale.bounce.notice import Notice
from telltale.bounce.phrases import DELAYED, FAILED, GIVEN_UP
from telltale.mail.report import Action

ENOUGH = 4
MOST_TELLING = 50  # lines of one notice

_PARAGRAPH = re.compile(r"\n\s*\n")
_OF_MANY = {"list-id", "list-post", "list-unsubscribe", "x-mailman-version", "feedback-id", "x-campaign-id"}


@dataclass(frozen=True, slots=True)
class _Sign:
    weight: int
    what: str


def signs_of_a_notice(notice: Notice, *, dialect: str = "") -> tuple[str, ...]:
    """What makes this mail the notice of a server; nothing where it is none.

    `dialect` is the mail server whose words it uses, "" where they are nobody's in particular.
    """
    if not (is_by_a_server(notice) or dialect or notice.returned):
        return ()
    signs = [*_signs(notice)]
    if dialect:
        signs.append(_Sign(2, f"words of {dialect}"))
    if notice.wants_answers and not _opens_with(notice, first_paragraph=True):
        signs.append(_Sign(-3, "a person passes on the words of a server"))
    return tuple(sign.what for sign in signs) if sum(sign.weight for sign in signs) >= ENOUGH else ()


def may_be_a_notice(notice: Notice) -> bool:
    """Whether a closer look is worth while: most mail is by people, and says nothing of the kind."""
    return is_by_a_server(notice) or bool(_opens_with(notice))


def is_by_a_server(notice: Notice) -> bool:
    """Whether From or the return path is that of a mail server."""
    return bool(notice.server or notice.has_no_return_path or notice.failed_recipients)


def is_of_a_person(notice: Notice) -> bool:
    """Whether somebody forwards or answers, and no server writes."""
    is_answer = subjects.OF_A_PERSON.match(notice.subject) is not None
    return is_answer and not (notice.server or notice.failed_recipients)


def action_of(notice: Notice) -> Action:
    """What the notice says became of the mail: given up, or still tried."""
    words = f"{notice.subject.lower()}\n{notice.lower}"
    is_delayed = DELAYED.first_in(words) and not GIVEN_UP.first_in(words)
    return Action.DELAYED if is_delayed else Action.FAILED


def _signs(notice: Notice) -> Iterator[_Sign]:
    fields = notice.mail.fields
    if notice.failed_recipients:
        yield _Sign(4, "X-Failed-Recipients")
    if notice.server:
        yield _Sign(2, f"from {notice.server}")
    if "x-mlserver" in fields:
        yield _Sign(
            2, f"X-MLServer: {notice.mail.header('x-mlserver')[:40]}"
        )  # a mailing list that refuses a mail
    if notice.has_no_return_path:
        yield _Sign(1, "an empty return path")
    if notice.mail.header("auto-submitted").lower().startswith("auto-"):
        yield _Sign(1, f"auto-submitted: {notice.mail.header('auto-submitted')[:40]}")
    if found := subjects.OF_A_NOTICE.search(notice.subject[:200]):
        yield _Sign(1, f"subject: {found[0]}")
    yield from _in_the_text(notice)
    if is_of_a_person(notice):
        yield _Sign(-2, "an answer or forwarded")
    if fields.keys() & _OF_MANY and not notice.server:
        yield _Sign(-2, "a mail to many")


def _in_the_text(notice: Notice) -> Iterator[_Sign]:
    if phrase := _opens_with(notice):
        yield _Sign(3, f"opens with “{phrase}”")
    elif is_by_a_server(notice) and (
        phrase := FAILED.first_in(notice.lower) or DELAYED.first_in(notice.lower)
    ):
        yield _Sign(2, f"says “{phrase}”")


def telling_lines(notice: Notice) -> list[int]:
    """The numbers of the lines in which a phrase stands that tells of a failure or a delay, in their order."""
    places = chain(FAILED.places_in(notice.lower), DELAYED.places_in(notice.lower))
    return sorted({notice.lower.count("\n", 0, at) for at in islice(places, MOST_TELLING)})


def _opens_with(notice: Notice, *, first_paragraph: bool = False) -> str:
    words = _PARAGRAPH.split(notice.opening, maxsplit=1)[0] if first_paragraph else notice.opening
    return FAILED.first_in(words) or DELAYED.first_in(words)
