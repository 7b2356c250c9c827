"""Settings, mailboxes: their way out, relays in order, signing in with OAuth, and a test that is really sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.messages import get_messages
from django.urls import reverse

from telltale.channels import email, oauth
from telltale.config.environment import HostPort
from telltale.conversations import dkim_keys
from telltale.conversations.fields import Unreadable, readable
from telltale.conversations.models import Mailbox, Relay
from telltale.delivery.models import Delivery
from tests.conftest import leave_by_relay
from tests.oauth_provider import TokenEndpoint, token_endpoint
from tests.relay_server import RelayServer, relay_server

RELAY = {
    "host": "smtp.lamp.example",
    "port": 587,
    "security": "starttls",
    "sign_in": "password",
    "username": "maya",
    "password": "hunter2",
}


@pytest.fixture
def desk(client, agent, mailbox):
    client.force_login(agent)
    return client


@pytest.fixture
def server(mailbox) -> Iterator[RelayServer]:
    with relay_server() as server:
        leave_by_relay("127.0.0.1", server.port)
        yield server


def page(desk) -> str:
    return desk.get(reverse("mailbox", args=[Mailbox.objects.get().pk])).content.decode()


def save(desk, **changes):
    fields = {"name": "Lamp & Co", "address": "support@lamp.example", "way": "direct", **changes}
    return desk.post(reverse("mailbox", args=[Mailbox.objects.get().pk]), fields, follow=True)


def add_relay(desk, **changes):
    return desk.post(reverse("new-relay", args=[Mailbox.objects.get().pk]), RELAY | changes, follow=True)


def send_test(desk, to: str = "ana@works.example") -> str:
    return desk.post(reverse("mailbox-tests", args=[Mailbox.objects.get().pk]), {"to": to}).content.decode()


# ── The mailbox and its relays ──────────────────────────────────────────────────────────────────────────


def test_a_mailbox_is_renamed_and_the_list_shows_it(desk):
    save(desk, name="Lamps")

    answer = desk.get(reverse("mailboxes")).content.decode()
    assert "Lamps" in answer
    assert "directly" in answer


def test_mail_leaves_by_a_relay_only_once_there_is_one(desk):
    assert "Add a relay first" in save(desk, way="relay").content.decode()

    add_relay(desk)
    save(desk, way="relay")

    assert Mailbox.objects.get().relays_in_order == [Relay.objects.get()]


def test_what_waits_changes_its_lane_with_the_way(desk, reply):
    [delivery] = reply("ana@oldworks.example")
    add_relay(desk)

    save(desk, way="relay")
    assert Delivery.objects.get(pk=delivery.pk).destination == "relay smtp.lamp.example:587"

    save(desk, way="direct")
    assert Delivery.objects.get(pk=delivery.pk).destination == "oldworks.example"


def test_a_secret_is_never_shown_and_kept_where_its_field_stays_empty(desk):
    add_relay(desk)
    relay = Relay.objects.get()

    assert "hunter2" not in desk.get(reverse("relay", args=[relay.pk])).content.decode()

    desk.post(reverse("relay", args=[relay.pk]), RELAY | {"password": "", "host": "smtp2.lamp.example"})
    relay.refresh_from_db()
    assert (relay.host, readable(relay.password)) == ("smtp2.lamp.example", "hunter2")


def test_a_secret_that_cannot_be_read_is_kept_as_well(desk):
    add_relay(desk)
    Relay.objects.update(password=Unreadable("of another SECRET_KEY"))

    answer = desk.post(reverse("relay", args=[Relay.objects.get().pk]), RELAY | {"password": ""})

    assert answer.status_code == 302
    assert isinstance(Relay.objects.get().password, Unreadable)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"host": ""}, "required"),
        ({"port": 0}, "greater than or equal to 1"),
        ({"security": "none"}, "needs an encrypted connection"),
        ({"username": ""}, "Give the account that signs in."),
        ({"password": ""}, "Give the password."),
        ({"sign_in": "google"}, "Give the client ID"),
        ({"sign_in": "microsoft", "client_id": "desk"}, "Give the client secret"),
    ],
)
def test_a_relay_that_could_take_no_mail_is_refused_at_its_field(desk, changes, words):
    answer = add_relay(desk, **changes)

    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Relay.objects.exists()


def test_the_first_relay_can_be_chosen(desk):
    for host in ("one.example", "two.example", "three.example"):
        add_relay(desk, host=host)

    desk.post(reverse("relay-promotion", args=[Relay.objects.get(host="three.example").pk]))

    hosts = list(Relay.objects.values_list("host", flat=True))
    assert hosts == ["three.example", "one.example", "two.example"]


def test_the_only_relay_of_mail_that_leaves_by_one_stays(desk):
    add_relay(desk)
    save(desk, way="relay")

    answer = desk.post(reverse("relay-removal", args=[Relay.objects.get().pk]), follow=True)

    assert "It is the only relay" in answer.content.decode()

    save(desk, way="direct")
    desk.post(reverse("relay-removal", args=[Relay.objects.get().pk]))
    assert not Relay.objects.exists()


def test_only_admins_may(client, colleague, mailbox):
    client.force_login(colleague)
    relay = Relay.objects.create(mailbox=mailbox, host="smtp.lamp.example")

    for name, pk in (("mailbox", mailbox.pk), ("new-relay", mailbox.pk), ("relay", relay.pk)):
        assert client.get(reverse(name, args=[pk])).status_code == 403
    for name, pk in (("mailbox-tests", mailbox.pk), ("relay-removal", relay.pk), ("relay-sign-in", relay.pk)):
        assert client.post(reverse(name, args=[pk])).status_code == 403


# ── A test ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_test_is_a_real_mail_and_accepted_is_not_called_delivered(desk, server):
    answer = send_test(desk)

    assert "Accepted by 127.0.0.1" in answer
    assert "Whether it arrives is seen where it should" in answer
    assert "RCPT TO:&lt;ana@works.example&gt;" in answer
    [message] = server.messages
    assert b"Subject: Test from Lamp & Co" in message
    assert b"Auto-Submitted: auto-generated" in message
    assert not Delivery.objects.exists()


def test_a_test_is_signed_as_every_mail_is(desk, server):
    dkim_keys.make_keys("lamp.example")
    dkim_keys.start_signing("lamp.example")

    send_test(desk)

    assert server.messages[0].count(b"DKIM-Signature:") == 2


def test_a_refused_test_shows_the_words_and_what_they_mean(desk, server):
    server.answers["RCPT"] = "550 5.7.1 <b>Relaying</b> denied"

    answer = send_test(desk)

    assert "Not accepted" in answer
    assert "<mark>550 5.7.1</mark> &lt;b&gt;Relaying&lt;/b&gt; denied" in answer
    assert "Problem with <b>us" in answer


def test_a_relay_that_is_not_there_is_found_out_by_ourselves(desk, mailbox):
    leave_by_relay("127.0.0.1", 9)

    answer = send_test(desk)

    assert "What we found out" in answer
    assert "connection refused" in answer


def test_the_second_relay_takes_what_the_first_cannot(desk, server):
    Relay.objects.update(position=1)
    Relay.objects.create(mailbox=Mailbox.objects.get(), host="127.0.0.1", port=9, security="none")

    assert "Accepted by" in send_test(desk)


def test_our_own_fault_is_called_that(desk, server):
    Relay.objects.update(sign_in="password", security="tls", username="maya", password=Unreadable("lost"))

    answer = send_test(desk)

    assert "it is our own fault" in answer
    assert "TELLTALE_EARLIER_SECRET_KEYS" in answer


@pytest.mark.parametrize("to", ["", "nobody", "a@x.example, b@x.example"])
def test_a_test_goes_to_one_address(desk, server, to):
    assert 'class="fault"' in send_test(desk, to)
    assert server.messages == []


def test_a_mail_that_leaves_directly_is_tested_directly(desk, settings):
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, dns=HostPort("127.0.0.1", 9))

    assert "What we found out" in send_test(desk)


# ── OAuth ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def provider(monkeypatch) -> Iterator[TokenEndpoint]:
    with token_endpoint() as endpoint:
        monkeypatch.setitem(
            oauth.PROVIDERS,
            "google",
            replace(oauth.PROVIDERS["google"], token=endpoint.url),
        )
        yield endpoint


@pytest.fixture
def google(desk, provider) -> Relay:
    add_relay(desk, sign_in="google", password="", client_id="desk-4711", client_secret="s3cret")
    return Relay.objects.get()


def begin(desk, relay: Relay) -> dict[str, str]:
    """What stands in the address that the browser is sent to."""
    answer = desk.post(reverse("relay-sign-in", args=[relay.pk]))
    assert answer.url.startswith("https://accounts.google.com/")
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.url).query).items()}


def come_back(desk, **query: str) -> list[str]:
    """What the desk says then."""
    answer = desk.get(reverse("oauth-callback"), query)
    return [str(message) for message in get_messages(answer.wsgi_request)]


def test_the_page_says_that_nobody_has_signed_in_yet(desk, google):
    assert "nobody has signed in yet" in page(desk)


def test_signing_in_leaves_a_refresh_token(desk, provider, google):
    provider.answers = [(200, {"access_token": "ya29.a", "expires_in": 3599, "refresh_token": "r3fresh"})]
    asked = begin(desk, google)

    [said] = come_back(desk, state=asked["state"], code="4/code")

    assert said.startswith("Signed in.")
    assert readable(Relay.objects.get().refresh_token) == "r3fresh"
    [exchange] = provider.asked
    assert (exchange["code"], exchange["redirect_uri"]) == ("4/code", asked["redirect_uri"])


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"error": "access_denied"}, "it said: access_denied"),
        ({"code": "4/code"}, "invalid_grant Bad code"),
    ],
)
def test_a_sign_in_that_fails_is_told_in_the_providers_words(desk, provider, google, query, words):
    provider.answers = [(400, {"error": "invalid_grant", "error_description": "Bad code"})]
    state = begin(desk, google)["state"]

    [said] = come_back(desk, state=state, **query)

    assert words in said
    assert not Relay.objects.get().refresh_token


def test_a_sign_in_that_was_not_begun_here_changes_nothing(desk, provider, google):
    state = begin(desk, google)["state"]

    assert "not begun here" in come_back(desk, state=f"{state}x", code="4/code")[0]
    assert "not begun here" in come_back(desk, state=state, code="4/code")[0]  # the verifier was used up
    assert provider.asked == []


# ── E-mail services ─────────────────────────────────────────────────────────────────────────────────────

SERVICE = {
    "host": "smtp.postmarkapp.com",
    "port": 587,
    "security": "starttls",
    "username": "t",
    "password": "t",
}


def add_service(desk, service: str = "postmark", **changes):
    url = reverse("new-service", args=[Mailbox.objects.get().pk, service])
    return desk.post(url, SERVICE | changes, follow=True)


def test_the_page_of_a_new_relay_offers_the_services_that_are_known(desk):
    answer = desk.get(reverse("new-relay", args=[Mailbox.objects.get().pk])).content.decode()

    assert all(title in answer for title in ("Amazon SES", "Mailgun", "Postmark", "SendGrid", "SparkPost"))


def test_what_is_known_of_a_service_is_filled_in(desk):
    answer = desk.get(reverse("new-service", args=[Mailbox.objects.get().pk, "sendgrid"])).content.decode()

    assert 'value="smtp.sendgrid.net"' in answer
    assert 'value="apikey"' in answer
    assert "verification key of the signed event webhook" in answer


def test_a_service_that_nobody_knows_has_no_page(desk):
    assert desk.get(reverse("new-service", args=[Mailbox.objects.get().pk, "lamp"])).status_code == 404


def test_a_saved_service_shows_the_secret_address_of_its_events_and_that_none_was_heard(desk):
    answer = add_service(desk).content.decode()

    relay = Relay.objects.get()
    assert (relay.service, relay.sign_in) == ("postmark", "password")
    assert len(relay.events_token) > 30
    assert f"/services/{relay.pk}/{relay.events_token}" in answer
    assert "Nothing has been heard from there yet" in answer
    assert "no event heard yet" in page(desk)


def test_the_secret_address_stays_when_the_relay_is_saved_again(desk):
    add_service(desk)
    token = Relay.objects.get().events_token
    desk.post(reverse("relay", args=[Relay.objects.get().pk]), SERVICE | {"username": "u"})

    relay = Relay.objects.get()
    assert (relay.username, relay.events_token) == ("u", token)


def test_why_events_were_not_taken_is_shown(desk):
    add_service(desk)
    Relay.objects.update(events_fault="The signature is wrong.")

    assert "its events are not taken" in page(desk)
    assert (
        "The signature is wrong."
        in desk.get(reverse("relay", args=[Relay.objects.get().pk])).content.decode()
    )


@pytest.mark.parametrize("key", ["no key", "-----BEGIN PUBLIC KEY-----"])
def test_a_key_that_no_signature_can_be_checked_with_is_refused(desk, key):
    answer = add_service(desk, "sendgrid", events_key=key)

    assert "This is no key of that service" in answer.content.decode()
    assert not Relay.objects.exists()


def test_a_secret_address_that_cannot_be_read_any_more_is_made_anew_when_the_relay_is_saved(desk):
    add_service(desk)
    Relay.objects.update(events_token=Unreadable("encrypted under another secret"))
    url = reverse("relay", args=[Relay.objects.get().pk])
    assert desk.get(url).status_code == 200

    desk.post(url, SERVICE)

    assert readable(Relay.objects.get().events_token)


def test_a_service_needs_a_password_and_an_encrypted_connection(desk):
    assert "Give the password." in add_service(desk, password="").content.decode()
    assert add_service(desk, security="none").status_code == 422
    assert not Relay.objects.exists()


def test_amazon_is_told_nothing_as_its_bounces_come_as_mail(desk):
    add_service(desk, "amazon_ses", host="email-smtp.eu-central-1.amazonaws.com")

    answer = desk.get(reverse("relay", args=[Relay.objects.get().pk])).content.decode()
    assert "comes back as mail" in answer
    assert "no event heard yet" not in page(desk)


def test_a_mail_by_a_service_carries_the_reference_of_its_delivery(desk, server, mailbox):
    Relay.objects.update(service="postmark", events_token="secret")
    box = Mailbox.objects.get()
    delivery = SimpleNamespace(delivery_id=7, recipient="ana@oldworks.example")

    envelope = email._envelope(delivery, box, b"Subject: x\r\n\r\nx\r\n")

    reference = envelope.mail_from.partition("@")[0]
    assert envelope.message.startswith(f"X-PM-Metadata-telltale: {reference}\r\n".encode())
    assert envelope.dsn.envelope_id == reference
