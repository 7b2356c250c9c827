"""One IMAP session with the folder that a mailbox's mail arrives in: RFC 9051, as far as fetching needs it.

Rule: nothing is changed there but the mark that a mail was read; whose mail it is decides what else becomes of it.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from typing import Any

from imapclient import SEEN, IMAPClient, SocketTimeout
from imapclient.exceptions import IMAPClientError, LoginError

from telltale.channels.relays import renewed
from telltale.conversations.fields import UnreadableError, readable
from telltale.conversations.models import ImapAccount
from telltale.smtp.auth import NoToken

TIMEOUT = SocketTimeout(connect=20, read=60)  # seconds
AT_ONCE = 200  # mails whose sizes one command asks for
PIECE = 8 * 1024 * 1024  # octets of a mail that one command asks for

_OCTETS_AS_TEXT = re.compile(r"b(['\"])(.*)\1", re.DOTALL)


class ImapFaultError(Exception):
    """The server cannot be reached, does not let us in, or does not do as it is asked: the text says it."""

    def __init__(self, text: str, *, is_sign_in: bool = False) -> None:
        super().__init__(text)
        self.is_sign_in = is_sign_in  # who tries again too often is locked out


@dataclass(frozen=True, slots=True)
class Opened:
    """What the server says of a folder."""

    uidvalidity: int
    uidnext: int
    mails: int


class _Client(IMAPClient):  # type: ignore[misc]  # comes without types
    """IMAPClient, which cannot tell whether there is something to read already."""

    def has_read_ahead(self) -> bool:
        """imaplib reads more than it is asked for: of what came with another line, the socket tells nothing more."""
        reader = getattr(self._imap, "_file", None) or self._imap.file  # the first since Python 3.14
        connection = self.socket()
        connection.settimeout(0)
        try:
            return bool(reader.peek(1))
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        finally:
            connection.settimeout(TIMEOUT.read)


class ImapSession:
    """Signed in at one account, from any thread but one at a time; `close` from another ends whatever it waits for."""

    def __init__(self, client: _Client) -> None:
        self._client = client
        self.can_wait_for_news = bool(client.has_capability("IDLE"))

    def open(self, folder: str, *, for_writing: bool = True) -> Opened:
        said = self._client.select_folder(folder, readonly=not for_writing)
        uidvalidity = said.get(b"UIDVALIDITY")
        if uidvalidity is None:
            raise ImapFaultError(
                f"The server gives {folder} no UIDVALIDITY: mails could not be told apart there."
            )
        uidnext = said.get(b"UIDNEXT") or max(self._client.search("ALL"), default=0) + 1
        return Opened(int(uidvalidity), int(uidnext), int(said[b"EXISTS"]))

    def uids_above(self, uid: int) -> list[int]:
        """In their order. `n:*` names the last mail also where that is below n: RFC 9051 section 9, seq-range."""
        return sorted(found for found in self._client.search(["UID", f"{uid + 1}:*"]) if found > uid)

    def unread(self) -> list[int]:
        return sorted(self._client.search("UNSEEN"))

    def arrived_since(self, day: date) -> list[int]:
        """By the server's clock, in its order."""
        return sorted(self._client.search(["SINCE", day]))

    def sizes(self, uids: Sequence[int]) -> Iterator[tuple[int, int]]:
        """UID and octets of those that are still there."""
        for start in range(0, len(uids), AT_ONCE):
            some = uids[start : start + AT_ONCE]
            said = self._client.fetch(some, ["RFC822.SIZE"])
            yield from ((uid, int(said[uid].get(b"RFC822.SIZE", 0))) for uid in some if uid in said)

    def content(self, uid: int, *, most: int) -> bytes:
        """The mail, without marking it as read; its beginning where it has more octets. b"" where it is gone."""
        pieces: list[bytes] = []
        length = 0
        while length < most:
            wanted = min(PIECE, most - length)
            said = self._client.fetch([uid], [f"BODY.PEEK[]<{length}.{wanted}>"]).get(uid, {})
            piece = next((value for name, value in said.items() if name.startswith(b"BODY[]")), b"") or b""
            pieces.append(piece)
            length += len(piece)
            if len(piece) < wanted:
                break
        return b"".join(pieces)

    def mark_read(self, uids: Sequence[int]) -> None:
        self._client.add_flags(uids, [SEEN], silent=True)

    def await_news(self, seconds: float) -> None:
        """Until the server tells of something, or that time is over."""
        self._client.idle()
        if not self._client.has_read_ahead():
            for line in self._client.idle_check(timeout=seconds):
                if line[0] == b"BYE":
                    raise ImapFaultError(f"The server ended the connection: {_text(line[-1])}")
        self._client.idle_done()

    def close(self) -> None:
        """From any thread: whoever waits for the server stops waiting."""
        with suppress(OSError):
            self._client.socket().shutdown(socket.SHUT_RDWR)


@contextmanager
def signed_in(account: ImapAccount) -> Iterator[ImapSession]:
    """A session. Raises ImapFaultError, also in place of whatever a command in it raises."""
    with _in_words():
        client = _Client(
            account.host,
            port=account.port,
            ssl=account.security == ImapAccount.Security.TLS,
            ssl_context=ssl.create_default_context(),
            timeout=TIMEOUT,
        )
        with client:
            if account.security == ImapAccount.Security.STARTTLS:
                client.starttls(ssl.create_default_context())
            _sign_in(client, account)
            yield ImapSession(client)


def check(account: ImapAccount) -> str:
    """Sign in and look at the folders. What is there, in words; raises ImapFaultError."""
    with signed_in(account) as session:
        found = [
            f"{name} has {session.open(name, for_writing=False).mails} mails" for name in account.folder_names
        ]
    return f"Signed in at {account.host}: {', '.join(found)}."


def _sign_in(client: _Client, account: ImapAccount) -> None:
    if account.uses_oauth:
        client.oauth2_login(account.username, renewed(ImapAccount, account.pk).access_token)
        return
    password = readable(account.password)
    # LOGIN carries ASCII alone (RFC 9051 section 6.2.3); PLAIN carries UTF-8 (RFC 4616).
    if (account.username + password).isascii() and not client.has_capability("LOGINDISABLED"):
        client.login(account.username, password)
    else:
        client.plain_login(account.username, password)


@contextmanager
def _in_words() -> Iterator[None]:
    """Whatever a library raises, as a sentence."""
    try:
        yield
    except LoginError as error:
        raise ImapFaultError(f"The server does not let us in: {_text(error)}", is_sign_in=True) from error
    except (NoToken, UnreadableError) as error:
        raise ImapFaultError(str(error), is_sign_in=True) from error
    except ssl.SSLCertVerificationError as error:
        raise ImapFaultError(f"The server's certificate does not hold: {error.verify_message}") from error
    except TimeoutError as error:
        raise ImapFaultError("The server does not answer.") from error
    except (IMAPClientError, OSError, UnicodeError) as error:  # the last for what is no host name
        raise ImapFaultError(_text(error)) from error


def _text(said: Any) -> str:
    """What a server or the system said. imaplib wraps octets in its errors as Python writes them."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    wrapped = _OCTETS_AS_TEXT.search(text)
    words = text[: wrapped.start()] + wrapped[2] + text[wrapped.end() :] if wrapped else text
    return "".join(letter if letter.isprintable() else " " for letter in words)[:1_000] or repr(said)
