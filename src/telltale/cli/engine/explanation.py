"""The page of `telltale explain`: what it means, whose problem it is, what to do.

Rule: words of strangers stand here as plain text. Neither rich nor the terminal finds orders in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from telltale.bounce import knowledge
from telltale.bounce.verdict import Party, Retry, Verdict
from telltale.cli.engine.screen import Screen
from telltale.cli.engine.text import visible, visible_lines
from telltale.mail.report import Action, RecipientReport

WIDEST = 88  # columns; longer lines are hard to read
_COLOURS = {Action.FAILED: "red", Action.DELAYED: "yellow"}
_FINALITY = {Action.FAILED: "refused for good", Action.DELAYED: "refused for now"}
_PARTIES = {
    Party.RECIPIENT: "the recipient’s: the address or its mailbox",
    Party.PROVIDER: "the provider’s: the system behind the address",
    Party.US: "ours: our domain, our reputation or our set-up",
    Party.MESSAGE: "the message’s: what this mail contains",
    Party.NETWORK: "the network’s: DNS or the connection between us",
    Party.UNKNOWN: "not known",
}
_RETRIES = {
    Retry.NO: "No",
    Retry.AUTOMATIC: "By itself",
    Retry.LATER: "Later",
    Retry.AFTER_FIX: "Once it is mended",
    Retry.UNCLEAR: "Unclear",
}
_DEAD = "is dead: no mail can reach it"
_NOT_DEAD = "is not to blame, or may still work"
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def show(report: RecipientReport, verdict: Verdict) -> None:
    screen = Screen()
    screen.print(explanation(report, verdict), width=min(screen.width, WIDEST))


def explanation(report: RecipientReport, verdict: Verdict) -> RenderableType:
    """All that the engine knows of this report, from the most wanted to the least."""
    colour = _COLOURS.get(report.action, "green")
    finality = _FINALITY.get(report.action, "taken")
    parts: list[RenderableType] = [
        Text(visible(verdict.title), f"bold {colour}"),
        Text(visible(verdict.meaning)),
        _facts(report, verdict, finality),
        *_steps("What to do", verdict.actions),
        *_steps("For the admin", verdict.admin_actions),
        _words(report, verdict),
        Text(f"Decided by the rule {visible(verdict.rule)}", "dim"),
    ]
    return Group(*(Padding(part, (1, 2, 0, 2)) for part in parts), "")


def _facts(report: RecipientReport, verdict: Verdict, finality: str) -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in (*_code(report), *_told(verdict, finality)):
        table.add_row(name, Text(visible(value)))
    return table


def _code(report: RecipientReport) -> Iterator[tuple[str, str]]:
    """The code and its official name, which says less than the words beside it."""
    if name := knowledge.name_of(report.status, report.reply_code):
        yield "The code", f"{report.status or report.reply_code}: {name}"


def _told(verdict: Verdict, finality: str) -> Iterator[tuple[str, str]]:
    yield "Whose problem", _PARTIES[verdict.party]
    yield "The mail was", finality
    yield (
        "The address",
        "is dead: no mail can reach it" if verdict.address_dead else "is not to blame, or may still work",
    )
    yield "Try again", f"{_RETRIES[verdict.retry]}. {verdict.retry_advice}"
    if verdict.retry_after:
        yield "Wait", f"at least {_duration(int(verdict.retry_after.total_seconds()))}, says the server"
    if verdict.size_limit:
        yield "Size limit", _size(verdict.size_limit)
    if verdict.new_address:
        yield "New address", f"{verdict.new_address} (so they say: ask before you trust it)"
    if verdict.block_lists:
        yield "Block lists", ", ".join(verdict.block_lists)


def _steps(title: str, steps: Sequence[str]) -> list[RenderableType]:
    if not steps:
        return []
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for number, step in enumerate(steps, start=1):
        table.add_row(f"{number}.", Text(visible(step)))
    return [Group(Text(title, "bold"), table)]


def _words(report: RecipientReport, verdict: Verdict) -> RenderableType:
    """Their own words, whole, apart from ours; and the pages that they point to."""
    who = visible(verdict.said_by or report.remote_mta)
    title = Text(f"{who} said" if who else "The words")
    words = Text(visible_lines(report.diagnostic_code.text))
    panel = Panel(words, title=title, title_align="left", border_style="dim", expand=False)
    links = [Text(visible(link), "blue") for link in verdict.links]
    return Group(panel, *links)


def _duration(seconds: int) -> str:
    """ "5 minutes": in the largest unit that leaves no rest."""
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
    number = seconds // size
    return f"{number:,} {unit}{'' if number == 1 else 's'}"


def _size(octets: int) -> str:
    for size, unit in _SIZES:
        if octets >= size:
            return f"{octets / size:.4g} {unit} ({octets:,} octets)"
    return f"{octets:,} octets"
