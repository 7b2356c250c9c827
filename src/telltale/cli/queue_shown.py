"""What `telltale queue` shows: tables for people, lines of JSON for programs (docs/queue.md states its fields).

Rule: words of strangers stand here as plain text. Neither rich nor the terminal finds orders in them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from telltale.bounce import explain
from telltale.cli.engine.contract import line
from telltale.cli.engine.screen import Screen
from telltale.cli.engine.text import visible, visible_lines
from telltale.cli.errors import CommandError
from telltale.cli.queue import NOT_ALL_DONE
from telltale.delivery import browse
from telltale.delivery.browse import PAGE, Filter
from telltale.delivery.models import Attempt, Delivery, Incident, Report
from telltale.web import queue
from telltale.web.presentation import PARTY, evidence
from telltale.web.queue import IncidentView, Row, incident_view

WITHOUT_TERMINAL = 1_000  # columns, where the table goes to a file or a program: nothing is folded
_COLOURS = {
    "failed": "red",
    "uncertain": "red",
    "delayed": "yellow",
    "held": "yellow",
    "accepted": "green",
    "delivered": "green",
}


def show_list(words: dict[str, str], *, limit: int, as_json: bool) -> int:
    """The deliveries that match, the newest first; at most `limit`, 0 is all."""
    chosen = Filter.parse(words)
    number = 0
    for rows in _pages(chosen, limit):
        number += len(rows)
        if as_json:
            sys.stdout.writelines(line(_as_value(row)) for row in rows)
        else:
            _screen().print(_table_of(rows))
    if not as_json:
        print(_ending(chosen, number))
    return 0 if number else NOT_ALL_DONE


def _pages(chosen: Filter, limit: int) -> Iterator[list[Row]]:
    before, left = None, limit
    while True:
        page = browse.page(chosen, before=before, size=min(PAGE, left) if limit else PAGE)
        if page.rows:
            yield [queue.row(delivery) for delivery in page.rows]
        left -= len(page.rows)
        before = page.before
        if before is None or (limit and left <= 0):
            return


def _ending(chosen: Filter, number: int) -> str:
    total = browse.count(browse.deliveries(chosen))
    if not number:
        return "Nothing matches." if chosen.words() else "Nothing waits."
    words = "delivery" if total.number == 1 else "deliveries"
    shown = (
        "" if number >= total.number and not total.is_more else f" The newest {number:,} are shown: --limit."
    )
    return f"\n{total} {words}.{shown}"


def _table_of(rows: Sequence[Row]) -> Table:
    table = _plain_table("ID", "Recipient", "What became of it", "Next try", "Tries", "Since", "Last words")
    for row in rows:
        delivery = row.delivery
        table.add_row(
            str(delivery.pk),
            Text(visible(delivery.recipient)),
            Text(visible(row.fate.text), _COLOURS.get(row.fate.kind, "")),
            _moment(delivery.next_attempt_at),
            str(delivery.attempt_count),
            _moment(row.since),
            Text(visible(row.words), "dim"),
        )
    return table


def _as_value(row: Row) -> dict[str, Any]:
    newest = next(iter(row.delivery.reports.all()), None)
    return {
        **_value_of(row.delivery),
        "subject": row.conversation.subject,
        "since": row.since.isoformat(),
        "reason": newest.reason if newest else "",
        "diagnostic": newest.diagnostic_text if newest else "",
    }


def _value_of(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.pk,
        "recipient": delivery.recipient,
        "state": delivery.state,
        "held_because": delivery.held_because,
        "incident": delivery.incident_id,
        "mailbox": delivery.mailbox.address,
        "destination": delivery.destination,
        "conversation": delivery.message.part.conversation_id,
        "message_id": delivery.message.message_id,
        "attempt_count": delivery.attempt_count,
        "queued_at": delivery.queued_at.isoformat(),
        "next_attempt_at": _iso(delivery.next_attempt_at),
    }


def show_one(number: int, *, with_transcript: bool, as_json: bool) -> int:
    """One delivery with all its evidence."""
    found = Delivery.objects.select_related("mailbox", "message__part__conversation", "incident")
    delivery = found.filter(pk=number).first()
    if delivery is None:
        raise CommandError(f"There is no delivery {number}. `telltale queue list --state any` lists them.")
    attempts = list(delivery.attempts.order_by("number"))
    reports = list(delivery.reports.order_by("pk"))
    if as_json:
        sys.stdout.write(line(_whole(delivery, attempts, reports, with_transcript=with_transcript)))
        return 0
    parts = [
        _facts_of(delivery),
        *(_attempt_shown(attempt, with_transcript=with_transcript) for attempt in attempts),
        *(_report_shown(report) for report in reports),
    ]
    _screen().print(Group(*(Padding(part, (0, 0, 1, 0)) for part in parts)))
    return 0


def _whole(
    delivery: Delivery, attempts: Iterable[Attempt], reports: Iterable[Report], *, with_transcript: bool
) -> dict[str, Any]:
    return {
        **_value_of(delivery),
        "attempts": [_attempt_value(attempt, with_transcript=with_transcript) for attempt in attempts],
        "reports": [_report_value(report) for report in reports],
    }


def _attempt_value(attempt: Attempt, *, with_transcript: bool) -> dict[str, Any]:
    names = (
        *("number", "outcome", "stage", "remote_host", "remote_ip", "provider", "queue_id", "reply"),
        *("tls_version", "tls_verified", "bytes_sent"),
    )
    value = {name: getattr(attempt, name) for name in names}
    times = {"started_at": _iso(attempt.started_at), "ended_at": _iso(attempt.ended_at)}
    return value | times | ({"transcript": attempt.transcript} if with_transcript else {})


def _report_value(report: Report) -> dict[str, Any]:
    verdict = explain(report.as_recipient_report())
    names = ("source", "proven", "final_recipient", "action", "status", "remote_mta", "stage")
    return {
        **{name: getattr(report, name) for name in names},
        "heard_at": _iso(report.heard_at),
        "diagnostic_type": report.diagnostic_type,
        "diagnostic": report.diagnostic_text,
        "reason": verdict.reason,
        "title": verdict.title,
        "meaning": verdict.meaning,
        "party": verdict.party,
        "rule": verdict.rule,
    }


def _facts_of(delivery: Delivery) -> RenderableType:
    held = f" ({delivery.get_held_because_display()})" if delivery.held_because else ""
    facts = {
        "Delivery": str(delivery.pk),
        "To": delivery.recipient,
        "From": delivery.mailbox.address,
        "State": f"{delivery.state}{held}",
        "Destination": delivery.destination,
        "Conversation": f"{delivery.message.part.conversation_id}: {delivery.message.part.conversation}",
        "Message-ID": delivery.message.message_id,
        "Queued": _moment(delivery.queued_at),
        "Next try": _moment(delivery.next_attempt_at),
        "Incident": f"{delivery.incident_id}: {delivery.incident}" if delivery.incident else "",
    }
    return _facts({name: value for name, value in facts.items() if value.strip("–")})


def _attempt_shown(attempt: Attempt, *, with_transcript: bool) -> RenderableType:
    where = f" at {attempt.remote_host}" if attempt.remote_host else ""
    title = f"Try {attempt.number}, {_moment(attempt.started_at)}{where}: {attempt.outcome or 'going on'}"
    tls = attempt.tls_version or "not encrypted"
    facts = {
        "Address": str(attempt.remote_ip or ""),
        "Connection": tls if attempt.remote_ip else "",
        "At": attempt.stage,
        "Queue id": attempt.queue_id,
    }
    parts: list[RenderableType] = [
        Text(visible(title), f"bold {_COLOURS.get(attempt.outcome, '')}".strip()),
        _facts({name: value for name, value in facts.items() if value}),
    ]
    if attempt.reply:
        parts.append(Text(visible_lines(attempt.reply)))
    if with_transcript:
        parts += [Text(visible(f"{at[11:23]} {who} {text}"), "dim") for at, who, text in attempt.transcript]
    return Group(*parts)


def _report_shown(report: Report) -> RenderableType:
    verdict = explain(report.as_recipient_report())
    who = visible(verdict.said_by or report.remote_mta or "What we found out")
    words = Panel(
        Text(visible_lines(report.diagnostic_text)),
        title=Text(f"{who}, {_moment(report.heard_at)}"),
        title_align="left",
        border_style="dim",
        expand=False,
    )
    return Group(
        words,
        Text(visible(f"{verdict.title}. {verdict.meaning} {verdict.retry_advice}")),
        Text(visible(f"Problem with {PARTY[verdict.party]}. {evidence(report)} Rule {verdict.rule}."), "dim"),
    )


def show_incidents(*, with_past: bool, as_json: bool) -> int:
    """The open incidents; with `with_past` those that are over, too."""
    found = [*browse.open_incidents(), *(browse.past_incidents(1_000) if with_past else ())]
    if as_json:
        sys.stdout.writelines(line(_incident_value(incident)) for incident in found)
    elif not found:
        print("No incident.")
    else:
        shown = [_incident_shown(incident_view(incident)) for incident in found]
        _screen().print(Group(*(Padding(part, (0, 0, 1, 0)) for part in shown)))
    return 0


def _incident_shown(view: IncidentView) -> RenderableType:
    incident = view.incident
    end = f"{_moment(incident.closed_at)}, {incident.get_closed_how_display()}" if incident.closed_at else ""
    probe = "" if end or view.is_everywhere else _moment(incident.probe_at)
    facts = {
        "Since": _moment(incident.opened_at),
        "Last met": _moment(incident.seen_at),
        "Over": end,
        "Deliveries": f"{incident.delivery_count:,}",
        "Problem with": view.party,
        "Next probe": probe,
    }
    said_by = visible(view.words_by or "What we found out")
    words = "\n".join(f"{one.code}{one.rest}" for one in view.words)
    steps = view.verdict.admin_actions or view.verdict.actions
    return Group(
        Text(visible(f"{incident.pk}  {view.headline}"), "dim" if end else "bold red"),
        _facts({name: value for name, value in facts.items() if value}),
        Panel(
            Text(visible_lines(words)),
            title=Text(said_by),
            title_align="left",
            border_style="dim",
            expand=False,
        ),
        *(Text(f"• {visible(step)}") for step in steps if not end),
    )


def _incident_value(incident: Incident) -> dict[str, Any]:
    return {
        "id": incident.pk,
        "provider": incident.provider,
        "reason": incident.reason,
        "diagnostic": incident.report.diagnostic_text,
        "delivery_count": incident.delivery_count,
        "opened_at": _iso(incident.opened_at),
        "seen_at": _iso(incident.seen_at),
        "probe_at": _iso(incident.probe_at),
        "closed_at": _iso(incident.closed_at),
        "closed_how": incident.closed_how,
    }


def _facts(values: dict[str, str]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(name, Text(visible(value)))
    return table


def _plain_table(*headings: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for heading in headings:
        table.add_column(heading, overflow="fold", justify="right" if heading in ("ID", "Tries") else "left")
    return table


def _screen() -> Screen:
    return Screen(width=None if sys.stdout.isatty() else WITHOUT_TERMINAL)


def _moment(at: datetime | None) -> str:
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M}" if at else "–"


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
