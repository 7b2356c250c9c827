"""One cause that stops many: when it is one, what it holds, how it is probed, and how it ends."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from telltale.conversations.models import RawMail
from telltale.delivery import claims, holds, incidents, queue
from telltale.delivery.models import Delivery, DeliveryNote, Incident
from telltale.delivery.reports import record_heard
from telltale.delivery.states import State
from telltale.mail.report import Action, Diagnostic, RecipientReport, Stage
from tests.conftest import answered, found_out

GOOGLE = "mx.google.sandbox.test"
BLOCKED = "550 5.7.1 Service unavailable, client host [192.0.2.1] blocked using Spamhaus\r\n"
NO_SUCH_USER = "550 5.1.1 The email account that you tried to reach does not exist\r\n"
ACCEPTED = "250 2.0.0 Ok: queued\r\n"


def claim() -> list[claims.Claim]:
    return claims.claim(uuid.uuid4(), most=50, lease=timedelta(seconds=20))


def answer_all(words: str, *, host: str = GOOGLE, stage: Stage = Stage.MAIL) -> None:
    for claimed in claim():
        queue.record_result(
            claimed.attempt_id, answered(words, recipient=claimed.recipient, host=host, stage=stage)
        )


@pytest.fixture
def incident(reply) -> Incident:
    """Google has refused five replies because of a block list."""
    reply(*(f"person{number}@works.example" for number in range(5)))
    answer_all(BLOCKED)
    return Incident.objects.get()


def test_one_cause_that_stops_five_deliveries_is_an_incident(incident):
    assert (incident.provider, incident.reason) == ("Google", "ip_blocklisted")
    assert (incident.delivery_count, incident.deliveries.count()) == (5, 5)
    assert "Spamhaus" in incident.report.diagnostic_text


def test_four_are_none(reply):
    reply(*(f"person{number}@works.example" for number in range(4)))
    answer_all(BLOCKED)

    assert not Incident.objects.exists()


def test_addresses_that_do_not_exist_never_make_one(reply):
    reply(*(f"person{number}@works.example" for number in range(12)))
    answer_all(NO_SUCH_USER, stage=Stage.RCPT)

    assert not Incident.objects.exists()


def test_a_provider_that_takes_some_of_our_mail_has_none(reply):
    reply(*(f"person{number}@works.example" for number in range(3)))
    answer_all(BLOCKED)
    reply("friend@works.example")
    answer_all(ACCEPTED)
    reply(*(f"person{number}@works.example" for number in range(3, 6)))
    answer_all(BLOCKED)

    assert not Incident.objects.exists()


def test_refusals_hours_apart_are_not_one_cause(reply):
    from telltale.delivery.models import Report

    reply(*(f"person{number}@works.example" for number in range(3)))
    answer_all(BLOCKED)
    Report.objects.update(heard_at=timezone.now() - timedelta(hours=2))
    reply(*(f"person{number}@works.example" for number in range(3, 6)))
    answer_all(BLOCKED)

    assert not Incident.objects.exists()


def test_what_meets_it_is_held_with_the_words_of_the_provider(incident, reply):
    [delivery] = reply("next@works.example")
    answer_all(BLOCKED)

    delivery.refresh_from_db()
    note = DeliveryNote.objects.get(delivery=delivery)
    assert (delivery.state, delivery.held_because) == (State.HELD, Delivery.Hold.INCIDENT)
    assert note.kind == DeliveryNote.Kind.HELD
    assert "Spamhaus" in note.report.diagnostic_text


def test_a_delivery_that_was_held_back_has_made_no_try(incident, reply):
    [delivery] = reply("next@works.example")
    [claimed] = claim()

    queue.hold_back(claimed.attempt_id, incident.pk)

    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempt_count, delivery.attempts.count()) == (State.HELD, 0, 0)
    assert DeliveryNote.objects.get(delivery=delivery).report == incident.report


def test_one_delivery_at_a_time_finds_out(incident):
    assert not incidents.take_probe(incident.pk)

    Incident.objects.update(probe_at=timezone.now() - timedelta(seconds=1))

    assert incidents.take_probe(incident.pk)
    assert not incidents.take_probe(incident.pk)


def test_probes_come_less_often_as_they_fail(incident):
    pauses = []
    for _ in range(8):
        Incident.objects.update(probe_at=timezone.now() - timedelta(seconds=1))
        incidents.take_probe(incident.pk)
        incident.refresh_from_db()
        pauses.append(round((incident.probe_at - timezone.now()).total_seconds() / 60))

    assert pauses == [2, 5, 10, 15, 30, 30, 30, 30]


def test_the_oldest_held_delivery_is_the_probe(incident, reply):
    first, _ = reply("first@works.example", "second@works.example")
    for claimed in claim():
        queue.hold_back(claimed.attempt_id, incident.pk)
    Incident.objects.update(probe_at=timezone.now() - timedelta(seconds=1))

    holds.settle()
    holds.settle()

    # The fifth of the refused ones is held, too, and older.
    assert [one.recipient for one in claim()] == ["person4@works.example"]
    first.refresh_from_db()
    assert first.state == State.HELD


def test_a_probe_that_fails_waits_on_with_the_same_note(incident, reply):
    note = DeliveryNote.objects.get(delivery__recipient="person4@works.example")
    Incident.objects.update(probe_at=timezone.now() - timedelta(seconds=1))
    holds.settle()

    answer_all(BLOCKED)

    delivery = Delivery.objects.get(recipient="person4@works.example")
    assert (delivery.state, delivery.attempt_count) == (State.HELD, 2)
    assert list(delivery.notes.all()) == [note]


def test_one_that_gets_through_ends_it_and_releases_the_rest(incident, reply):
    reply("next@works.example")
    for claimed in claim():
        queue.hold_back(claimed.attempt_id, incident.pk)
    Incident.objects.update(probe_at=timezone.now() - timedelta(seconds=1))
    holds.settle()

    answer_all(ACCEPTED)
    holds.settle()

    incident.refresh_from_db()
    assert incident.closed_how == Incident.Closed.RECOVERED
    assert [one.recipient for one in claim()] == ["next@works.example"]


def test_a_person_who_has_mended_it_can_have_what_failed_sent_again(incident, agent):
    assert Delivery.objects.filter(state=State.FAILED).count() == 4

    incidents.close(incident, agent=agent, retry_failed=True)
    holds.settle()

    assert len(claim()) == 5
    assert not DeliveryNote.objects.filter(closed_at=None).exists()


def test_what_somebody_has_handled_is_not_sent_again(incident, agent):
    from telltale.delivery.actions import mark_handled

    mark_handled(DeliveryNote.objects.get(delivery__recipient="person0@works.example"), agent=agent)

    incidents.close(incident, agent=agent, retry_failed=True)
    holds.settle()

    assert "person0@works.example" not in {one.recipient for one in claim()}


def test_a_server_that_answers_about_one_recipient_is_up_again(reply):
    reply(*(f"person{number}@works.example" for number in range(5)))
    for claimed in claim():
        queue.record_result(
            claimed.attempt_id, found_out("no answer within 30 s", recipient=claimed.recipient)
        )
    incident = Incident.objects.get()
    assert incident.reason in incidents.THEIR_TROUBLE
    reply("nobody@works.example")

    answer_all(NO_SUCH_USER, host="mx.example", stage=Stage.RCPT)

    incident.refresh_from_db()
    assert incident.closed_how == Incident.Closed.RECOVERED


def test_held_for_longer_than_anybody_waits_is_a_failure(incident):
    Delivery.objects.update(queued_at=timezone.now() - timedelta(days=6))

    holds.settle()

    delivery = Delivery.objects.get(recipient="person4@works.example")
    note = delivery.notes.get(closed_at=None)
    assert (delivery.state, note.kind, note.gave_up) == (State.FAILED, DeliveryNote.Kind.FAILED, True)


def test_the_same_fault_of_ours_at_three_providers_is_said_once(reply):
    for host in (GOOGLE, "mx.microsoft.sandbox.test", "mx1.third.example"):
        reply(*(f"person{number}@{uuid.uuid4().hex[:8]}.example" for number in range(5)))
        answer_all(BLOCKED, host=host)

    everywhere = Incident.objects.get(provider="")
    assert (everywhere.reason, everywhere.delivery_count) == ("ip_blocklisted", 15)
    assert "" not in incidents.obstructions()  # it holds nothing: the other providers may take our mail


def test_bounces_count_as_well_if_they_are_proven(reply):
    deliveries = reply(*(f"person{number}@works.example" for number in range(5)))
    answer_all(ACCEPTED, host="relay.lamp.example")
    for number, delivery in enumerate(deliveries):
        mail = RawMail.objects.create(door="smtp", rcpt_to="bounce", content="x", size=number)
        report = RecipientReport(
            delivery.recipient,
            Action.FAILED,
            diagnostic_code=Diagnostic("smtp", BLOCKED.strip()),
            remote_mta=GOOGLE,
        )
        record_heard(delivery, report, heard=mail, proven=True)

    assert Incident.objects.get().provider == "Google"


def test_what_nobody_has_met_for_a_day_fades(incident):
    Delivery.objects.filter(state=State.HELD).update(state=State.CANCELLED, held_because="")
    Incident.objects.update(seen_at=timezone.now() - timedelta(days=2))

    incidents.close_faded()

    incident.refresh_from_db()
    assert incident.closed_how == Incident.Closed.FADED


@pytest.mark.parametrize(
    ("host", "domain", "provider"),
    [
        ("gmail-smtp-in.l.google.com", "gmail.com", "Google"),
        ("mx1.third.example", "works.example", "third.example"),
        ("third.example", "works.example", "third.example"),
        ("192.0.2.7", "works.example", "192.0.2.7"),
        ("", "works.example", "works.example"),
    ],
)
def test_a_provider_is_known_by_its_host(host, domain, provider):
    assert incidents.provider_of(host, domain) == provider
