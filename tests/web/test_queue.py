"""The queue's page: what waits and why, one thing done to many, incidents, mailboxes, destinations."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from html import unescape

import pytest
from django.core import signing
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from telltale.conversations.models import Mailbox
from telltale.delivery import browse, bulk, claims, holds, queue
from telltale.delivery.browse import BadFilterError, Count, Filter
from telltale.delivery.bulk import Verb
from telltale.delivery.models import Delivery, DeliveryNote, Destination, Incident
from telltale.delivery.states import State
from telltale.mail.report import Stage
from telltale.smtp.session import Outcome
from tests.conftest import answered, found_out

HTMX = {"HX-Request": "true"}
GOOGLE = "mx.google.sandbox.test"
BLOCKED = "550 5.7.1 Service unavailable, client host [192.0.2.1] blocked using <b>Spamhaus</b>\r\n"
GREYLISTED = "450 4.2.0 Greylisted, try again in 15 seconds\r\n"
NO_SUCH_USER = "550 5.1.1 The email account that you tried to reach does not exist\r\n"
ACCEPTED = "250 2.0.0 Ok: queued\r\n"


@pytest.fixture
def plain_desk(client, colleague):
    client.force_login(colleague)
    return client


def claim() -> list[claims.Claim]:
    return claims.claim(uuid.uuid4(), most=50, lease=timedelta(seconds=20))


def answer_all(words: str, *, host: str = "mx.example", stage: Stage = Stage.RCPT) -> None:
    for claimed in claim():
        result = answered(words, recipient=claimed.recipient, host=host, stage=stage)
        queue.record_result(claimed.attempt_id, result)


def shown(page) -> list[str]:
    """The recipients of the list, in its order."""
    return re.findall(r'aria-label="([^"]+@[^"]+)"', page.content.decode())


def states() -> dict[str, str]:
    return dict(Delivery.objects.values_list("recipient", "state"))


@pytest.fixture
def in_each_state(reply, conversation) -> dict[State, Delivery]:
    """One delivery in every state there is, each by the way that leads there."""

    def one(name: str) -> Delivery:
        [delivery] = reply(f"{name}@{name}.example")
        return delivery

    found = {State.DELAYED: one("delayed")}
    answer_all(GREYLISTED)
    found[State.ACCEPTED] = one("accepted")
    answer_all(ACCEPTED)
    found[State.FAILED] = one("failed")
    answer_all(NO_SUCH_USER)
    found[State.UNCERTAIN] = one("uncertain")
    [claimed] = claim()
    lost = found_out("lost", recipient=claimed.recipient, outcome=Outcome.UNCERTAIN, stage=Stage.CONTENT)
    queue.record_result(claimed.attempt_id, lost)
    found[State.DELIVERED] = one("delivered")
    answer_all(ACCEPTED)
    Delivery.objects.filter(recipient="delivered@delivered.example").update(state=State.DELIVERED)
    found[State.SENDING] = one("sending")
    claim()
    found[State.CANCELLED] = one("cancelled")
    bulk.apply(Verb.CANCEL, found[State.CANCELLED].pk, by=None)
    found[State.HELD] = one("held")
    bulk.apply(Verb.HOLD, found[State.HELD].pk, by=None)
    found[State.QUEUED] = one("queued")
    for state, delivery in found.items():
        delivery.refresh_from_db()
        assert delivery.state == state
    assert set(found) == set(State)
    return found


@pytest.fixture
def incident(reply) -> Incident:
    """Google has refused five replies because of a block list."""
    reply(*(f"person{number}@works.example" for number in range(5)))
    answer_all(BLOCKED, host=GOOGLE, stage=Stage.MAIL)
    return Incident.objects.get()


def test_the_page_shows_what_is_open_and_leaves_out_what_is_settled(desk, in_each_state):
    page = desk.get("/queue/")

    assert shown(page) == [
        "queued@queued.example",
        "held@held.example",
        "sending@sending.example",
        "uncertain@uncertain.example",
        "delayed@delayed.example",
    ]


def test_a_row_says_what_became_of_it_and_why(desk, reply, conversation):
    reply("ana@oldworks.example")
    answer_all(GREYLISTED)

    text = desk.get("/queue/").content.decode()

    assert "delayed · 450-4.2.0 · next try" in text
    assert "Greylisted, try again in 15 seconds" in text
    assert f'href="/conversations/{conversation.pk}/"' in text


@pytest.mark.parametrize(
    ("query", "recipients"),
    [
        ("state=held", ["held@held.example"]),
        ("state=waiting", ["queued@queued.example"]),
        ("state=failed", ["failed@failed.example"]),
        ("held=person", ["held@held.example"]),
        ("held=mailbox", []),
        ("destination=delayed.example", ["delayed@delayed.example"]),
        ("provider=EXAMPLE&state=delayed", []),
        ("recipient=HELD@held.example", ["held@held.example"]),
        ("recipient=ertai", ["uncertain@uncertain.example"]),
        ("reason=greylisted", ["delayed@delayed.example"]),
        ("reason=user_unknown", []),
        ("reason=user_unknown&state=any", ["failed@failed.example"]),
        ("older_than=10m", []),
        ("mailbox=support@lamp.example&state=delayed", ["delayed@delayed.example"]),
        ("mailbox=nobody@lamp.example", []),
    ],
)
def test_each_filter_finds_what_it_says(desk, in_each_state, query, recipients):
    assert shown(desk.get(f"/queue/?{query}")) == recipients


def test_a_filter_by_provider_goes_by_who_answers_at_the_destination(desk, reply):
    reply("ana@oldworks.example", "finance@ribeiro.example")
    Destination.objects.filter(name="ribeiro.example").update(provider="Google")

    assert shown(desk.get("/queue/?provider=google")) == ["finance@ribeiro.example"]


def test_a_reply_for_later_is_scheduled_and_not_waiting(desk, reply):
    reply("ana@oldworks.example", leave_at=timezone.now() + timedelta(hours=2))

    assert shown(desk.get("/queue/?state=scheduled")) == ["ana@oldworks.example"]
    assert shown(desk.get("/queue/?state=waiting")) == []


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("state=lost", "There is no state “lost”"),
        ("reason=bad", "There is no reason “bad”"),
        ("older_than=soon", "“soon” is no span of time"),
        ("incident=x", "is no number of an incident"),
        ("recipient=%00", "no NUL"),
    ],
)
def test_a_filter_that_means_nothing_is_refused_in_words(desk, reply, query, words):
    page = desk.get(f"/queue/?{query}")

    assert page.status_code == 200
    assert words in page.content.decode()


def test_the_figures_count_state_by_state(in_each_state, reply):
    reply("later@later.example", leave_at=timezone.now() + timedelta(hours=2))

    counted = {(figure.state, figure.held): figure.count.number for figure in browse.figures()}

    assert counted == {
        ("waiting", ""): 1,
        ("scheduled", ""): 1,
        ("sending", ""): 1,
        ("delayed", ""): 1,
        ("held", "address"): 0,
        ("held", "incident"): 0,
        ("held", "mailbox"): 0,
        ("held", "person"): 1,
        ("uncertain", ""): 1,
    }


def test_a_count_stops_where_nobody_needs_it_any_more(reply):
    reply(*(f"person{number}@works.example" for number in range(5)))

    assert str(browse.count(Delivery.objects.all(), most=4)) == "4+"
    assert str(browse.count(Delivery.objects.all(), most=5)) == "5"
    assert str(Count(10_000, is_more=True)) == "10,000+"


def test_pages_follow_each_other_by_id_without_gap_or_repetition(desk, reply, monkeypatch):
    monkeypatch.setattr(browse.page, "__kwdefaults__", {"before": None, "size": 2})
    reply(*(f"person{number}@works.example" for number in range(5)))
    seen, address = [], "/queue/?state=waiting"

    while address:
        page = desk.get(address)
        seen += shown(page)
        older = re.search(r'href="(/queue/\?[^"]*before=\d+)"', page.content.decode())
        address = unescape(older[1]) if older else ""

    assert seen == [f"person{number}@works.example" for number in (4, 3, 2, 1, 0)]


def test_a_page_needs_the_same_number_of_queries_for_one_row_and_for_many(desk, reply):
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            desk.get("/queue/")
        return len(captured)

    reply("ana@oldworks.example")
    answer_all(GREYLISTED)
    first = queries()
    reply(*(f"person{number}@works.example" for number in range(20)))
    answer_all(GREYLISTED)

    assert queries() == first


def test_what_is_ticked_is_held_and_then_released(desk, reply, agent):
    ana, finance = reply("ana@oldworks.example", "finance@ribeiro.example")

    held = desk.post("/queue/bulk", {"verb": "hold", "which": "chosen", "id": [ana.pk]}, follow=True)

    assert "1 delivery was held." in held.content.decode()
    ana.refresh_from_db()
    assert (ana.state, ana.held_because) == (State.HELD, Delivery.Hold.PERSON)
    assert [one.recipient for one in claim()] == [finance.recipient]
    assert DeliveryNote.objects.get(delivery=ana).kind == DeliveryNote.Kind.HELD

    released = desk.post("/queue/bulk", {"verb": "release", "which": "chosen", "id": [ana.pk]}, follow=True)

    assert "1 delivery was released." in released.content.decode()
    assert [one.recipient for one in claim()] == [ana.recipient]
    assert DeliveryNote.objects.get(delivery=ana).closed_by == agent


def test_what_has_become_impossible_meanwhile_is_told(desk, in_each_state):
    ids = [delivery.pk for delivery in in_each_state.values()]

    page = desk.post("/queue/bulk", {"verb": "hold", "which": "chosen", "id": ids}, follow=True)

    text = page.content.decode()
    assert "2 deliveries were held." in text
    for words in ("1 was accepted meanwhile", "1 was being sent just now", "1 was held already"):
        assert words in text


@pytest.mark.parametrize("verb", Verb)
def test_no_verb_ever_forces_a_state(in_each_state, verb, agent):
    before = {delivery.pk: state for state, delivery in in_each_state.items()}

    for state, delivery in in_each_state.items():
        why_not = bulk.apply(verb, delivery.pk, by=agent)

        delivery.refresh_from_db()
        assert bool(why_not) == (delivery.state == before[delivery.pk] and not _stays(verb, state)), state


def _stays(verb: Verb, state: State) -> bool:
    """What is queued and tried again is queued."""
    return verb == Verb.RETRY and state == State.QUEUED


@pytest.mark.parametrize("verb", Verb)
def test_a_delivery_that_a_worker_takes_at_the_same_moment_is_left_to_it(reply, verb, agent, monkeypatch):
    [delivery] = reply("ana@oldworks.example")
    if verb == Verb.RELEASE:
        bulk.apply(Verb.HOLD, delivery.pk, by=agent)
    seen = Delivery.objects.select_related("mailbox", "message__part").get(pk=delivery.pk)
    Delivery.objects.filter(pk=delivery.pk).update(
        state="sending",
        held_because="",
        next_attempt_at=None,
        lease_until=timezone.now(),
        lease_owner=uuid.uuid4(),
    )

    assert bulk._apply(verb, seen, agent) == "being sent just now"
    assert states() == {"ana@oldworks.example": "sending"}


def test_a_reply_that_was_taken_back_is_passed_over(reply, agent):
    [delivery] = reply("ana@oldworks.example")
    Delivery.objects.filter(pk=delivery.pk).delete()

    assert bulk.apply(Verb.HOLD, delivery.pk, by=agent) == bulk.GONE


def test_nothing_of_a_paused_mailbox_is_let_go(reply, mailbox, agent):
    [delivery] = reply("ana@oldworks.example")
    bulk.pause(mailbox, by=agent)
    holds.settle()

    assert bulk.apply(Verb.RELEASE, delivery.pk, by=agent) == bulk.PAUSED
    assert bulk.apply(Verb.RETRY, delivery.pk, by=agent) == bulk.PAUSED


def test_a_reply_for_later_is_not_hurried(reply, agent):
    [delivery] = reply("ana@oldworks.example", leave_at=timezone.now() + timedelta(hours=2))

    assert bulk.apply(Verb.RETRY, delivery.pk, by=agent) == bulk.SCHEDULED


def test_a_reply_for_later_that_was_held_still_leaves_later(reply, agent):
    later = timezone.now() + timedelta(hours=2)
    [delivery] = reply("ana@oldworks.example", leave_at=later)
    bulk.apply(Verb.HOLD, delivery.pk, by=agent)
    bulk.apply(Verb.RELEASE, delivery.pk, by=agent)

    delivery.refresh_from_db()
    assert delivery.next_attempt_at == later


def test_an_uncertain_one_is_sent_again_only_where_that_is_asked_for(in_each_state):
    assert not bulk.targets(Verb.RETRY, Filter(state="any")).filter(state="uncertain").exists()
    assert bulk.targets(Verb.RETRY, Filter(state="uncertain")).count() == 1


def test_a_conversation_tells_who_held_and_cancelled(reply, agent, conversation):
    ana, finance = reply("ana@oldworks.example", "finance@ribeiro.example")
    bulk.apply(Verb.HOLD, ana.pk, by=agent)
    bulk.apply(Verb.CANCEL, finance.pk, by=None)

    events = list(conversation.parts.filter(kind="event").values_list("body", flat=True))
    assert events == [
        "Maya held the delivery to ana@oldworks.example",
        "An administrator at the command line cancelled the delivery to finance@ribeiro.example",
    ]


def begin(desk, **asked: str) -> str:
    """Choose "all that match"; returns the address of the page that asks whether that is meant."""
    query = asked.pop("query", "")
    response = desk.post("/queue/bulk", {"which": "matching", "query": query, **asked})
    assert response.status_code == 302
    return response.url


def token(page) -> str:
    return unescape(re.search(r'name="at" value="([^"]+)"', page.content.decode())[1])


def test_all_that_match_are_shown_before_anything_is_done(desk, reply):
    reply(*(f"person{number}@works.example" for number in range(3)))

    page = desk.get(begin(desk, verb="cancel", query="destination=works.example"))

    assert "3 deliveries match (destination works.example)" in page.content.decode()
    assert "load" not in re.search(r'hx-trigger="([^"]*)"', page.content.decode())[1]
    assert set(states().values()) == {"queued"}


def test_bulk_work_goes_on_batch_by_batch_without_javascript(desk, reply, monkeypatch):
    monkeypatch.setattr("telltale.web.views.queue.WORKS_FOR", 0)  # one delivery in a request
    reply(*(f"person{number}@works.example" for number in range(3)), "other@other.example")
    page = desk.get(begin(desk, verb="hold", query="destination=works.example"))
    steps = 0

    while "Back to the queue" not in page.content.decode():
        page = desk.post("/queue/bulk/steps", {"at": token(page)}, follow=True)
        steps += 1

    assert "3 deliveries were held." in page.content.decode()
    assert steps == 3
    assert states().pop("other@other.example") == "queued"


def test_bulk_work_goes_on_from_its_own_address_after_a_reload(desk, reply, monkeypatch):
    monkeypatch.setattr("telltale.web.views.queue.WORKS_FOR", 0)
    reply(*(f"person{number}@works.example" for number in range(3)))
    page = desk.get(begin(desk, verb="hold"))

    step = desk.post("/queue/bulk/steps", {"at": token(page)}, headers=HTMX)
    reloaded = desk.get(step.headers["HX-Replace-Url"])

    assert "1 delivery was held." in reloaded.content.decode()
    assert "1 of 3" in reloaded.content.decode()
    assert "load" in re.search(r'hx-trigger="([^"]*)"', reloaded.content.decode())[1]


def test_the_same_step_twice_does_nothing_twice(desk, reply, conversation):
    reply("ana@oldworks.example", "finance@ribeiro.example")
    page = desk.get(begin(desk, verb="hold"))

    for _ in range(2):
        desk.post("/queue/bulk/steps", {"at": token(page)}, headers=HTMX)

    assert conversation.parts.filter(kind="event").count() == 2


def test_what_is_queued_after_the_start_is_not_meant(desk, reply):
    reply("ana@oldworks.example")
    page = desk.get(begin(desk, verb="hold"))
    reply("finance@ribeiro.example")

    desk.post("/queue/bulk/steps", {"at": token(page)})

    assert states() == {"ana@oldworks.example": "held", "finance@ribeiro.example": "queued"}


def test_work_that_somebody_else_began_or_made_up_is_refused(desk, client, reply, colleague):
    reply("ana@oldworks.example")
    page = desk.get(begin(desk, verb="hold"))
    client.force_login(colleague)

    assert client.post("/queue/bulk/steps", {"at": token(page)}).status_code == 403
    assert client.post("/queue/bulk/steps", {"at": signing.dumps({"verb": "hold"})}).status_code == 403
    assert client.get("/queue/bulk/progress").status_code == 403
    assert states() == {"ana@oldworks.example": "queued"}


@pytest.mark.parametrize(
    "asked",
    [
        {"verb": "hold", "which": "chosen"},
        {"verb": "burn", "which": "matching"},
        {"verb": "hold", "which": "matching", "query": "state=lost"},
        {"verb": "hold", "which": "chosen", "id": "x"},
        {"verb": "hold", "which": "matching", "query": "state=lost\r\nSet-Cookie: a=b"},
    ],
)
def test_work_without_a_meaning_is_refused_in_words(desk, reply, asked):
    reply("ana@oldworks.example")

    page = desk.post("/queue/bulk", asked, follow=True)

    assert page.status_code == 200
    assert 'class="said"' in page.content.decode()
    assert states() == {"ana@oldworks.example": "queued"}


def test_an_incident_stands_on_top_with_the_words_of_the_provider(desk, incident):
    text = desk.get("/queue/").content.decode()

    assert "Google: " in text
    assert "blocked using &lt;b&gt;Spamhaus&lt;/b&gt;" in text  # their words are text
    assert "<b>5</b> deliveries" in text
    assert "us: our set-up or our reputation" in text
    assert "It is mended: release" in text


def test_the_deliveries_of_an_incident_are_one_click_away(desk, incident):
    page = desk.get(f"/queue/?incident={incident.pk}")

    assert len(shown(page)) == 5


def test_an_admin_who_has_mended_it_has_what_failed_sent_again(desk, incident):
    page = desk.get(f"/queue/incidents/{incident.pk}/")
    assert "Spamhaus" in page.content.decode()

    desk.post(f"/queue/incidents/{incident.pk}/closing", {"retry_failed": "1"})
    holds.settle()

    incident.refresh_from_db()
    assert (incident.closed_how, incident.retry_failed) == (Incident.Closed.BY_HAND, True)
    assert len(claim()) == 5
    assert "Incidents that are over" in desk.get("/queue/").content.decode()


def test_an_admin_pauses_a_mailbox_and_lets_it_go_on(desk, mailbox, reply):
    desk.post(f"/queue/mailboxes/{mailbox.pk}/pause")
    assert "paused by Maya" in desk.get("/queue/").content.decode()

    desk.post(f"/queue/mailboxes/{mailbox.pk}/resumption")
    assert Mailbox.objects.get().paused_at is None


def test_an_admin_limits_a_destination(desk, reply):
    reply("ana@oldworks.example")

    page = desk.post("/queue/limits", {"destination": "OldWorks.example", "per_minute": "30"}, follow=True)

    assert "oldworks.example: at most 30 tries in a minute." in page.content.decode()
    assert "30 in a minute" in page.content.decode()
    assert Destination.objects.get().per_minute == 30

    desk.post("/queue/limits", {"destination": "oldworks.example", "per_minute": ""})
    assert Destination.objects.get().per_minute is None


@pytest.mark.parametrize("pace", ["0", "-1", "x", "1000000"])
def test_a_limit_that_is_none_is_refused(desk, reply, pace):
    reply("ana@oldworks.example")

    desk.post("/queue/limits", {"destination": "oldworks.example", "per_minute": pace})

    assert Destination.objects.get().per_minute is None


def test_only_an_admin_pauses_limits_and_closes(plain_desk, mailbox, incident):
    for address in (
        f"/queue/mailboxes/{mailbox.pk}/pause",
        f"/queue/mailboxes/{mailbox.pk}/resumption",
        f"/queue/incidents/{incident.pk}/closing",
        "/queue/limits",
    ):
        assert plain_desk.post(address, {"destination": "a.example"}).status_code == 403
    text = plain_desk.get("/queue/").content.decode()
    assert "It is mended" not in text
    assert "Set the limit" not in text


def test_an_agent_who_is_no_admin_holds_and_releases(plain_desk, reply):
    [delivery] = reply("ana@oldworks.example")

    plain_desk.post("/queue/bulk", {"verb": "hold", "which": "chosen", "id": delivery.pk})

    assert states() == {"ana@oldworks.example": "held"}


def test_nothing_changes_by_looking(desk, mailbox, incident):
    for address in (
        "/queue/bulk",
        "/queue/bulk/steps",
        f"/queue/incidents/{incident.pk}/closing",
        f"/queue/mailboxes/{mailbox.pk}/pause",
        "/queue/limits",
    ):
        assert desk.get(address).status_code == 405


def test_the_navigation_says_that_something_is_held(desk, reply, agent):
    [delivery] = reply("ana@oldworks.example")
    assert 'href="/queue/" aria-current="page">Queue</a>' in desk.get("/queue/").content.decode()

    bulk.apply(Verb.HOLD, delivery.pk, by=agent)

    assert 'class="alert">Queue <b>1</b></a>' in desk.get("/inbox/open/").content.decode()


def test_a_search_that_takes_too_long_is_ended_and_said(desk, reply, monkeypatch):
    reply("ana@oldworks.example")
    with pytest.raises(browse.TooSlowError), browse.within(0.05), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(10)")
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


@pytest.mark.parametrize(
    ("text", "span"), [("30m", timedelta(minutes=30)), ("2h", timedelta(hours=2)), ("3 d", timedelta(days=3))]
)
def test_a_span_of_time_is_written_short(text, span):
    assert browse.span(text) == span


@pytest.mark.parametrize("text", ["", "h", "-2h", "2w", "9999999d"])
def test_any_other_span_is_refused(text):
    with pytest.raises(BadFilterError):
        browse.span(text)
