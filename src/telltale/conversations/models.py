"""What an agent sees: conversations, their parts, the people in them and the mailboxes they run through."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Lower
from django.db.models.lookups import Exact
from django.utils import timezone
from django.utils.functional import cached_property

from telltale.conversations.fields import EncryptedTextField
from telltale.mail.dkim import Algorithm


class Mailbox(models.Model):
    """An address of ours that customers write to, and the way by which its mail leaves."""

    class Way(models.TextChoices):
        DIRECT = "direct", "Directly to each recipient's mail server"
        RELAY = "relay", "Through a relay (smart host)"

    name = models.CharField(max_length=120)
    address = models.EmailField()
    way = models.CharField(max_length=8, choices=Way.choices, default=Way.DIRECT)
    reopen_on_failure = models.BooleanField(
        default=True
    )  # a reply that failed re-opens a closed conversation
    tagged_replies = models.BooleanField(
        default=False
    )  # answers go to support+<tag>@…: for mail servers that deliver such addresses here
    new_after_days = models.PositiveSmallIntegerField(
        null=True, blank=True
    )  # an answer to what was closed for longer opens a conversation of its own; None: never
    acknowledgement = models.TextField(
        blank=True
    )  # sent by itself to who begins a conversation; "": nothing is
    paused_at = models.DateTimeField(null=True, blank=True)  # nothing leaves from here until it goes on
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "mailboxes"
        constraints: ClassVar = [
            models.UniqueConstraint(Lower("address"), name="mailbox_address_once"),
        ]

    def __str__(self) -> str:
        return self.address

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]

    @cached_property
    def relays_in_order(self) -> list[Relay]:
        """The relays of its mail; none where it leaves directly."""
        return list(self.relays.all()) if self.way == self.Way.RELAY else []


class SignsIn(models.Model):
    """A server of somebody else's, and how we sign in there."""

    class Security(models.TextChoices):
        NONE = "none", "None"
        STARTTLS = "starttls", "STARTTLS"
        TLS = "tls", "TLS from the first octet"

    class SignIn(models.TextChoices):
        NONE = "none", "None"
        PASSWORD = "password", "User name and password"
        GOOGLE = "google", "Google (OAuth 2.0)"
        MICROSOFT = "microsoft", "Microsoft 365 (OAuth 2.0)"

    host = models.CharField(max_length=253)
    port = models.PositiveIntegerField()
    security = models.CharField(max_length=8, choices=Security.choices, default=Security.STARTTLS)
    sign_in = models.CharField(max_length=9, choices=SignIn.choices, default=SignIn.NONE)
    username = models.CharField(max_length=254, blank=True)
    password = EncryptedTextField(blank=True)
    # OAuth 2.0: the admin's own registration at the provider, and what the provider gave for it.
    client_id = models.CharField(max_length=255, blank=True)
    client_secret = EncryptedTextField(blank=True)
    tenant = models.CharField(max_length=253, blank=True)  # Microsoft's name for the organisation
    refresh_token = EncryptedTextField(blank=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def uses_oauth(self) -> bool:
        return self.sign_in in (self.SignIn.GOOGLE, self.SignIn.MICROSOFT)


class Relay(SignsIn):
    """A smart host that takes a mailbox's mail. The first that can be reached takes it, the others stand in."""

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="relays")
    position = models.PositiveSmallIntegerField(default=0)  # the lowest is tried first
    port = models.PositiveIntegerField(default=587)
    # An e-mail service tells what became of its mail at an address that only it knows.
    service = models.CharField(max_length=16, blank=True)  # its name in channels/services.py
    events_token = EncryptedTextField(blank=True)  # the secret in that address
    events_key = EncryptedTextField(blank=True)  # by which the service signs what it tells
    events_heard_at = models.DateTimeField(null=True, blank=True)
    events_fault = models.CharField(max_length=255, blank=True)  # why the last ones were not taken

    class Meta:
        ordering: ClassVar = ["position", "id"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(host=""), name="relay_has_a_host"),
            models.CheckConstraint(
                condition=Q(service="") | ~Q(events_token=""), name="relay_hears_its_service"
            ),
            models.CheckConstraint(condition=Q(port__gte=1, port__lte=65535), name="relay_port_exists"),
            models.CheckConstraint(
                condition=Q(sign_in="none") | (~Q(username="") & ~Q(security="none")),
                name="relay_signs_in_encrypted",
            ),
        ]


