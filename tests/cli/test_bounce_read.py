"""`telltale bounce read`: its JSON, its table, and what it takes for a mail."""

from __future__ import annotations

import gzip
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from telltale.cli import main
from telltale.cli.engine import sources
from telltale.cli.engine.mbox import messages
from telltale.cli.engine.processes import AHEAD, in_order
from telltale.cli.engine.sources import Letter, letters
from telltale.cli.engine.text import visible
from telltale.cli.errors import CommandError
from tests.cli.helpers import COMMAND, environment

DOCUMENT = Path(__file__).parents[2] / "docs" / "commands.md"
POSTMARK = b"From MAILER-DAEMON Fri Jul  8 12:08:34 2011\n"
PERSON = b"From: Ana <ana@lamp.example>\nTo: desk@desk.example\nSubject: My lamp\n\nIt does not shine.\n"
REPORT_FIELDS = [
    "final_recipient",
    "action",
    "status",
    "reply_code",
    "diagnostic",
    "diagnostic_type",
    "remote_mta",
    "original_recipient",
    "last_attempt_date",
    "will_retry_until",
    "final_log_id",
    "stage",
    "reason",
    "title",
    "party",
    "permanent",
    "address_dead",
    "retry",
    "rule",
    "said_by",
    "retry_after",
    "block_lists",
    "links",
    "size_limit",
    "new_address",
]


def bounce(
    recipient: str = "ana@lamp.example",
    *,
    words: str = "550 5.1.1 no such user here",
    action: str = "failed",
    status: str = "5.1.1",
    date: str = "Mon, 2 Mar 2026 10:00:00 +0000",
) -> bytes:
    """A delivery status notification as Postfix writes it."""
    return f"""Return-Path: <>
Received: by desk.example (Postfix) id 7F3A; {date}
From: MAILER-DAEMON@desk.example (Mail Delivery System)
To: b-7f3a@desk.example
Date: {date}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="lamp"

--lamp
Content-Type: text/plain

I'm sorry to have to inform you that your message could not be delivered.

--lamp
Content-Type: message/delivery-status

Reporting-MTA: dns; desk.example

Final-Recipient: rfc822; {recipient}
Action: {action}
Status: {status}
Remote-MTA: dns; mx.lamp.example
Diagnostic-Code: smtp; {words}

--lamp
Content-Type: message/rfc822

Message-ID: <7f3a@desk.example>
From: desk@desk.example
To: {recipient}
Subject: Your lamp

We have sent a new one.

--lamp--
""".encode()


def answers(output: str) -> list[dict]:
    return [json.loads(line) for line in output.splitlines()]


