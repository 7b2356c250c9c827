"""What many tests need: a desk with an agent, a mailbox and a conversation."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

import pytest
import uvloop

from telltale.mail.reply import SmtpReply
from telltale.mail.report import Action, Diagnostic, RecipientReport, Stage
from telltale.smtp.session import AttemptResult, Outcome, TranscriptLine
from tests.plugin import cluster, has_own_database

# A shell starts what runs in the background with SIGINT ignored, and the commands that tests start and
# interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Python's own event loop; for what runs in the delivery process, its loop, and for the wire both.

    Each has its own way to write, and to lose a peer.
    """
    loops = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    wanted = {"smtp": ["asyncio", "uvloop"], "delivery": ["uvloop"]}.get(item.path.parent.name, ["asyncio"])
    return {name: loops[name] for name in wanted}


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> Iterator[None]:
    """Called by pytest-django before it makes the test database."""
    if not has_own_database:
        yield
        return
    cluster.start()
    yield
    cluster.stop()


class EndlessError(Exception):
    """The reading was broken off."""


@pytest.fixture
def every_reading_ends() -> Iterator[None]:
    """Breaks a reading off that has kept this process busy for a minute; none should need two seconds.

    The interpreter looks for signals between two instructions and inside of a regular expression's search.
    """
    limit = 60  # seconds of this process

    def break_off(*_: object) -> None:
        raise EndlessError(f"still reading after {limit} s")

    before = signal.signal(signal.SIGVTALRM, break_off)
    signal.setitimer(signal.ITIMER_VIRTUAL, limit)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)


@pytest.fixture
def agent(db):
    from telltale.accounts.models import Agent

    return Agent.objects.create_user("maya@lamp.example", None, name="Maya", is_admin=True)


@pytest.fixture
def colleague(db):
    from telltale.accounts.models import Agent

    return Agent.objects.create_user("jonas@lamp.example", None, name="Jonas")


@pytest.fixture
def mailbox(db):
    from telltale.conversations.models import Mailbox

    return Mailbox.objects.create(name="Lamp & Co", address="support@lamp.example")


def leave_by_relay(host: str, port: int, **fields: object) -> None:
    """Every mailbox's mail leaves by this relay."""
    from telltale.conversations.models import Mailbox, Relay

    Mailbox.objects.update(way=Mailbox.Way.RELAY)
    for mailbox in Mailbox.objects.all():
        Relay.objects.create(mailbox=mailbox, host=host, port=port, **{"security": "none", **fields})


@pytest.fixture
def conversation(mailbox):
    """Ana wrote from ana@oldworks.example; she also has an address at gmail.example."""
    from telltale.conversations.actions import add_customer_message, open_conversation
    from telltale.conversations.models import Address, Contact

    ana = Contact.objects.create(name="Ana Ribeiro")
    for email in ("ana@oldworks.example", "ana.ribeiro@gmail.example"):
        Address.objects.create(contact=ana, email=email)
    conversation = open_conversation(mailbox=mailbox, contact=ana, subject="Where is my refund?")
    add_customer_message(
        conversation,
        from_address="ana@oldworks.example",
        body="Could you check?",
        message_id="<first@oldworks.example>",
    )
    conversation.refresh_from_db()
    return conversation


@pytest.fixture
def reply(conversation, agent) -> Callable:
    """Sends a reply to these addresses and returns its deliveries, in that order."""
    from telltale.delivery.actions import send_reply
    from telltale.delivery.composing import Recipient
    from telltale.delivery.models import Delivery

    def send(
        *addresses: str,
        body: str = "The refund left us this morning.",
        key: uuid.UUID | None = None,
        **options,
    ):
        roles = [Delivery.Role.TO, *[Delivery.Role.CC] * (len(addresses) - 1)]
        part = send_reply(
            conversation,
            agent=agent,
            recipients=[Recipient(role, address) for role, address in zip(roles, addresses, strict=True)],
            body=body,
            key=key or uuid.uuid4(),
            **options,
        )
        return list(Delivery.objects.filter(message__part=part))

    return send


def answered(
    words: str, *, recipient: str, stage: Stage = Stage.RCPT, host: str = "mx.example"
) -> AttemptResult:
    """What a session returns when a server answered with these words."""
    reply = SmtpReply.from_wire(words.encode())
    report = (
        None
        if reply.is_positive
        else RecipientReport.from_reply(reply, recipient=recipient, remote_mta=host, stage=stage)
    )
    outcome = (
        Outcome.ACCEPTED if reply.is_positive else Outcome.FAILED if reply.is_permanent else Outcome.DELAYED
    )
    return _result(outcome, stage, report, reply, host)


def found_out(text: str, *, recipient: str, outcome: Outcome = Outcome.DELAYED, stage: Stage = Stage.CONNECT):
    """What a session returns when no server answered."""
    action = Action.FAILED if outcome == Outcome.FAILED else Action.DELAYED
    report = RecipientReport(recipient, action, diagnostic_code=Diagnostic("x-local", text), stage=stage)
    return _result(outcome, stage, report, None, "mx.example")


def _result(outcome, stage, report, reply, host) -> AttemptResult:
    now = datetime.now(UTC)
    return AttemptResult(
        outcome=outcome,
        stage=stage,
        report=report,
        reply=reply,
        remote_host=host,
        remote_ip="127.0.0.1",
        tls_version="",
        tls_verified=None,
        queue_id="",
        transcript=(TranscriptLine(now, "S", str(reply)),) if reply else (),
        started_at=now,
        ended_at=now,
    )
