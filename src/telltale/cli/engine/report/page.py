"""The page of `telltale bounce report`: one file, no script, nothing loaded from elsewhere.

Rule: everything that is not ours goes through `safe`, which leaves no mark of HTML and no control character.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import cache
from html import escape
from pathlib import Path

from telltale import __version__
from telltale.bounce import Kind, Party, knowledge
from telltale.cli.engine.report.charts import Bar, Share, bars_of, over_time, stacked
from telltale.cli.engine.report.tally import NO_DATE, Standing, Tally
from telltale.cli.engine.text import visible, visible_lines
from telltale.mail.report import Action

MOST_REASONS = 15  # that are shown at once; the others open with a click
MOST_ROWS = 15  # of a table of names
MOST_PROVIDERS = 20
_DESK = Path(__file__).parents[3] / "web" / "static" / "telltale.css"
_STYLE = Path(__file__).with_name("report.css")
_TOKENS = re.compile(r"^:root \{.*?^\}$", re.DOTALL | re.MULTILINE)

_LEGEND = (
    '<ul class="legend"><li class="failed"><i></i>refused for good</li>'
    '<li class="delayed"><i></i>refused for now</li></ul>'
)
_PARTIES = {
    Party.US: ("Us", "our domain, reputation and set-up"),
    Party.MESSAGE: ("The message", "what the mail contains"),
    Party.NETWORK: ("The network", "DNS and connections in between"),
    Party.RECIPIENT: ("The recipient", "the address and its mailbox"),
    Party.PROVIDER: ("Their provider", "the system behind the address"),
    Party.UNKNOWN: ("Not known", "the answer does not say"),
}
_KINDS = {
    Kind.BOUNCE: ("Bounces", "not delivered, and given up"),
    Kind.DELAYED: ("Delay warnings", "not delivered yet"),
    Kind.DELIVERED: ("Success reports", "delivered, or passed on"),
    Kind.COMPLAINT: ("Complaints", "somebody called our mail spam"),
    Kind.AUTOREPLY: ("Automatic replies", "a machine answered for a person"),
    Kind.READ_RECEIPT: ("Read receipts", "a mail program tells what was done"),
    Kind.ORDINARY: ("Ordinary mail", "nothing of the above"),
}


def html_of(tally: Tally, *, paths: Sequence[str], now: datetime) -> str:
    """The whole page."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Bounces · Telltale</title>
<style>
{_style()}
</style>
</head>
<body>
<main>
<div class="brand"><i></i>Telltale</div>
{_head(tally, paths)}
{_figures(tally)}
{_over_time(tally)}
{_reasons(tally)}
<div class="split">
{_parties(tally)}
{_kinds(tally)}
</div>
{_providers(tally)}
<div class="split">
{_names("Addresses", "Those that came back most often.", tally.addresses)}
{_names("Domains", "The same by what stands behind the @.", tally.domains)}
</div>
<div class="split">
{_block_lists(tally)}
{_oddities(tally)}
</div>
{_foot(tally, now)}
</main>
</body>
</html>
"""


def safe(text: str) -> str:
    """A stranger's words, to stand in HTML."""
    return escape(visible(text))


@cache
def _style() -> str:
    """The tokens of the desk's pages, and what this page needs beside them."""
    tokens = _TOKENS.search(_DESK.read_text(encoding="utf-8"))
    return f"{tokens[0] if tokens else ''}\n{_STYLE.read_text(encoding='utf-8').rstrip()}"


def _head(tally: Tally, paths: Sequence[str]) -> str:
    named = ", ".join(map(safe, paths[:3])) + (f" and {len(paths) - 3:,} more" if len(paths) > 3 else "")
    days = sorted(day for day, _ in tally.days if day != NO_DATE)
    span = f", from {_day(days[0])} to {_day(days[-1])}" if days else ""
    return (
        f'<h1>What came back</h1>\n<p class="lead">{_count(tally.mails, "mail")} in {named}{span}. '
        "A mail that failed at three recipients counts three times.</p>"
    )