def read_json(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> list[dict]:
    assert main(["bounce", "read", "--json", *words]) == code
    return answers(capsys.readouterr().out)


def paths_of(found: list[dict]) -> list[str]:
    return [answer["path"] for answer in found]


# ── The contract ────────────────────────────────────────────────────────────────────────────────────────


def test_a_bounce_is_one_line_with_all_fields_of_the_contract(tmp_path, capsys):
    mail = tmp_path / "one.eml"
    mail.write_bytes(bounce())

    [answer] = read_json(capsys, str(mail))

    assert list(answer) == ["path", "kind", "reports", "keys", "oddities", "evidence"]
    assert answer["path"] == str(mail)
    assert answer["kind"] == "bounce"
    assert answer["oddities"] == []
    [report] = answer["reports"]
    assert list(report) == REPORT_FIELDS
    assert {
        "final_recipient": "ana@lamp.example",
        "action": "failed",
        "status": "5.1.1",
        "reply_code": 550,
        "diagnostic": "550 5.1.1 no such user here",
        "diagnostic_type": "smtp",
        "remote_mta": "mx.lamp.example",
        "reason": "user_unknown",
        "party": "recipient",
        "permanent": True,
        "address_dead": True,
        "retry": "no",
        "said_by": "mx.lamp.example",
        "block_lists": [],
        "size_limit": None,
    }.items() <= report.items()
    assert answer["keys"] == {
        "return_path_to": ["b-7f3a@desk.example"],
        "original_envelope_id": "",
        "message_ids": ["<7f3a@desk.example>"],
        "references": [],
        "returned_references": [],
    }


def test_a_delay_says_when_to_try_again_in_seconds(tmp_path, capsys):
    words = "451 4.7.1 Greylisted, try again in 5 minutes"
    (tmp_path / "one.eml").write_bytes(bounce(words=words, action="delayed", status="4.7.1"))

    [answer] = read_json(capsys, str(tmp_path))

    assert answer["kind"] == "delayed"
    [report] = answer["reports"]
    assert (report["action"], report["permanent"], report["retry_after"]) == ("delayed", False, 300)


def test_a_mail_from_a_person_has_no_reports(tmp_path, capsys):
    (tmp_path / "one.eml").write_bytes(PERSON)

    [answer] = read_json(capsys, str(tmp_path))

    assert (answer["kind"], answer["reports"]) == ("ordinary", [])


def test_the_output_is_ascii_whatever_the_mail_holds(tmp_path, capsys):
    (tmp_path / "one.eml").write_bytes(bounce(words="550 5.1.1 Größe \x1b[31m unbekannt"))

    assert main(["bounce", "read", "--json", str(tmp_path)]) == 0

    output = capsys.readouterr().out
    assert output.isascii()
    assert "\x1b" not in output
    assert answers(output)[0]["reports"][0]["diagnostic"] == "550 5.1.1 Größe \x1b[31m unbekannt"


def test_the_document_names_every_field():
    document = DOCUMENT.read_text(encoding="utf-8")

    assert [
        name for name in [*REPORT_FIELDS, "path", "keys", "evidence", "error"] if f"`{name}`" not in document
    ] == []


# ── What a path stands for ──────────────────────────────────────────────────────────────────────────────


def test_the_mails_of_an_mbox_are_numbered(tmp_path, capsys):
    spool = tmp_path / "spool"
    spool.write_bytes(POSTMARK + bounce("ana@lamp.example") + b"\n" + POSTMARK + bounce("bo@lamp.example"))

    found = read_json(capsys, str(spool))

    assert paths_of(found) == [f"{spool}#1", f"{spool}#2"]
    assert [answer["reports"][0]["final_recipient"] for answer in found] == [
        "ana@lamp.example",
        "bo@lamp.example",
    ]


def test_an_eml_file_is_one_mail_even_with_a_postmark_in_front(tmp_path, capsys):
    mail = tmp_path / "one.eml"
    mail.write_bytes(POSTMARK + bounce())

    [answer] = read_json(capsys, str(mail))

    assert (answer["path"], answer["kind"]) == (str(mail), "bounce")


@pytest.mark.parametrize("name", ["spool.gz", "spool"])
def test_what_is_gzipped_is_read_as_what_is_in_it(name: str, tmp_path, capsys):
    (tmp_path / name).write_bytes(gzip.compress(POSTMARK + bounce() + b"\n" + POSTMARK + PERSON))

    found = read_json(capsys, str(tmp_path / name))

    assert paths_of(found) == [f"{tmp_path / name}#1", f"{tmp_path / name}#2"]


def test_a_maildir_gives_its_mails_and_nothing_else(tmp_path, capsys):
    for folder in ("cur", "new", "tmp", ".Sent/cur", ".Sent/new", ".Sent/tmp"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "1.M2.lamp:2,S").write_bytes(PERSON)
    (tmp_path / "dovecot-uidlist").write_bytes(b"3 V1")

    found = read_json(capsys, str(tmp_path))

    named = [path.removeprefix(f"{tmp_path}/").removesuffix("/1.M2.lamp:2,S") for path in paths_of(found)]
    assert named == ["new", "cur", ".Sent/new", ".Sent/cur"]


def test_a_folder_is_read_in_the_order_of_names_without_hidden_ones_and_circles(tmp_path, capsys):
    for name in ("b.eml", "a.eml", "c/d.eml", ".hidden", ".git/e.eml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(PERSON)
    (tmp_path / "c" / "round").symlink_to(tmp_path)

    found = read_json(capsys, str(tmp_path))

    assert [path.removeprefix(f"{tmp_path}/") for path in paths_of(found)] == ["a.eml", "b.eml", "c/d.eml"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (PERSON, ["-"]),
        (POSTMARK + PERSON + b"\n" + POSTMARK + PERSON, ["-#1", "-#2"]),
        (gzip.compress(PERSON), ["-"]),
        (b"", ["-"]),  # a line that says so is better than silence
    ],
)
def test_standard_input_is_one_mail_or_an_mbox(given: bytes, expected: list[str], monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(given))))

    assert paths_of(read_json(capsys, "-")) == expected