class ImapAccount(SignsIn):
    """An account at a provider that a mailbox's mail arrives in, and is fetched from by IMAP (RFC 9051)."""

    class Begin(models.TextChoices):
        NEW = "new", "With what comes from now on"
        UNREAD = "unread", "With what is unread there now"

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="imap_accounts")
    port = models.PositiveIntegerField(default=993)
    security = models.CharField(max_length=8, choices=SignsIn.Security.choices, default=SignsIn.Security.TLS)
    sign_in = models.CharField(max_length=9, choices=SignsIn.SignIn.choices, default=SignsIn.SignIn.PASSWORD)
    folders = models.TextField(default="INBOX")  # a line each, as people write their names
    begin = models.CharField(max_length=6, choices=Begin.choices, default=Begin.NEW)
    marks_read = models.BooleanField(default=True)  # there, once it is kept here
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(host="") & ~Q(username=""), name="imap_account_is_somewhere"),
            models.CheckConstraint(condition=Q(port__gte=1, port__lte=65535), name="imap_port_exists"),
            models.CheckConstraint(
                condition=~Q(sign_in="none") & ~Q(security="none"), name="imap_signs_in_encrypted"
            ),
        ]

    @property
    def folder_names(self) -> list[str]:
        return list(dict.fromkeys(line.strip() for line in self.folders.splitlines() if line.strip()))


