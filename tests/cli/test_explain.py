"""`telltale explain`: its JSON, its page, and what can be given to it."""

from __future__ import annotations

import io
import json
import re
import subprocess
from pathlib import Path

import pytest

from telltale.cli import main
from telltale.cli.engine.explain import LONGEST_REPLY
from telltale.mail.report import Stage
from tests.cli.helpers import COMMAND, environment

DOCUMENT = Path(__file__).parents[2] / "docs" / "commands.md"
FIELDS = [
    "reason",
    "title",
    "meaning",
    "party",
    "permanent",
    "address_dead",
    "retry",
    "retry_advice",
    "actions",
    "admin_actions",
    "rule",
    "said_by",
    "retry_after",
    "block_lists",
    "links",
    "size_limit",
    "new_address",
    "action",
    "status",
    "reply_code",
    "code_name",
]
GOOGLE = "gmail-smtp-in.l.google.com"


def explained(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    assert main(["explain", "--json", *words]) == 0
    [line] = capsys.readouterr().out.splitlines()
    return json.loads(line)


def page(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["explain", *words]) == 0
    return capsys.readouterr().out


def give(monkeypatch: pytest.MonkeyPatch, octets: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(octets))))


# ── The contract ────────────────────────────────────────────────────────────────────────────────────────


def test_a_reply_is_one_line_with_all_fields_of_the_contract(capsys):
    answer = explained(capsys, "550 5.1.1 No such user here")

    assert list(answer) == FIELDS
    assert {
        "reason": "user_unknown",
        "title": "The mailbox does not exist",
        "party": "recipient",
        "permanent": True,
        "address_dead": True,
        "retry": "no",
        "said_by": "",
        "retry_after": None,
        "block_lists": [],
        "action": "failed",
        "status": "5.1.1",
        "reply_code": 550,
        "code_name": "Bad destination mailbox address",
    }.items() <= answer.items()
    assert answer["actions"]
    assert all(isinstance(step, str) for step in answer["actions"])


def test_the_document_names_every_field():
    document = DOCUMENT.read_text(encoding="utf-8")

    assert [name for name in FIELDS if f"`{name}`" not in document] == []


def test_what_the_words_tell_beside_the_reason_has_fields_of_its_own(capsys):
    answer = explained(capsys, "451 4.7.1 Greylisted, try again in 5 minutes, see https://lamp.example/grey")

    assert answer["retry_after"] == 300
    assert answer["links"] == ["https://lamp.example/grey"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("452 4.2.2 Full", "Mailbox full"),  # the enhanced code says more than the basic one
        ("552 Full", "Exceeded storage allocation"),
        ("599 Nobody knows", ""),
        ("Mailbox full", ""),
    ],
)
def test_a_code_is_given_with_its_official_name(capsys, text, name):
    assert explained(capsys, text)["code_name"] == name


# ── What can be given ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "action", "status", "code"),
    [
        ("550", "failed", None, 550),
        ("5.7.1", "failed", "5.7.1", None),
        ("4.2.2", "delayed", "4.2.2", None),
        ("#5.1.1", "failed", "5.1.1", None),
        ("421-4.7.28", "delayed", "4.7.28", 421),
        ("421", "delayed", None, 421),
        ("250", "relayed", None, 250),  # the next hop has taken it
        (
            "450 5.1.1 contradicts itself",
            "delayed",
            None,
            450,
        ),  # RFC 2034 section 4: ignore the enhanced code
        ("No such user", "failed", None, None),
        ("10.0.0.1 refused us", "failed", None, None),  # an address is no code
        ("smtp; 452 4.2.2 mailbox full", "delayed", "4.2.2", 452),  # a Diagnostic-Code as it stands
        (
            "host mx.lamp.example[192.0.2.1] said: 450 4.2.1 Try later (in reply to RCPT TO command)",
            "delayed",
            None,
            None,
        ),
    ],
)
def test_a_text_or_a_code_alone_is_taken_for_what_it_is(
    text: str, action: str, status: str, code: int, capsys
):
    answer = explained(capsys, text)

    assert (answer["action"], answer["status"], answer["reply_code"]) == (action, status, code)
    assert answer["permanent"] == (action == "failed")


@pytest.mark.parametrize(
    ("code", "reason"), [("5.1.1", "user_unknown"), ("5.2.2", "mailbox_full"), ("421", "system_busy")]
)
def test_a_code_alone_has_a_reason(code: str, reason: str, capsys):
    assert explained(capsys, code)["reason"] == reason


def test_words_need_no_quotes(capsys):
    assert explained(capsys, "550", "5.1.1", "No", "such", "user") == explained(
        capsys, "550 5.1.1 No such user"
    )


def test_the_host_tells_whose_words_they_are(capsys):
    answer = explained(
        capsys, "--host", GOOGLE, "550 5.1.1 The email account that you tried to reach does not exist."
    )

    assert answer["said_by"] == "Google"
    assert answer["rule"].startswith("google.")


