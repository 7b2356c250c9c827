"""What e-mail services tell by HTTP: who is believed, which delivery it is about, and what the agent learns."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from telltale.channels.email import return_path
from telltale.conversations.fields import Unreadable
from telltale.conversations.models import Address, Mailbox, Part, Relay, ServiceEvent
from telltale.delivery import queue
from telltale.delivery.models import Delivery, DeliveryNote, Report
from telltale.delivery.states import State
from telltale.inbound import service_reports
from telltale.smtp.session import Outcome
from tests.conftest import answered, found_out
from tests.delivery.test_queue import answer, claim
from tests.inbound.services import (
    KEY,
    KEYS,
    NO_SUCH_USER,
    NOON,
    SERVICES,
    Post,
    Told,
    mailgun,
    mandrill,
    postmark,
    sendgrid,
    sparkpost,
)

ANA = "ana@oldworks.example"
TOKEN = "a-secret-of-this-relay"
Kind, Closed, Fate = DeliveryNote.Kind, DeliveryNote.Closed, ServiceEvent.Fate
FAILED, DELAYED, UNCERTAIN = Kind.FAILED, Kind.DELAYED, Kind.UNCERTAIN


@pytest.fixture
def through(mailbox) -> Callable[..., Relay]:
    """The mailbox's mail leaves by this service."""

    def leave(service: str, **fields) -> Relay:
        relay = Relay.objects.create(
            mailbox=mailbox, host=f"smtp.{service}.example", service=service, events_token=TOKEN, **fields
        )
        Mailbox.objects.filter(pk=mailbox.pk).update(way=Mailbox.Way.RELAY)
        return relay

    return leave


@pytest.fixture
def accepted(reply) -> Delivery:
    [delivery] = reply(ANA)
    answer(delivery, "250 2.0.0 Ok: queued as 4Zk9\r\n")
    return delivery


def reference_of(delivery: Delivery) -> str:
    return return_path(delivery.pk, delivery.mailbox).partition("@")[0]


def about(delivery: Delivery, what: str, *, minute: int = 0, number: int = 1, words: str = "") -> Told:
    at = NOON + timedelta(minutes=minute)
    return Told(what, delivery.recipient, reference_of(delivery), at, words=words, number=number)


def url_of(relay: Relay, token: str = TOKEN) -> str:
    return reverse("service-events", kwargs={"pk": relay.pk, "token": token})


def post(relay: Relay, told: Post, *, token: str = TOKEN, client: Client | None = None):
    """The answer; what was kept has not been read yet."""
    return (client or Client()).post(
        url_of(relay, token), told.body, content_type=told.content_type, headers=dict(told.headers)
    )


def hear(relay: Relay, told: Post) -> None:
    """It is told, kept and read."""
    answer = post(relay, told)
    assert (answer.status_code, answer.content) == (200, b"")
    while service_reports.read_next():
        pass


def notes() -> list[tuple[str, str]]:
    return list(DeliveryNote.objects.order_by("pk").values_list("kind", "closed_how"))


def events_told() -> list[str]:
    return list(Part.objects.filter(kind=Part.Kind.EVENT).order_by("pk").values_list("body", flat=True))


def fates() -> list[tuple[str, str]]:
    return list(ServiceEvent.objects.order_by("pk").values_list("fate", "fate_reason"))


# ── What each service tells ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("service", SERVICES)
def test_a_bounce_of_each_service_becomes_a_note_in_the_servers_own_words(service, through, accepted):
    hear(through(service), SERVICES[service](about(accepted, "bounced")))

    accepted.refresh_from_db()
    report = Report.objects.get(source=Report.Source.SERVICE)
    assert (accepted.state, notes()) == (State.FAILED, [(FAILED, "")])
    assert (report.diagnostic_type, report.diagnostic_text) == ("smtp", NO_SUCH_USER)
    assert (report.reason, report.proven) == ("user_unknown", True)
    assert DeliveryNote.objects.get().report == report
    assert Address.objects.exclude(dead_since=None).get().email == ANA