def test_a_mail_without_end_is_read_up_to_the_bound_and_says_so(tmp_path):
    (tmp_path / "one.eml").write_bytes(PERSON + b"x" * 1_000)

    [letter] = letters([str(tmp_path)], largest=500)

    assert len(letter.octets) == 500
    assert letter.oddities == (sources.CUT,)


def test_what_cannot_be_read_is_named_and_the_others_go_on(tmp_path, capsys):
    (tmp_path / "1.eml.gz").write_bytes(gzip.compress(PERSON * 100)[:40])
    (tmp_path / "2.eml.gz").write_bytes(gzip.compress(gzip.compress(PERSON)))
    (tmp_path / "3.eml").write_bytes(bounce())

    broken, twice, good = read_json(capsys, str(tmp_path), code=1)

    assert list(broken) == ["path", "kind", "reports", "error"]
    assert (broken["kind"], broken["reports"]) == (None, [])
    assert broken["error"].startswith("its gzip data are broken: ")
    assert twice["error"] == "it is gzipped twice"
    assert good["kind"] == "bounce"


def test_a_path_that_cannot_even_be_asked_for_is_named(tmp_path, capsys):
    [answer] = read_json(capsys, str(tmp_path / ("long" * 100)), code=1)

    assert answer["error"] == "File name too long"


def test_what_comes_in_small_pieces_is_recognised_all_the_same():
    pieces = [gzip.compress(POSTMARK + PERSON + b"\n" + POSTMARK + PERSON), POSTMARK + PERSON]
    for octets, expected in zip(pieces, [["-#1", "-#2"], ["-#1"]], strict=True):
        process = subprocess.Popen(
            [*COMMAND, "bounce", "read", "--json", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=environment(),
        )
        assert process.stdin
        for at in range(len(octets)):
            process.stdin.write(octets[at : at + 1])
        output, _ = process.communicate()

        assert paths_of(answers(output.decode())) == expected


def test_a_file_that_vanishes_is_named(tmp_path):
    for name in ("1.eml", "2.eml", "3.eml"):
        (tmp_path / name).write_bytes(PERSON)
    found = letters([str(tmp_path)])
    next(found)
    (tmp_path / "2.eml").unlink()

    assert next(found) == Letter(str(tmp_path / "2.eml"), error="No such file or directory")
    assert next(found).octets == PERSON


# ── Taking an mbox apart ────────────────────────────────────────────────────────────────────────────────

SPOOL = [
    POSTMARK + PERSON + b"\n",
    b"From ana@lamp.example Mon Mar  2 10:00:00 2026\n"
    + PERSON
    + b"\nFrom here on it was dark.\n\n>From 10:00 on too.\n\n",
    b"From - \nSubject: no time in the postmark\n\nBody\n\n",
    b"From 17@xxx\nSubject: as Takeout writes it\n\nBody with From in a line at 10:00\n\n",
    POSTMARK.replace(b"\n", b"\r\n") + PERSON.replace(b"\n", b"\r\n") + b"\r\n",
    POSTMARK + b"\n",
    POSTMARK + PERSON,
]


class Trickle(io.BytesIO):
    """Gives a few octets at a time."""

    def __init__(self, octets: bytes, most: int) -> None:
        super().__init__(octets)
        self.most = most

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self.most)


@pytest.mark.parametrize("most", [1, 7, 1_000, 1 << 20])
def test_an_mbox_falls_apart_at_its_postmarks_and_loses_no_octet(most: int):
    found = list(messages(Trickle(b"".join(SPOOL), most)))

    assert [message.octets for message in found] == SPOOL
    assert not any(message.is_cut for message in found)


@pytest.mark.parametrize("most", [700, 1 << 20])
def test_a_message_that_is_too_large_is_cut_and_the_next_one_is_whole(most: int):
    large = POSTMARK + PERSON + b"\n" + b"x" * 50_000 + b"\n\n"

    found = list(messages(Trickle(large + SPOOL[0], most), largest=2_000))

    assert [(message.octets, message.is_cut) for message in found] == [
        (large[:2_000], True),
        (SPOOL[0], False),
    ]