def _figures(tally: Tally) -> str:
    dead = sum(standing.is_dead for standing in tally.addresses.values())
    ours = sum(number for (party, _), number in tally.parties.items() if party in (Party.US, Party.MESSAGE))
    figures = (
        ("failed", tally.failed, "refused for good"),
        ("delayed", tally.delayed, "refused for now"),
        ("dead", dead, "dead addresses" if dead != 1 else "dead address"),
        ("ours", ours, "ours to mend: our set-up, our reputation, our text"),
    )
    cells = "".join(
        f'<div class="{name}"><dt>{words}</dt><dd>{number:,}</dd></div>' for name, number, words in figures
    )
    return f'<dl class="figures">{cells}</dl>'


def _over_time(tally: Tally) -> str:
    days: defaultdict[date, list[int]] = defaultdict(lambda: [0, 0])
    for (day, action), number in tally.days.items():
        if day != NO_DATE:
            days[date.fromisoformat(day)][action is Action.DELAYED] += number
    if not days:
        return ""
    bars = bars_of({day: (failed, delayed) for day, (failed, delayed) in days.items()})
    undated = sum(number for (day, _), number in tally.days.items() if day == NO_DATE)
    hint = f'<p class="hint">{undated:,} without a date to believe are left out here.</p>' if undated else ""
    return (
        f'<section><h2>When</h2>{hint}<div class="card"><div class="chart">{_LEGEND}{over_time(bars)}</div>'
        f"{_numbers(bars)}</div></section>"
    )


def _numbers(bars: Sequence[Bar]) -> str:
    """What the chart shows, as a table."""
    rows = "".join(
        f"<tr><td>{bar.name}</td>{_cells(bar.failed, bar.delayed)}</tr>" for bar in bars if bar.whole
    )
    table = _table(("When", "Failed", "Delayed"), rows)
    return f'<details class="numbers"><summary>The numbers</summary><div>{table}</div></details>'


def _reasons(tally: Tally) -> str:
    totals: Counter[str] = Counter()
    for (reason, _), number in tally.reasons.items():
        totals[reason] += number
    most = max(totals.values(), default=0)
    rows = [_reason(tally, reason, most) for reason, _ in totals.most_common()]
    return (
        '<section><h2>Why</h2><p class="hint">Open a reason to read what it means, what to do, and how a server put '
        f'it.</p><div class="card">{"".join(rows[:MOST_REASONS]) or _nothing("Nothing was refused.")}'
        f"{_rarer(rows[MOST_REASONS:])}</div></section>"
    )


def _rarer(rows: Sequence[str]) -> str:
    if not rows:
        return ""
    return f'<details class="rarer"><summary>{_count(len(rows), "rarer reason")}</summary>{"".join(rows)}</details>'


def _reason(tally: Tally, name: str, most: int) -> str:
    reason = knowledge.reasons()[name]
    failed, delayed = tally.reasons[name, Action.FAILED], tally.reasons[name, Action.DELAYED]
    meaning = reason.meaning.replace("{domain}", "the recipient's domain")
    return (
        f'<details class="reason"><summary><strong>{safe(reason.title)}</strong>'
        f'<span class="who">{_PARTIES[reason.party][0]}</span>{_bar(failed, delayed, most)}'
        f'<span class="num">{f"{failed:,} <small>failed</small>" if failed else ""}</span>'
        f'<span class="num">{f"{delayed:,} <small>delayed</small>" if delayed else ""}</span></summary>'
        f'<div class="more"><p>{safe(meaning)}</p>{_steps("What to do", reason.actions)}'
        f"{_steps('For the admin', reason.admin_actions)}{_sample(tally, name)}</div></details>"
    )


