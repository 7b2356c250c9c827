"""The table of settings: what it takes, what it refuses and in which words."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from telltale.config.environment import TABLE, HostPort, SettingsError, load, markdown

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "settings.md"


def refusal(**variables: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(variables)
    return str(caught.value)


def test_a_desk_without_any_variable_has_all_its_settings():
    environment = load({"HOME": "/home/maya"})

    assert (environment.host, environment.port) == ("127.0.0.1", 8000)
    assert environment.url == "http://127.0.0.1:8000"
    assert environment.smtp_listen == HostPort("127.0.0.1", 2525)
    assert environment.data.is_absolute()


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("TELLTALE_MAX_MESSAGE_SIZE", "20MiB", "max_message_size", 20 * 2**20),
        ("TELLTALE_RETRY_FOR", "2d12h", "retry_for", timedelta(days=2, hours=12)),
        ("TELLTALE_SMTP_LISTEN", "[::1]:25", "smtp_listen", HostPort("::1", 25)),
        ("TELLTALE_DNS", "127.0.0.1:5353", "dns", HostPort("127.0.0.1", 5353)),
        ("TELLTALE_URL", "https://Desk.Example.com/", "url", "https://desk.example.com"),
        ("TELLTALE_SANDBOX", "Yes", "sandbox", True),
        ("TELLTALE_LOG_LEVEL", "debug", "log_level", "DEBUG"),
        (
            "TELLTALE_EARLIER_SECRET_KEYS",
            f"{'a' * 32},{'b' * 32}",
            "earlier_secret_keys",
            ("a" * 32, "b" * 32),
        ),
        ("TELLTALE_PORT", "", "port", 8000),
    ],
)
def test_a_value_is_read_as_it_is_meant(name, value, field, expected):
    assert getattr(load({name: value}), field) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://somewhere/telltale"),
        ("SECRET_KEY", "short"),
        ("TELLTALE_EARLIER_SECRET_KEYS", "a" * 32 + ",short"),
        ("TELLTALE_DATA", "var/telltale"),
        ("TELLTALE_POSTGRES_BIN", "/nowhere/at/all"),
        ("TELLTALE_HOST", "my host"),
        ("TELLTALE_PORT", "0"),
        ("TELLTALE_PORT", "65536"),
        ("TELLTALE_PORT", "eighty"),
        ("TELLTALE_URL", "desk.example.com"),
        ("TELLTALE_URL", "https://desk.example.com/inbox"),
        ("TELLTALE_URL", "https://maya:password@desk.example.com"),
        ("TELLTALE_HELO", "-desk.example.com"),
        ("TELLTALE_SMTP_LISTEN", "2525"),
        ("TELLTALE_SMTP_LISTEN", "::1:2525"),
        ("TELLTALE_DNS", "127.0.0.1"),
        ("TELLTALE_SANDBOX", "perhaps"),
        ("TELLTALE_DELIVER_CONCURRENCY", "0"),
        ("TELLTALE_MAX_MESSAGE_SIZE", "much"),
        ("TELLTALE_MAX_MESSAGE_SIZE", "0"),
        ("TELLTALE_RETRY_FOR", "5 days"),
        ("TELLTALE_LEASE", "0s"),
        ("TELLTALE_LOG_LEVEL", "LOUD"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_what_it_should_be(name, value):
    said = refusal(**{name: value})

    setting = next(setting for setting in TABLE.values() if setting.name == name)
    assert said.startswith(f"{name} ")
    assert f"it should be {setting.should_be}, such as {setting.example}" in said


def test_all_that_is_wrong_is_said_at_once():
    said = refusal(TELLTALE_PORT="x", TELLTALE_LEASE="x", TELLTALE_SANDBOX="x")

    assert [line.split()[0] for line in said.splitlines()] == [
        "TELLTALE_PORT",
        "TELLTALE_SANDBOX",
        "TELLTALE_LEASE",
    ]


def test_a_misspelt_variable_is_refused_with_the_one_that_was_meant():
    assert "did you mean TELLTALE_PORT?" in refusal(TELLTALE_PROT="8080")
    assert "did you mean" not in refusal(TELLTALE_WEATHER="fine")


@pytest.mark.parametrize("name", ["SECRET_KEY", "DATABASE_URL"])
def test_no_message_shows_a_secret(name):
    assert "hunter2" not in refusal(**{name: "hunter2://"})


def test_no_secret_shows_when_the_settings_are_printed():
    environment = load({"SECRET_KEY": "hunter2" * 8, "DATABASE_URL": "postgresql://maya:hunter2@db/telltale"})

    assert "hunter2" not in repr(environment)


def test_a_wrong_port_is_not_blamed_on_the_url_that_is_made_of_it():
    assert "TELLTALE_URL" not in refusal(TELLTALE_PORT="x")


@pytest.mark.parametrize(("host", "url"), [("::", "http://127.0.0.1:8000"), ("::1", "http://[::1]:8000")])
def test_the_url_can_be_opened_whatever_the_server_listens_on(host, url):
    assert load({"TELLTALE_HOST": host}).url == url


def test_the_document_is_written_from_the_table():
    assert DOCUMENT.read_text(encoding="utf-8") == markdown(), (
        "run: telltale settings --markdown > docs/settings.md"
    )