def test_a_refusal_in_front_of_the_recipient_is_not_about_the_recipient(capsys):
    early = explained(capsys, "--stage", "mail", "550 5.1.1 User unknown")
    late = explained(capsys, "--stage", "RCPT", "550 5.1.1 User unknown")

    assert (early["address_dead"], late["address_dead"]) == (False, True)
    assert early["reason"] != late["reason"] == "user_unknown"


def test_our_own_findings_are_explained_as_ours(capsys):
    assert explained(capsys, "x-local; connection timed out")["said_by"] == ""


# ── Standard input ──────────────────────────────────────────────────────────────────────────────────────


def test_each_line_of_standard_input_gets_one_line_even_an_empty_one(monkeypatch, capsys):
    give(monkeypatch, b"550 5.1.1 No such user\r\n\n452 4.2.2 Mailbox full\n550 bo\xeete inconnue")

    assert main(["explain", "--json", "-"]) == 0

    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["reason"] for answer in answers[:3]] == ["user_unknown", "unknown", "mailbox_full"]
    assert len(answers) == 4


def test_a_line_without_end_is_read_up_to_a_bound_and_is_still_one_line(monkeypatch, capsys):
    give(monkeypatch, b"550 5.1.1 No such user" + b" x" * LONGEST_REPLY + b"\n552 5.2.2 Mailbox full\n")

    assert main(["explain", "--json", "-"]) == 0

    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["reason"] for answer in answers] == ["user_unknown", "mailbox_full"]


def test_an_answer_comes_before_the_next_question():
    with subprocess.Popen(
        [*COMMAND, "explain", "--json", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdin
        assert process.stdout
        reasons = []
        for question in (b"550 5.1.1 No such user\n", b"552 5.2.2 Mailbox full\n"):
            process.stdin.write(question)
            process.stdin.flush()
            reasons.append(json.loads(process.stdout.readline())["reason"])
        process.stdin.close()

    assert reasons == ["user_unknown", "mailbox_full"]
    assert process.returncode == 0


def test_for_people_standard_input_is_one_reply_of_several_lines(monkeypatch, capsys):
    give(monkeypatch, b"550-5.1.1 No such user here.\n550 5.1.1 Please check the address.\n")

    shown = page(capsys, "-")

    assert shown.count("Whose problem") == 1
    assert "550-5.1.1 No such user here." in shown
    assert "550 5.1.1 Please check the address." in shown


# ── The page ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_page_says_all_that_the_engine_knows(capsys):
    text = (
        "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org; "
        "https://www.spamhaus.org/query/ip/192.0.2.1"
    )
    answer = explained(capsys, "--host", GOOGLE, text)

    shown = " ".join(re.sub(r"[│─╭╮╰╯]", " ", page(capsys, "--host", GOOGLE, text)).split())

    for told in (
        answer["title"],
        answer["meaning"],
        "Whose problem ours: our domain, our reputation or our set-up",
        "The mail was refused for good",
        "The address is not to blame",
        answer["retry_advice"],
        "Block lists Spamhaus",
        *answer["actions"],
        "For the admin",
        *answer["admin_actions"],
        "Google said",
        text,
        answer["rule"],
    ):
        assert " ".join(told.split()) in shown


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("451 4.7.1 Greylisted, try again in 90 seconds", "at least 90 seconds,"),
        ("451 4.7.1 Greylisted, try again in 1 minute", "at least 1 minute,"),
        ("451 4.7.1 Greylisted, try again in 2 hours", "at least 2 hours,"),
        (
            "552 5.3.4 Message size exceeds fixed maximum message size (10485760 bytes)",
            "10 MiB (10,485,760 octets)",
        ),
    ],
)
def test_times_and_sizes_are_written_for_people(text: str, told: str, capsys):
    assert told in page(capsys, text)


def test_words_of_strangers_are_neither_markup_nor_orders_to_the_terminal(capsys):
    shown = page(capsys, "550 5.1.1 [red]no[/red] \x1b[31muser \u202e", "--host", "[bold]mx\x07.example")

    assert r"[red]no[/red] \x1b[31muser \u202e" in shown
    assert r"[bold]mx\x07.example said" in shown
    assert all(character.isprintable() for line in shown.splitlines() for character in line)


def test_a_page_fits_a_narrow_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")

    shown = page(capsys, "550 5.1.1 No such user here", "--host", GOOGLE)

    assert max(map(len, shown.splitlines())) <= 40


# ── What is wrong ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_unknown_step_is_refused_with_those_that_there_are(options: list[str], capsys):
    assert main(["explain", *options, "--stage", "RCTP", "550"]) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"--stage 'RCTP' is no step of an SMTP session: use {', '.join(Stage)}.\n"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_nothing_is_not_explained(options: list[str], capsys):
    assert main(["explain", *options, "  "]) == 2

    assert capsys.readouterr().err.startswith("There is nothing to explain: give the words of a mail server")
