"""What an e-mail service has to give back travels with each mail, and nothing else about the mail changes."""

from __future__ import annotations

import json
from email import message_from_bytes

import pytest

from telltale.bounce import knowledge
from telltale.channels.services import SERVICES, with_reference
from telltale.inbound.service_events import VIEWS

MAIL = b"DKIM-Signature: v=1; a=rsa-sha256\r\nSubject: My lamp\r\n\r\nIt works.\r\n"
REFERENCE = "b-1a2b-1y9-abcdefghijklmnop"


def stated(name: str, value: str) -> object:
    """What stands in a header, as its service reads it."""
    return json.loads(value) if value.startswith("{") else value


def test_each_service_is_given_the_reference_in_a_header_of_its_own():
    headers = {name: service.headers(REFERENCE) for name, service in SERVICES.items()}

    assert headers.pop("amazon_ses") == {}  # its bounces come back as mail
    assert all(REFERENCE in " ".join(found.values()) for found in headers.values())
    assert json.loads(headers["sendgrid"]["X-SMTPAPI"])["unique_args"] == {"telltale": REFERENCE}
    assert headers["postmark"]["X-PM-Metadata-telltale"] == REFERENCE
    assert headers["postmark"]["X-PM-KeepID"] == "true"


@pytest.mark.parametrize("service", SERVICES)
def test_the_mail_behind_the_headers_is_as_it_was_signed(service: str):
    sent = with_reference(MAIL, REFERENCE, [service])

    assert sent.endswith(MAIL)
    assert message_from_bytes(sent)["Subject"] == "My lamp"
    assert max(map(len, sent.split(b"\r\n"))) < 998  # RFC 5322 section 2.1.1


def test_a_mail_that_may_leave_by_two_services_has_what_both_need():
    sent = message_from_bytes(with_reference(MAIL, REFERENCE, ["mailgun", "postmark"]))

    assert stated("X-Mailgun-Variables", sent["X-Mailgun-Variables"]) == {"telltale": REFERENCE}
    assert sent["X-PM-Metadata-telltale"] == REFERENCE


def test_a_service_either_tells_by_http_or_returns_its_bounces():
    assert set(VIEWS) == {name for name, service in SERVICES.items() if service.events}


@pytest.mark.parametrize("service", SERVICES)
def test_the_engine_knows_the_hosts_of_each_service(service: str):
    assert {knowledge.provider_of(host) for host in SERVICES[service].hosts} == {service}