def _bar(failed: int, delayed: int, most: int) -> str:
    shares = [Share("failed", failed, "failed"), Share("delayed", delayed, "delayed")]
    return stacked(shares, whole=most, height=8)


def _steps(title: str, steps: Iterable[str]) -> str:
    rows = "".join(f"<li>{safe(step)}</li>" for step in steps)
    return f"<h3>{title}</h3><ul>{rows}</ul>" if rows else ""


def _sample(tally: Tally, reason: str) -> str:
    sample = tally.samples.get(reason)
    if sample is None:
        return ""
    who = f"As {safe(sample.said_by)} put it" if sample.said_by else "As a server put it"
    return (
        f"<h3>{who}</h3><pre>{escape(visible_lines(sample.words))}</pre>"
        f'<p class="rule">Decided by the rule <code>{safe(sample.rule)}</code></p>'
    )


def _parties(tally: Tally) -> str:
    numbers = {
        party: tally.parties[party, Action.FAILED] + tally.parties[party, Action.DELAYED]
        for party in _PARTIES
    }
    whole = sum(numbers.values())
    line = stacked(
        [Share(_PARTIES[party][0], numbers[party], party) for party in _PARTIES], whole=whole, height=14
    )
    rows = "".join(
        f'<li><i class="{party}"></i><span>{name}</span><b>{numbers[party]:,}</b>'
        f"<span>{_percent(numbers[party], whole)}</span><small>{what}</small></li>"
        for party, (name, what) in _PARTIES.items()
    )
    return (
        f'<section><h2>Who can mend it</h2><p class="hint">Of all that was refused.</p>'
        f'<div class="card parties">{line}<ul>{rows}</ul></div></section>'
    )


def _kinds(tally: Tally) -> str:
    rows = "".join(
        f'<tr><td>{name}<small>{what}</small></td><td class="num">{tally.kinds[kind]:,}</td></tr>'
        for kind, (name, what) in _KINDS.items()
        if tally.kinds[kind]
    )
    table = (
        f"<table><thead><tr><th>Kind</th><th class='num'>Mails</th></tr></thead><tbody>{rows}</tbody></table>"
    )
    return (
        '<section><h2>What kind of mail</h2><p class="hint">By what each mail is, not by what it quotes.</p>'
        f'<div class="card">{table if rows else _nothing("No mail.")}</div></section>'
    )


def _providers(tally: Tally) -> str:
    reasons: defaultdict[str, Counter[str]] = defaultdict(Counter)
    actions: defaultdict[str, Counter[Action]] = defaultdict(Counter)
    for (name, reason, action), number in tally.providers.items():
        reasons[name][reason] += number
        actions[name][action] += number
    totals = Counter({name: counts.total() for name, counts in actions.items()})
    most = max(totals.values(), default=0)
    rows = "".join(
        _provider(name, actions[name], reasons[name], most) for name, _ in totals.most_common(MOST_PROVIDERS)
    )
    return (
        '<section><h2>Providers</h2><p class="hint">By who runs the mail host that answered; where no host is named, '
        f"by the recipient’s domain.{_left_out(totals, MOST_PROVIDERS)}</p>"
        f'<div class="card">{_table(("Provider", "", "Failed", "Delayed", "Most often"), rows)}</div></section>'
    )


def _provider(name: str, actions: Mapping[Action, int], reasons: Counter[str], most: int) -> str:
    [(reason, number)] = reasons.most_common(1)
    failed, delayed = actions[Action.FAILED], actions[Action.DELAYED]
    return (
        f"<tr><td>{safe(name) or 'not named'}</td>"
        f'<td class="wide"><div class="share">{_bar(failed, delayed, most)}</div></td>'
        f"{_cells(failed, delayed)}"
        f'<td class="wide">{safe(knowledge.reasons()[reason].title)} '
        f"<small>{number:,} of {failed + delayed:,}</small></td></tr>"
    )