@pytest.mark.parametrize("service", SERVICES)
def test_a_delay_of_each_service_becomes_a_quiet_note(service, through, accepted):
    hear(through(service), SERVICES[service](about(accepted, "deferred")))

    accepted.refresh_from_db()
    note = DeliveryNote.objects.get()
    assert (accepted.state, note.kind, note.needs_attention) == (State.ACCEPTED, DELAYED, False)
    assert note.report.reason == "greylisted"


@pytest.mark.parametrize("service", sorted(SERVICES.keys() - {"mandrill"}))  # which tells no such thing
def test_what_a_service_calls_delivered_is_shown_as_accepted(service, through, accepted):
    hear(through(service), SERVICES[service](about(accepted, "delivered")))

    accepted.refresh_from_db()
    assert (accepted.state, notes()) == (State.ACCEPTED, [])
    assert Report.objects.get(source=Report.Source.SERVICE).action == "relayed"


@pytest.mark.parametrize("service", SERVICES)
def test_a_complaint_is_told_in_the_conversation(service, through, accepted):
    hear(through(service), SERVICES[service](about(accepted, "complained")))

    accepted.refresh_from_db()
    [told] = events_told()
    assert "passes on a complaint: this reply was called spam (ana@oldworks.example)" in told
    assert (accepted.state, notes()) == (State.ACCEPTED, [])


def test_the_services_own_words_are_shown_as_its_own(through, accepted):
    event = json.loads(sendgrid(about(accepted, "bounced")).body)[0]
    event |= {"event": "dropped", "reason": "Bounced Address"}
    hear(through("sendgrid"), Post(json.dumps([event]).encode()))

    report = Report.objects.get(source=Report.Source.SERVICE)
    assert (report.diagnostic_type, report.diagnostic_text) == ("x-sendgrid", "Bounced Address")
    assert (report.reason, report.remote_mta) == ("suppressed", "smtp.sendgrid.example")
    assert not Address.objects.exclude(dead_since=None).exists()


def test_a_refusal_of_the_recipients_server_is_not_taken_for_one_of_our_own_relay(through, accepted):
    event = json.loads(postmark(about(accepted, "bounced", words="550 5.7.1 Relaying denied")).body)
    hear(through("postmark"), Post(json.dumps(event | {"Type": "Blocked"}).encode()))

    report = Report.objects.get(source=Report.Source.SERVICE)
    assert (report.by_own_relay, report.reason) == (False, "relay_denied")


def test_a_reply_that_mailgun_takes_apart_is_whole_again_and_says_who_gave_it(through, accepted):
    hear(through("mailgun"), mailgun(about(accepted, "bounced")))

    report = Report.objects.get(source=Report.Source.SERVICE)
    assert report.diagnostic_text == NO_SUCH_USER
    assert report.remote_mta == "gmail-smtp-in.l.google.com"


def test_what_a_service_says_without_a_reply_is_classified_by_the_service(through, accepted):
    event = json.loads(sparkpost(about(accepted, "bounced", words="some words")).body)
    event[0]["msys"]["message_event"] |= {"bounce_class": "22", "raw_reason": None}
    hear(through("sparkpost"), Post(json.dumps(event).encode()))

    assert Report.objects.get(source=Report.Source.SERVICE).reason == "mailbox_full"


# ── Whom we believe ─────────────────────────────────────────────────────────────────────────────────────


def test_another_address_than_the_relays_own_does_not_exist(through, accepted):
    relay = through("postmark")
    told = postmark(about(accepted, "bounced"))

    assert post(relay, told, token="guessed").status_code == 404
    assert Client().post(f"/services/{relay.pk + 1}/{TOKEN}").status_code == 404
    assert not ServiceEvent.objects.exists()


def test_a_relay_that_is_no_service_has_no_such_address(mailbox):
    relay = Relay.objects.create(mailbox=mailbox, host="smtp.lamp.example", events_token=TOKEN)

    assert post(relay, Post(b"{}")).status_code == 404


