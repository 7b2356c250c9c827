"""Every mail of tests/corpus is read as people say that it must be read. Its README tells of the format."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from telltale.bounce import Returned, explain, read
from telltale.mail.report import RecipientReport

CORPUS = Path(__file__).parents[1] / "corpus"
LARGEST = 1_000_000  # octets, all mails together
EXPECTATIONS = {
    path.parent: tomllib.loads(path.read_text(encoding="utf-8"))
    for path in sorted(CORPUS.rglob("expected.toml"))
}


def mails() -> Iterator[Any]:
    """Each mail and what is expected of it."""
    for folder, cases in EXPECTATIONS.items():
        for name, expected in cases.items():
            yield pytest.param(folder / f"{name}.eml", expected, id=f"{folder.relative_to(CORPUS)}/{name}")


@pytest.mark.parametrize(("path", "expected"), list(mails()))
def test_a_mail_is_read_as_what_it_is(path: Path, expected: dict[str, Any]) -> None:
    returned = read(path.read_bytes())

    assert (returned.kind, differences(returned, expected)) == (expected["kind"], [])


def differences(returned: Returned, expected: dict[str, Any]) -> list[str]:
    """What is said of the recipients, in any order, against what is expected. Complaints may name none."""
    wanted = {report["final_recipient"]: report for report in expected.get("reports", [])}
    reports = {report.final_recipient: report for report in returned.reports}
    if not wanted and expected["kind"] not in ("bounce", "delayed", "delivered", "ordinary"):
        return []
    missing = [f"nothing about {address}" for address in wanted.keys() - reports.keys()]
    surplus = [f"{address} is about nobody" for address in reports.keys() - wanted.keys()]
    wrong = [
        told for address in wanted.keys() & reports for told in _wrong(reports[address], wanted[address])
    ]
    return missing + surplus + wrong


def _wrong(report: RecipientReport, wanted: dict[str, Any]) -> Iterator[str]:
    """The fields that differ. A list names several values of which each is right."""
    found = {
        "action": report.action,
        "status": str(report.status or ""),
        "diagnostic": _in_one_line(report.diagnostic_code.text),
        "reason": explain(report).reason,
    }
    for field in wanted.keys() & found.keys():
        right = wanted[field] if isinstance(wanted[field], list) else [wanted[field]]
        if found[field] not in map(_in_one_line, right):
            yield f"{report.final_recipient}: {field} is {found[field]!r}, not {' or '.join(map(repr, right))}"


def _in_one_line(text: str) -> str:
    """Whether a long reply is folded, and where, is the reporting server's affair."""
    return " ".join(text.split())


@pytest.mark.parametrize("folder", sorted({path.parent for path in CORPUS.rglob("*.eml")}))
def test_each_mail_of_the_corpus_has_an_expectation(folder: Path) -> None:
    assert {path.stem for path in folder.glob("*.eml")} == EXPECTATIONS[folder].keys()


def test_the_corpus_is_small_enough_to_be_read_by_people() -> None:
    assert sum(path.stat().st_size for path in CORPUS.rglob("*.eml")) < LARGEST
