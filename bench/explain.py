"""How long it takes to explain one reply, against trying every rule one by one.

    python -m bench.explain [--rounds N] [FILE]

FILE holds one reply a line; without it, the replies of tests/bounce/replies.toml are explained. Both ways take
turns in the same run, so that a busy machine slows down both. The naive way only looks for the first rule that
matches; the engine also reads codes, weighs doubts and writes the verdict. Times are the best of all rounds.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

from telltale.bounce import explain, knowledge, wording
from telltale.mail.report import Action, Diagnostic, RecipientReport

REPLIES = Path(__file__).parent.parent / "tests" / "bounce" / "replies.toml"
COLD_STARTS = 5
COLD = """
from telltale.bounce import explain
from telltale.mail.report import Action, Diagnostic, RecipientReport
explain(RecipientReport("a@lamp.example", Action.FAILED, diagnostic_code=Diagnostic("smtp", "550 No such user")))
"""


def main() -> None:
    options = _options()
    texts = _texts(options.file)
    reports = [
        RecipientReport("a@lamp.example", Action.FAILED, diagnostic_code=Diagnostic("smtp", t)) for t in texts
    ]
    _explain_all(reports)  # reads the data, and compiles the patterns that are needed
    _try_all(texts)
    engine, naive = [], []
    for _ in range(options.rounds):
        engine.append(_microseconds(lambda: _explain_all(reports), len(texts)))
        naive.append(_microseconds(lambda: _try_all(texts), len(texts)))
    print(f"{len(texts)} replies, {sum(map(len, texts)) / len(texts):.0f} characters on average")
    print(f"explain               {min(engine):8.1f} µs a reply")
    print(f"rules one by one      {min(naive):8.1f} µs a reply, {min(naive) / min(engine):.1f} times as long")
    print(f"cold start, one reply {_cold_start():8.1f} ms, of which Python alone {_cold_start(''):.1f} ms")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=7, metavar="N")
    return parser.parse_args()


def _texts(file: Path | None) -> list[str]:
    if file:
        return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    groups = tomllib.loads(REPLIES.read_text(encoding="utf-8")).values()
    return [reply for group in groups for reply in group["replies"]]


def _explain_all(reports: Sequence[RecipientReport]) -> None:
    for report in reports:
        explain(report)


def _try_all(texts: Sequence[str]) -> None:
    rules = [rule for rule in knowledge.rules() if not rule.needs_host]
    for text in texts:
        plain = wording.unfolded(text).lower()
        next((rule for rule in rules if rule.pattern.search(plain)), None)


def _microseconds(work: Callable[[], None], count: int) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) / count * 1e6


def _cold_start(code: str = COLD) -> float:
    """Milliseconds from the start of a process to its end; the best of five."""

    def run() -> None:
        subprocess.run([sys.executable, "-c", code], check=True)

    return min(_microseconds(run, 1) for _ in range(COLD_STARTS)) / 1e3


if __name__ == "__main__":
    main()