def test_memory_does_not_grow_with_the_mbox():
    class Endless(io.BytesIO):
        left = 64

        def read(self, size: int | None = -1) -> bytes:
            self.left -= 1
            return b"x" * (size or 0) if self.left else b""

    tracemalloc.start()
    try:
        [message] = messages(Endless(), largest=1 << 20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert message.is_cut
    assert peak < 8 << 20


# ── Processes ───────────────────────────────────────────────────────────────────────────────────────────


def spool_of(number: int) -> bytes:
    return b"".join(POSTMARK + bounce(f"ana{each}@lamp.example") + b"\n" for each in range(number))


def test_with_jobs_the_output_is_the_same(tmp_path):
    (tmp_path / "spool").write_bytes(spool_of(300))
    command = [*COMMAND, "bounce", "read", "--json", str(tmp_path / "spool")]

    alone = subprocess.run(command, capture_output=True, check=True, env=environment())
    together = subprocess.run([*command, "--jobs", "3"], capture_output=True, check=True, env=environment())

    assert together.stdout == alone.stdout
    assert len(alone.stdout.splitlines()) == 300


def squared(number: int) -> int:
    return number * number


def dying(_: int) -> None:
    os._exit(1)


def test_work_is_fetched_no_further_ahead_than_the_bound():
    fetched = []

    def tasks() -> Iterator[int]:
        for number in range(1_000):
            fetched.append(number)
            yield number

    found = in_order(squared, tasks(), jobs=2)

    assert next(found) == 0
    assert len(fetched) <= 2 * AHEAD
    assert list(found) == [number * number for number in range(1, 1_000)]


def test_a_process_that_dies_ends_the_command_with_a_sentence():
    with pytest.raises(CommandError, match="A process of --jobs has died"):
        list(in_order(dying, iter(range(10)), jobs=2))


def test_ctrl_c_ends_all_processes_without_a_word():
    with reading_endlessly() as process:
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate()

    assert (process.returncode, errors) == (130, b"")


def test_no_process_is_left_when_the_first_one_is_killed():
    with reading_endlessly() as process:
        process.kill()
        process.communicate()  # returns when the last of them has closed standard output

    assert process.returncode == -signal.SIGKILL


def reading_endlessly() -> subprocess.Popen[bytes]:
    """A command with two processes that waits for more input and has answered already."""
    process = subprocess.Popen(
        [*COMMAND, "bounce", "read", "--json", "--jobs", "2", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(PYTHONUNBUFFERED="1"),
        start_new_session=True,
    )
    assert process.stdin
    assert process.stdout
    # Few and large: their answers fit into a pipe that nobody empties.
    process.stdin.write(b"".join(POSTMARK + bounce() + b"x" * 100_000 + b"\n\n" for _ in range(60)))
    process.stdin.flush()
    process.stdout.readline()
    return process


@pytest.mark.parametrize("options", [["--json"], [], ["--json", "--jobs", "2"]])
def test_a_reader_that_has_enough_ends_it_quietly(options: list[str], tmp_path):
    (tmp_path / "spool").write_bytes(spool_of(700))

    with subprocess.Popen(
        [*COMMAND, "bounce", "read", *options, str(tmp_path / "spool")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()

    assert (process.returncode, errors) == (141, b"")


# ── For people ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_table_has_a_row_for_each_recipient_and_totals_below(tmp_path, capsys):
    (tmp_path / "1.eml").write_bytes(bounce("ana@lamp.example"))
    (tmp_path / "2.eml").write_bytes(
        bounce("bo@lamp.example", words="452 4.2.2 full", action="delayed", status="4.2.2")
    )
    (tmp_path / "3.eml").write_bytes(PERSON)

    assert main(["bounce", "read", str(tmp_path)]) == 0

    heading, ana, bo, person, empty, totals = capsys.readouterr().out.splitlines()
    assert re.split(r" {2,}", heading.strip()) == [
        "Kind",
        "Recipient",
        "Action",
        "Code",
        "Reason",
        "Said by",
        "Mail",
    ]
    assert re.split(r" {2,}", ana.strip()) == [
        "bounce",
        "ana@lamp.example",
        "failed",
        "550 5.1.1",
        "The mailbox does not exist",
        "mx.lamp.example",
        str(tmp_path / "1.eml"),
    ]
    assert "delayed" in bo
    assert "452 4.2.2" in bo
    assert person.split() == ["ordinary", str(tmp_path / "3.eml")]
    assert empty == ""
    assert totals == "3 mails: 1 bounce, 1 delayed, 1 ordinary mail."


def test_words_of_strangers_are_neither_markup_nor_orders_to_the_terminal(tmp_path, capsys):
    (tmp_path / "one.eml").write_bytes(bounce('"[red]\x1b]0;owned\x07"@lamp.example'))

    main(["bounce", "read", str(tmp_path)])

    output = capsys.readouterr().out
    assert "[red]" in output
    assert "\\x1b]0;owned" in output
    assert all(character.isprintable() for line in output.splitlines() for character in line)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain größe 東京", "plain größe 東京"),
        ("\x1b[2J\x07\n", r"\x1b[2J\x07\n"),
        ("\x9b31m", r"\x9b31m"),  # the same as ESC [ in one octet
        ("ana\u202etxt.exe", r"ana\u202etxt.exe"),  # turns the writing round
        ("\udcff", r"\udcff"),  # a file name that is no UTF-8
    ],
)
def test_what_a_terminal_would_obey_is_shown(text: str, shown: str):
    assert visible(text) == shown


def test_a_long_table_is_drawn_in_pieces_with_one_heading(tmp_path, capsys):
    (tmp_path / "spool").write_bytes(spool_of(250))

    main(["bounce", "read", str(tmp_path / "spool")])

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 250 + 2
    assert [line.index("550") for line in lines[1:251]] == [lines[1].index("550")] * 250
    assert lines[-1] == "250 mails: 250 bounces."


def on_terminal(*words: str, columns: int, output: int | None = None) -> str:
    """What stands on a terminal of this width; `output` takes standard output instead."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *words],
        stdin=subprocess.DEVNULL,
        stdout=theirs if output is None else output,
        stderr=theirs,
        env=environment(COLUMNS=str(columns), TERM="xterm-256color", NO_COLOR="1"),
    )
    os.close(theirs)
    seen = b""
    try:
        while piece := os.read(ours, 65_536):
            seen += piece
    except OSError:  # Linux: the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0
    return seen.decode()


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_table_fits_the_terminal(columns: int, tmp_path):
    (tmp_path / "one.eml").write_bytes(bounce("a.very.long.name.of.somebody@department.lamp.example"))

    shown = on_terminal("bounce", "read", str(tmp_path), columns=columns)

    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in shown.replace("\r", "").split("\n")]
    assert max(map(len, lines)) <= columns
    assert lines[1].rstrip().endswith("one.eml")  # without the folder that was just typed


def test_a_bar_is_drawn_on_a_terminal_for_many_files_only(tmp_path):
    (tmp_path / "many").mkdir()
    for number in range(200):
        (tmp_path / "many" / f"{number}.eml").write_bytes(PERSON)
    words = ("bounce", "read", "--json")

    assert "Reading" in on_terminal(*words, str(tmp_path / "many"), columns=80, output=subprocess.DEVNULL)
    assert on_terminal(*words, str(tmp_path / "many" / "1.eml"), columns=80, output=subprocess.DEVNULL) == ""


# ── What is wrong, and how quickly it is said ───────────────────────────────────────────────────────────


def test_a_path_that_does_not_exist_is_named_before_anything_is_read(tmp_path, capsys):
    (tmp_path / "one.eml").write_bytes(PERSON)

    assert main(["bounce", "read", "--json", str(tmp_path / "one.eml"), str(tmp_path / "two.eml")]) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"There is no file or folder '{tmp_path / 'two.eml'}'.\n"


@pytest.mark.parametrize("number", ["0", "-1", "many", "mail/", "99999999999999999999"])
def test_a_wrong_number_of_jobs_is_refused(number: str, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["bounce", "read", f"--jobs={number}", "."])

    assert ended.value.code == 2
    assert f"{number!r} is no number of processes: write --jobs 4" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["bounce", "read", "--json", "-"], ["explain", "--json", "550 5.1.1 no"]])
def test_json_needs_the_standard_library_alone(words: list[str]):
    """No Django and no rich, above all no time for them; nor what else of ours is slow to import."""
    code = (
        "import sys; from telltale.cli import main\n"
        f"code = main({words!r})\n"
        "slow = {'django', 'rich', 'psycopg', 'asyncio', 'multiprocessing', 'gzip', 'tomllib', 'email.message'}\n"
        "ours = {'telltale.config', 'telltale.postgres', 'telltale.cli.engine.report', 'telltale.smtp'}\n"
        "sys.exit(code or ', '.join(sorted((slow | ours) & set(sys.modules))) or 0)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], input=PERSON, env=environment(), capture_output=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, b"")
