from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("delivery", "0002_destinations_holds_and_incidents"),
    ]

    operations = [
        migrations.AddField(
            model_name="report",
            name="by_own_relay",
            field=models.BooleanField(default=False),
        ),
    ]
