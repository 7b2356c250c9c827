"""Delivery, Attempt, Report, DeliveryNote: what becomes of a reply, with the evidence; and the queue's lanes."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Lower
from django.utils import timezone

from telltale.conversations.models import Mailbox, Part, RawMail, ServiceEvent
from telltale.delivery.states import WAITING, Event, State, after
from telltale.mail.report import Action, Diagnostic, RecipientReport, Stage
from telltale.mail.status import EnhancedStatus


def choices(values: type) -> list[tuple[str, str]]:
    return [(str(value), str(value)) for value in values]  # type: ignore[attr-defined]


def one_of(field: str, values: type) -> Q:
    return Q(**{f"{field}__in": [str(value) for value in values]})  # type: ignore[attr-defined]


AT_ONCE = 20  # deliveries to one destination at the same time, until it says that this is too much

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


class Destination(models.Model):
    """A lane of the queue: one domain whose servers take mail, or one relay, with a pace of its own.

    A trigger on the delivery table keeps the promise that a lane is ready no later than its first waiting
    delivery, whoever writes there. So a claim reads the lanes that are ready and nothing else: it costs the
    same whether a thousand or a million deliveries wait.
    """

    name = models.CharField(
        max_length=300, primary_key=True
    )  # "oldworks.example", "relay smtp.lamp.example:587"
    ready_at = models.DateTimeField(null=True, blank=True)  # None: nothing waits
    blocked_until = models.DateTimeField(null=True, blank=True)  # they asked us to slow down
    at_once = models.PositiveSmallIntegerField(default=AT_ONCE)  # deliveries on their way at the same time
    per_minute = models.PositiveIntegerField(null=True, blank=True)  # an admin's limit; None: none
    provider = models.CharField(max_length=255, blank=True)  # who was found to answer there
    size_limit = models.PositiveBigIntegerField(null=True, blank=True)  # octets that they take, as they say

    class Meta:
        ordering: ClassVar = ["name"]
        indexes: ClassVar = [
            models.Index(fields=["ready_at"], name="destination_ready", condition=Q(ready_at__isnull=False)),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(at_once__gte=1), name="destination_takes_one_at_least"),
            models.CheckConstraint(
                condition=Q(per_minute=None) | Q(per_minute__gte=1), name="destination_limit_is_positive"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Incident(models.Model):
    """One cause that stops many deliveries at one provider, or, as `provider` "", wherever we send.

    An incident at a provider holds what goes there and lets one delivery through now and then, as a probe. One
    that is found everywhere holds nothing: it tells that the fault is on our side.
    """

    class Closed(models.TextChoices):
        RECOVERED = "recovered", "a delivery got through"
        BY_HAND = "by hand", "closed by a person"
        FADED = "faded", "not seen again for a day"

    provider = models.CharField(max_length=255, blank=True)
    reason = models.CharField(max_length=64)
    report = models.ForeignKey("Report", on_delete=models.PROTECT, related_name="+")  # the newest evidence
    opened_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)  # the last refusal for this cause
    delivery_count = models.PositiveIntegerField(default=0)  # refused or delayed for it
    probe_at = models.DateTimeField(default=timezone.now)  # from then on one delivery may find out
    probe_count = models.PositiveIntegerField(default=0)
    retry_failed = models.BooleanField(default=False)  # closed with the wish that what failed goes out again
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_how = models.CharField(max_length=10, choices=Closed.choices, blank=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering: ClassVar = ["-opened_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                "provider", "reason", name="incident_one_open", condition=Q(closed_at=None)
            ),
            models.CheckConstraint(
                condition=Q(closed_at=None, closed_how="") | Q(closed_at__isnull=False) & ~Q(closed_how=""),
                name="incident_closed_says_how",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reason} at {self.provider or 'every provider'}"


class Delivery(models.Model):
    """One message to one recipient. This table is also the queue."""

    class Role(models.TextChoices):
        TO = "to", "To"
        CC = "cc", "Cc"
        BCC = "bcc", "Bcc"

    class Hold(models.TextChoices):
        ADDRESS = "address", "the address is known to be dead"
        INCIDENT = "incident", "the provider takes no mail of ours at the moment"
        MAILBOX = "mailbox", "the mailbox is paused"
        PERSON = "person", "held by a person"

    message = models.ForeignKey(OutgoingMessage, on_delete=models.CASCADE, related_name="deliveries")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.PROTECT, related_name="deliveries")
    recipient = models.CharField(max_length=254)
    domain = models.CharField(max_length=253)  # of the recipient, in lower case
    destination = models.CharField(max_length=300)  # the lane: Destination.name
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
    held_because = models.CharField(max_length=8, choices=Hold.choices, blank=True)
    incident = models.ForeignKey(
        Incident, on_delete=models.PROTECT, null=True, blank=True, related_name="deliveries"
    )  # that holds it, or that it failed in
    overridden = models.BooleanField(default=False)  # a person said: send it, though the address looks dead
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "deliveries"
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [
            models.Index(
                fields=["destination", "next_attempt_at"], name="delivery_queue", condition=IS_WAITING
            ),
            models.Index(fields=["destination"], name="delivery_sending", condition=Q(state="sending")),
            models.Index(fields=["held_because", "id"], name="delivery_held", condition=Q(state="held")),
            models.Index(fields=["mailbox"], name="delivery_waiting_at_mailbox", condition=IS_WAITING),
            models.Index(fields=["incident", "id"], name="delivery_by_incident", condition=~Q(incident=None)),
            models.Index(Lower("recipient"), name="delivery_by_recipient"),
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
            models.CheckConstraint(
                condition=Q(state="held") & ~Q(held_because="") | ~Q(state="held") & Q(held_because=""),
                name="delivery_held_says_why",
            ),
            models.CheckConstraint(
                condition=~Q(held_because="incident") | Q(incident__isnull=False),
                name="delivery_held_by_which_incident",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.recipient} ({self.state})"

    def move(
        self, event: Event, *, next_attempt_at: datetime | None = None, because: Delivery.Hold | None = None
    ) -> None:
        """Let `event` happen. The only place that sets the state; the caller holds the row and saves."""
        self.state = after(State(self.state), event).value
        self.next_attempt_at = next_attempt_at
        self.lease_until = self.lease_owner = None
        self.settled_at = timezone.now()
        self.held_because = because or ""

    @property
    def is_scheduled(self) -> bool:
        """Whether it has not been tried, and waits for a time that an agent chose (or for a second thought)."""
        return (
            self.state == State.QUEUED
            and self.attempt_count == 0
            and self.next_attempt_at is not None
            and self.next_attempt_at > timezone.now()
        )


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
    outcome = models.CharField(max_length=9, choices=Outcome.choices, blank=True, db_default="")
    stage = models.CharField(max_length=8, choices=choices(Stage), blank=True, db_default="")
    remote_host = models.CharField(max_length=253, blank=True, db_default="")
    remote_ip = models.GenericIPAddressField(null=True, blank=True)
    tls_version = models.CharField(max_length=16, blank=True, db_default="")
    tls_verified = models.BooleanField(null=True, blank=True)
    tls_cipher = models.CharField(max_length=64, blank=True, db_default="")
    tls_verification = models.TextField(
        blank=True, db_default=""
    )  # who vouches for which name, or why nobody does
    bytes_sent = models.PositiveBigIntegerField(db_default=0)  # of the content, as on the wire
    provider = models.CharField(
        max_length=255, blank=True, db_default=""
    )  # whose host that was, for incidents and figures
    queue_id = models.CharField(max_length=255, blank=True, db_default="")  # theirs, out of the 250
    reply = models.TextField(blank=True, db_default="")  # the deciding reply, verbatim
    transcript = models.JSONField(
        default=list, db_default=Value([], models.JSONField())
    )  # [[ISO time, "C" | "S" | "-", text], …]

    class Meta:
        ordering: ClassVar = ["number"]
        indexes: ClassVar = [
            models.Index(
                fields=["provider", "-ended_at"], name="attempt_accepted_by", condition=Q(outcome="accepted")
            ),
        ]
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
        SERVICE = "service", "an event of an e-mail service"

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="reports")
    attempt = models.ForeignKey(
        Attempt, on_delete=models.SET_NULL, null=True, blank=True, related_name="reports"
    )
    returned_mail = models.ForeignKey(
        RawMail, on_delete=models.SET_NULL, null=True, blank=True, related_name="reports"
    )
    service_event = models.ForeignKey(
        ServiceEvent, on_delete=models.SET_NULL, null=True, blank=True, related_name="reports"
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
    provider = models.CharField(max_length=255, blank=True)  # whose host that is, for incidents and figures
    stage = models.CharField(max_length=8, choices=choices(Stage), blank=True)
    by_own_relay = models.BooleanField(default=False)  # said by a relay of the mailbox
    other_fields = models.JSONField(default=list)  # [[name, value], …]
    reason = models.CharField(max_length=64)
    rule = models.CharField(max_length=128)

    class Meta:
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [
            models.Index(fields=["reason", "provider", "-heard_at"], name="report_by_reason"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=one_of("action", Action), name="report_action_known"),
            models.UniqueConstraint("attempt", name="report_one_per_attempt"),
            models.UniqueConstraint(
                "delivery", "returned_mail", "final_recipient", name="report_one_per_mail_and_recipient"
            ),
            models.UniqueConstraint("delivery", "service_event", name="report_one_per_event"),
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
            by_own_relay=self.by_own_relay,
        )


class DeliveryNote(models.Model):
    """The note in the conversation. Open until somebody, or a later answer, has settled the matter."""

    class Kind(models.TextChoices):
        FAILED = "failed", "Not delivered"
        UNCERTAIN = "uncertain", "Uncertain"
        DELAYED = "delayed", "Delayed"
        HELD = "held", "Held"

    class Closed(models.TextChoices):
        ACCEPTED = "accepted", "accepted on a later try"
        DELIVERED = "delivered", "reported as delivered"
        RETRIED = "retried", "tried again"
        REDIRECTED = "redirected", "sent to another address"
        HANDLED = "handled", "marked as handled"
        CANCELLED = "cancelled", "cancelled"
        RELEASED = "released", "released"
        OVERTAKEN = "overtaken", "overtaken by a newer note"

    part = models.OneToOneField(
        Part, on_delete=models.CASCADE, primary_key=True, related_name="delivery_note"
    )
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="notes")
    report = models.ForeignKey(
        Report, on_delete=models.PROTECT, null=True, blank=True, related_name="notes"
    )  # of a hold: the evidence behind it, which may be about another delivery
    kind = models.CharField(max_length=9, choices=Kind.choices)
    needs_attention = models.BooleanField()  # a delay does only once it is long for a person
    attention_at = models.DateTimeField(null=True, blank=True)  # when it will, if nothing happens before
    gave_up = models.BooleanField(default=False)  # the queue's time ran out on a temporary refusal
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_how = models.CharField(max_length=10, choices=Closed.choices, blank=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["attention_at"],
                name="note_asks_later",
                condition=Q(closed_at=None, needs_attention=False, attention_at__isnull=False),
            ),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint("delivery", name="note_one_open", condition=Q(closed_at=None)),
            models.CheckConstraint(
                condition=Q(kind__in=["failed", "uncertain", "delayed", "held"]), name="note_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(kind="held") | Q(report__isnull=False), name="note_has_its_evidence"
            ),
            models.CheckConstraint(
                condition=Q(closed_at=None, closed_how="") | Q(closed_at__isnull=False) & ~Q(closed_how=""),
                name="note_closed_says_how",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.delivery.recipient}"
