"""E-mail services as they talk to us: each tells the same four things in a form of its own, and may sign it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NO_SUCH_USER = "550 5.1.1 The email account that you tried to reach does not exist"
GREYLISTED = "451 4.7.1 Greylisted, come back in five minutes"
TAKEN = "250 2.0.0 OK 1764288000 a1si123 - gsmtp"
KEY = "lamp-key-0123456789"
EC_KEY = ec.generate_private_key(ec.SECP256R1())
NOON = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Told:
    """What a service is to tell."""

    what: str  # "bounced", "deferred", "delivered", "complained"
    recipient: str
    reference: str = ""
    at: datetime = NOON
    words: str = ""
    number: int = 1  # the service's own, where it has one

    @property
    def seconds(self) -> int:
        return int(self.at.timestamp())

    @property
    def reply(self) -> str:
        usual = {"bounced": NO_SUCH_USER, "deferred": GREYLISTED, "delivered": TAKEN, "complained": ""}
        return self.words or usual[self.what]

    @property
    def ours(self) -> dict[str, str]:
        return {"telltale": self.reference} if self.reference else {}


@dataclass(frozen=True)
class Post:
    """What comes by HTTP."""

    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def _json(content: Any) -> bytes:
    return json.dumps(content).encode()


def brevo(*told: Told) -> Post:
    names = {"bounced": "hard_bounce", "complained": "spam"}
    [one] = told
    event = {
        "event": names.get(one.what, one.what),
        "email": one.recipient,
        "id": 33,
        "ts_epoch": one.seconds * 1000,
        "message-id": "<2611281200.33@smtp-relay.mailin.example>",
        "X-Mailin-custom": json.dumps(one.ours),
        "reason": one.reply,
    }
    return Post(_json(event))


def mailgun(*told: Told, key: str = KEY) -> Post:
    [one] = told
    code, _, message = one.reply.partition(" ")
    names = {"bounced": "failed", "deferred": "failed"}
    severity = {"bounced": "permanent", "deferred": "temporary"}
    token = f"{one.number:050d}"
    signature = hmac.new(key.encode(), f"{one.seconds}{token}".encode(), hashlib.sha256).hexdigest()
    event = {
        "signature": {"timestamp": str(one.seconds), "token": token, "signature": signature},
        "event-data": {
            "event": names.get(one.what, one.what),
            "severity": severity.get(one.what),
            "timestamp": one.at.timestamp(),
            "id": "lamp",
            "recipient": one.recipient,
            "message": {"headers": {"message-id": "somebody-elses@lamp.example"}},
            "user-variables": one.ours,
            "delivery-status": {
                "code": int(code or 0),
                "message": message,
                "description": "",
                "mx-host": "gmail-smtp-in.l.google.com",
            },
        },
    }
    return Post(_json(event))


def mailjet(*told: Told) -> Post:
    names = {"bounced": "bounce", "delivered": "sent", "complained": "spam", "deferred": "bounce"}
    errors = {
        "bounced": {"hard_bounce": True, "error_related_to": "recipient", "error": "user unknown"},
        "deferred": {"hard_bounce": False, "error_related_to": "domain", "error": "greylisted"},
    }
    events = [
        {
            "event": names[one.what],
            "time": one.seconds,
            "MessageID": 19421777835146490,
            "email": one.recipient,
            "Payload": json.dumps(one.ours),
            "smtp_reply" if one.what == "delivered" else "comment": one.reply,
            **errors.get(one.what, {}),
        }
        for one in told
    ]
    return Post(_json(events))


def mailtrap(*told: Told, key: str = KEY) -> Post:
    names = {"bounced": "bounce", "deferred": "soft bounce", "delivered": "delivery", "complained": "spam"}
    events = [
        {
            "event": names[one.what],
            "timestamp": one.seconds,
            "message_id": "2b7d4a70-0000-4000-8000-000000000000",
            "event_id": f"event-{one.number}",
            "email": one.recipient,
            "sending_stream": "transactional",
            "custom_variables": one.ours,
            "response": one.reply,
        }
        for one in told
    ]
    body = _json({"events": events})
    signature = hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    return Post(body, headers={"Mailtrap-Signature": signature})


def mandrill(*told: Told, key: str = KEY, url: str = "") -> Post:
    names = {"bounced": "hard_bounce", "deferred": "deferral", "complained": "spam", "delivered": "delivered"}
    events = json.dumps(
        [
            {
                "event": names[one.what],
                "_id": "exampleaaaaaaaaaaaaaaaaaaaaaaaaa",
                "ts": one.seconds,
                "msg": {
                    "email": one.recipient,
                    "metadata": one.ours,
                    "diag": f"smtp;{one.reply}" if one.reply else "",
                    "bounce_description": "bad_mailbox" if one.what == "bounced" else "",
                },
            }
            for one in told
        ]
    )
    signature = hmac.new(key.encode(), f"{url}mandrill_events{events}".encode(), hashlib.sha1).digest()
    return Post(
        urlencode({"mandrill_events": events}).encode(),
        content_type="application/x-www-form-urlencoded",
        headers={"X-Mandrill-Signature": base64.b64encode(signature).decode()},
    )


def postmark(*told: Told) -> Post:
    [one] = told
    names = {"delivered": "Delivery", "complained": "SpamComplaint"}
    types = {"bounced": "HardBounce", "deferred": "Transient", "complained": "SpamComplaint"}
    at = "DeliveredAt" if one.what == "delivered" else "BouncedAt"
    event = {
        "RecordType": names.get(one.what, "Bounce"),
        "MessageID": "883953f4-0000-4000-8000-000000000000",
        "Recipient" if one.what == "delivered" else "Email": one.recipient,
        at: one.at.isoformat(),
        "Metadata": one.ours,
        "Details": f"smtp;{one.reply}" if one.reply else "",
        **({"Type": types[one.what], "ID": 4200 + one.number} if one.what in types else {}),
    }
    return Post(_json(event))


def sendgrid(*told: Told, key: ec.EllipticCurvePrivateKey = EC_KEY) -> Post:
    names = {"bounced": "bounce", "complained": "spamreport"}
    events = [
        {
            "event": names.get(one.what, one.what),
            "email": one.recipient,
            "timestamp": one.seconds,
            "sg_event_id": f"event-{one.number}",
            "sg_message_id": "14c5d75ce93.dfd.64b469",
            **one.ours,
            **({"reason": one.reply, "status": "5.1.1", "type": "bounce"} if one.what == "bounced" else {}),
            **({"response": one.reply} if one.what in ("deferred", "delivered") else {}),
        }
        for one in told
    ]
    body, timestamp = _json(events), "1764331200"
    signature = key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return Post(
        body,
        headers={
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
            "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
        },
    )


def sparkpost(*told: Told) -> Post:
    names = {
        "bounced": "bounce",
        "deferred": "delay",
        "delivered": "delivery",
        "complained": "spam_complaint",
    }
    events = [
        {
            "msys": {
                "message_event": {
                    "type": names[one.what],
                    "event_id": f"9200{one.number}",
                    "timestamp": str(one.seconds),
                    "transmission_id": "65832150921904138",
                    "raw_rcpt_to": one.recipient,
                    "rcpt_to": one.recipient.lower(),
                    "rcpt_meta": one.ours,
                    **({"raw_reason": one.reply} if one.what in ("bounced", "deferred") else {}),
                    **({"bounce_class": "10"} if one.what == "bounced" else {}),
                }
            }
        }
        for one in told
    ]
    return Post(_json(events))


SERVICES: Mapping[str, Callable[..., Post]] = {
    "brevo": brevo,
    "mailgun": mailgun,
    "mailjet": mailjet,
    "mailtrap": mailtrap,
    "mandrill": mandrill,
    "postmark": postmark,
    "sendgrid": sendgrid,
    "sparkpost": sparkpost,
}
KEYS = {"mailgun": KEY, "mailtrap": KEY, "mandrill": KEY}
KEYS["sendgrid"] = base64.b64encode(
    EC_KEY.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
).decode()
