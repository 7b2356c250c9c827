"""A mailbox may have several relays: what stood in the mailbox's row becomes the first of them."""

from __future__ import annotations

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

import telltale.conversations.fields


def move_out(apps: Any, schema_editor: Any) -> None:
    Mailbox, Relay = (apps.get_model("conversations", name) for name in ("Mailbox", "Relay"))
    for mailbox in Mailbox.objects.exclude(relay_host=""):
        signs_in = bool(mailbox.relay_username) and mailbox.relay_security != "none"
        Relay.objects.create(
            mailbox=mailbox,
            host=mailbox.relay_host,
            port=mailbox.relay_port,
            security=mailbox.relay_security,
            sign_in="password" if signs_in else "none",
            username=mailbox.relay_username,
            password=mailbox.relay_password,
        )


def move_back(apps: Any, schema_editor: Any) -> None:
    Relay = apps.get_model("conversations", "Relay")
    for relay in Relay.objects.order_by("-position", "-id"):
        mailbox = relay.mailbox
        mailbox.relay_host, mailbox.relay_port = relay.host, relay.port
        mailbox.relay_security = relay.security
        mailbox.relay_username, mailbox.relay_password = relay.username, relay.password
        mailbox.save()


class Migration(migrations.Migration):
    dependencies = [
        ("conversations", "0004_dkim_keys"),
        ("delivery", "0002_destinations_holds_and_incidents"),  # which reads the columns that go
    ]

    operations = [
        migrations.CreateModel(
            name="Relay",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("position", models.PositiveSmallIntegerField(default=0)),
                ("host", models.CharField(max_length=253)),
                ("port", models.PositiveIntegerField(default=587)),
                (
                    "security",
                    models.CharField(
                        choices=[
                            ("none", "None"),
                            ("starttls", "STARTTLS"),
                            ("tls", "TLS from the first octet"),
                        ],
                        default="starttls",
                        max_length=8,
                    ),
                ),
                (
                    "sign_in",
                    models.CharField(
                        choices=[
                            ("none", "None"),
                            ("password", "User name and password"),
                            ("google", "Google (OAuth 2.0)"),
                            ("microsoft", "Microsoft 365 (OAuth 2.0)"),
                        ],
                        default="none",
                        max_length=9,
                    ),
                ),
                ("username", models.CharField(blank=True, max_length=254)),
                ("password", telltale.conversations.fields.EncryptedTextField(blank=True)),
                ("client_id", models.CharField(blank=True, max_length=255)),
                ("client_secret", telltale.conversations.fields.EncryptedTextField(blank=True)),
                ("tenant", models.CharField(blank=True, max_length=253)),
                ("refresh_token", telltale.conversations.fields.EncryptedTextField(blank=True)),
                (
                    "mailbox",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="relays",
                        to="conversations.mailbox",
                    ),
                ),
            ],
            options={
                "ordering": ["position", "id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("host", ""), _negated=True), name="relay_has_a_host"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("port__gte", 1), ("port__lte", 65535)), name="relay_port_exists"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("sign_in", "none"),
                            models.Q(
                                models.Q(("username", ""), _negated=True),
                                models.Q(("security", "none"), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="relay_signs_in_encrypted",
                    ),
                ],
            },
        ),
        migrations.RemoveConstraint(model_name="mailbox", name="mailbox_relay_has_a_host"),
        migrations.RemoveConstraint(model_name="mailbox", name="mailbox_relay_port_exists"),
        migrations.RunPython(move_out, move_back),
        # A table with rows whose foreign keys are still to be checked cannot be altered.
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", "SET CONSTRAINTS ALL IMMEDIATE"),
        migrations.RemoveField(model_name="mailbox", name="relay_host"),
        migrations.RemoveField(model_name="mailbox", name="relay_port"),
        migrations.RemoveField(model_name="mailbox", name="relay_security"),
        migrations.RemoveField(model_name="mailbox", name="relay_username"),
        migrations.RemoveField(model_name="mailbox", name="relay_password"),
    ]
