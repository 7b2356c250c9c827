"""Whom a machine may answer, and what an out-of-office note says of its end."""

from __future__ import annotations

from datetime import date

import pytest

from telltale.mail.courtesy import back_on, may_be_answered

TODAY = date(2026, 11, 28)


def may(
    header: str = "", *, reverse_path: str = "ana@oldworks.example", sender: str = "ana@oldworks.example"
) -> bool:
    raw = f"From: {sender}\r\n{header}\r\nHello\r\n".encode()
    return may_be_answered(
        raw, reverse_path=reverse_path, sender=sender, ours=lambda one: one.endswith("@lamp.example")
    )


def test_a_person_may_be_answered():
    assert may()
    assert may("Auto-Submitted: no\r\n")
    assert may(sender="norepliesplease@oldworks.example")
    assert may(sender="ana+bounces@oldworks.example")


@pytest.mark.parametrize(
    "header",
    [
        "List-Id: <talk.lists.example>\r\n",
        "List-Unsubscribe: <mailto:x@lists.example>\r\n",
        "Precedence: bulk\r\n",
        "Precedence: LIST\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "Auto-Submitted: auto-replied; x=y\r\n",
        "X-Auto-Response-Suppress: All\r\n",
        "X-Loop: somebody\r\n",
    ],
)
def test_lists_and_machines_may_not(header):
    assert not may(header)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "no-reply@shop.example",
            "noreply@shop.example",
            "do_not_reply@shop.example",
            "MAILER-DAEMON@mx.example",
        ),
        *("postmaster@mx.example", "bounces+17-ana=lamp.example@shop.example", "noreply+x@shop.example"),
        *(
            "talk-owner@lists.example",
            "owner-talk@lists.example",
            "talk-request@lists.example",
            "support@lamp.example",
        ),
    ],
)
def test_addresses_that_nobody_reads_and_our_own_may_not(address):
    assert not may(sender=address)
    if address != "support@lamp.example":
        assert not may(reverse_path=address)


def test_the_null_sender_and_nobody_may_not():
    assert not may(reverse_path="")
    assert not may(sender="")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("I am away and will be back on 7 December.", "back on 7 December 2026"),
        ("I will return on December 7th, 2026 and answer then.", "back on 7 December 2026"),
        ("I'll be out of the office until Friday, 4 Dec 2026.", "away until 4 December 2026"),
        ("Out until 2026-12-04", "away until 4 December 2026"),
        ("Ich bin ab dem 7.12.2026 wieder im Büro", ""),
        (
            "Ich bin bis zum 04.12.2026 nicht im Büro und am 7. Dezember wieder da.",
            "away until 4 December 2026",
        ),
        ("Ich bin am 7. Dezember zurück", ""),
        ("Ab Montag, wieder erreichbar am 07.12.", "back on 7 December 2026"),
        ("Je suis absent jusqu'au 4 décembre 2026 inclus.", "away until 4 December 2026"),
        ("Je serai de retour le 1er janvier.", "back on 1 January 2027"),
        ("Estoy fuera hasta el 4 de diciembre de 2026.", "away until 4 December 2026"),
        ("Ik ben terug op 7 december", "back on 7 December 2026"),
        ("Back soon!", ""),
        ("Back on 12/03/2026", ""),
        ("Back on 31 February 2027", ""),
        ("I was back on 3 March 2019", ""),
        ("Back on 3 December 2099", ""),
        ("Please call back. Our office opens 7 December.", ""),
        ("", ""),
    ],
)
def test_the_end_of_an_absence_is_read_where_it_is_plain(text, said):
    assert back_on(text, today=TODAY) == said


def test_a_hostile_note_takes_no_time(every_reading_ends):
    for text in ("back " * 100_000, "until 1 " * 100_000, "back 1.1.1.1." * 50_000):
        back_on(text, today=TODAY)