@pytest.mark.parametrize("service", KEYS)
def test_signed_events_are_taken(service, through, accepted):
    relay = through(service, events_key=KEYS[service])
    options = {"url": f"http://testserver{url_of(relay)}"} if service == "mandrill" else {}

    hear(relay, SERVICES[service](about(accepted, "bounced"), **options))

    accepted.refresh_from_db()
    assert accepted.state == State.FAILED


@pytest.mark.parametrize("service", KEYS)
def test_events_that_are_not_signed_by_the_service_are_refused_and_an_admin_sees_it(
    service, through, accepted
):
    relay = through(service, events_key=KEYS[service])
    told = SERVICES[service](about(accepted, "bounced"))
    forged = {
        "mailgun": lambda: mailgun(about(accepted, "bounced"), key="another"),
        "mailtrap": lambda: Post(told.body.replace(b"bounce", b"reject"), headers=told.headers),
        "mandrill": lambda: mandrill(about(accepted, "bounced"), url="http://somewhere.else/"),
        "sendgrid": lambda: Post(told.body + b" ", headers=told.headers),
    }[service]()

    assert post(relay, forged).status_code == 400
    assert (
        post(relay, Post(told.body.replace(b'"signature"', b'"none"'), told.content_type)).status_code == 400
    )

    relay.refresh_from_db()
    assert not ServiceEvent.objects.exists()
    assert "webhook" in relay.events_fault
    assert relay.events_heard_at is None


def test_a_forged_reference_changes_nothing(through, accepted):
    forged = reference_of(accepted)[:-1] + ("a" if reference_of(accepted)[-1] != "a" else "b")
    hear(through("postmark"), postmark(Told("bounced", ANA, forged)))

    accepted.refresh_from_db()
    assert (accepted.state, notes(), events_told()) == (State.ACCEPTED, [], [])
    assert fates() == [(Fate.QUARANTINED, "names no delivery of ours")]


def test_a_reference_replayed_for_another_recipient_is_told_and_set_aside(through, accepted):
    hear(through("postmark"), postmark(Told("bounced", "eve@oldworks.example", reference_of(accepted))))

    accepted.refresh_from_db()
    assert accepted.state == State.ACCEPTED
    assert "does not fit this delivery" in events_told()[0]
    assert fates() == [(Fate.QUARANTINED, f"is about eve@oldworks.example, not about {ANA}")]


def test_a_recipient_in_capitals_or_in_a_labels_is_the_same(through, reply):
    [delivery] = reply("ana@bücher.example")
    answer(delivery, "250 Ok\r\n")
    hear(through("postmark"), postmark(Told("bounced", "Ana@XN--BCHER-KVA.example", reference_of(delivery))))

    delivery.refresh_from_db()
    assert delivery.state == State.FAILED


def test_mail_of_others_through_the_same_account_is_none_of_our_business(through, accepted):
    hear(through("postmark"), postmark(Told("bounced", ANA)))

    accepted.refresh_from_db()
    assert (accepted.state, notes(), events_told()) == (State.ACCEPTED, [], [])


def test_what_names_our_message_id_alone_is_reported_and_not_proven(through, accepted):
    event = json.loads(mailgun(Told("bounced", ANA)).body)
    event["event-data"]["message"]["headers"]["message-id"] = accepted.message.message_id.strip("<>")
    hear(through("mailgun"), Post(json.dumps(event).encode()))

    accepted.refresh_from_db()
    report = Report.objects.get(source=Report.Source.SERVICE)
    assert (accepted.state, report.proven) == (State.FAILED, False)
    assert not Address.objects.exclude(dead_since=None).exists()


def test_a_late_bounce_that_names_no_mail_is_told_beside_the_newest(through, accepted):
    event = json.loads(sendgrid(Told("bounced", ANA)).body)[0]
    hear(through("sendgrid"), Post(json.dumps([event]).encode()))

    accepted.refresh_from_db()
    assert accepted.state == State.ACCEPTED
    assert events_told() == [
        f"SendGrid could not deliver to this address, and does not say which mail ({ANA}): “{NO_SUCH_USER}”"
    ]


