"""What happened, in the order in which it was written down."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone


class Event(models.Model):
    """One thing that happened: its name and the ids it concerns, never content."""

    name = models.CharField(max_length=64)  # "delivery.changed"
    ids = models.JSONField(default=dict)  # {"conversation": 5, "delivery": 7}
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.name} {self.ids}"
