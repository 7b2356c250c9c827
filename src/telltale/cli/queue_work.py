"""The verbs of `telltale queue`: they do what the page does, and are written down as done at the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from telltale.cli.engine.text import visible
from telltale.cli.errors import CommandError
from telltale.cli.queue import NOT_ALL_DONE
from telltale.conversations.models import Mailbox
from telltale.delivery import bulk
from telltale.delivery.browse import Filter
from telltale.delivery.bulk import Verb, Work
from telltale.delivery.models import Incident
from telltale.web.queue import said_of, said_of_limit

FOR_A_BAR = 100  # deliveries; fewer are done before anybody looks
AT_A_TIME = 1.0  # seconds between two drawings of the bar, at most


def work(name: str, words: dict[str, str], *, ids: list[int], is_dry: bool) -> int:
    """One verb for these deliveries. Returns the exit code."""
    planned = bulk.plan(Verb(name), Filter.parse(words, ids=ids))
    if is_dry:
        print(
            f"{planned.total} {'delivery' if planned.total.number == 1 else 'deliveries'} would be tried on."
        )
        return 0 if planned.total else NOT_ALL_DONE
    if not planned.total:
        print("Nothing matches.", file=sys.stderr)
        return NOT_ALL_DONE
    finished = planned
    for step in _with_bar(planned):
        finished = step
    print(visible(said_of(finished)))
    return NOT_ALL_DONE if finished.refused or not finished.done or _are_missing(finished) else 0


def _are_missing(finished: Work) -> bool:
    """Whether somebody named a delivery that is not there."""
    missing = len(set(finished.chosen.ids)) - finished.seen
    if finished.chosen.ids and missing > 0:
        print(
            f"{missing:,} of the deliveries that you named {'is' if missing == 1 else 'are'} not there.",
            file=sys.stderr,
        )
        return True
    return False


def _with_bar(planned: Work) -> Iterator[Work]:
    """The work step by step, with a bar on standard error where it takes a while and somebody looks."""
    if planned.total.number < FOR_A_BAR or not sys.stderr.isatty():
        yield from _steps(planned)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("Working"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None if planned.total.is_more else planned.total.number)
        for step in _steps(planned):
            bar.update(task, completed=step.seen)
            yield step


def _steps(planned: Work) -> Iterator[Work]:
    step = planned
    while not step.is_finished:
        step = bulk.go_on(step, by=None, seconds=AT_A_TIME)
        yield step


def close(number: int, *, retry_failed: bool) -> int:
    """An incident is mended."""
    incident = Incident.objects.filter(pk=number).first()
    if incident is None:
        raise CommandError(f"There is no incident {number}. `telltale queue incidents --all` lists them.")
    if incident.closed_at:
        print(f"It is over already: {incident.get_closed_how_display()}.")
        return NOT_ALL_DONE
    bulk.close_incident(incident, by=None, retry_failed=retry_failed)
    failed = " What failed for it goes out again." if retry_failed else ""
    print(f"It is said to be mended: what it held goes out within a moment.{failed}")
    return 0


def pause_or_resume(address: str, verb: str) -> int:
    """A mailbox stops, or goes on."""
    mailbox = Mailbox.objects.filter(address__iexact=address).first()
    if mailbox is None:
        known = ", ".join(Mailbox.objects.order_by("address").values_list("address", flat=True)) or "none"
        raise CommandError(f"No mailbox has the address {visible(address)}. There are: {visible(known)}.")
    if verb == "pause":
        bulk.pause(mailbox, by=None)
        print(f"{visible(mailbox.address)} is paused. What waits there is held within a moment.")
    else:
        bulk.resume(mailbox, by=None)
        print(f"{visible(mailbox.address)} goes on. What the pause held goes out within a moment.")
    return 0


def limit(destination: str, per_minute: int | None) -> int:
    """A pace for one destination."""
    name = destination.strip().lower()
    if not name or len(name) > 300 or not name.isprintable():
        raise CommandError("Give a destination: a domain such as example.com, or “relay host:port”.")
    is_known = bulk.limit(name, per_minute, by=None)
    print(visible(said_of_limit(name, per_minute, is_known=is_known)))
    return 0