class ImapFolder(models.Model):
    """How far one folder has been fetched, and how that goes.

    Mails with a UID up to `last_uid` are kept here, as long as the folder's UIDVALIDITY is the same
    (RFC 9051 section 2.3.1.1); those up to `read_uid` are marked as read there.
    """

    account = models.ForeignKey(ImapAccount, on_delete=models.CASCADE, related_name="places")
    name = models.CharField(max_length=255)
    uidvalidity = models.PositiveBigIntegerField(null=True, blank=True)  # None: never fetched
    last_uid = models.PositiveBigIntegerField(default=0)
    read_uid = models.PositiveBigIntegerField(default=0)
    last_mail_at = models.DateTimeField(null=True, blank=True)  # when the last one was kept
    answered_at = models.DateTimeField(null=True, blank=True)  # when the server last did as it was asked
    fault = models.TextField(blank=True)  # why it does not, in its words or ours
    fault_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(F("account"), F("name"), name="imap_folder_once"),
            models.CheckConstraint(
                condition=Q(fault="", fault_since=None) | (~Q(fault="") & Q(fault_since__isnull=False)),
                name="imap_folder_fault_has_a_time",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class DkimKey(models.Model):
    """A key that signs the mail of one domain: made, published in DNS by an admin, in use, then retired.

    What a retired one has signed is still on its way for some days, so its record stays in DNS for a while.
    """

    domain = models.CharField(max_length=253)  # in A-labels and lower case
    selector = models.CharField(max_length=63)  # found in DNS at <selector>._domainkey.<domain>
    algorithm = models.CharField(max_length=16, choices=[(one.value, one.value) for one in Algorithm])
    private_key = EncryptedTextField()  # PEM
    record = models.TextField()  # what stands in DNS
    signs_since = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(F("domain"), F("selector"), name="dkim_selector_once"),
            models.CheckConstraint(
                condition=Q(retired_at=None) | Q(signs_since__isnull=False), name="dkim_retired_has_signed"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """Where its record stands: RFC 6376 section 3.6.2.1."""
        return f"{self.selector}._domainkey.{self.domain}"


class Contact(models.Model):
    """A person outside. How they can be reached stands in their addresses."""

    name = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name or self._first_address() or "Unknown"

    def _first_address(self) -> str:
        addresses = self.addresses.all()  # which a list has loaded for all of its contacts at once
        return min(addresses, key=lambda address: address.pk).email if addresses else ""


class AddressQuerySet(models.QuerySet["Address"]):
    def with_email(self, email: str) -> AddressQuerySet:
        """Whatever the case of its letters, by the index of address_email_once (iexact would compare UPPER)."""
        return self.filter(Exact(Lower("email"), Lower(Value(email))))


class Address(models.Model):
    """One email address of a contact, and how it has fared. Health belongs to the way, not to the person."""

    contact = models.ForeignKey(Contact, on_delete=models.CASCADE, related_name="addresses")
    email = models.EmailField(max_length=254)
    last_heard_at = models.DateTimeField(null=True, blank=True)
    last_accepted_at = models.DateTimeField(null=True, blank=True)
    last_failed_at = models.DateTimeField(null=True, blank=True)
    last_failure = models.CharField(max_length=200, blank=True)  # the title of the verdict
    complained_at = models.DateTimeField(null=True, blank=True)  # called a mail of ours spam
    dead_since = models.DateTimeField(null=True, blank=True)  # set by proof alone, lifted by a sign of life
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AddressQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "addresses"
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(Lower("email"), name="address_email_once"),
            models.CheckConstraint(
                condition=Q(dead_since=None) | Q(last_failed_at__isnull=False),
                name="address_dead_has_a_failure",
            ),
        ]

    def __str__(self) -> str:
        return self.email


class Conversation(models.Model):
    """One thread with a customer.

    `version` counts the changes that its page can show. Every verb that changes a part locks this row and
    takes the next number, so "all that is newer than version 12" is exact whatever happens at the same time.
    """

    class State(models.TextChoices):
        OPEN = "open", "Open"
        SNOOZED = "snoozed", "Snoozed"
        CLOSED = "closed", "Closed"

    class Alert(models.TextChoices):
        """What the list must say of the replies in here, the gravest first."""

        FAILED = "failed", "Not delivered"
        UNCERTAIN = "uncertain", "Uncertain"
        HELD = "held", "Held"
        DELAYED = "delayed", "Delayed"
        NONE = "", "None"

    subject = models.CharField(
        max_length=998, blank=True
    )  # RFC 5322 section 2.1.1: a line has 998 characters
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN)
    mailbox = models.ForeignKey(Mailbox, on_delete=models.PROTECT, related_name="conversations")
    contact = models.ForeignKey(Contact, on_delete=models.PROTECT, related_name="conversations")
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="conversations",
    )
    continues = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="continued_by"
    )  # the closed one that its first message answers
    version = models.PositiveBigIntegerField(default=0)
    alert = models.CharField(max_length=9, choices=Alert.choices, default=Alert.NONE, blank=True)
    alert_text = models.CharField(max_length=500, blank=True)
    alert_next_try_at = models.DateTimeField(null=True, blank=True)
    peek = models.CharField(max_length=200, blank=True)  # the first words of the newest message
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["state", "-updated_at", "-id"], name="conversation_by_time"),
            models.Index(
                fields=["assignee", "-updated_at", "-id"],
                name="conversation_by_assignee",
                condition=Q(state="open"),
            ),
            models.Index(
                fields=["alert", "-updated_at", "-id"], name="conversation_by_alert", condition=~Q(alert="")
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state__in=["open", "snoozed", "closed"]), name="conversation_state_known"
            ),
            models.CheckConstraint(
                condition=Q(alert__in=["", "failed", "uncertain", "held", "delayed"]),
                name="conversation_alert_known",
            ),
            models.CheckConstraint(
                condition=Q(alert="", alert_text="") | ~Q(alert="") & ~Q(alert_text=""),
                name="conversation_alert_says_why",
            ),
        ]

    def __str__(self) -> str:
        return self.subject or "(no subject)"


