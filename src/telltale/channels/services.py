"""The e-mail services that we know: how mail goes to them, and how they tell what became of it.

Mail goes by the service's SMTP relay, so it leaves as it was written and signed, to the recipient of the envelope
and to nobody else, and its answer is the service's own. What becomes of it behind the service comes as events to
an address of ours; a header of each mail carries the reference by which an event finds its delivery.

Rule: a service is in here only where its relay is known to send to the envelope's recipient alone, whatever the
header says, and where its events, or the bounces that it returns, name the delivery.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

KEY = "telltale"  # what our reference is called among the data that a service keeps with a mail

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Service:
    """One e-mail service."""

    title: str
    hosts: tuple[str, ...]  # of its relay, the usual one first
    username: str = ""  # where it is the same for everybody
    signs_in_with: str = ""  # what it wants as a password, where that is no password
    headers: Callable[[str], Headers] = lambda reference: {}
    events: str = ""  # where its webhook is set, and what to choose there; "" where its bounces come as mail
    signing_key: str = ""  # what it calls the key that signs its events; "" where it signs none

    @property
    def host(self) -> str:
        return self.hosts[0]


def _json(**values: object) -> str:
    return json.dumps(values, separators=(",", ":"))


def _ours(reference: str) -> str:
    return _json(**{KEY: reference})


# Where a service rewrites links and adds pictures to see who reads, its own header switches that off: a reply
# leaves as it was written. Postmark would also put an id of its own in the place of our Message-ID.
SERVICES: Mapping[str, Service] = {
    "amazon_ses": Service(
        "Amazon SES",
        (
            "email-smtp.us-east-1.amazonaws.com",
            "email-smtp.eu-central-1.amazonaws.com",
            "email-smtp.eu-west-1.amazonaws.com",
        ),
    ),
    "brevo": Service(
        "Brevo",
        ("smtp-relay.brevo.com",),
        signs_in_with="an SMTP key",
        headers=lambda reference: {"X-Mailin-custom": _ours(reference)},
        events="Transactional, Settings, Webhook: all events of delivery, from “Sent” to “Error”",
    ),
    "mailgun": Service(
        "Mailgun",
        ("smtp.mailgun.org", "smtp.eu.mailgun.org"),
        headers=lambda reference: {
            "X-Mailgun-Variables": _ours(reference),
            "X-Mailgun-Track": "no",
        },
        events="Sending, Webhooks: delivered, permanent failure, temporary failure, spam complaints",
        signing_key="HTTP webhook signing key",
    ),
    "mailjet": Service(
        "Mailjet",
        ("in-v3.mailjet.com",),
        signs_in_with="the secret key",
        headers=lambda reference: {
            "X-MJ-EventPayload": _ours(reference),
            "X-Mailjet-TrackOpen": "0",
            "X-Mailjet-TrackClick": "0",
        },
        events="Account, Event notifications: sent, bounce, blocked, spam",
    ),
    "mailtrap": Service(
        "Mailtrap",
        ("live.smtp.mailtrap.io",),
        username="api",
        signs_in_with="an API token",
        headers=lambda reference: {"X-MT-Custom-Variables": _ours(reference)},
        events="Settings, Webhooks: delivery, soft bounce, bounce, suspension, reject, spam",
        signing_key="signature secret",
    ),
    "mandrill": Service(
        "Mandrill",
        ("smtp.mandrillapp.com",),
        signs_in_with="an API key",
        headers=lambda reference: {"X-MC-Metadata": _ours(reference)},
        events="Settings, Webhooks: delayed, bounced, soft-bounced, rejected, marked as spam",
        signing_key="webhook key",
    ),
    "postmark": Service(
        "Postmark",
        ("smtp.postmarkapp.com",),
        signs_in_with="the server token, which is the user name too",
        headers=lambda reference: {
            f"X-PM-Metadata-{KEY}": reference,
            "X-PM-KeepID": "true",
            "X-PM-TrackOpens": "false",
            "X-PM-TrackLinks": "None",
        },
        events="Message stream, Webhooks: delivery, bounce, spam complaint",
    ),
    "sendgrid": Service(
        "SendGrid",
        ("smtp.sendgrid.net", "smtp.eu.sendgrid.net"),
        username="apikey",
        signs_in_with="an API key",
        headers=lambda reference: {
            "X-SMTPAPI": _json(
                unique_args={KEY: reference},
                filters={
                    "clicktrack": {"settings": {"enable": 0}},
                    "opentrack": {"settings": {"enable": 0}},
                },
            )
        },
        events="Settings, Mail settings, Event webhooks: all deliverability data, and spam reports",
        signing_key="verification key of the signed event webhook",
    ),
    "sparkpost": Service(
        "SparkPost",
        ("smtp.sparkpostmail.com", "smtp.eu.sparkpostmail.com"),
        username="SMTP_Injection",
        signs_in_with="an API key with the right to send by SMTP",
        headers=lambda reference: {
            "X-MSYS-API": _json(
                metadata={KEY: reference}, options={"open_tracking": False, "click_tracking": False}
            )
        },
        events="Configuration, Webhooks: delivery, bounce, delay, policy rejection, out of band, spam complaint",
    ),
}


def with_reference(message: bytes, reference: str, services: Iterable[str]) -> bytes:
    """The message, with what these services have to give back with their events in front of its header.

    They are not signed: DKIM signed the message once for all of its recipients, and these are of one.
    """
    headers = {
        name: value for service in services for name, value in SERVICES[service].headers(reference).items()
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return lines.encode("ascii") + message
