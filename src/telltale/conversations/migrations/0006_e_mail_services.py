"""E-mail services: which relay is one, and what they told."""

from __future__ import annotations

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import telltale.conversations.fields


class Migration(migrations.Migration):
    dependencies = [
        ("conversations", "0005_relays"),
    ]

    operations = [
        migrations.CreateModel(
            name="ServiceEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("service", models.CharField(max_length=16)),
                ("key", models.CharField(max_length=64)),
                ("kind", models.CharField(max_length=16)),
                ("reference", models.TextField(blank=True)),
                ("message_id", models.TextField(blank=True)),
                ("recipient", models.TextField(blank=True)),
                ("words", models.TextField(blank=True)),
                ("description", models.TextField(blank=True)),
                ("classification", models.TextField(blank=True)),
                ("status", models.TextField(blank=True)),
                ("remote_mta", models.TextField(blank=True)),
                ("raw", models.TextField()),
                ("happened_at", models.DateTimeField(blank=True, null=True)),
                ("heard_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "fate",
                    models.CharField(
                        choices=[
                            ("waiting", "not read yet"),
                            ("report", "reports on a delivery"),
                            ("told", "told in the conversation"),
                            ("nothing", "says nothing about the delivery"),
                            ("quarantined", "matches nothing; changes nothing"),
                        ],
                        default="waiting",
                        max_length=11,
                    ),
                ),
                ("fate_reason", models.CharField(blank=True, max_length=255)),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.AddField(
            model_name="relay",
            name="events_fault",
            field=models.CharField(blank=True, max_length=255),
        ),
        migrations.AddField(
            model_name="relay",
            name="events_heard_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="relay",
            name="events_key",
            field=telltale.conversations.fields.EncryptedTextField(blank=True),
        ),
        migrations.AddField(
            model_name="relay",
            name="events_token",
            field=telltale.conversations.fields.EncryptedTextField(blank=True),
        ),
        migrations.AddField(
            model_name="relay",
            name="service",
            field=models.CharField(blank=True, max_length=16),
        ),
        migrations.AddConstraint(
            model_name="relay",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("service", ""), models.Q(("events_token", ""), _negated=True), _connector="OR"
                ),
                name="relay_hears_its_service",
            ),
        ),
        migrations.AddField(
            model_name="serviceevent",
            name="relay",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="service_events",
                to="conversations.relay",
            ),
        ),
        migrations.AddIndex(
            model_name="serviceevent",
            index=models.Index(
                condition=models.Q(("fate", "waiting")), fields=["id"], name="service_event_waiting"
            ),
        ),
        migrations.AddConstraint(
            model_name="serviceevent",
            constraint=models.UniqueConstraint(
                models.F("service"), models.F("key"), name="service_event_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="serviceevent",
            constraint=models.CheckConstraint(
                condition=models.Q(("fate__in", ["waiting", "report", "told", "nothing", "quarantined"])),
                name="service_event_fate_known",
            ),
        ),
    ]
