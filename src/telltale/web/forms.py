"""What people type, checked: each fault is said at its field."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from secrets import token_urlsafe
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.utils import timezone

from telltale.accounts.models import Agent, valid_time_zone
from telltale.channels.services import SERVICES
from telltale.conversations.fields import Unreadable
from telltale.conversations.models import ImapAccount, Mailbox, Relay
from telltale.delivery.composing import Recipient
from telltale.delivery.models import Delivery
from telltale.inbound.service_events import can_check
from telltale.mail.recipients import BadAddressError, parse_addresses
from telltale.web.when import WHEN, BadTimeError, parse_when

MOST_RECIPIENTS = 50
MOST_WORDS = 200_000  # characters of one reply; a novel has half a million

# Each of these ends a line, or is taken for its end, by somebody between here and the reader.
_LINE_BREAK = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def one_line(what: str) -> RegexValidator:
    """The validator of a text that will stand in a header. `what`: "A subject", as the message calls it."""
    return RegexValidator(
        _LINE_BREAK,
        f"{what} is one line of text: take the line break or control character out.",
        inverse_match=True,
    )


class AddressesField(forms.CharField):
    """Addresses as people type them, several in one line; cleaned to recipients of one role."""

    def __init__(self, role: Delivery.Role, **kwargs: Any) -> None:
        self.role = role
        super().__init__(max_length=10_000, strip=False, **kwargs)

    def to_python(self, value: Any) -> Any:
        return value or ""

    def clean(self, value: Any) -> list[Recipient]:
        text = super().clean(value)
        try:
            recipients = [
                Recipient(self.role, box.address, box.display_name) for box in parse_addresses(text)
            ]
        except BadAddressError as error:
            raise ValidationError(str(error)) from error
        if self.required and not recipients:  # blanks and commas alone
            raise ValidationError(self.error_messages["required"], code="required")
        return recipients


class DeskForm(forms.Form):
    """A form whose labels end without a colon."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})


class ComposeForm(DeskForm):
    """Recipients and text, as a reply and a first mail share them."""

    to = AddressesField(
        Delivery.Role.TO, error_messages={"required": "Say who should get this: one address or several."}
    )
    cc = AddressesField(Delivery.Role.CC, required=False)
    bcc = AddressesField(Delivery.Role.BCC, required=False)
    body = forms.CharField(
        label="Message",
        widget=forms.Textarea,
        max_length=MOST_WORDS,
        error_messages={
            "required": "The reply is empty. Write something before you send it.",
            "max_length": f"The reply is longer than {MOST_WORDS:,} characters. Put the rest into a file.",
        },
    )
    key = forms.UUIDField(widget=forms.HiddenInput)

    @property
    def recipients(self) -> list[Recipient]:
        data = self.cleaned_data
        return [*data["to"], *data["cc"], *data["bcc"]]

    def clean(self) -> dict[str, Any]:
        if not any(name in self.errors for name in ("to", "cc", "bcc")):
            if len(self.recipients) > MOST_RECIPIENTS:
                self.add_error("to", f"A reply goes to {MOST_RECIPIENTS} addresses at most; this has more.")
            else:
                self._refuse_twice()
        return self.cleaned_data

    def _refuse_twice(self) -> None:
        first_named: dict[str, str] = {}
        for field in ("to", "cc", "bcc"):
            for recipient in self.cleaned_data[field]:
                earlier = first_named.setdefault(recipient.address.lower(), field)
                if earlier != field or named_in(self.cleaned_data[field], recipient) > 1:
                    where = f"{earlier.title()} and {field.title()}" if earlier != field else field.title()
                    self.add_error(field, f"{recipient.address} is named twice ({where}). Name it once.")
                    return


def named_in(recipients: list[Recipient], one: Recipient) -> int:
    """How often this address is among them; upper and lower case are one."""
    return sum(other.address.lower() == one.address.lower() for other in recipients)


