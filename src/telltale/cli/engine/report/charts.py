"""Charts as SVG: drawn with percentages across and pixels down, so that they fit any width and text keeps its size.

Rule: each chart says in words what it shows, for those who cannot see it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from html import escape

HEIGHT = 168  # pixels of the bars
BELOW = 22  # pixels for the days under them
ABOVE = 8
MOST_BARS = 130  # ten years of months
MOST_LABELS = 5
GAP = 0.24  # of a bar's place


@dataclass(frozen=True, slots=True)
class Bar:
    """One place on the axis of time."""

    name: str
    failed: int
    delayed: int

    @property
    def whole(self) -> int:
        return self.failed + self.delayed


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole, and the CSS class that colours it."""

    name: str
    number: int
    colour: str


def over_time(bars: Sequence[Bar]) -> str:
    """Bars side by side, failed below and delayed on top."""
    top = _round_up(max((bar.whole for bar in bars), default=1))
    place = 100 / max(1, len(bars))
    body = "".join(_column(bar, at * place, place, top) for at, bar in enumerate(bars))
    svg = (
        f'<svg width="100%" height="{ABOVE + HEIGHT + BELOW}" role="img" aria-label="{escape(_in_words(bars))}">'
        f"{_grid()}{body}{_labels(bars, place)}</svg>"
    )
    return f'<div class="time">{_scale(top)}{svg}</div>'


def stacked(shares: Sequence[Share], *, whole: int, height: int = 10) -> str:
    """One line of parts behind each other; it is as long as they are of `whole`."""
    at = 0.0
    parts = []
    for share in shares:
        width = 100 * share.number / max(1, whole)
        if share.number:
            parts.append(
                f'<rect class="{share.colour}" x="{at:.3f}%" width="{width:.3f}%" height="{height}">'
                f"<title>{escape(share.name)}: {share.number:,}</title></rect>"
            )
        at += width
    words = ", ".join(f"{share.name} {share.number:,}" for share in shares if share.number)
    return (
        f'<svg class="line" width="100%" height="{height}" role="img" aria-label="{escape(words)}">'
        f"{''.join(parts)}</svg>"
    )


def bars_of(days: Mapping[date, tuple[int, int]]) -> list[Bar]:
    """(failed, delayed) of each day, put together to days, weeks, months or years: as fine as there is room for."""
    if not days:
        return []
    first, last = min(days), max(days)
    for period in (_Day, _Week, _Month, _Year):
        starts = period.starts(first, last)
        if len(starts) <= MOST_BARS or period is _Year:
            break
    sums = {start: [0, 0] for start in starts}
    for day, (failed, delayed) in days.items():
        found = sums[period.start(day)]
        found[0] += failed
        found[1] += delayed
    return [Bar(period.name(start), *numbers) for start, numbers in sums.items()]


class _Day:
    @staticmethod
    def start(day: date) -> date:
        return day

    @staticmethod
    def next(start: date) -> date:
        return start + timedelta(days=1)

    @staticmethod
    def name(start: date) -> str:
        return f"{start.day} {start:%b %Y}"

    @classmethod
    def starts(cls, first: date, last: date) -> list[date]:
        """All beginnings from the first day's to the last day's; a few more than MOST_BARS are enough to know."""
        starts = [cls.start(first)]
        while len(starts) <= 2 * MOST_BARS and (following := cls.next(starts[-1])) <= last:
            starts.append(following)
        return starts


class _Week(_Day):
    @staticmethod
    def start(day: date) -> date:
        return day - timedelta(days=day.weekday())

    @staticmethod
    def next(start: date) -> date:
        return start + timedelta(days=7)


class _Month(_Day):
    @staticmethod
    def start(day: date) -> date:
        return day.replace(day=1)

    @staticmethod
    def next(start: date) -> date:
        return (start + timedelta(days=31)).replace(day=1)

    @staticmethod
    def name(start: date) -> str:
        return f"{start:%b %Y}"


class _Year(_Day):
    @staticmethod
    def start(day: date) -> date:
        return day.replace(month=1, day=1)

    @staticmethod
    def next(start: date) -> date:
        return start.replace(year=start.year + 1)

    @staticmethod
    def name(start: date) -> str:
        return str(start.year)


def _column(bar: Bar, x: float, place: float, top: int) -> str:
    failed = HEIGHT * bar.failed / top
    delayed = HEIGHT * bar.delayed / top
    floor = ABOVE + HEIGHT
    across = f'x="{x + place * GAP / 2:.3f}%" width="{place * (1 - GAP):.3f}%"'
    rects = "".join(
        f'<rect class="{name}" {across} y="{y:.1f}" height="{height:.1f}"/>'
        for name, y, height in (
            ("failed", floor - failed, failed),
            ("delayed", floor - failed - delayed, delayed),
        )
        if height
    )
    title = f"<title>{escape(bar.name)}: {bar.failed:,} failed, {bar.delayed:,} delayed</title>"
    # The invisible one lets a pointer find a day of few bounces.
    return f'<g>{title}<rect class="whole" {across} y="0" height="{floor}"/>{rects}</g>' if bar.whole else ""


def _scale(top: int) -> str:
    """The numbers at the left, beside the lines of the grid."""
    values = [top, top // 2, 0] if top > 1 else [top, 0]
    return f'<div class="scale" aria-hidden="true">{"".join(f"<span>{value:,}</span>" for value in values)}</div>'


def _grid() -> str:
    heights = (ABOVE, ABOVE + HEIGHT // 2, ABOVE + HEIGHT)
    return "".join(f'<line x1="0" x2="100%" y1="{y}.5" y2="{y}.5"/>' for y in heights)


def _labels(bars: Sequence[Bar], place: float) -> str:
    """The names of some places: the first one starts at the left, the last one ends at the right."""
    last = len(bars) - 1
    number = min(MOST_LABELS, len(bars))
    chosen = dict.fromkeys(round(step * last / max(1, number - 1)) for step in range(number))
    return "".join(_label(bars[at].name, _anchor(at, last), (at + 0.5) * place) for at in chosen)


def _anchor(at: int, last: int) -> str:
    return "start" if at == 0 else "end" if at == last else "middle"


def _label(name: str, anchor: str, middle: float) -> str:
    x = {"start": 0.0, "end": 100.0}.get(anchor, middle)
    return f'<text class="{anchor}" x="{x:.2f}%" y="{ABOVE + HEIGHT + 16}" text-anchor="{anchor}">{escape(name)}</text>'


def _round_up(number: int) -> int:
    """The next round number that has a round half."""
    size: int = 10 ** (len(str(max(1, number))) - 1)
    return next(step * size for step in (1, 2, 4, 6, 8, 10) if step * size >= number)


def _in_words(bars: Sequence[Bar]) -> str:
    if not bars:
        return "No bounces."
    most = max(bars, key=lambda bar: bar.whole)
    failed, delayed = sum(bar.failed for bar in bars), sum(bar.delayed for bar in bars)
    return (
        f"Bars from {bars[0].name} to {bars[-1].name}: {failed:,} failed and {delayed:,} delayed in all. "
        f"The highest is {most.name} with {most.whole:,}."
    )
