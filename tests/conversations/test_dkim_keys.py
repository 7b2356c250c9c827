"""A domain's keys: made, put to use together, replaced, retired; and what is encrypted under a lost SECRET_KEY."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from telltale.conversations import dkim_keys
from telltale.conversations.dkim_keys import NoKeysError
from telltale.conversations.fields import UnreadableError, readable
from telltale.conversations.models import DkimKey, Mailbox, Relay
from telltale.mail.dkim import Algorithm

pytestmark = pytest.mark.django_db
DOMAIN = "lamp.example"
ANOTHER_SECRET = "another-secret-key-" * 4


def selectors() -> list[str]:
    """Of the keys that sign."""
    return [signer.selector for signer in dkim_keys.signers().get(DOMAIN, [])]


def test_keys_of_both_algorithms_are_made_and_sign_nothing_yet():
    made = dkim_keys.make_keys(DOMAIN)

    assert [key.algorithm for key in made] == [Algorithm.RSA, Algorithm.ED25519]
    assert dkim_keys.signers() == {}


def test_started_they_sign_all_together():
    made = dkim_keys.make_keys(DOMAIN)

    dkim_keys.start_signing(DOMAIN)

    assert selectors() == [key.selector for key in made]


def test_new_keys_replace_those_that_signed():
    old = dkim_keys.make_keys(DOMAIN)
    dkim_keys.start_signing(DOMAIN)
    new = dkim_keys.make_keys(DOMAIN)

    assert {key.selector for key in old}.isdisjoint(key.selector for key in new)
    assert selectors() == [key.selector for key in old]  # until the new ones are published

    dkim_keys.start_signing(DOMAIN)

    assert selectors() == [key.selector for key in new]


def test_without_keys_nothing_can_be_started():
    with pytest.raises(NoKeysError, match="Make keys first"):
        dkim_keys.start_signing(DOMAIN)


def test_pressed_twice_start_changes_nothing():
    dkim_keys.make_keys(DOMAIN)
    dkim_keys.start_signing(DOMAIN)

    with pytest.raises(NoKeysError):
        dkim_keys.start_signing(DOMAIN)

    assert len(selectors()) == 2


def test_stopped_they_stay_in_dns_for_what_is_on_its_way():
    dkim_keys.make_keys(DOMAIN)
    dkim_keys.start_signing(DOMAIN)

    dkim_keys.stop_signing(DOMAIN)
    dkim_keys.discard(DOMAIN)

    assert selectors() == []
    assert DkimKey.objects.count() == 2


def test_discarded_are_those_that_nothing_depends_on():
    dkim_keys.make_keys(DOMAIN)
    dkim_keys.start_signing(DOMAIN)
    dkim_keys.stop_signing(DOMAIN)
    DkimKey.objects.update(retired_at=timezone.now() - dkim_keys.STAYS_IN_DNS - timedelta(hours=1))
    dkim_keys.make_keys(DOMAIN)

    dkim_keys.discard(DOMAIN)

    assert not DkimKey.objects.exists()


def test_domains_do_not_touch_each_other():
    dkim_keys.make_keys(DOMAIN)
    dkim_keys.make_keys("other.example")

    dkim_keys.start_signing("other.example")

    assert list(dkim_keys.signers()) == ["other.example"]


def test_a_domain_is_named_as_dns_names_it():
    Mailbox.objects.create(name="Söhne", address="hilfe@söhne.example")
    Mailbox.objects.create(name="Lamp", address="support@Lamp.example")

    assert dkim_keys.our_domains() == ["lamp.example", "xn--shne-5qa.example"]


def test_the_private_key_is_encrypted_at_rest():
    [key, _] = dkim_keys.make_keys(DOMAIN)

    with connection.cursor() as cursor:
        cursor.execute("SELECT private_key FROM conversations_dkimkey WHERE id = %s", [key.pk])
        [stored] = cursor.fetchone()

    assert "PRIVATE KEY" in key.private_key
    assert "PRIVATE KEY" not in stored


def test_keys_of_a_lost_secret_key_are_said_to_be_unreadable(settings):
    dkim_keys.make_keys(DOMAIN)
    dkim_keys.start_signing(DOMAIN)
    settings.SECRET_KEY = ANOTHER_SECRET

    assert isinstance(dkim_keys.signers()[DOMAIN], UnreadableError)


def test_a_secret_that_cannot_be_read_keeps_nobody_from_the_rest_of_its_row(settings):
    mailbox = Mailbox.objects.create(name="Lamp", address="support@lamp.example")
    Relay.objects.create(mailbox=mailbox, host="smtp.lamp.example", password="hunter2")
    secret_key, settings.SECRET_KEY = settings.SECRET_KEY, ANOTHER_SECRET
    relay = Relay.objects.get()
    relay.host = "smtp2.lamp.example"
    relay.save()

    with pytest.raises(UnreadableError, match="TELLTALE_EARLIER_SECRET_KEYS"):
        readable(relay.password)

    settings.SECRET_KEY = secret_key
    assert readable(Relay.objects.get().password) == "hunter2"  # nothing was lost meanwhile
