"""Mail fetched by IMAP from a real Dovecot: all of it, once, and how it goes stands where people look."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from telltale.channels.oauth import Granted
from telltale.conversations.models import ImapAccount, ImapFolder, Part, RawMail
from telltale.delivery.models import Delivery, DeliveryNote
from telltale.delivery.states import State
from telltale.inbound import fetching, imap, reading
from telltale.inbound.fetching import Fetcher, Fetchers
from telltale.inbound.imap import ImapFaultError, check
from tests.delivery.test_queue import answer
from tests.delivery.test_worker import PATIENCE, wait_until
from tests.inbound.door_process import locked, somebody_waits_for
from tests.inbound.dovecot import HOST, PASSWORD, USERNAME, Dovecot, dovecot, token, why_not
from tests.inbound.mails import MAILBOX, letter, report_on, way_back
from tests.smtp.certificates import Workshop

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
]
SENDER = "ana@oldworks.example"


@pytest.fixture(scope="module")
def workshop(tmp_path_factory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture
def server(workshop, monkeypatch) -> Iterator[Dovecot]:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority(workshop)))
    with dovecot(workshop) as running:
        yield running


def authority(workshop: Workshop):
    assert workshop.client  # writes its file
    return workshop._folder / "authority.pem"


@pytest.fixture
def account(server, mailbox) -> ImapAccount:
    return new_account(server, mailbox)


def new_account(server: Dovecot, mailbox, **fields: object) -> ImapAccount:
    values = {"host": HOST, "port": server.tls_port, "username": USERNAME, "password": PASSWORD}
    return ImapAccount.objects.create(mailbox=mailbox, **(values | fields))


@pytest.fixture
def fetch() -> Iterator[Callable[[], Fetchers]]:
    """Begins to fetch as the settings are, and stops at the end."""
    started: list[Fetchers] = []

    def begin() -> Fetchers:
        fetchers = Fetchers(read_all)
        fetchers.settle()
        started.append(fetchers)
        return fetchers

    yield begin
    for fetchers in started:
        fetchers.stop(PATIENCE)


def read_all() -> None:
    """What the process does in its own thread."""
    while reading.read_next():
        pass
    connection.close()


def folder(name: str = "INBOX") -> ImapFolder:
    return ImapFolder.objects.get(name=name)


def has_begun(name: str = "INBOX") -> bool:
    return ImapFolder.objects.filter(name=name, answered_at__isnull=False).exists()


def mail(number: int) -> bytes:
    return letter(body=f"number {number}").replace(b"<new@", f"<new{number}@".encode())


# All of it, once


def test_what_comes_is_a_conversation_at_once_and_read_there(server, account, fetch):
    server.deliver(letter(body="from before"))
    fetch()
    wait_until(has_begun)

    server.deliver(letter(body="just came"))

    wait_until(lambda: Part.objects.filter(body="just came").exists())
    wait_until(lambda: server.unread() == 1)
    stored = RawMail.objects.get()
    assert (stored.door, stored.rcpt_to, stored.peer) == ("imap", MAILBOX, HOST)
    assert not Part.objects.filter(body="from before").exists()


def test_what_comes_between_asking_and_waiting_is_there_at_once(server, account, fetch, monkeypatch):
    """The server tells of it in the packet that begins IDLE: imaplib has read that line already, and poll() waits."""
    waits = imap.ImapSession.await_news
    come = iter([mail(1), mail(2)])

    def await_news(session: imap.ImapSession, seconds: float) -> None:
        if content := next(come, b""):
            server.deliver(content)
        waits(session, seconds)

    monkeypatch.setattr(imap.ImapSession, "await_news", await_news)
    fetch()

    wait_until(lambda: Part.objects.count() == 2)


def test_what_is_unread_is_taken_where_that_is_wanted(server, mailbox, fetch):
    new_account(server, mailbox, begin="unread")
    server.deliver(mail(1), is_read=True)
    server.deliver(mail(2))
    server.deliver(mail(3))

    fetch()

    wait_until(lambda: folder().uidvalidity is not None)
    assert sorted(Part.objects.values_list("body", flat=True)) == ["number 2", "number 3"]
    wait_until(lambda: server.unread() == 0)


def test_what_came_while_nobody_fetched_is_taken_in_its_order_with_an_empty_line_and_all(
    server, account, fetch
):
    first = fetch()
    wait_until(has_begun)
    first.stop(PATIENCE)
    for number in range(5):
        server.deliver(mail(number))

    fetch()

    wait_until(lambda: Part.objects.count() == 5)
    assert list(Part.objects.order_by("pk").values_list("body", flat=True)) == [
        f"number {n}" for n in range(5)
    ]
    with RawMail.objects.order_by("pk")[0].content.open("rb") as file:
        assert file.read() == mail(0)


def test_where_it_may_not_be_marked_as_read_it_is_not_and_still_comes_once(server, mailbox, fetch):
    new_account(server, mailbox, marks_read=False)
    first = fetch()
    wait_until(has_begun)
    server.deliver(mail(1))
    wait_until(lambda: Part.objects.count() == 1)
    first.stop(PATIENCE)

    fetch()
    server.deliver(mail(2))

    wait_until(lambda: Part.objects.count() == 2)
    assert server.unread() == 2


def test_killed_between_keeping_and_marking_the_mail_is_marked_next_time_and_not_kept_again(
    server, account, fetch, monkeypatch
):
    first = fetch()
    wait_until(has_begun)
    with monkeypatch.context() as broken:
        broken.setattr(imap.ImapSession, "mark_read", killed)
        server.deliver(mail(1))
        wait_until(lambda: Part.objects.count() == 1)
        first.stop(PATIENCE)
    assert server.unread() == 1

    fetch()

    wait_until(lambda: server.unread() == 0)
    assert RawMail.objects.count() == 1


def killed(*_: object, **__: object) -> None:
    """What comes after this never happens."""
    raise ImapFaultError("killed here")


def test_killed_before_it_is_kept_the_mail_is_unread_there_and_taken_next_time(
    server, account, fetch, monkeypatch
):
    first = fetch()
    wait_until(has_begun)
    with monkeypatch.context() as broken:
        broken.setattr(fetching, "keep", killed)
        server.deliver(mail(1))
        wait_until(lambda: folder().fault == "killed here")
        first.stop(PATIENCE)
    assert (server.unread(), RawMail.objects.count()) == (1, 0)

    fetch()

    wait_until(lambda: Part.objects.count() == 1)


def test_the_process_killed_while_it_keeps_a_mail_has_it_once_after_the_next_start(server, account, process):
    first = process()
    wait_until(has_begun)
    with locked("conversations_rawmail"):
        server.deliver(mail(1))
        wait_until(lambda: somebody_waits_for("conversations_rawmail"))
        first.end(signal.SIGKILL)
    assert (server.unread(), RawMail.objects.count()) == (1, 0)

    process()

    wait_until(lambda: Part.objects.filter(body="number 1").exists())
    wait_until(lambda: server.unread() == 0)
    assert RawMail.objects.count() == 1


def test_two_processes_at_one_folder_keep_each_mail_once(server, account, fetch):
    fetch(), fetch()
    wait_until(has_begun)
    for number in range(20):
        server.deliver(mail(number))

    wait_until(lambda: Part.objects.count() == 20)
    wait_until(lambda: server.unread() == 0)
    assert RawMail.objects.count() == 20


class NothingThere:
    """A session in which no mail is found."""

    def sizes(self, uids: list[int]) -> list[tuple[int, int]]:
        return []


def test_who_begins_late_does_not_turn_back_how_far_another_process_got(server, account):
    """Two processes begin at one folder; the other has gone on to mail 12 when this one gets to write down 10."""
    ImapFolder.objects.create(account=account, name="INBOX")
    late = Fetcher(account, folder(), read_all)
    ImapFolder.objects.update(uidvalidity=7, last_uid=12, read_uid=12)

    late._take_once(NothingThere(), [], 7, 11)  # type: ignore[arg-type]

    assert (folder().last_uid, folder().read_uid) == (12, 12)


def test_a_folder_with_new_numbers_is_looked_through_and_nothing_comes_twice(server, account, fetch):
    first = fetch()
    wait_until(has_begun)
    server.deliver(mail(1))
    wait_until(lambda: Part.objects.count() == 1)
    first.stop(PATIENCE)
    before = folder().uidvalidity
    server.forget_uids()
    server.deliver(mail(2))

    fetch()

    wait_until(lambda: Part.objects.count() == 2)
    wait_until(lambda: folder().uidvalidity not in (None, before))
    server.deliver(mail(3))
    wait_until(lambda: Part.objects.count() == 3)
    assert RawMail.objects.count() == 3


def test_several_folders_and_several_mailboxes_are_fetched_at_once(server, mailbox, fetch):
    with server.session() as client:
        client.create("Rückläufer".encode("utf-7").decode().replace("+", "&"))
    new_account(server, mailbox, folders="INBOX\nRückläufer\n\nINBOX")

    fetch()
    wait_until(lambda: has_begun("INBOX") and has_begun("Rückläufer"))
    server.deliver(mail(1))
    server.deliver(mail(2), "R&APw-ckl&AOQ-ufer")

    wait_until(lambda: Part.objects.count() == 2)


def test_a_mail_that_is_larger_than_we_take_is_kept_in_part_and_that_is_said(
    server, account, fetch, settings
):
    settings.MAX_MESSAGE_SIZE = 5_000
    fetch()
    wait_until(has_begun)

    server.deliver(letter(body="words\r\n" + ("z" * 70 + "\r\n") * 400))

    wait_until(lambda: Part.objects.filter(kind=Part.Kind.EVENT).exists())
    event = Part.objects.get(kind=Part.Kind.EVENT)
    assert "of which the desk kept the first 0.0 MB" in event.body
    assert Part.objects.get(kind=Part.Kind.CUSTOMER_MESSAGE).body.startswith("words")


def test_a_large_mail_is_fetched_in_pieces_and_whole(server, account, fetch, monkeypatch):
    monkeypatch.setattr(imap, "PIECE", 1_000)
    fetch()
    wait_until(has_begun)
    content = letter(body=("z" * 70 + "\r\n") * 400)

    server.deliver(content)

    wait_until(lambda: Part.objects.exists())
    with RawMail.objects.get().content.open("rb") as file:
        assert file.read() == content


# Whose it is


@pytest.fixture
def accepted(reply) -> Delivery:
    [delivery] = reply(SENDER)
    answer(delivery, "250 2.0.0 Ok\r\n")
    return delivery


def addressed(content: bytes, header: str) -> bytes:
    return f"{header}\r\n".encode() + content


def test_a_bounce_in_the_account_finds_its_reply_by_the_address_that_its_header_names(
    server, account, accepted, fetch
):
    fetch()
    wait_until(has_begun)

    server.deliver(addressed(report_on(accepted), f"Delivered-To: {way_back(accepted)}"))

    wait_until(lambda: DeliveryNote.objects.exists())
    accepted.refresh_from_db()
    assert accepted.state == State.FAILED
    assert RawMail.objects.get().rcpt_to == way_back(accepted)


def test_a_bounce_to_an_account_that_writes_its_own_return_path_counts_as_not_proven(
    server, account, accepted, fetch
):
    """Google and Microsoft put the account's address in place of ours: the enclosed mail is all that is left."""
    fetch()
    wait_until(has_begun)

    server.deliver(addressed(report_on(accepted), f"Delivered-To: {USERNAME}"))

    wait_until(lambda: DeliveryNote.objects.exists())
    accepted.refresh_from_db()
    assert accepted.state == State.FAILED
    [report] = accepted.reports.exclude(returned_mail=None)
    assert not report.proven


