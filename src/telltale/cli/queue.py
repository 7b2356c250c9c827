"""`telltale queue`: what waits and why, and the verbs for one delivery or for all that match a filter.

Rule 1: who names neither a delivery nor a filter is asked to mean it, with --all.
Rule 2: exit code 0 is done, 1 is "nothing matched" or "some of it was not possible", 2 is what you can mend.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from telltale.cli.desk import on_the_database

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001  # it has no other name

NOT_ALL_DONE = 1  # the exit code where nothing matched, or some of it was not possible
QUEUE = """Look at the replies that wait, and do something about them.

Without ids, filters choose the deliveries: `telltale queue retry --destination example.com`."""
EPILOG = "Exit codes: 0 done; 1 nothing matched, or some of it was not possible; 2 what you can mend."
VERBS = {
    "retry": "Try again now. Of what no --state names, those that are delayed or held.",
    "hold": "Hold what waits, until somebody releases it.",
    "release": "Let go what is held, whatever holds it; a paused mailbox has to go on first.",
    "cancel": "Take back what has not left.",
}
FLUSH = "Try all that is delayed again now: retry --state delayed."


def add_commands(commands: Commands) -> None:
    """Adds them to the command line of Telltale. Each is called as `options.command(options)`."""
    queue = commands.add_parser(
        "queue",
        help="Look at the replies that wait; retry, hold, release, cancel.",
        description=QUEUE,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = queue.add_subparsers(metavar="COMMAND", required=True)
    _add_list(verbs)
    _add_show(verbs)
    for name, text in VERBS.items():
        _add_verb(verbs, name, text)
    _add_flush(verbs)
    _add_incidents(verbs)
    _add_mailbox(verbs, "pause", "Send nothing more from a mailbox, until `resume`.")
    _add_mailbox(verbs, "resume", "Let a paused mailbox go on.")
    _add_limit(verbs)


def _add(
    verbs: Commands, name: str, text: str, command: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    added = verbs.add_parser(name, help=text, description=text, epilog=EPILOG)
    added.set_defaults(command=command)
    return added


def _add_list(verbs: Commands) -> None:
    listing = _add(
        verbs, "list", "List deliveries, the newest first; without filters all that is open.", _list
    )
    _add_filters(listing)
    listing.add_argument("--json", action="store_true", help="write a line of JSON for each")
    listing.add_argument("--limit", type=_number, default=50, metavar="N", help="at most N (50); 0 for all")


def _add_show(verbs: Commands) -> None:
    show = _add(verbs, "show", "Show a delivery: its tries, the reports about it, what they mean.", _show)
    show.add_argument("id", type=_number, metavar="ID", help="the number of the delivery")
    show.add_argument("--transcript", action="store_true", help="with what was said in each SMTP session")
    show.add_argument("--json", action="store_true", help="write JSON")


def _add_verb(verbs: Commands, name: str, text: str) -> None:
    verb = _add(verbs, name, text, _work)
    verb.set_defaults(verb=name, implied={})
    verb.add_argument("ids", type=_number, nargs="*", metavar="ID", help="the numbers of deliveries")
    _add_filters(verb)
    _add_bulk(verb)


def _add_flush(verbs: Commands) -> None:
    flush = _add(verbs, "flush", FLUSH, _work)
    flush.set_defaults(verb="retry", ids=[], state="", implied={"state": "delayed"})
    _add_filters(flush, with_state=False)
    _add_bulk(flush)


def _add_bulk(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--all", action="store_true", help="all that this can be done to, where no filter is given"
    )
    verb.add_argument("--dry-run", action="store_true", help="say how many there are, and do nothing")


def _add_filters(verb: argparse.ArgumentParser, *, with_state: bool = True) -> None:
    group = verb.add_argument_group("filters")
    if with_state:
        group.add_argument("--state", default="", help="waiting, scheduled, delayed, held, failed, …, or any")
    group.add_argument("--held", default="", metavar="BY", help="address, incident, mailbox or person")
    group.add_argument("--destination", default="", metavar="NAME", help="a domain, or “relay host:port”")
    group.add_argument("--provider", default="", metavar="NAME", help="who answers there, such as Google")
    group.add_argument(
        "--mailbox", default="", metavar="ADDRESS", help="the address of ours that it leaves from"
    )
    group.add_argument("--recipient", default="", metavar="TEXT", help="an address, or a part of one")
    group.add_argument("--reason", default="", help="of the newest report, such as mailbox_full")
    group.add_argument("--incident", default="", metavar="ID", help="what an incident holds, or stopped")
    group.add_argument("--older-than", default="", metavar="SPAN", help="queued longer ago: 30m, 2h, 3d")


def _add_incidents(verbs: Commands) -> None:
    text = "List incidents: causes that stop many deliveries. `incidents close ID` says that one is mended."
    incidents = _add(verbs, "incidents", text, _incidents)
    incidents.add_argument("--all", action="store_true", help="those that are over, too")
    incidents.add_argument("--json", action="store_true", help="write a line of JSON for each")
    more = incidents.add_subparsers(metavar="close")
    close = _add(more, "close", "It is mended: what it holds goes out.", _close)
    close.add_argument("id", type=_number, metavar="ID", help="the number of the incident")
    close.add_argument("--retry-failed", action="store_true", help="what failed for it goes out again, too")


def _add_mailbox(verbs: Commands, name: str, text: str) -> None:
    verb = _add(verbs, name, text, _mailbox)
    verb.set_defaults(verb=name)
    verb.add_argument("mailbox", metavar="MAILBOX", help="its address")


def _add_limit(verbs: Commands) -> None:
    limit = _add(verbs, "limit", "Limit how many tries a minute go to one destination.", _limit)
    limit.add_argument("destination", metavar="DESTINATION", help="a domain, or “relay host:port”")
    limit.add_argument("per_minute", type=_pace, metavar="N|none", help="tries in a minute, or none")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return int(text)


def _pace(text: str) -> int | None:
    if text == "none":
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 100_000):
        raise argparse.ArgumentTypeError(f"{text!r} is no limit: give a number from 1 to 100000, or none")
    return int(text)


def _list(options: argparse.Namespace) -> int:
    with _desk():
        from telltale.cli import queue_shown

        return queue_shown.show_list(_words(options), limit=options.limit, as_json=options.json)


def _show(options: argparse.Namespace) -> int:
    with _desk():
        from telltale.cli import queue_shown

        return queue_shown.show_one(options.id, with_transcript=options.transcript, as_json=options.json)


def _work(options: argparse.Namespace) -> int:
    from telltale.cli.errors import CommandError

    words = _words(options)
    if not (options.all or options.ids or any(words.values())):
        raise CommandError("Name deliveries or give a filter; --all, if you mean everything.")
    with _desk():
        from telltale.cli import queue_work

        words |= options.implied
        return queue_work.work(options.verb, words, ids=options.ids, is_dry=options.dry_run)


def _incidents(options: argparse.Namespace) -> int:
    with _desk():
        from telltale.cli import queue_shown

        return queue_shown.show_incidents(with_past=options.all, as_json=options.json)


def _close(options: argparse.Namespace) -> int:
    with _desk():
        from telltale.cli import queue_work

        return queue_work.close(options.id, retry_failed=options.retry_failed)


def _mailbox(options: argparse.Namespace) -> int:
    with _desk():
        from telltale.cli import queue_work

        return queue_work.pause_or_resume(options.mailbox, options.verb)


def _limit(options: argparse.Namespace) -> int:
    with _desk():
        from telltale.cli import queue_work

        return queue_work.limit(options.destination, options.per_minute)


def _words(options: argparse.Namespace) -> dict[str, str]:
    names = (
        *("state", "held", "destination", "provider", "mailbox"),
        *("recipient", "reason", "incident", "older_than"),
    )
    return {name: getattr(options, name) for name in names}


@contextmanager
def _desk() -> Iterator[None]:
    """The desk's database, and a wrong filter as a sentence."""
    with on_the_database():
        from telltale.cli.errors import CommandError
        from telltale.delivery.browse import BadFilterError

        try:
            yield
        except BadFilterError as error:
            raise CommandError(str(error)) from None