def test_no_session_and_no_token_of_a_form_is_asked_for(through, accepted):
    client = Client(enforce_csrf_checks=True)

    assert post(through("postmark"), postmark(about(accepted, "bounced")), client=client).status_code == 200


def test_a_service_that_looks_whether_somebody_is_there_is_answered(through):
    url = url_of(through("mandrill"))

    assert Client().head(url).status_code == 200
    assert Client().get(url).status_code == 405


# ── Nothing is lost, nothing twice, and in any order ────────────────────────────────────────────────────


@pytest.mark.parametrize("service", SERVICES)
def test_the_same_event_twice_is_one(service, through, accepted):
    relay = through(service)
    for _ in range(2):
        hear(relay, SERVICES[service](about(accepted, "bounced")))

    assert ServiceEvent.objects.count() == 1
    assert Report.objects.filter(source=Report.Source.SERVICE).count() == 1
    assert notes() == [(FAILED, "")]


def test_what_cannot_be_kept_is_not_acknowledged(through, accepted, monkeypatch):
    def fail(*args, **kwargs):
        raise OperationalError("the database went away")

    relay = through("postmark")
    with monkeypatch.context() as broken:
        broken.setattr(ServiceEvent.objects, "bulk_create", fail)
        client = Client(raise_request_exception=False)
        assert post(relay, postmark(about(accepted, "bounced")), client=client).status_code == 500

    hear(relay, postmark(about(accepted, "bounced")))
    assert notes() == [(FAILED, "")]


def test_a_crash_while_it_is_read_leaves_it_waiting(through, accepted, monkeypatch):
    def fail(*args, **kwargs):
        raise OperationalError("the database went away")

    relay = through("postmark")
    post(relay, postmark(about(accepted, "bounced")))
    with monkeypatch.context() as broken:
        broken.setattr(service_reports, "record_heard", fail)
        with pytest.raises(OperationalError):
            service_reports.read_next()
    assert fates() == [(Fate.WAITING, "")]

    assert service_reports.read_next()
    assert notes() == [(FAILED, "")]


