"""Migrations that move data take all of it along."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from telltale.conversations.fields import readable

BEFORE = [("conversations", "0004_dkim_keys"), ("delivery", "0002_destinations_holds_and_incidents")]
AFTER = [("conversations", "0005_relays"), ("delivery", "0002_destinations_holds_and_incidents")]


def migrate(targets):
    executor = MigrationExecutor(connection)
    executor.migrate(targets)
    return executor.loader.project_state(targets).apps


@pytest.fixture
def newest(transactional_db):
    """The database ends as it began, whatever the test does."""
    leaves = MigrationExecutor(connection).loader.graph.leaf_nodes()
    yield
    migrate(leaves)


def test_the_relay_of_a_mailbox_becomes_the_first_of_its_relays_and_can_become_it_again(newest):
    old = migrate(BEFORE).get_model("conversations", "Mailbox")
    old.objects.create(
        name="Lamp",
        address="support@lamp.example",
        way="relay",
        relay_host="smtp.lamp.example",
        relay_port=465,
        relay_security="tls",
        relay_username="maya",
        relay_password="hunter2",
    )
    old.objects.create(name="Direct", address="sales@lamp.example")

    relay = migrate(AFTER).get_model("conversations", "Relay").objects.get()

    assert relay.mailbox.address == "support@lamp.example"
    assert (relay.host, relay.port, relay.security) == ("smtp.lamp.example", 465, "tls")
    assert (relay.sign_in, relay.username, readable(relay.password)) == ("password", "maya", "hunter2")

    mailbox = migrate(BEFORE).get_model("conversations", "Mailbox").objects.get(relay_username="maya")
    assert (mailbox.relay_host, readable(mailbox.relay_password)) == ("smtp.lamp.example", "hunter2")
