"""Acceptances recorded together: the same truth as one by one, and the rare ones are left to more care."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from telltale.conversations.models import Address, Part, RawMail
from telltale.delivery import claims, queue
from telltale.delivery.acceptances import Acceptance, record_acceptances
from telltale.delivery.models import Attempt, Delivery, DeliveryNote, Destination, Incident
from telltale.delivery.reports import record_heard
from telltale.delivery.states import State
from telltale.mail.report import Action, Diagnostic, RecipientReport
from tests.conftest import answered

ACCEPTED = "250 2.0.0 Ok: queued as 4Zk9\r\n"


def claim() -> list[claims.Claim]:
    return claims.claim(uuid.uuid4(), most=50, lease=timedelta(seconds=20))


def answers(taken: list[claims.Claim]) -> dict[int, Acceptance]:
    return {
        one.attempt_id: Acceptance(
            one, answered(ACCEPTED, recipient=one.recipient, host="mx.google.sandbox.test")
        )
        for one in taken
    }


def test_many_are_accepted_at_once(reply, conversation):
    deliveries = reply("ana@oldworks.example", "finance@ribeiro.example")
    conversation.refresh_from_db()
    before = conversation.version

    assert record_acceptances(answers(claim())) == set()

    conversation.refresh_from_db()
    assert {Delivery.objects.get(pk=one.pk).state for one in deliveries} == {State.ACCEPTED}
    assert conversation.version == before + 1
    assert Part.objects.get(kind=Part.Kind.REPLY).version == conversation.version
    assert Address.objects.get(email="ana@oldworks.example").last_accepted_at


def test_the_evidence_is_that_of_a_single_record(reply):
    first, second = reply("ana@oldworks.example", "finance@ribeiro.example")
    results = answers(claim())
    one, other = Attempt.objects.get(delivery=first).pk, Attempt.objects.get(delivery=second).pk

    record_acceptances({one: results[one]})
    queue.record_result(other, results[other].result)

    columns = ("outcome", "stage", "remote_host", "remote_ip", "provider", "tls_version", "reply")
    alike = Attempt.objects.values_list(*columns)
    assert alike.get(pk=one) == alike.get(pk=other)
    assert Attempt.objects.get(pk=one).transcript[0][1:] == Attempt.objects.get(pk=other).transcript[0][1:]


def test_the_number_of_statements_does_not_grow_with_the_batch(reply):
    def statements(count: int) -> int:
        reply(*(f"{uuid.uuid4().hex}@works.example" for _ in range(count)))
        results = answers(claim())
        with CaptureQueriesContext(connection) as captured:
            assert record_acceptances(results) == set()
        return len(captured)

    assert statements(2) == statements(15)


def test_a_delivery_with_an_open_note_needs_more_care(reply):
    [delivery] = reply("ana@oldworks.example")
    [claimed] = claim()
    queue.record_result(
        claimed.attempt_id, answered("450 4.2.0 Greylisted\r\n", recipient=delivery.recipient)
    )
    Delivery.objects.update(next_attempt_at=timezone.now())
    results = answers(claim())

    assert record_acceptances(results) == set(results)

    assert DeliveryNote.objects.get().closed_at is None  # that is left to record_result


def test_a_bounce_that_was_quicker_needs_more_care(reply):
    [delivery] = reply("ana@oldworks.example")
    results = answers(claim())
    mail = RawMail.objects.create(door="smtp", rcpt_to="bounce", content="x", size=1)
    report = RecipientReport(
        delivery.recipient, Action.FAILED, diagnostic_code=Diagnostic("smtp", "550 5.1.1 No such user")
    )
    record_heard(delivery, report, heard=mail, proven=True)

    assert record_acceptances(results) == set(results)


def test_an_attempt_that_was_taken_for_lost_needs_more_care(reply):
    reply("ana@oldworks.example")
    claims = claim()
    queue.mark_content_started([claimed.attempt_id for claimed in claims])
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    queue.rescue_lost()
    results = answers(claims)

    assert record_acceptances(results) == set(results)


def test_what_ends_an_incident_or_a_death_needs_more_care(reply):
    Address.objects.filter(email="ana@oldworks.example").update(
        dead_since=timezone.now(), last_failed_at=timezone.now()
    )
    reply("ana@oldworks.example", "finance@ribeiro.example", override_holds=True)
    results = answers(claim())
    ana = Attempt.objects.get(delivery__recipient="ana@oldworks.example").pk

    assert record_acceptances(results) == {ana}


def test_a_provider_with_an_incident_needs_more_care(reply):
    reply(*(f"person{number}@works.example" for number in range(5)))
    for claimed in claim():
        blocked = "550 5.7.1 Client host blocked using Spamhaus\r\n"
        queue.record_result(
            claimed.attempt_id,
            answered(blocked, recipient=claimed.recipient, host="mx.google.sandbox.test"),
        )
    assert Incident.objects.exists()
    reply("ana@oldworks.example")
    results = answers(claim())

    assert record_acceptances(results) == set(results)


def test_a_slowed_destination_speeds_up(reply):
    Destination.objects.create(name="oldworks.example", at_once=3)
    reply("ana@oldworks.example")

    record_acceptances(answers(claim()))

    assert Destination.objects.get(name="oldworks.example").at_once == 4
