"""What Django itself finds wrong with the settings and the models."""

from __future__ import annotations

from django.core.management import call_command


def test_django_has_nothing_to_say_against_the_desk(db):
    call_command("check", fail_level="WARNING")


def test_the_migrations_make_the_models_as_they_are(db):
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
