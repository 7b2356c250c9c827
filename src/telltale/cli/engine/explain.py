"""`telltale explain`: what the words of a mail server, or its code, mean."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import BinaryIO

from telltale.bounce.explaining import explain as explain_report
from telltale.bounce.said import report_of
from telltale.cli.errors import CommandError
from telltale.mail.report import RecipientReport, Stage

STANDARD_INPUT = "-"
LONGEST_REPLY = 1 << 20  # octets; the engine compares the first 8,000 characters
NOTHING = "There is nothing to explain: give the words of a mail server, or its code, such as 550 or 5.7.1."


def explain(text: str, *, host: str, stage: str, as_json: bool) -> int:
    """The command. `text` may be "-" for standard input."""
    step = _stage(stage)
    if as_json:
        for reply in _lines(sys.stdin.buffer) if text == STANDARD_INPUT else [_given(text)]:
            _print_json(report_of(reply, host=host, stage=step))
        return 0
    if text == STANDARD_INPUT:
        text = _decoded(sys.stdin.buffer.read(LONGEST_REPLY))
    _print_page(report_of(_given(text), host=host, stage=step))
    return 0


def _print_json(report: RecipientReport) -> None:
    from telltale.cli.engine.contract import line, of_explanation

    sys.stdout.write(line(of_explanation(report, explain_report(report))))
    sys.stdout.flush()  # somebody may wait for this answer before asking on


def _print_page(report: RecipientReport) -> None:
    from telltale.cli.engine.explanation import show

    show(report, explain_report(report))


def _lines(stream: BinaryIO) -> Iterator[str]:
    """The lines, each at most LONGEST_REPLY octets of it; an empty one is a reply too, so that lines pair up."""
    while octets := stream.readline(LONGEST_REPLY):
        rest = octets
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(LONGEST_REPLY)
        yield _decoded(octets).rstrip("\r\n")


def _decoded(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")


def _given(text: str) -> str:
    if not text.strip():
        raise CommandError(NOTHING)
    return text


def _stage(name: str) -> Stage | None:
    try:
        return Stage(name.upper()) if name else None
    except ValueError:
        raise CommandError(
            f"--stage {name!r} is no step of an SMTP session: use {', '.join(Stage)}."
        ) from None