def test_a_bounce_to_an_address_that_only_looks_like_ours_changes_nothing(server, account, accepted, fetch):
    fetch()
    wait_until(has_begun)
    forged = way_back(accepted).replace("@", "x@")[1:]

    server.deliver(addressed(report_on(accepted), f"Delivered-To: b{forged[:-20]}aaaa@lamp.example"))

    wait_until(lambda: RawMail.objects.filter(fate=RawMail.Fate.QUARANTINED).exists())
    accepted.refresh_from_db()
    assert accepted.state == State.ACCEPTED


# How it goes


def test_a_wrong_password_is_said_in_the_servers_words_with_its_time_and_mends_itself(
    server, account, fetch, monkeypatch
):
    monkeypatch.setattr(fetching, "PAUSE_OF_SIGN_IN", 0.1)
    monkeypatch.setattr(fetching, "FIRST_PAUSE", 0.1)
    server.set_password("another")
    fetch()
    wait_until(lambda: folder().fault != "")
    since = folder().fault_since

    assert folder().fault == "The server does not let us in: [AUTHENTICATIONFAILED] Authentication failed."
    assert since is not None
    assert timezone.now() - since < timedelta(minutes=1)

    server.set_password(PASSWORD)

    wait_until(lambda: folder().fault == "")
    server.deliver(mail(1))
    wait_until(lambda: Part.objects.exists())


