"""What is said about a delivery, from whatever side: keep it, draw the conclusion, tell the agent."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from telltale.bounce import Verdict, explain
from telltale.conversations.actions import advance, announce, touch_health
from telltale.conversations.models import Conversation, RawMail
from telltale.delivery import incidents
from telltale.delivery.models import Attempt, Delivery, DeliveryNote, Report
from telltale.delivery.notes import close_note, mark_reply_changed, refresh_alert, write_note
from telltale.delivery.policy import attention_at
from telltale.delivery.states import Event, State, can
from telltale.mail.report import Action, RecipientReport


def keep_report(
    delivery: Delivery,
    report: RecipientReport,
    *,
    verdict: Verdict,
    attempt: Attempt | None = None,
    returned_mail: RawMail | None = None,
    proven: bool = True,
) -> Report:
    """Store the evidence as it came; the short fields as far as they fit, the returned mail has them whole."""
    said_by_smtp = report.diagnostic_code.type == "smtp"
    source = Report.Source.SMTP if said_by_smtp else Report.Source.OURSELVES
    return Report.objects.create(
        delivery=delivery,
        attempt=attempt,
        returned_mail=returned_mail,
        source=Report.Source.DSN if returned_mail else source,
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
def record_returned(
    delivery: Delivery, report: RecipientReport, *, returned_mail: RawMail, proven: bool
) -> None:
    """A report about this delivery came back by mail."""
    conversation = advance(delivery.message.part.conversation_id)
    delivery = Delivery.objects.select_for_update().get(pk=delivery.pk)
    known = delivery.reports.filter(
        returned_mail=returned_mail, final_recipient=_kept(report.final_recipient, 512)
    )
    if known.exists():
        return  # read a second time after a crash: the note stands already
    verdict = explain(report)
    stored = keep_report(delivery, report, verdict=verdict, returned_mail=returned_mail, proven=proven)
    _conclude(conversation, delivery, report, stored, verdict)
    mark_reply_changed(conversation, delivery.message)
    refresh_alert(conversation)
    announce(conversation, "delivery.reported", delivery=delivery.pk)


def conclude_early(conversation: Conversation, delivery: Delivery, attempt: Attempt) -> None:
    """A bounce can be back before the try that it is about has been recorded; it counts from then on."""
    early = delivery.reports.filter(source=Report.Source.DSN, heard_at__gte=attempt.started_at).order_by("pk")
    for stored in early:
        report = stored.as_recipient_report()
        _conclude(conversation, delivery, report, stored, explain(report))


def _conclude(
    conversation: Conversation, delivery: Delivery, report: RecipientReport, stored: Report, verdict: Verdict
) -> None:
    state = State(delivery.state)
    if report.action == Action.FAILED and can(state, Event.REPORTED_FAILED):
        is_news = state != State.FAILED
        incidents.note_failure(delivery, stored)
        delivery.move(Event.REPORTED_FAILED)
        delivery.save()
        judge(delivery, report, verdict, proven=stored.proven)
        if is_news:
            write_note(conversation, delivery, stored, DeliveryNote.Kind.FAILED, why=verdict.title)
    elif report.action == Action.DELIVERED and can(state, Event.REPORTED_DELIVERED):
        delivery.move(Event.REPORTED_DELIVERED)
        delivery.save()
        touch_health(delivery.recipient, last_accepted_at=timezone.now(), dead_since=None)
        close_note(delivery, DeliveryNote.Closed.DELIVERED, conversation=conversation)
    elif report.action == Action.DELAYED and state == State.ACCEPTED:
        write_note(
            conversation,
            delivery,
            stored,
            DeliveryNote.Kind.DELAYED,
            why=verdict.title,
            attention_at=attention_at(verdict, queued_at=timezone.now(), usual=settings.ATTENTION_AFTER),
        )
