"""What is said about a delivery, from whatever side: keep it, draw the conclusion, tell the agent."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from telltale.bounce import Verdict, explain
from telltale.conversations.actions import advance, announce, touch_health
from telltale.conversations.models import Conversation, RawMail, ServiceEvent
from telltale.delivery import incidents
from telltale.delivery.models import Attempt, Delivery, DeliveryNote, Report
from telltale.delivery.notes import close_note, give_words, mark_reply_changed, refresh_alert, write_note
from telltale.delivery.policy import attention_at
from telltale.delivery.states import Event, State, can
from telltale.mail.report import Action, RecipientReport

FROM_OUTSIDE = [Report.Source.DSN, Report.Source.SERVICE]  # and not in answer to an attempt of ours


class _Evidence(TypedDict, total=False):
    """Where a report comes from: the columns of `Report` that say so."""

    source: Report.Source
    returned_mail: RawMail
    service_event: ServiceEvent


def keep_report(
    delivery: Delivery,
    report: RecipientReport,
    *,
    verdict: Verdict,
    attempt: Attempt | None = None,
    heard: RawMail | ServiceEvent | None = None,
    proven: bool = True,
) -> Report:
    """Store the evidence as it came; the short fields as far as they fit, what was `heard` has them whole."""
    return Report.objects.create(
        delivery=delivery,
        attempt=attempt,
        **_evidence(report, heard),
        proven=proven,
        final_recipient=_kept(report.final_recipient, 512),
        action=report.action.value,
        status=str(report.status or ""),
        diagnostic_type=_kept(report.diagnostic_code.type, 64),
        diagnostic_text=_kept(report.diagnostic_code.text),
        remote_mta=_kept(report.remote_mta, 255),
        provider=attempt.provider
        if attempt
        else incidents.provider_of(report.remote_mta, delivery.domain)[:255],
        stage=report.stage.value if report.stage else "",
        by_own_relay=report.by_own_relay,
        other_fields=[[_kept(name), _kept(value)] for name, value in report.other_fields],
        reason=verdict.reason,
        rule=verdict.rule,
    )


def _evidence(report: RecipientReport, heard: RawMail | ServiceEvent | None) -> _Evidence:
    if isinstance(heard, RawMail):
        return {"source": Report.Source.DSN, "returned_mail": heard}
    if isinstance(heard, ServiceEvent):
        return {"source": Report.Source.SERVICE, "service_event": heard}
    said_by_smtp = report.diagnostic_code.type == "smtp"
    return {"source": Report.Source.SMTP if said_by_smtp else Report.Source.OURSELVES}


def _kept(text: str, most: int | None = None) -> str:
    """PostgreSQL stores no NUL; it stands as its escape."""
    return text.replace("\0", "\\x00")[:most]


def judge(delivery: Delivery, report: RecipientReport, verdict: Verdict, *, proven: bool) -> None:
    """What a failure says about the address itself. Dead: by proof alone, and only for its own sake."""
    now = timezone.now()
    about_this_address = report.final_recipient.lower() == delivery.recipient.lower()
    death = {"dead_since": now} if proven and verdict.address_dead and about_this_address else {}
    touch_health(delivery.recipient, last_failed_at=now, last_failure=verdict.title[:200], **death)


@transaction.atomic
def record_heard(
    delivery: Delivery, report: RecipientReport, *, heard: RawMail | ServiceEvent, proven: bool
) -> None:
    """A report about this delivery came back: in a mail, or as an event of the service that took it."""
    conversation = advance(delivery.message.part.conversation_id)
    delivery = Delivery.objects.select_for_update().get(pk=delivery.pk)
    if _is_known(delivery, report, heard):
        return  # read a second time after a crash: the note stands already
    verdict = explain(report)
    stored = keep_report(delivery, report, verdict=verdict, heard=heard, proven=proven)
    _conclude(conversation, delivery, report, stored, verdict)
    mark_reply_changed(conversation, delivery.message)
    refresh_alert(conversation)
    announce(conversation, "delivery.reported", delivery=delivery.pk)


def _is_known(delivery: Delivery, report: RecipientReport, heard: RawMail | ServiceEvent) -> bool:
    if isinstance(heard, ServiceEvent):
        return delivery.reports.filter(service_event=heard).exists()
    recipient = _kept(report.final_recipient, 512)
    return delivery.reports.filter(returned_mail=heard, final_recipient=recipient).exists()


def conclude_early(conversation: Conversation, delivery: Delivery, attempt: Attempt) -> None:
    """A bounce can be back before the try that it is about has been recorded; it counts from then on."""
    early = delivery.reports.filter(source__in=FROM_OUTSIDE, heard_at__gte=attempt.started_at).order_by("pk")
    for stored in early:
        report = stored.as_recipient_report()
        _conclude(conversation, delivery, report, stored, explain(report))


def _conclude(
    conversation: Conversation, delivery: Delivery, report: RecipientReport, stored: Report, verdict: Verdict
) -> None:
    if _is_overtaken(delivery, stored):
        return
    state = State(delivery.state)
    if report.action == Action.FAILED and can(state, Event.REPORTED_FAILED):
        is_news = state != State.FAILED
        incidents.note_failure(delivery, stored)
        delivery.move(Event.REPORTED_FAILED)
        delivery.save()
        judge(delivery, report, verdict, proven=stored.proven)
        if is_news:
            write_note(conversation, delivery, stored, DeliveryNote.Kind.FAILED, why=verdict.title)
        elif report.diagnostic_code:
            give_words(conversation, delivery, stored)
    elif report.action == Action.DELIVERED and can(state, Event.REPORTED_DELIVERED):
        delivery.move(Event.REPORTED_DELIVERED)
        delivery.save()
        touch_health(delivery.recipient, last_accepted_at=timezone.now(), dead_since=None)
        close_note(delivery, DeliveryNote.Closed.DELIVERED, conversation=conversation)
    elif report.action == Action.RELAYED and can(state, Event.REPORTED_RELAYED):
        delivery.move(Event.REPORTED_RELAYED)
        delivery.save()
        touch_health(delivery.recipient, last_accepted_at=timezone.now(), dead_since=None)
        close_note(delivery, DeliveryNote.Closed.ACCEPTED, conversation=conversation)
    elif report.action == Action.DELAYED and state == State.ACCEPTED:
        write_note(
            conversation,
            delivery,
            stored,
            DeliveryNote.Kind.DELAYED,
            why=verdict.title,
            attention_at=attention_at(verdict, queued_at=timezone.now(), usual=settings.ATTENTION_AFTER),
        )


def _is_overtaken(delivery: Delivery, stored: Report) -> bool:
    """Whether something newer is known: a service's events come in any order, and count by its own clock.

    Of a failure and an acceptance at the same moment the failure stands, so that nobody misses it.
    """
    if stored.service_event is None or stored.service_event.happened_at is None:
        return False
    others = delivery.reports.exclude(pk=stored.pk).select_related("service_event")
    last = {Action(other.action): _time_of(other) for other in sorted(others, key=_time_of)}
    failed, relayed = last.get(Action.FAILED), last.get(Action.RELAYED)
    when = stored.service_event.happened_at
    if stored.action == Action.RELAYED:
        return failed is not None and failed >= when
    is_relayed = relayed is not None and relayed > when
    is_failed = failed is not None and failed > when
    return is_relayed or (stored.action == Action.DELAYED and is_failed)


def _time_of(report: Report) -> datetime:
    """When it happened; where nobody says that, when we heard of it."""
    return (report.service_event and report.service_event.happened_at) or report.heard_at