def test_a_connection_that_breaks_is_made_anew(server, account, fetch, monkeypatch):
    monkeypatch.setattr(fetching, "FIRST_PAUSE", 0.1)
    fetchers = fetch()
    wait_until(has_begun)
    fetcher = fetchers._running[folder().pk][1]
    assert fetcher._session
    fetcher._session.close()

    server.deliver(mail(1))

    wait_until(lambda: Part.objects.exists())


def test_a_server_that_is_not_there_is_said(server, account, fetch):
    ImapAccount.objects.update(port=1)
    fetch()

    wait_until(lambda: "Connection refused" in folder().fault)


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # the library leaves a socket open
def test_a_server_whose_certificate_does_not_hold_gets_no_password(server, account, fetch, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    fetch()

    wait_until(lambda: folder().fault != "")
    assert folder().fault.startswith("The server's certificate does not hold: ")
    assert server.log().count("method=") == 1  # of the test itself, which waited for the server


def test_a_folder_that_is_not_there_is_said(server, account, fetch):
    ImapAccount.objects.update(folders="Nowhere")
    fetch()

    wait_until(lambda: ImapFolder.objects.filter(name="Nowhere").exclude(fault="").exists())
    assert "Nowhere" in folder("Nowhere").fault


def test_a_changed_setting_counts_at_once_and_a_removed_account_is_left_alone(server, account, fetch):
    fetchers = fetch()
    wait_until(has_begun)

    with server.session() as client:
        client.create("Other")
    ImapAccount.objects.update(folders="Other")
    fetchers.settle()
    wait_until(lambda: has_begun("Other"))
    server.deliver(mail(1), "Other")
    wait_until(lambda: Part.objects.count() == 1)

    assert not ImapFolder.objects.filter(name="INBOX").exists()
    ImapAccount.objects.all().delete()
    fetchers.settle()
    assert not fetchers._running


def test_a_folder_that_is_taken_out_of_the_settings_by_another_process_is_left_alone(
    server, account, fetch, monkeypatch
):
    monkeypatch.setattr(fetching, "WAIT", 0.1)
    fetchers = fetch()
    wait_until(has_begun)
    fetcher = fetchers._running[folder().pk][1]

    ImapFolder.objects.all().delete()

    fetcher.join(PATIENCE)
    assert not fetcher._thread.is_alive()


def test_starttls_is_spoken_where_that_is_set(server, mailbox, fetch):
    new_account(server, mailbox, port=server.port, security="starttls")
    fetch()
    wait_until(has_begun)
    assert "TLS" in server.log()


def test_a_password_with_letters_beyond_ascii_is_given_by_plain(server, account, fetch):
    server.set_password("schlüssel")
    ImapAccount.objects.update(password="")
    account.password = "schlüssel"
    account.save()

    fetch()

    wait_until(has_begun)


def test_a_server_that_cannot_tell_of_news_is_asked(workshop, mailbox, fetch, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority(workshop)))
    monkeypatch.setattr(fetching, "POLL", 0.2)
    with dovecot(workshop, can_idle=False) as server:
        new_account(server, mailbox)
        fetchers = fetch()
        wait_until(has_begun)
        server.deliver(mail(1))
        wait_until(lambda: Part.objects.exists())
        fetchers.stop(PATIENCE)