def test_an_event_that_this_desk_fails_at_is_told_and_does_not_stop_the_next(through, accepted, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("a mistake of ours")

    relay = through("sendgrid")
    with monkeypatch.context() as broken:
        broken.setattr(service_reports, "record_heard", fail)
        hear(relay, sendgrid(about(accepted, "deferred")))
    hear(relay, sendgrid(about(accepted, "bounced", number=2)))

    assert fates()[0] == (Fate.QUARANTINED, "our own fault: RuntimeError: a mistake of ours")
    assert "that this desk cannot read" in events_told()[0]
    assert notes() == [(FAILED, "")]


def test_a_bounce_that_overtakes_delivered_stands(through, accepted):
    relay = through("sendgrid")
    hear(relay, sendgrid(about(accepted, "bounced", minute=2)))
    hear(relay, sendgrid(about(accepted, "delivered", minute=1, number=2)))

    accepted.refresh_from_db()
    assert (accepted.state, notes()) == (State.FAILED, [(FAILED, "")])


def test_a_bounce_at_the_same_second_as_delivered_stands(through, accepted):
    relay = through("sendgrid")
    hear(relay, sendgrid(about(accepted, "bounced"), about(accepted, "delivered", number=2)))

    accepted.refresh_from_db()
    assert (accepted.state, notes()) == (State.FAILED, [(FAILED, "")])


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_service_that_gave_up_and_then_got_through_is_believed_in_any_order(order, through, accepted):
    relay = through("sendgrid")
    told = [about(accepted, "bounced", minute=1), about(accepted, "delivered", minute=2, number=2)]
    for number in order:
        hear(relay, sendgrid(told[number]))

    accepted.refresh_from_db()
    assert accepted.state == State.ACCEPTED
    assert [closed for _, closed in notes()] in ([], [Closed.ACCEPTED])


def test_a_delay_that_is_over_before_it_is_heard_of_is_no_news(through, accepted):
    relay = through("sendgrid")
    hear(relay, sendgrid(about(accepted, "delivered", minute=2), about(accepted, "deferred", number=2)))

    assert notes() == []


def test_a_delay_ends_with_what_comes_after_it(through, accepted):
    relay = through("sendgrid")
    hear(relay, sendgrid(about(accepted, "deferred")))
    hear(relay, sendgrid(about(accepted, "delivered", minute=5, number=2)))

    accepted.refresh_from_db()
    assert (accepted.state, notes()) == (State.ACCEPTED, [(DELAYED, Closed.ACCEPTED)])


@pytest.mark.parametrize(
    ("what", "state", "shown"),
    [
        ("delivered", State.ACCEPTED, [(UNCERTAIN, Closed.ACCEPTED)]),
        ("bounced", State.FAILED, [(UNCERTAIN, Closed.OVERTAKEN), (FAILED, "")]),
    ],
)
def test_what_was_uncertain_is_settled_by_an_event(what, state, shown, through, reply):
    [delivery] = reply(ANA)
    [claimed] = claim()
    lost = found_out("lost", recipient=ANA, outcome=Outcome.UNCERTAIN)
    queue.record_result(claimed.attempt_id, lost)

    hear(through("postmark"), postmark(about(delivery, what)))

    delivery.refresh_from_db()
    assert (delivery.state, notes()) == (state, shown)


def test_an_event_that_is_here_before_our_own_answer_is_recorded_is_told(through, reply):
    [delivery] = reply(ANA)
    [claimed] = claim()
    hear(through("postmark"), postmark(about(delivery, "bounced")))

    queue.record_result(claimed.attempt_id, answered("250 2.0.0 Ok\r\n", recipient=ANA))

    delivery.refresh_from_db()
    assert (delivery.state, notes()) == (State.FAILED, [(FAILED, "")])


def test_the_words_that_come_second_are_shown_where_the_first_event_had_none(through, accepted):
    relay = through("postmark")
    changed = {
        "RecordType": "SubscriptionChange",
        "Recipient": ANA,
        "SuppressSending": True,
        "SuppressionReason": "HardBounce",
        "Metadata": {"telltale": reference_of(accepted)},
        "ChangedAt": NOON.isoformat(),
    }
    hear(relay, Post(json.dumps(changed).encode()))
    first = DeliveryNote.objects.get().report
    hear(relay, postmark(about(accepted, "bounced", minute=1)))

    note = DeliveryNote.objects.get()
    assert first.diagnostic_type == "x-postmark"
    assert note.report.diagnostic_text == NO_SUCH_USER


# ── What nobody knows ───────────────────────────────────────────────────────────────────────────────────


def test_an_unknown_event_about_our_mail_is_told_and_kept(through, accepted):
    event = {"RecordType": "Bounce", "Type": "Unknown", "Email": ANA, "Details": "who knows"}
    event["Metadata"] = {"telltale": reference_of(accepted)}
    hear(through("postmark"), Post(json.dumps(event).encode()))

    assert events_told() == [
        f"Postmark told something about this reply that this desk cannot read ({ANA}): “who knows”"
    ]
    assert fates()[0][0] == Fate.TOLD
    assert json.loads(ServiceEvent.objects.get().raw) == event


def test_one_event_that_cannot_be_taken_apart_does_not_take_the_others_with_it(through, accepted):
    relay = through("sendgrid")
    batch = json.loads(sendgrid(about(accepted, "bounced")).body)
    hear(relay, Post(json.dumps([{"no": "event", "ref": reference_of(accepted)}, *batch]).encode()))

    relay.refresh_from_db()
    assert notes() == [(FAILED, "")]
    assert "that this desk cannot read" in events_told()[0]
    assert relay.events_fault == "KeyError: 'event'"
    assert ServiceEvent.objects.count() == 2


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[1]", b'"x"', b"\xff\xfe", b"[" * 100_000, b"{}"])
@pytest.mark.parametrize("service", SERVICES)
def test_what_is_no_event_at_all_is_refused_or_kept_and_changes_nothing(service, body, through, accepted):
    relay = through(service)

    assert post(relay, Post(body)).status_code in (200, 400)
    while service_reports.read_next():
        pass

    accepted.refresh_from_db()
    assert (accepted.state, notes(), events_told()) == (State.ACCEPTED, [], [])


def test_opens_and_clicks_are_not_kept(through, accepted):
    event = json.loads(sendgrid(about(accepted, "delivered")).body)[0]
    hear(
        through("sendgrid"),
        Post(json.dumps([event | {"event": "open"}, event | {"event": "click"}]).encode()),
    )

    assert not ServiceEvent.objects.exists()


def test_words_that_no_database_takes_are_shown_as_escapes(through, accepted):
    hear(through("postmark"), postmark(about(accepted, "bounced", words="550 no\0body \ud800 <b>here</b>")))

    words = Report.objects.get(source=Report.Source.SERVICE).diagnostic_text
    assert words == "550 no\\x00body \\ud800 <b>here</b>"


def test_when_it_was_heard_last_is_kept_for_the_admin(through, accepted):
    relay = through("postmark", events_fault="It was broken.")
    hear(relay, postmark(about(accepted, "delivered")))

    relay.refresh_from_db()
    assert relay.events_heard_at
    assert relay.events_fault == ""


def test_a_batch_that_is_too_large_is_refused_with_the_reason(through, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000
    relay = through("sendgrid")

    assert post(relay, Post(b" " * 2_000)).status_code == 413
    relay.refresh_from_db()
    assert relay.events_fault == "The service sent more at once than this desk takes."


def test_a_key_that_cannot_be_decrypted_lets_nothing_pass(through, accepted, settings):
    relay = through("mailgun", events_key=KEY)
    Relay.objects.update(events_key=Unreadable("encrypted under another secret"))

    assert post(relay, mailgun(about(accepted, "bounced"))).status_code == 503
    assert not ServiceEvent.objects.exists()


# ── What the agent sees ─────────────────────────────────────────────────────────────────────────────────


def shown(agent, delivery: Delivery) -> str:
    client = Client()
    client.force_login(agent)
    url = reverse("conversation", args=[delivery.message.part.conversation_id])
    return client.get(url).content.decode()


def test_the_note_shows_the_words_as_the_servers_and_who_passed_them_on(through, accepted, agent):
    hear(through("postmark"), postmark(about(accepted, "bounced")))

    page = shown(agent, accepted)
    assert '<pre aria-label="The provider’s words"><mark>550 5.1.1</mark> The email account' in page
    assert "a mail server, as Postmark passes it on" in page
    assert (
        "An event of Postmark, the service that took the mail; matched by the reference that we signed."
        in page
    )
    assert "Postmark told: not delivered" in page


def test_a_page_with_many_events_needs_no_more_queries(
    through, accepted, reply, agent, django_assert_max_num_queries
):
    relay = through("postmark")
    hear(relay, postmark(about(accepted, "bounced")))
    with CaptureQueriesContext(connection) as alone:
        shown(agent, accepted)
    queries = len(alone)
    for number in range(2, 6):
        [delivery] = reply(f"person{number}@oldworks.example")
        answer(delivery, "250 Ok\r\n")
        hear(relay, postmark(about(delivery, "bounced", number=number)))

    with django_assert_max_num_queries(queries):
        shown(agent, accepted)


def test_the_chip_says_that_their_server_took_it_and_never_that_it_was_delivered(through, accepted, agent):
    hear(through("postmark"), postmark(about(accepted, "delivered")))

    page = shown(agent, accepted)
    assert "accepted by their server" in page
    assert "· delivered" not in page
