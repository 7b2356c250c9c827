"""`telltale queue`: what it prints, what it does, and how it ends."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from psycopg.conninfo import make_conninfo

from telltale.cli import main
from telltale.conversations.models import Mailbox
from telltale.delivery import claims, holds, queue
from telltale.delivery.models import Delivery, Destination, Incident
from telltale.mail.report import Stage
from tests.cli.helpers import telltale
from tests.conftest import answered

GREYLISTED = "450 4.2.0 Greylisted, try again in 15 seconds\r\n"
NO_SUCH_USER = "550 5.1.1 The email account that you tried to reach does not exist \x1b[31m\r\n"
BLOCKED = "550 5.7.1 Service unavailable, client host [192.0.2.1] blocked using Spamhaus\r\n"


@pytest.fixture
def command(capsys, db):
    """Runs the command in this process; returns its exit code, and what it wrote where."""

    def run(*words: str) -> tuple[int, str, str]:
        try:
            code = main(["queue", *words])
        except SystemExit as end:  # argparse's way to say that it was used wrongly
            code = int(end.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def claim() -> list[claims.Claim]:
    return claims.claim(uuid.uuid4(), most=50, lease=timedelta(seconds=20))


def answer_all(words: str, *, host: str = "mx.example", stage: Stage = Stage.RCPT) -> None:
    for claimed in claim():
        result = answered(words, recipient=claimed.recipient, host=host, stage=stage)
        queue.record_result(claimed.attempt_id, result)


def states() -> dict[str, str]:
    return dict(Delivery.objects.values_list("recipient", "state"))


@pytest.fixture
def delayed(reply) -> Delivery:
    [delivery] = reply("ana@oldworks.example")
    answer_all(GREYLISTED)
    delivery.refresh_from_db()
    return delivery


@pytest.fixture
def incident(reply) -> Incident:
    reply(*(f"person{number}@works.example" for number in range(5)))
    answer_all(BLOCKED, host="mx.google.sandbox.test", stage=Stage.MAIL)
    return Incident.objects.get()


def test_list_shows_what_is_open_with_the_last_words(command, delayed):
    code, said, _ = command("list")

    assert code == 0
    assert "ana@oldworks.example" in said
    assert "delayed · 450-4.2.0" in said
    assert "Greylisted, try again in 15 seconds" in said
    assert said.endswith("\n1 delivery.\n")


def test_list_as_json_is_a_line_for_each(command, delayed, reply):
    reply("finance@ribeiro.example")

    _, said, _ = command("list", "--json")

    first, second = map(json.loads, said.splitlines())
    assert (first["recipient"], first["state"]) == ("finance@ribeiro.example", "queued")
    assert second["id"] == delayed.pk
    assert second["reason"] == "greylisted"
    assert second["diagnostic"] == GREYLISTED.strip()
    assert second["next_attempt_at"] == delayed.next_attempt_at.isoformat()


def test_list_goes_on_beyond_one_page(command, reply):
    reply(*(f"person{number}@works.example" for number in range(60)))

    assert len(command("list", "--json", "--limit", "0")[1].splitlines()) == 60
    assert len(command("list", "--json", "--limit", "55")[1].splitlines()) == 55
    assert len(command("list", "--json")[1].splitlines()) == 50


def test_list_of_nothing_ends_with_one(command):
    assert command("list") == (1, "Nothing waits.\n", "")
    assert command("list", "--destination", "x.example") == (1, "Nothing matches.\n", "")


def test_show_has_every_word_and_what_it_means(command, reply):
    [delivery] = reply("ana@oldworks.example")
    answer_all(NO_SUCH_USER, host="mx.google.sandbox.test")

    code, said, _ = command("show", str(delivery.pk), "--transcript")

    assert code == 0
    assert "Try 1" in said
    assert r"that you tried to reach does not exist \x1b[31m" in said  # shown, not obeyed
    assert "\x1b" not in said
    assert "Problem with the recipient’s address" in said
    assert " S 550 5.1.1" in said


def test_show_as_json_has_attempts_and_reports(command, delayed):
    _, said, _ = command("show", str(delayed.pk), "--json")

    shown = json.loads(said)
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["delayed"]
    assert [report["reason"] for report in shown["reports"]] == ["greylisted"]
    assert "transcript" not in shown["attempts"][0]


def test_a_delivery_that_is_not_there_is_said(command):
    code, _, said = command("show", "7")

    assert (code, said) == (2, "There is no delivery 7. `telltale queue list --state any` lists them.\n")


def test_hold_and_release_by_id(command, reply, conversation):
    [delivery] = reply("ana@oldworks.example")

    assert command("hold", str(delivery.pk)) == (0, "1 delivery was held.\n", "")
    assert claim() == []
    assert command("release", str(delivery.pk)) == (0, "1 delivery was released.\n", "")

    assert len(claim()) == 1
    events = conversation.parts.filter(kind="event").values_list("body", flat=True)
    assert list(events) == [
        "An administrator at the command line held the delivery to ana@oldworks.example",
        "An administrator at the command line let the delivery go to ana@oldworks.example",
    ]


def test_flush_tries_again_what_is_delayed_and_nothing_else(command, delayed, reply):
    later = timezone.now() + timedelta(days=1)
    reply("finance@ribeiro.example", leave_at=later)

    assert command("flush", "--all") == (0, "1 delivery was queued for another try.\n", "")

    assert [one.recipient for one in claim()] == ["ana@oldworks.example"]


def test_a_filter_chooses(command, reply):
    reply("ana@oldworks.example", "finance@ribeiro.example")

    command("cancel", "--destination", "ribeiro.example")

    assert states() == {"ana@oldworks.example": "queued", "finance@ribeiro.example": "cancelled"}


def test_failed_ones_are_tried_again_where_the_state_is_named(command, incident):
    assert command("retry", "--reason", "ip_blocklisted", "--state", "failed")[0] == 0

    assert len(claim()) == 4


@pytest.mark.parametrize("verb", ["retry", "hold", "release", "cancel", "flush"])
def test_nobody_means_everything_by_accident(command, delayed, verb):
    code, said, complaint = command(verb)

    assert (code, said) == (2, "")
    assert complaint == "Name deliveries or give a filter; --all, if you mean everything.\n"
    assert states() == {"ana@oldworks.example": "delayed"}


def test_a_dry_run_says_how_many_and_does_nothing(command, reply):
    reply("ana@oldworks.example", "finance@ribeiro.example")

    assert command("cancel", "--all", "--dry-run") == (0, "2 deliveries would be tried on.\n", "")
    assert command("release", "--all", "--dry-run") == (1, "0 deliveries would be tried on.\n", "")
    assert set(states().values()) == {"queued"}


def test_what_is_not_possible_is_told_and_ends_with_one(command, reply):
    ana, finance = reply("ana@oldworks.example", "finance@ribeiro.example")
    claims.claim(uuid.uuid4(), most=1, lease=timedelta(seconds=20))

    code, said, _ = command("hold", str(ana.pk), str(finance.pk))

    assert code == 1
    assert said == "1 delivery was held. 1 was being sent just now.\n"


def test_ids_that_are_not_there_are_told(command, reply):
    [delivery] = reply("ana@oldworks.example")

    code, _, complaint = command("hold", str(delivery.pk), "999999")

    assert (code, complaint) == (1, "1 of the deliveries that you named is not there.\n")


def test_nothing_that_matches_ends_with_one(command):
    assert command("retry", "--all") == (1, "", "Nothing matches.\n")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["list", "--state", "lost"], "There is no state “lost”"),
        (["hold", "--older-than", "soon"], "“soon” is no span of time"),
        (["hold", "x"], "'x' is no number"),
        (["limit", "a.example", "0"], "'0' is no limit"),
        (["pause", "nobody@lamp.example"], "No mailbox has the address nobody@lamp.example"),
        (["incidents", "close", "7"], "There is no incident 7"),
        ([], "COMMAND"),
    ],
)
def test_wrong_use_ends_with_two_and_a_sentence(command, words, complaint):
    code, said, told = command(*words)

    assert (code, said) == (2, "")
    assert complaint in told


def test_incidents_show_the_words_and_close(command, incident):
    code, said, _ = command("incidents")
    assert code == 0
    assert f"{incident.pk}  Google: " in said
    assert "Spamhaus" in said
    assert "5" in said

    code, said, _ = command("incidents", "close", str(incident.pk), "--retry-failed")
    assert (code, "goes out again" in said) == (0, True)
    holds.settle()
    assert len(claim()) == 5

    assert command("incidents") == (0, "No incident.\n", "")
    assert command("incidents", "close", str(incident.pk))[0] == 1
    [past] = map(json.loads, command("incidents", "--all", "--json")[1].splitlines())
    assert past["closed_how"] == "by hand"


def test_a_mailbox_pauses_and_goes_on(command, mailbox):
    assert command("pause", "Support@lamp.example")[0] == 0
    assert Mailbox.objects.get().paused_at

    assert command("resume", "support@lamp.example")[0] == 0
    assert Mailbox.objects.get().paused_at is None


def test_a_destination_is_limited(command, reply):
    reply("ana@oldworks.example")

    code, said, _ = command("limit", "OldWorks.example", "30")
    assert (code, said) == (0, "oldworks.example: at most 30 tries in a minute.\n")
    assert Destination.objects.get().per_minute == 30

    command("limit", "oldworks.example", "none")
    assert Destination.objects.get().per_minute is None
    assert "No mail has gone there yet" in command("limit", "typo.example", "5")[1]


@pytest.mark.django_db(transaction=True)
def test_the_command_finds_the_desk_by_its_settings(reply):
    reply("ana@oldworks.example")
    name = connection.settings_dict["NAME"]
    named = {"DATABASE_URL": make_conninfo(settings.ENVIRONMENT.database_url, dbname=name)}
    secrets = {"SECRET_KEY": settings.SECRET_KEY, "TELLTALE_DATA": str(settings.ENVIRONMENT.data)}

    ended = telltale("queue", "list", "--json", **named, **secrets)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)["recipient"] == "ana@oldworks.example"