def _names(title: str, hint: str, standings: Mapping[str, Standing]) -> str:
    worst = sorted(standings.items(), key=lambda item: (-item[1].weight, item[0]))[:MOST_ROWS]
    rows = "".join(_name(name, standing) for name, standing in worst)
    return (
        f'<section><h2>{title}</h2><p class="hint">{hint}{_left_out(standings, MOST_ROWS)}</p>'
        f'<div class="card">{_table((title, "Failed", "Delayed"), rows)}</div></section>'
    )


def _name(name: str, standing: Standing) -> str:
    reason = safe(knowledge.reasons()[standing.reason].title) if standing.reason else ""
    day = f"last on {_day(standing.last_day)}" if standing.last_day else ""
    complaints = _count(standing.complaints, "complaint") if standing.complaints else ""
    dead = ' <span class="tag">dead</span>' if standing.is_dead and "@" in name else ""
    told = " · ".join(filter(None, (reason, complaints, day)))
    return (
        f"<tr><td>{safe(name) or 'not named'}{dead}<small>{told}</small></td>"
        f"{_cells(standing.failed, standing.delayed)}</tr>"
    )


def _block_lists(tally: Tally) -> str:
    rows = _counted(tally.block_lists)
    return (
        '<section><h2>Block lists</h2><p class="hint">Named by servers that refused us.'
        f'{_left_out(tally.block_lists, MOST_ROWS)}</p><div class="card">'
        f"{_table(('List', 'Times'), rows) if rows else _nothing('No server named one.')}</div></section>"
    )


def _oddities(tally: Tally) -> str:
    rows = _counted(tally.oddities)
    return (
        '<section><h2>Oddities</h2><p class="hint">What broke a standard, and was read all the same.'
        f'{_left_out(tally.oddities, MOST_ROWS)}</p><div class="card">'
        f"{_table(('Oddity', 'Times'), rows) if rows else _nothing('None.')}</div></section>"
    )


def _counted(counter: Counter[str]) -> str:
    return "".join(
        f'<tr><td>{safe(name)}</td><td class="num">{number:,}</td></tr>'
        for name, number in counter.most_common(MOST_ROWS)
    )


def _table(headings: Sequence[str], rows: str) -> str:
    """Behind the first heading stand numbers, but for "Most often" and a bar without a heading."""
    if not rows:
        return _nothing("None.")
    cells = "".join(
        f'<th class="{_class(heading, at)}">{heading}</th>' for at, heading in enumerate(headings)
    )
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table>"


def _cells(*numbers: int) -> str:
    """Empty for none: so the eye finds the others."""
    return "".join(f'<td class="num">{f"{number:,}" if number else ""}</td>' for number in numbers)


def _class(heading: str, at: int) -> str:
    if heading in ("", "Most often"):
        return "wide"
    return "num" if at else ""


def _foot(tally: Tally, now: datetime) -> str:
    notes = [f"Written by Telltale {__version__} on {now.day} {now:%B %Y} at {now:%H:%M} UTC."]
    if tally.is_incomplete:
        notes.append(
            "There were so many names that those met least often were dropped on the way; the numbers of rare "
            "addresses, domains and providers may be too low."
        )
    if tally.unreadable:
        named = "; ".join(f"{safe(path)} ({safe(error)})" for path, error in tally.first_unreadable)
        more = ", …" if tally.unreadable > len(tally.first_unreadable) else ""
        notes.append(f"{_count(tally.unreadable, 'file')} could not be read: {named}{more}.")
    return f"<footer>{''.join(f'<p>{note}</p>' for note in notes)}</footer>"


def _left_out(names: Mapping[str, object], most: int) -> str:
    more = len(names) - most
    return f" {more:,} more are not shown." if more > 0 else ""


def _nothing(words: str) -> str:
    return f'<p class="empty">{words}</p>'


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "–"


def _day(day: str) -> str:
    found = date.fromisoformat(day)
    return f"{found.day} {found:%b %Y}"