def test_with_a_token_of_oauth_it_is_signed_in(server, mailbox, fetch, monkeypatch):
    account = new_account(server, mailbox, sign_in="microsoft", client_id="desk", refresh_token="refresh")
    asked = []

    def given(kind: object, pk: int):
        asked.append((kind, pk))
        return Granted(token(), 3_600, "")

    monkeypatch.setattr(imap, "renewed", given)
    fetch()

    wait_until(has_begun)
    assert asked == [(ImapAccount, account.pk)]
    assert "method=XOAUTH2" in server.log()


def test_an_expired_token_is_told_in_the_servers_words(server, mailbox, fetch, monkeypatch):
    new_account(server, mailbox, sign_in="microsoft", client_id="desk", refresh_token="refresh")
    monkeypatch.setattr(imap, "renewed", lambda *_: Granted(token(lives=-60), 3_600, ""))
    fetch()

    wait_until(lambda: folder().fault.startswith("The server does not let us in: "))


def test_where_nobody_has_signed_in_with_oauth_that_is_said(server, mailbox, fetch):
    new_account(server, mailbox, sign_in="google", client_id="desk")
    fetch()

    wait_until(lambda: folder().fault != "")
    assert folder().fault == "nobody has signed in yet: an admin does so in Settings, Mailboxes"


def test_the_check_tells_what_is_there_and_what_is_wrong(server, account):
    server.deliver(mail(1))

    assert check(account) == f"Signed in at {HOST}: INBOX has 1 mails."
    account.password = "wrong"
    with pytest.raises(ImapFaultError, match="AUTHENTICATIONFAILED"):
        check(account)


@pytest.mark.parametrize("host", ["x" * 100 + ".example", "a..b", "no such host.example", "[::1"])
def test_a_name_that_names_no_server_is_told_like_any_fault(server, account, host):
    account.host = host
    with pytest.raises(ImapFaultError, match=r"."):
        check(account)