class Participant(models.Model):
    """Somebody beside the contact who takes part in a conversation: in copy, or a colleague who answered."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="participants")
    email = models.EmailField(max_length=254)
    name = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(F("conversation"), Lower("email"), name="participant_once"),
        ]

    def __str__(self) -> str:
        return self.email


def raw_mail_path(mail: RawMail, filename: str) -> str:
    return f"inbound/{timezone.now():%Y/%m}/{uuid.uuid4()}.eml"


class RawMail(models.Model):
    """One mail as it came through a door, stored before we say 250, and what it turned out to be."""

    class Fate(models.TextChoices):
        WAITING = "waiting", "not read yet"
        REPORT = "report", "reports on a delivery"
        MESSAGE = "message", "a message of a customer"
        QUARANTINED = "quarantined", "matches nothing; changes nothing"
        FAULT = "fault", "this desk failed to read it"
        IMPORTING = "importing", "to be put in its place by the command that imports it"

    door = models.CharField(max_length=16)  # "smtp", "lmtp", "imap", "file"
    mail_from = models.CharField(max_length=512, blank=True)  # "" is the null reverse-path, RFC 5321 4.5.5
    rcpt_to = models.CharField(max_length=512)
    peer = models.CharField(max_length=64, blank=True)
    content = models.FileField(upload_to=raw_mail_path, storage=default_storage, max_length=120)
    size = models.PositiveBigIntegerField()  # octets, also those that were not fetched
    sender_verified = models.CharField(max_length=4, blank=True)  # "pass", "fail"; "" where it is not known
    sender_verification = models.CharField(max_length=500, blank=True)  # why
    digest = models.CharField(max_length=64, blank=True)  # BLAKE2b-256 of the content, in hexadecimal
    fate = models.CharField(max_length=11, choices=Fate.choices, default=Fate.WAITING)
    fate_reason = models.CharField(max_length=255, blank=True)
    received_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [
            models.Index(fields=["id"], name="raw_mail_waiting", condition=Q(fate="waiting")),
            models.Index(fields=["digest"], name="raw_mail_by_digest", condition=~Q(digest="")),
            models.Index(fields=["-id"], name="raw_mail_set_aside", condition=Q(fate="quarantined")),
            models.Index(fields=["-id"], name="raw_mail_unread", condition=Q(fate="fault")),
            models.Index(fields=["id"], name="raw_mail_importing", condition=Q(fate="importing")),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(fate__in=["waiting", "report", "message", "quarantined", "fault", "importing"]),
                name="raw_mail_fate_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rcpt_to} at {self.received_at:%Y-%m-%d %H:%M}"


class ServiceEvent(models.Model):
    """What an e-mail service told of one mail, stored before we say 200, and what came of it.

    Opens and clicks are not kept: they say nothing about whether a reply arrived, and much about its reader.
    """

    class Fate(models.TextChoices):
        WAITING = "waiting", "not read yet"
        REPORT = "report", "reports on a delivery"
        TOLD = "told", "told in the conversation"
        NOTHING = "nothing", "says nothing about the delivery"
        QUARANTINED = "quarantined", "matches nothing; changes nothing"

    relay = models.ForeignKey(
        Relay, on_delete=models.SET_NULL, null=True, blank=True, related_name="service_events"
    )
    service = models.CharField(max_length=16)
    key = models.CharField(max_length=64)  # the same for the same event, however often it is told
    kind = models.CharField(max_length=16)  # "bounced", "delivered": Anymail's names
    reference = models.TextField(blank=True)  # ours, by which it finds its delivery
    message_id = models.TextField(blank=True)
    recipient = models.TextField(blank=True)
    words = models.TextField(blank=True)  # of the recipient's mail server, as the service passes them on
    description = models.TextField(blank=True)  # the service's own
    classification = models.TextField(blank=True)  # the service's: "10"
    status = models.TextField(blank=True)  # an enhanced code, where the service gives one beside the words
    remote_mta = models.TextField(blank=True)  # who said the words, where the service names it
    raw = models.TextField()
    happened_at = models.DateTimeField(null=True, blank=True)  # by the service's clock
    heard_at = models.DateTimeField(default=timezone.now)
    fate = models.CharField(max_length=11, choices=Fate.choices, default=Fate.WAITING)
    fate_reason = models.CharField(max_length=255, blank=True)

    class Meta:
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [
            models.Index(fields=["id"], name="service_event_waiting", condition=Q(fate="waiting")),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(F("service"), F("key"), name="service_event_once"),
            models.CheckConstraint(
                condition=Q(fate__in=["waiting", "report", "told", "nothing", "quarantined"]),
                name="service_event_fate_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} ({self.service}) at {self.heard_at:%Y-%m-%d %H:%M}"


class Part(models.Model):
    """One entry of a conversation.

    `first_version` is the conversation's version when the part came, `version` when it last changed.
    """

    class Kind(models.TextChoices):
        CUSTOMER_MESSAGE = "customer_message", "Customer message"
        REPLY = "reply", "Reply"
        ACKNOWLEDGEMENT = "acknowledgement", "Acknowledgement"
        INTERNAL_NOTE = "internal_note", "Internal note"
        DELIVERY_NOTE = "delivery_note", "Delivery note"
        EVENT = "event", "Event"

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="parts")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    agent = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True)
    contact = models.ForeignKey(Contact, on_delete=models.PROTECT, null=True, blank=True)
    from_address = models.CharField(max_length=254, blank=True)
    body = models.TextField(blank=True)
    message_id = models.CharField(
        max_length=998, blank=True
    )  # with its angle brackets, RFC 5322 section 3.6.4
    key = models.UUIDField(
        default=uuid.uuid4, unique=True
    )  # one form, one part: a second click finds the first
    raw_mail = models.ForeignKey(
        RawMail, on_delete=models.SET_NULL, null=True, blank=True, related_name="parts"
    )
    folded = models.TextField(blank=True)  # words that an event is about, for who wants to read them
    is_formatted = models.BooleanField(default=False)  # its HTML says more than its text, and is shown
    first_version = models.PositiveBigIntegerField()
    version = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [
            models.Index(fields=["conversation", "version"], name="part_by_version"),
            models.Index(fields=["message_id"], name="part_by_message_id", condition=~Q(message_id="")),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(
                    kind__in=[
                        *("customer_message", "reply", "acknowledgement"),
                        *("internal_note", "delivery_note", "event"),
                    ]
                ),
                name="part_kind_known",
            ),
            models.CheckConstraint(
                condition=~Q(kind__in=["reply", "internal_note"]) | Q(agent__isnull=False),
                name="part_written_by_an_agent",
            ),
            models.CheckConstraint(
                condition=~Q(kind="customer_message") | Q(contact__isnull=False),
                name="part_written_by_a_contact",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}"


class Formatting(models.Model):
    """The HTML of a customer's message, as it came: not safe to show. Apart, so that no list loads it."""

    part = models.OneToOneField(Part, on_delete=models.CASCADE, primary_key=True, related_name="formatting")
    html = models.TextField()

    def __str__(self) -> str:
        return f"HTML of {self.part_id}"


