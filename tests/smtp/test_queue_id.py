"""The name of our mail on the other side, out of the 250 of each family of servers."""

from __future__ import annotations

import pytest

from telltale.mail.reply import SmtpReply
from telltale.smtp.queue_id import queue_id


@pytest.mark.parametrize(
    ("reply", "name"),
    [
        ("250 2.0.0 Ok: queued as 4Zk9Qv2Kx7z1bT", "4Zk9Qv2Kx7z1bT"),  # Postfix
        ("250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 1A2B3C", "1A2B3C"),  # amavis
        ("250 OK id=1xAbCd-0002Ef-3G", "1xAbCd-0002Ef-3G"),  # Exim
        ("250 OK id=1xAbCd-00000002Ef1-3GhI", "1xAbCd-00000002Ef1-3GhI"),  # Exim since 4.97
        (
            "250 Requested mail action okay, completed: id=1MbAcW-1rGkYh2ZKo-00d7Qe",
            "1MbAcW-1rGkYh2ZKo-00d7Qe",
        ),
        ("250 2.0.0 OK  1793620800 a1-20020a05si123wrb.45 - gsmtp", "1793620800 a1-20020a05si123wrb.45"),
        (
            "250 2.0.0 OK DMARC:Quarantine 1793620800 a1-20020a05si123wrb.45 - gsmtp",
            "1793620800 a1-20020a05si123wrb.45",
        ),
        (
            "250 2.6.0 <a@b.example> [InternalId=128849018881, Hostname=AM0PR01.example] Queued mail for delivery",
            "128849018881",
        ),
        ("250 2.0.0 3A1BC2De004711 Message accepted for delivery", "3A1BC2De004711"),  # Sendmail
        ("250 2.0.0 8ea1d0b4 Message accepted for delivery", "8ea1d0b4"),  # OpenSMTPD
        ("250 ok 1793620800 qp 12345", "12345"),  # qmail
        ("250 ok:  Message 123456789 accepted", "123456789"),  # IronPort
        (
            "250 Ok 0102018bc1d2e3f4-11112222-3333-4444-5555-666677778888-000000",
            "0102018bc1d2e3f4-11112222-3333-4444-5555-666677778888-000000",
        ),
        (
            "250 Message Queued (5DF7C2A1-1111-2222-3333-444455556666.1)",
            "5DF7C2A1-1111-2222-3333-444455556666.1",
        ),
        ("250 ok dirdel", ""),
        ("250 2.0.0 Thank you", ""),
        ("250-2.0.0 Taken\n250 2.0.0 Ok: queued as ABC", "ABC"),
    ],
)
def test_the_queue_id_is_read(reply: str, name: str) -> None:
    assert queue_id(SmtpReply.from_wire(reply.encode())) == name
