"""A report may be an event of an e-mail service."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("conversations", "0006_e_mail_services"),
        ("delivery", "0003_reports_of_own_relays"),
    ]

    operations = [
        migrations.AddField(
            model_name="report",
            name="service_event",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="reports",
                to="conversations.serviceevent",
            ),
        ),
        migrations.AlterField(
            model_name="report",
            name="source",
            field=models.CharField(
                choices=[
                    ("smtp", "the answer to our own attempt"),
                    ("ourselves", "what we found out ourselves"),
                    ("dsn", "a delivery status notification"),
                    ("service", "an event of an e-mail service"),
                ],
                max_length=9,
            ),
        ),
        migrations.AddConstraint(
            model_name="report",
            constraint=models.UniqueConstraint(
                models.F("delivery"), models.F("service_event"), name="report_one_per_event"
            ),
        ),
    ]