class Draft(models.Model):
    """What an agent has typed and not sent, kept as they type. `key` becomes the key of the part."""

    agent = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="drafts")
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="drafts")
    key = models.UUIDField(default=uuid.uuid4, unique=True)
    to = models.TextField(blank=True)
    cc = models.TextField(blank=True)
    bcc = models.TextField(blank=True)
    body = models.TextField(blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(F("agent"), F("conversation"), name="draft_one_per_agent"),
        ]

    def __str__(self) -> str:
        return f"Draft of {self.agent} in {self.conversation}"


def attachment_path(attachment: Attachment, filename: str) -> str:
    """A name of our own: what a stranger calls a file never becomes a path."""
    return f"attachments/{timezone.now():%Y/%m}/{uuid.uuid4()}"


class Attachment(models.Model):
    """A file of a part, or of a draft until that is sent."""

    part = models.ForeignKey(
        Part, on_delete=models.CASCADE, null=True, blank=True, related_name="attachments"
    )
    draft = models.ForeignKey(
        Draft, on_delete=models.CASCADE, null=True, blank=True, related_name="attachments"
    )
    file = models.FileField(upload_to=attachment_path, storage=default_storage, max_length=120)
    name = models.CharField(max_length=255)
    content_type = models.CharField(max_length=127, default="application/octet-stream")
    size = models.PositiveBigIntegerField()  # octets
    content_id = models.CharField(max_length=250, blank=True)  # by which the HTML of its message names it
    summary = models.TextField(blank=True)  # what an invitation says
    is_inline = models.BooleanField(default=False)  # that HTML is shown, and shows it
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(part=None, draft__isnull=False) | Q(part__isnull=False, draft=None),
                name="attachment_has_one_owner",
            ),
        ]

    def __str__(self) -> str:
        return self.name
