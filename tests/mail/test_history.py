"""What of a letter is new, and what it only carries along."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telltale.mail.history import without_history

GMAIL = "On Mon, Nov 23, 2026 at 10:12 AM Maya, Lamp & Co <\nsupport@lamp.example> wrote:\n\n> Hello\n> Ana"
OUTLOOK = (
    "From: Maya <support@lamp.example>\nSent: Monday, November 23, 2026\nTo: Ana\nSubject: Refund\n\nHello"
)


@pytest.mark.parametrize(
    "history",
    [
        GMAIL,
        "> Hello Ana",
        "Am Mo., 23. Nov. 2026 um 10:12 Uhr schrieb Maya <support@lamp.example>:\n\n> Hallo",
        "Le lun. 23 nov. 2026 à 10:12, Maya <support@lamp.example> a écrit :\n\n> Bonjour",
        "El lun, 23 nov 2026 a las 10:12, Maya (<support@lamp.example>) escribió:\n\n> Hola",
        OUTLOOK,
        f"________________________________\n{OUTLOOK}",
        "Von: Maya <support@lamp.example>\nGesendet: Montag, 23. November 2026\nAn: Ana\nBetreff: Refund\n\nHallo",
        "De : Maya <support@lamp.example>\nEnvoyé : lundi 23 novembre 2026 10:12\nÀ : Ana\nObjet : Refund\n\nBonjour",
        "-----Original Message-----\nFrom: Maya\nSent: Monday\nTo: Ana\nSubject: x\n\nhello",
        "-- \nAna Ribeiro\nOld Works Ltd",
        f"-- \nAna Ribeiro\n\n{GMAIL}",
        f"Sent from my iPhone\n\n{GMAIL}",
        "Von meinem iPhone gesendet",
    ],
)
def test_what_is_carried_along_at_the_end_is_told_apart(history: str):
    assert without_history(f"Thanks, that works.\n\nAna\n\n{history}") == (
        "Thanks, that works.\n\nAna",
        history,
    )


@pytest.mark.parametrize(
    "text",
    [
        "On Mon, Nov 23, 2026 Maya <support@lamp.example> wrote:\n> Which lamp?\n\nThe blue one.",
        "Hi,\n\n> Which lamp?\n\nThe blue one.\n\n> Which colour?\n\nBlue.",
        GMAIL,
        OUTLOOK,
        "See below.\n\n---------- Forwarded message ---------\nFrom: Bob\nDate: Monday\nTo: Ana\n\nIt broke.",
        "From: our point of view this is fine.\nTo: be clear, no.\nBye",
        "On Monday he wrote:\nthat it is broken.",
        "The list:\n---\nFrom the shop\n---",
        "",
    ],
)
def test_what_somebody_wants_to_say_is_never_taken_for_history(text: str):
    assert without_history(text) == (text, "")


def test_a_line_with_a_colon_above_a_quotation_is_no_introduction_of_it():
    assert without_history("You asked:\n\n> Which lamp?") == ("You asked:", "> Which lamp?")


@given(st.text(alphabet="> \n-_:aFrom123@wrote", max_size=200))
def test_nothing_is_dropped(text: str):
    new, rest = without_history(text)

    assert "".join(f"{new}{rest}".split()) == "".join(text.split())


@pytest.mark.usefixtures("every_reading_ends")
@pytest.mark.parametrize(
    "line", ["> a\n", "From: a\n", "-" * 399 + "\n", "wrote 1:\n", "\n", "From: a\nSent: b\nTo: c\n"]
)
def test_time_grows_with_the_letter_and_not_faster(line: str):
    without_history(line * (500_000 // len(line)))
