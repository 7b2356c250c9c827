"""`telltale import`: mail of the time before this desk, from mbox, Maildir and .eml."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

from telltale.cli.desk import on_the_database
from telltale.cli.queue import Commands

if TYPE_CHECKING:  # they need Django to be set up
    from telltale.accounts.models import Agent
    from telltale.conversations.models import Mailbox
    from telltale.inbound.importing import Plan

T = TypeVar("T")

SOME_UNREAD = 1  # the exit code where some mail could not be read
IMPORT = """Take mail of the time before this desk into closed conversations of a mailbox.

A path is a file with one mail, an mbox, a Maildir or a folder of these, each gzipped or not. Mail that is here
already is passed over: a command that was broken off is given once more."""


def add_commands(commands: Commands) -> None:
    added = commands.add_parser(
        "import",
        help="Take mail of earlier years, from mbox, Maildir and .eml.",
        description=IMPORT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    added.add_argument("paths", nargs="+", metavar="PATH")
    added.add_argument("--mailbox", metavar="ADDRESS", help="the mailbox; needed where there are several")
    added.add_argument(
        "--replies-by",
        metavar="EMAIL",
        help="the agent to show as the writer of what was sent from our own addresses; otherwise that is left out",
    )
    added.add_argument("--open", action="store_true", help="leave the conversations open, to be worked on")
    added.set_defaults(command=_import)


def _import(options: argparse.Namespace) -> int:
    from telltale.cli.engine.sources import check

    check(options.paths)
    with on_the_database():
        from telltale.inbound import importing

        plan = importing.Plan(_mailbox(options.mailbox), _agent(options.replies_by), options.open)
        new, known, unread = _keep(options.paths, plan)
        pks = importing.waiting(plan)
        placed = (importing.put_in_place(pk, plan) for pk in pks)
        counted = Counter(_with_bar(placed, "Putting in place", len(pks)))
    print(_said(new, known, unread, counted))
    return SOME_UNREAD if unread else 0


def _keep(paths: list[str], plan: Plan) -> tuple[int, int, int]:
    """How many mails were new, were kept already, could not be read."""
    from telltale.cli.engine.sources import letters
    from telltale.inbound import importing

    new = known = unread = 0
    for found in _with_bar(letters(paths), "Keeping", None):
        if found.error or found.oddities:
            print(f"{found.path}: {found.error or found.oddities[0]}", file=sys.stderr)
        if found.error:
            unread += 1
        elif importing.keep_once(_without_postmark(found.octets), plan):
            new += 1
        else:
            known += 1
    return new, known, unread


def _without_postmark(octets: bytes) -> bytes:
    """The line that an mbox puts in front of a mail is none of it: RFC 4155."""
    return octets.partition(b"\n")[2] if octets.startswith(b"From ") else octets


def _mailbox(address: str | None) -> Mailbox:
    from telltale.cli.errors import CommandError
    from telltale.conversations.models import Mailbox

    mailboxes = list(Mailbox.objects.order_by("address"))
    found = [one for one in mailboxes if address is None or one.address.lower() == address.lower()]
    if len(found) == 1:
        return found[0]
    known = ", ".join(one.address for one in mailboxes) or "none yet: add one in Settings"
    what = "Say which mailbox with --mailbox" if address is None else f"There is no mailbox {address}"
    raise CommandError(f"{what}. The desk has: {known}.")


def _agent(email: str | None) -> Agent | None:
    from telltale.accounts.models import Agent
    from telltale.cli.errors import CommandError

    if email is None:
        return None
    found = Agent.objects.filter(email__iexact=email).first()
    if found is None:
        known = ", ".join(Agent.objects.values_list("email", flat=True))
        raise CommandError(f"There is no agent {email}. The desk has: {known}.")
    return found


def _said(new: int, known: int, unread: int, counted: Counter[str]) -> str:
    lines = [f"{new:,} mail{'' if new == 1 else 's'} taken, {known:,} here already."]
    lines += [f"  {what}: {number:,}" for what, number in sorted(counted.items())]
    if unread:
        lines.append(f"{unread:,} could not be read; the reasons stand above.")
    return "\n".join(lines)


def _with_bar(steps: Iterator[T], what: str, total: int | None) -> Iterator[T]:
    """With a bar on standard error, where somebody looks."""
    if not sys.stderr.isatty():
        yield from steps
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(steps, total=total)
