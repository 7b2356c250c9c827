"""Verbs of conversations where two processes do them at the same time."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, transaction

from telltale.conversations.actions import add_customer_message, contact_for
from tests.delivery.test_worker import PATIENCE, wait_until


@pytest.mark.django_db(transaction=True)
def test_two_processes_that_meet_a_person_at_the_same_time_make_one_contact():
    """Two mails of one new sender, read by two processes."""
    found = []

    def meet() -> None:
        found.append(contact_for("Ana@oldworks.example"))
        connection.close()

    other = threading.Thread(target=meet)
    with transaction.atomic():
        first = contact_for("ana@oldworks.example")
        other.start()
        wait_until(somebody_waits)
    other.join(PATIENCE)

    assert found == [first]


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def test_the_list_shows_the_new_words_of_an_answer(conversation):
    body = "It works.\n\n-- \nAna Ribeiro\nOldworks\n\nOn Monday 23 Nov 2026 Maya <a@lamp.example> wrote:\n> Try again"
    add_customer_message(conversation, from_address="ana@oldworks.example", body=body)

    conversation.refresh_from_db()
    assert conversation.peek == "It works."
