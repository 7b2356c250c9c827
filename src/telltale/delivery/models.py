"""Delivery, Attempt, Report, DeliveryNote: what becomes of a reply, with the evidence."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone

from telltale.conversations.models import Part, RawMail
from telltale.delivery.states import WAITING, Event, State, after
from telltale.mail.report import Action, Diagnostic, RecipientReport, Stage
from telltale.mail.status import EnhancedStatus


def choices(values: type) -> list[tuple[str, str]]:
    return [(str(value), str(value)) for value in values]  # type: ignore[attr-defined]


def one_of(field: str, values: type) -> Q:
    return Q(**{f"{field}__in": [str(value) for value in values]})  # type: ignore[attr-defined]


IS_WAITING = Q(state__in=[state.value for state in WAITING])


def message_path(message: OutgoingMessage, filename: str) -> str:
    return f"messages/{timezone.now():%Y/%m}/{uuid.uuid4()}.eml"


class OutgoingMessage(models.Model):
    """One mail as it leaves: the same octets to every recipient, stored once."""

    part = models.ForeignKey(Part, on_delete=models.CASCADE, related_name="messages")
    message_id = models.CharField(max_length=255, unique=True)  # with its angle brackets
    content = models.FileField(upload_to=message_path, storage=default_storage, max_length=120)
    size = models.PositiveBigIntegerField()  # octets
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.message_id


class Delivery(models.Model):
    """One message to one recipient. This table is also the queue."""

    class Role(models.TextChoices):
        TO = "to", "To"
        CC = "cc", "Cc"
        BCC = "bcc", "Bcc"

    message = models.ForeignKey(OutgoingMessage, on_delete=models.CASCADE, related_name="deliveries")
    recipient = models.CharField(max_length=254)
    domain = models.CharField(max_length=253)  # of the recipient, in lower case
    role = models.CharField(max_length=3, choices=Role.choices, default=Role.TO)
    replaces = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="alternatives"
    )
    state = models.CharField(max_length=9, choices=choices(State), default=State.QUEUED.value, editable=False)
    queued_at = models.DateTimeField(default=timezone.now)  # the lifetime counts from here
    attempt_count = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, default=timezone.now)
    lease_until = models.DateTimeField(null=True, blank=True)
    lease_owner = models.UUIDField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)  # when it became what it is now
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "deliveries"
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [
            models.Index(fields=["next_attempt_at"], name="delivery_queue", condition=IS_WAITING),
            models.Index(fields=["lease_until"], name="delivery_leases", condition=Q(state="sending")),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint("message", Lower("recipient"), name="delivery_once_per_recipient"),
            models.CheckConstraint(condition=one_of("state", State), name="delivery_state_known"),
            models.CheckConstraint(condition=Q(role__in=["to", "cc", "bcc"]), name="delivery_role_known"),
            models.CheckConstraint(
                condition=(IS_WAITING & Q(next_attempt_at__isnull=False))
                | (~IS_WAITING & Q(next_attempt_at=None)),
                name="delivery_waits_for_a_time",
            ),
            models.CheckConstraint(
                condition=Q(state="sending", lease_until__isnull=False, lease_owner__isnull=False)
                | ~Q(state="sending") & Q(lease_until=None, lease_owner=None),
                name="delivery_leased_while_sending",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.recipient} ({self.state})"

    def move(self, event: Event, *, next_attempt_at: datetime | None = None) -> None:
        """Let `event` happen. The only place that sets the state; the caller holds the row and saves."""
        self.state = after(State(self.state), event).value
        self.next_attempt_at = next_attempt_at
        self.lease_until = self.lease_owner = None
        self.settled_at = timezone.now()


class Attempt(models.Model):
    """One try. Open from the claim until its answer is recorded."""

    class Outcome(models.TextChoices):
        ACCEPTED = "accepted"
        FAILED = "failed"
        DELAYED = "delayed"
        UNCERTAIN = "uncertain"
        LOST = "lost"  # its worker ended before the content went out

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    started_at = models.DateTimeField(default=timezone.now)
    content_started_at = models.DateTimeField(null=True, blank=True)  # from here on it may have arrived
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=9, choices=Outcome.choices, blank=True)
    stage = models.CharField(max_length=8, choices=choices(Stage), blank=True)
    remote_host = models.CharField(max_length=253, blank=True)
    remote_ip = models.GenericIPAddressField(null=True, blank=True)
    tls_version = models.CharField(max_length=16, blank=True)
    tls_verified = models.BooleanField(null=True, blank=True)
    queue_id = models.CharField(max_length=255, blank=True)  # theirs, out of the 250
    reply = models.TextField(blank=True)  # the deciding reply, verbatim
    transcript = models.JSONField(default=list)  # [[ISO time, "C" | "S" | "-", text], …]

    class Meta:
        ordering: ClassVar = ["number"]
        constraints: ClassVar = [
            models.UniqueConstraint("delivery", "number", name="attempt_number_once"),
            models.UniqueConstraint("delivery", name="attempt_one_open", condition=Q(ended_at=None)),
            models.CheckConstraint(
                condition=Q(ended_at=None, outcome="") | Q(ended_at__isnull=False) & ~Q(outcome=""),
                name="attempt_ends_with_an_outcome",
            ),
        ]

    def __str__(self) -> str:
        return f"Attempt {self.number} for {self.delivery.recipient}"


class Report(models.Model):
    """Evidence about a delivery, stored as it came; its columns are RFC 3464's fields.

    `reason` and `rule` are the engine's conclusion on the day, kept for lists and searches; pages ask
    `explain` anew, so that a better rule improves old notes.
    """

    class Source(models.TextChoices):
        SMTP = "smtp", "the answer to our own attempt"
        OURSELVES = "ourselves", "what we found out ourselves"
        DSN = "dsn", "a delivery status notification"

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="reports")
    attempt = models.ForeignKey(
        Attempt, on_delete=models.SET_NULL, null=True, blank=True, related_name="reports"
    )
    returned_mail = models.ForeignKey(
        RawMail, on_delete=models.SET_NULL, null=True, blank=True, related_name="reports"
    )
    source = models.CharField(max_length=9, choices=Source.choices)
    proven = models.BooleanField()  # heard by ourselves, or through a return path that we signed
    heard_at = models.DateTimeField(default=timezone.now)
    final_recipient = models.CharField(max_length=512)
    action = models.CharField(max_length=9, choices=choices(Action))
    status = models.CharField(max_length=11, blank=True)
    diagnostic_type = models.CharField(max_length=64, blank=True)
    diagnostic_text = models.TextField(blank=True)
    remote_mta = models.CharField(max_length=255, blank=True)
    stage = models.CharField(max_length=8, choices=choices(Stage), blank=True)
    other_fields = models.JSONField(default=list)  # [[name, value], …]
    reason = models.CharField(max_length=64)
    rule = models.CharField(max_length=128)

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=one_of("action", Action), name="report_action_known"),
            models.UniqueConstraint("attempt", name="report_one_per_attempt"),
            models.UniqueConstraint(
                "delivery", "returned_mail", "final_recipient", name="report_one_per_mail_and_recipient"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action}: {self.diagnostic_text[:60]}"

    def as_recipient_report(self) -> RecipientReport:
        """The value that `bounce.explain` takes."""
        return RecipientReport(
            final_recipient=self.final_recipient,
            action=Action(self.action),
            status=EnhancedStatus.parse(self.status),
            diagnostic_code=Diagnostic(self.diagnostic_type, self.diagnostic_text),
            remote_mta=self.remote_mta,
            stage=Stage(self.stage) if self.stage else None,
            other_fields=tuple((name, value) for name, value in self.other_fields),
        )


class DeliveryNote(models.Model):
    """The note in the conversation. Open until somebody, or a later answer, has settled the matter."""

    class Kind(models.TextChoices):
        FAILED = "failed", "Not delivered"
        UNCERTAIN = "uncertain", "Uncertain"
        DELAYED = "delayed", "Delayed"

    class Closed(models.TextChoices):
        ACCEPTED = "accepted", "accepted on a later try"
        DELIVERED = "delivered", "reported as delivered"
        RETRIED = "retried", "tried again"
        REDIRECTED = "redirected", "sent to another address"
        HANDLED = "handled", "marked as handled"
        CANCELLED = "cancelled", "cancelled"
        OVERTAKEN = "overtaken", "overtaken by a newer note"

    part = models.OneToOneField(
        Part, on_delete=models.CASCADE, primary_key=True, related_name="delivery_note"
    )
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="notes")
    report = models.ForeignKey(Report, on_delete=models.PROTECT, related_name="notes")
    kind = models.CharField(max_length=9, choices=Kind.choices)
    needs_attention = models.BooleanField()  # a delay does only once it is long for a person
    gave_up = models.BooleanField(default=False)  # the queue's time ran out on a temporary refusal
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_how = models.CharField(max_length=10, choices=Closed.choices, blank=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint("delivery", name="note_one_open", condition=Q(closed_at=None)),
            models.CheckConstraint(
                condition=Q(kind__in=["failed", "uncertain", "delayed"]), name="note_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(closed_at=None, closed_how="") | Q(closed_at__isnull=False) & ~Q(closed_how=""),
                name="note_closed_says_how",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.delivery.recipient}"