class AddressesForm(forms.Form):
    """Recipients while they are typed: what is no address yet is nobody's business."""

    to = forms.CharField(max_length=10_000, required=False)
    cc = forms.CharField(max_length=10_000, required=False)
    bcc = forms.CharField(max_length=10_000, required=False)

    @property
    def addresses(self) -> list[str]:
        """Each once, at most as many as a reply may have."""
        if not self.is_valid():
            return []
        found: dict[str, str] = {}
        for text in self.cleaned_data.values():
            for piece in text.split(","):  # a half address hides no whole one
                try:
                    boxes = parse_addresses(piece)
                except BadAddressError:
                    continue
                found |= {box.address.lower(): box.address for box in boxes}
        return list(found.values())[:MOST_RECIPIENTS]


class WhenMixin(forms.Form):
    """A time to come, as the menus "later" offer it; `time` is None for at once."""

    when = forms.ChoiceField(choices=[(name, name) for name in WHEN], required=False)
    at = forms.CharField(max_length=32, required=False)

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        try:
            data["time"] = parse_when(data.get("when") or "now", data.get("at", ""), now=timezone.localtime())
        except BadTimeError as error:
            self.add_error("at", str(error))
        return data

    @property
    def time(self) -> datetime | None:
        time: datetime | None = self.cleaned_data["time"]
        return time


class ReplyForm(WhenMixin, ComposeForm):
    seen = forms.IntegerField(min_value=0, required=False)
    anyway = forms.BooleanField(required=False)  # though somebody wrote meanwhile
    override_holds = forms.BooleanField(required=False)  # though an address is known to be dead


