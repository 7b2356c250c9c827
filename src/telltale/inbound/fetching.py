"""Fetches the mail of accounts by IMAP: one thread for each folder, for as long as the account is as it is.

Order: keep the mail and how far we got in one transaction; only then mark it as read there. Killed at any moment,
nothing is lost and nothing is kept twice: a second process that fetches the same folder finds that it is done.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection, transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from telltale.bounce import read
from telltale.conversations.models import ImapAccount, ImapFolder
from telltale.events.bell import publish
from telltale.inbound.imap import ImapFaultError, ImapSession, signed_in
from telltale.inbound.store import came_to, is_kept, keep
from telltale.mail.letter import reverse_path

WAIT = 120.0  # seconds; routers forget connections that are silent for longer
POLL = 60.0  # seconds, where the server cannot tell of news
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0  # seconds between tries
PAUSE_OF_SIGN_IN = 60.0  # seconds at least: providers lock out who tries a wrong password too often
LOOK_BACK = timedelta(days=3)  # mail may be written into a folder with the time of an earlier server
AT_ONCE = 50  # mails that are marked as read by one command

logger = logging.getLogger(__name__)


class Fetcher:
    """One folder of one account. `kept` is called after each mail that was kept, from this one's thread."""

    def __init__(self, account: ImapAccount, folder: ImapFolder, kept: Callable[[], Any]) -> None:
        self._account, self._folder, self._kept = account, folder, kept
        self._stopping = threading.Event()
        self._session: ImapSession | None = None
        self._thread = threading.Thread(target=self._run, name=f"imap-{folder.pk}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns at once; the thread ends when it has kept what it has in hand."""
        self._stopping.set()
        if session := self._session:
            session.close()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            try:
                self._fetch_for_ever()
            except ImapFolder.DoesNotExist:  # somebody has taken it out of the settings
                return
            except Exception as error:
                if self._stopping.is_set():
                    return
                is_new, wait = self._tell_fault(error), pause
                if isinstance(error, ImapFaultError) and error.is_sign_in:
                    wait = max(pause, PAUSE_OF_SIGN_IN)
                pause = FIRST_PAUSE * 2 if is_new else min(pause * 2, LONGEST_PAUSE)
                self._stopping.wait(wait)

    def _fetch_for_ever(self) -> None:
        with signed_in(self._account) as session:
            self._session = session
            try:
                opened = session.open(self._folder.name)
                while not self._stopping.is_set():
                    self._take(session, opened.uidvalidity, opened.uidnext)
                    self._tell_success()
                    self._await(session)
            finally:
                self._session = None

    def _await(self, session: ImapSession) -> None:
        if session.can_wait_for_news:
            session.await_news(WAIT)
        else:
            self._stopping.wait(POLL)

    # Fetching

    def _take(self, session: ImapSession, uidvalidity: int, uidnext: int) -> None:
        """Keep what is new; first what there is to keep of a folder that has no numbers yet, or new ones."""
        self._look_how_far_we_are()
        if self._folder.uidvalidity is None:
            found = session.unread() if self._account.begin == ImapAccount.Begin.UNREAD else []
            self._take_once(session, [uid for uid in found if uid < uidnext], uidvalidity, uidnext)
        elif self._folder.uidvalidity != uidvalidity:
            begun = self._account.created_at  # what was there before is nobody's wish
            since = max((self._folder.last_mail_at or begun) - LOOK_BACK, begun)
            logger.warning(
                "%s of %s was made anew: looking at all since %s", self._folder, self._account, since
            )
            found = session.arrived_since(since.date())
            self._take_once(session, found, uidvalidity, max([uidnext, *(uid + 1 for uid in found)]))
        if self._folder.uidvalidity == uidvalidity:
            self._take_new(session)

    def _look_how_far_we_are(self) -> None:
        with _database():
            self._folder.refresh_from_db()

    def _take_new(self, session: ImapSession) -> None:
        """Those above the last one, in their order. First the marks that an earlier process did not get to."""
        uids = session.uids_above(self._folder.read_uid)
        self._mark_and_count(session, [uid for uid in uids if uid <= self._folder.last_uid])
        new = [uid for uid in uids if uid > self._folder.last_uid]
        unmarked = []
        for uid, size in session.sizes(new):
            content = session.content(uid, most=_most_octets())
            if self._keep(uid, content, size):
                unmarked.append(uid)
            if len(unmarked) == AT_ONCE:
                self._mark_and_count(session, unmarked)
                unmarked = []
            if self._stopping.is_set():
                break
        self._mark_and_count(session, unmarked)

    def _take_once(self, session: ImapSession, uids: list[int], uidvalidity: int, uidnext: int) -> None:
        """Those that are not kept yet, by their octets; from then on their numbers count again."""
        for uid, size in session.sizes(uids):
            content = session.content(uid, most=_most_octets())
            with _database(), transaction.atomic():
                self._locked_folder()  # another process that does the same waits here, and finds them kept
                if content and not is_kept(content, came_to=self._came_to(content)):
                    self._store(content, size)
            self._kept()
            if self._stopping.is_set():
                return
        self._mark_read(session, uids)
        with _database():  # unless another process did the same, and has gone on from there
            mine = ImapFolder.objects.filter(pk=self._folder.pk, uidvalidity=self._folder.uidvalidity)
            mine.update(uidvalidity=uidvalidity, last_uid=uidnext - 1, read_uid=uidnext - 1)
        self._look_how_far_we_are()

    def _keep(self, uid: int, content: bytes, size: int) -> bool:
        """Whether the mail is kept here now, and was not before. A mail that is gone from there is passed over."""
        with _database(), transaction.atomic():
            folder = self._locked_folder()
            if folder.uidvalidity != self._folder.uidvalidity or folder.last_uid >= uid:
                return False  # another process was here
            ImapFolder.objects.filter(pk=folder.pk).update(last_uid=uid)
            if content:
                self._store(content, size)
        self._kept()
        return bool(content)

    def _store(self, content: bytes, size: int) -> None:
        keep(
            content,
            door="imap",
            mail_from=reverse_path(content),
            rcpt_to=self._came_to(content),
            peer=self._account.host,
            size=max(size, len(content)),
        )
        ImapFolder.objects.filter(pk=self._folder.pk).update(last_mail_at=timezone.now())

    def _came_to(self, content: bytes) -> str:
        """IMAP has no envelope: a signed address that the header names, else the mailbox."""
        return came_to(read(content), otherwise=self._account.mailbox.address)

    def _locked_folder(self) -> ImapFolder:
        return ImapFolder.objects.select_for_update().get(pk=self._folder.pk)

    def _mark_read(self, session: ImapSession, uids: list[int]) -> None:
        if self._account.marks_read:
            for start in range(0, len(uids), AT_ONCE):
                session.mark_read(uids[start : start + AT_ONCE])

    def _mark_and_count(self, session: ImapSession, uids: list[int]) -> None:
        if uids:
            self._mark_read(session, uids)
            with _database():
                ImapFolder.objects.filter(pk=self._folder.pk).update(read_uid=max(uids))

    # How it goes

    def _tell_success(self) -> None:
        with _database():
            folders = ImapFolder.objects.filter(pk=self._folder.pk)
            folders.update(answered_at=timezone.now())
            if folders.exclude(fault="").update(fault="", fault_since=None):
                logger.info("%s of %s is fetched again", self._folder, self._account)
                publish("fetching.changed", ["inbox"])

    def _tell_fault(self, error: Exception) -> bool:
        """Write down why it fails. Whether it went well until now."""
        if isinstance(error, DatabaseError):
            logger.warning("no database to keep mail in: %s", error)
            return False
        if isinstance(error, ImapFaultError):
            words = str(error)
            logger.warning("%s of %s cannot be fetched: %s", self._folder, self._account, words)
        else:  # ours; said where people look, and whole in the log
            words = f"A fault of this desk: {type(error).__name__}: {error}"
            logger.error("%s of %s cannot be fetched", self._folder, self._account, exc_info=error)
        try:
            with _database():
                folders = ImapFolder.objects.filter(pk=self._folder.pk)
                is_new = folders.filter(fault="").exists()
                since = Coalesce(F("fault_since"), Value(timezone.now()))
                folders.update(fault=words[:2_000].replace("\0", ""), fault_since=since)
                publish("fetching.changed", ["inbox"])  # every time: it is shown once it has lasted
                return is_new
        except DatabaseError:
            return False


class Fetchers:
    """All folders of all accounts, brought in line with the settings whenever these may have changed."""

    def __init__(self, kept: Callable[[], Any]) -> None:
        self._kept = kept
        self._running: dict[int, tuple[object, Fetcher]] = {}

    def settle(self) -> None:
        """Start, stop and start anew, so that each folder is fetched as the settings are now. Blocks a moment."""
        with _database():
            wanted = {folder.pk: (account, folder) for account in _accounts() for folder in _folders(account)}
        for pk in list(self._running):
            if pk not in wanted or _likeness(*wanted[pk]) != self._running[pk][0]:
                self._running.pop(pk)[1].stop()
        for pk, (account, folder) in wanted.items():
            if pk not in self._running:
                fetcher = Fetcher(account, folder, self._kept)
                self._running[pk] = (_likeness(account, folder), fetcher)
                fetcher.start()

    def stop(self, seconds: float) -> None:
        for _, fetcher in self._running.values():
            fetcher.stop()
        for _, fetcher in self._running.values():
            fetcher.join(seconds)
        self._running.clear()


def _accounts() -> Iterable[ImapAccount]:
    return ImapAccount.objects.select_related("mailbox").order_by("pk")


def _folders(account: ImapAccount) -> list[ImapFolder]:
    """A row for each name in the settings; what is not named any more is forgotten, and begins anew if named again."""
    names = account.folder_names
    with transaction.atomic():
        account.places.exclude(name__in=names).delete()
        return [account.places.get_or_create(name=name)[0] for name in names]


def _likeness(account: ImapAccount, folder: ImapFolder) -> object:
    """What two fetchers differ in."""
    fields = (
        "host",
        "port",
        "security",
        "sign_in",
        "username",
        "password",
        "client_id",
        "client_secret",
        "tenant",
    )
    how = tuple(getattr(account, name) for name in (*fields, "marks_read", "begin"))
    has_signed_in = bool(account.refresh_token) if account.uses_oauth else True
    return folder.name, account.mailbox.address, how, has_signed_in


def _most_octets() -> int:
    """As much of one mail as the other doors take."""
    return int(settings.MAX_MESSAGE_SIZE) * 2


@contextmanager
def _database() -> Iterator[None]:
    """A connection for this thread, given back to the pool."""
    close_old_connections()
    try:
        yield
    finally:
        connection.close()