class SubjectField(forms.CharField):
    """One header line: RFC 5322 section 2.1.1 gives it 998 characters, people far fewer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=250, validators=[one_line("A subject")], **kwargs)


class NewConversationForm(ComposeForm):
    field_order = ("mailbox", "to", "cc", "bcc", "subject", "body", "key")
    mailbox = forms.ModelChoiceField(Mailbox.objects.order_by("id"), empty_label=None, label="From")
    subject = SubjectField(error_messages={"required": "Give the conversation a subject."})


class NoteForm(forms.Form):
    body = forms.CharField(
        max_length=MOST_WORDS, error_messages={"required": "The note is empty. Write something first."}
    )
    key = forms.UUIDField()


class DraftForm(forms.Form):
    """What has been typed so far: anything goes, it is only kept."""

    to = forms.CharField(max_length=10_000, required=False, strip=False)
    cc = forms.CharField(max_length=10_000, required=False, strip=False)
    bcc = forms.CharField(max_length=10_000, required=False, strip=False)
    body = forms.CharField(max_length=MOST_WORDS, required=False, strip=False)
    key = forms.UUIDField()


class AlternativeForm(forms.Form):
    address = AddressesField(Delivery.Role.TO, error_messages={"required": "Give the address to send it to."})

    def clean_address(self) -> str:
        recipients: list[Recipient] = self.cleaned_data["address"]
        if len(recipients) != 1:
            raise ValidationError("Give one address; for several, write a new reply.")
        return recipients[0].address


class RetryForm(WhenMixin):
    """One more try, now or later."""


class WelcomeForm(DeskForm):
    """The first admin."""

    name = forms.CharField(max_length=120, label="Your name", validators=[one_line("A name")])
    email = forms.EmailField(max_length=254, label="Your email address")
    password = forms.CharField(
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        max_length=1024,
        strip=False,
        label="A password",
        help_text="At least 10 characters.",
    )
    time_zone = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)

    def clean_time_zone(self) -> str:
        name: str = self.cleaned_data["time_zone"] or "UTC"
        valid_time_zone(name)
        return name

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if data.get("password"):
            person = Agent(email=data.get("email", ""), name=data.get("name", ""))
            try:
                password_validation.validate_password(data["password"], person)
            except ValidationError as error:
                self.add_error("password", error)
        return data


class MailboxForm(forms.ModelForm):  # type: ignore[type-arg]  # no subscript at run time
    """An address of ours, and how its mail leaves."""

    name = forms.CharField(max_length=120, label="Name that customers see", validators=[one_line("A name")])

    class Meta:
        model = Mailbox
        fields: ClassVar = ("name", "address", "way", "tagged_replies", "new_after_days", "acknowledgement")
        labels: ClassVar = {
            "address": "Address that customers write to",
            "way": "How its mail leaves",
            "tagged_replies": "Answers go to an address that names their conversation",
            "acknowledgement": "Acknowledgement of a new conversation",
            "new_after_days": "Days after which an answer does not open a closed conversation again",
        }
        help_texts: ClassVar = {
            "tagged_replies": "Like support+c-1a-mzxw6ytb@…: an answer finds its conversation whatever the customer's "
            "program drops. Only where your mail server delivers addresses with a plus sign to this desk.",
            "acknowledgement": "Sent by itself, once a day to the same person, never to lists, machines or senders "
            "who could not be verified. Empty: none is sent.",
            "new_after_days": "It begins a new one then, with a link to the old. Empty: it always opens the old one.",
        }
        widgets: ClassVar = {"way": forms.RadioSelect, "acknowledgement": forms.Textarea(attrs={"rows": 4})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if data.get("way") == Mailbox.Way.RELAY and self.instance.pk and not self.instance.relays.exists():
            self.add_error("way", "Add a relay first: below, under Relays.")
        return data


class NewMailboxForm(MailboxForm):
    """The same with its first relay, so that one page does for a start."""

    field_order = (
        *("name", "address", "way"),
        *("relay_host", "relay_port", "relay_security", "relay_username", "relay_password"),
        *("tagged_replies", "new_after_days", "acknowledgement"),
    )
    relay_host = forms.CharField(max_length=253, required=False, label="Relay host")
    relay_port = forms.IntegerField(min_value=1, max_value=65_535, initial=587, label="Relay port")
    relay_security = forms.ChoiceField(
        choices=Relay.Security.choices, initial=Relay.Security.STARTTLS, label="Relay security"
    )
    relay_username = forms.CharField(max_length=254, required=False, label="Relay user name")
    relay_password = forms.CharField(
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        required=False,
        strip=False,
        label="Relay password",
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        if data.get("way") == Mailbox.Way.RELAY and not data.get("relay_host"):
            self.add_error("relay_host", "Give the relay's host name, or choose to send directly.")
        if data.get("relay_username") and data.get("relay_security") == Relay.Security.NONE:
            self.add_error("relay_security", UNENCRYPTED)
        return data

    @property
    def mailbox(self) -> dict[str, Any]:
        """What `create_mailbox` takes."""
        data = self.cleaned_data
        fields = {
            name: data[name]
            for name in ("name", "address", "way", "tagged_replies", "new_after_days", "acknowledgement")
        }
        return fields | {"relay": self._relay(data) if data["way"] == Mailbox.Way.RELAY else None}

    @staticmethod
    def _relay(data: dict[str, Any]) -> dict[str, Any]:
        signs_in = Relay.SignIn.PASSWORD if data["relay_username"] else Relay.SignIn.NONE
        names = ("host", "port", "security", "username", "password")
        return {name: data[f"relay_{name}"] for name in names} | {"sign_in": signs_in}


MOST_FOLDERS = 10
UNENCRYPTED = "A password needs an encrypted connection: choose STARTTLS or TLS."


class _WithSecrets(forms.ModelForm):  # type: ignore[type-arg]  # no subscript at run time
    """A secret is never shown: an empty field keeps the one that is set."""

    secrets: ClassVar[tuple[str, ...]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self._kept = {name: getattr(self.instance, name) for name in self.secrets if name in self.fields}
        for name, secret in self._kept.items():
            self.fields[name].strip = False  # type: ignore[attr-defined]
            if is_set(secret):
                self.fields[name].help_text = "One is set. Leave this empty to keep it."

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        return data | {name: data.get(name) or secret for name, secret in self._kept.items()}

    def require(self, needed: Mapping[str, str], data: Mapping[str, Any]) -> None:
        """Say at each of these fields what is missing there."""
        for name, words in needed.items():
            if not data.get(name) and not is_set(data.get(name)) and name not in self.errors:
                self.add_error(name, words)


def _secret_input() -> forms.PasswordInput:
    return forms.PasswordInput(attrs={"autocomplete": "new-password"})


LABELS_OF_OAUTH = {
    "client_id": "Client ID of your registration",
    "client_secret": "Client secret",
    "tenant": "Tenant of your organisation (Microsoft)",
}
HELP_ON_TENANT = "Its ID or domain; empty for the organisation of whoever signs in."


class RelayForm(_WithSecrets):
    """One relay: a mail server that takes our mail."""

    secrets = ("password", "client_secret")
    port = forms.IntegerField(min_value=1, max_value=65_535, initial=587)

    class Meta:
        model = Relay
        fields: ClassVar = (
            *("host", "port", "security", "sign_in", "username", "password"),
            *("client_id", "client_secret", "tenant"),
        )
        labels: ClassVar = {
            "sign_in": "How we sign in",
            "username": "User name",
            **LABELS_OF_OAUTH,
        }
        help_texts: ClassVar = {
            "tenant": HELP_ON_TENANT,
        }
        widgets: ClassVar = {"password": _secret_input(), "client_secret": _secret_input()}

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        if data.get("sign_in") != Relay.SignIn.NONE:
            self._check_sign_in(data)
        return data

    def _check_sign_in(self, data: dict[str, Any]) -> None:
        if data.get("security") == Relay.Security.NONE:
            self.add_error("security", UNENCRYPTED)
        by_password = data.get("sign_in") == Relay.SignIn.PASSWORD
        self.require(NEEDED_WITH_PASSWORD if by_password else NEEDED_WITH_OAUTH, data)


HOSTS_OF_IMAP = {
    ImapAccount.SignIn.GOOGLE: "imap.gmail.com",
    ImapAccount.SignIn.MICROSOFT: "outlook.office365.com",
}


class ImapForm(_WithSecrets):
    """One account that mail is fetched from."""

    secrets = ("password", "client_secret")
    host = forms.CharField(
        max_length=253,
        required=False,
        help_text="Empty for Google (imap.gmail.com) and Microsoft 365 (outlook.office365.com).",
    )
    port = forms.IntegerField(min_value=1, max_value=65_535, initial=993)
    security = forms.ChoiceField(
        choices=[one for one in Relay.Security.choices if one[0] != Relay.Security.NONE],
        initial=Relay.Security.TLS,
    )
    sign_in = forms.ChoiceField(
        choices=[one for one in Relay.SignIn.choices if one[0] != Relay.SignIn.NONE], label="How we sign in"
    )
    folders = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 2}),
        initial="INBOX",
        help_text="One in each line.",
        max_length=2_000,
    )

    class Meta:
        model = ImapAccount
        fields: ClassVar = (
            *("host", "port", "security", "sign_in", "username", "password"),
            *("client_id", "client_secret", "tenant", "folders", "begin", "marks_read"),
        )
        labels: ClassVar = {
            "username": "User name",
            **LABELS_OF_OAUTH,
            "begin": "Where to begin",
            "marks_read": "Mark each mail as read there once it is kept here",
        }
        help_texts: ClassVar = {
            "tenant": HELP_ON_TENANT,
        }
        widgets: ClassVar = {
            "password": _secret_input(),
            "client_secret": _secret_input(),
            "begin": forms.RadioSelect,
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            del self.fields["begin"]  # it has begun

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        data["host"] = data.get("host") or HOSTS_OF_IMAP.get(data.get("sign_in", ""), "")
        if not data["host"]:
            self.add_error("host", "Give the name of the provider's IMAP server.")
        by_password = data.get("sign_in") == Relay.SignIn.PASSWORD
        self.require(NEEDED_WITH_PASSWORD if by_password else NEEDED_WITH_OAUTH, data)
        if self._is_fetched_already(data):
            self.add_error("folders", "This account’s mail is fetched already, from such a folder.")
        return data

    def _is_fetched_already(self, data: Mapping[str, Any]) -> bool:
        """Also by a second click: two fetchers of one folder would keep each of its mails twice."""
        others = ImapAccount.objects.exclude(pk=self.instance.pk)
        same = others.filter(host__iexact=data["host"], username__iexact=data.get("username", ""))
        folders = set(data.get("folders", "").splitlines())
        return any(folders & set(account.folder_names) for account in same)

    def clean_folders(self) -> str:
        names = [line.strip() for line in self.cleaned_data["folders"].splitlines() if line.strip()]
        if len(names) > MOST_FOLDERS:
            raise ValidationError(
                f"Each folder is a connection of its own, and providers allow few: {MOST_FOLDERS}."
            )
        if any(len(name) > 255 or not name.isprintable() for name in names):
            raise ValidationError("That is no name of a folder.")
        return "\n".join(names)


class ServiceForm(_WithSecrets):
    """The relay of an e-mail service: what the service says of it is filled in."""

    secrets = ("password", "events_key")
    port = forms.IntegerField(min_value=1, max_value=65_535, initial=587)
    security = forms.ChoiceField(
        choices=[one for one in Relay.Security.choices if one[0] != Relay.Security.NONE],
        initial=Relay.Security.STARTTLS,
    )

    class Meta:
        model = Relay
        fields: ClassVar = ("host", "port", "security", "username", "password", "events_key")
        labels: ClassVar = {"username": "User name"}
        widgets: ClassVar = {"password": _secret_input(), "events_key": _secret_input()}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        service = SERVICES[self.instance.service]
        self.initial.setdefault("host", service.host)
        self.fields["password"].label = (
            f"Password: {service.signs_in_with}" if service.signs_in_with else "Password"
        )
        self.fields["host"].help_text = _or(service.hosts[1:])
        if not service.signing_key:
            del self.fields["events_key"]
            return
        key = self.fields["events_key"]
        key.label = f"{service.title}’s {service.signing_key}"
        key.help_text = key.help_text or (
            "With it, events that the service did not sign are not taken. The service shows it beside its webhook."
        )

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        self.require(NEEDED_WITH_PASSWORD, data)
        return data

    def clean_events_key(self) -> str:
        key: str = self.cleaned_data["events_key"].strip()
        if key and not can_check(self.instance.service, key):
            raise ValidationError(
                "This is no key of that service: copy it again, whole and with nothing else."
            )
        return key

    def save(self, commit: bool = True) -> Relay:
        self.instance.sign_in = Relay.SignIn.PASSWORD
        self.instance.events_token = self.instance.events_token or token_urlsafe(24)
        saved: Relay = super().save(commit)
        return saved


def _or(hosts: Sequence[str]) -> str:
    return f"Or {' or '.join(hosts)}, where your account is." if hosts else ""


NEEDED_WITH_PASSWORD = {
    "username": "Give the account that signs in.",
    "password": "Give the password.",
}
NEEDED_WITH_OAUTH = {
    "username": "Give the account that signs in.",
    "client_id": "Give the client ID that the provider showed when you registered this desk.",
    "client_secret": "Give the client secret that belongs to it.",
}


def is_set(secret: Any) -> bool:
    """Whether there is a secret, be it one that cannot be read any more."""
    return bool(secret) or isinstance(secret, Unreadable)


class TestMailForm(DeskForm):
    """Where a test goes."""

    __test__ = False  # it is no test of pytest's
    to = AddressesField(Delivery.Role.TO, error_messages={"required": "Say where the test should go."})

    def clean_to(self) -> Recipient:
        recipients: list[Recipient] = self.cleaned_data["to"]
        if len(recipients) > 1:
            raise ValidationError("A test goes to one address.")
        return recipients[0]


def most_octets() -> int:
    """How large a message's files may be: base64 adds a third on the way (RFC 2045 section 6.8)."""
    most: int = settings.MAX_MESSAGE_SIZE
    return most * 3 // 4
