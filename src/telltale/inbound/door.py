"""The SMTP and LMTP doors: take what comes back and what customers write; store it, commit, and then say 250.

RFC 5321 section 4.2.5 and 6.1: with 250 we take the responsibility. So a mail is on the disk and in the
database before we say it, and a process that starts anew goes on with what the last one had not read yet.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import ssl
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import ip_network
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "telltale.config.settings")

import django
from aiosmtpd.lmtp import LMTP
from aiosmtpd.proxy_protocol import ProxyData
from aiosmtpd.smtp import SMTP, Envelope, Session
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection

django.setup()

from telltale.config.environment import HostPort  # noqa: E402  (all of these need Django to be set up)
from telltale.events import bell  # noqa: E402
from telltale.inbound import reading, service_reports, store  # noqa: E402
from telltale.inbound.certificate import Certificate, own_certificate  # noqa: E402
from telltale.inbound.fetching import Fetchers  # noqa: E402
from telltale.inbound.guests import Guests  # noqa: E402
from telltale.inbound.sessions import LMTPSession, SMTPSession, from_proxy, greeting  # noqa: E402
from telltale.inbound.verification import UNKNOWN, Verification, blocking_resolver, check  # noqa: E402
from telltale.mail.letter import sender_of  # noqa: E402

FETCHERS_STOP_WITHIN = 3.0  # seconds
MOST_LOOKERS = 32  # mails whose senders are looked up at once
MOST_RECIPIENTS = 100  # RFC 5321 section 4.5.3.1.8 wants at least as many

logger = logging.getLogger(__name__)


class Door:
    """aiosmtpd's handler: what we answer to EHLO, MAIL, RCPT and to the content."""

    def __init__(self) -> None:
        self.stored = asyncio.Event()  # something waits to be read
        self._resolver = blocking_resolver(settings.ENVIRONMENT.dns)
        self._lookers = ThreadPoolExecutor(MOST_LOOKERS, thread_name_prefix="looks-at-sender")

    async def handle_EHLO(  # noqa: N802  (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return greeting(responses)

    async def handle_PROXY(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, proxy: ProxyData
    ) -> bool:
        return from_proxy(server, session, envelope, proxy)

    async def handle_MAIL(  # noqa: N802
        self, server: SMTPSession, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if server.guests.must_slow_down(_peer(session)):
            return "450 4.7.0 Too many mails in a minute, try again in a minute"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Go on"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTPSession, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= MOST_RECIPIENTS:
            return "452 4.5.3 Too many recipients in one transaction, send the rest in another"
        try:
            refusal = store.refusal_by_itself(address)
            if refusal is None:
                refusal = await _in_database(store.refusal_for, address)
        except DatabaseError:
            logger.exception("no answer from the database for RCPT")
            return "451 4.3.0 Try again in a minute, our store does not answer"
        if refusal:
            server.count_refusal(_peer(session))
            shown = address if address.isprintable() else "what you gave"
            return f"550 5.1.1 <{shown}> {refusal}"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Recipient is ours"

    async def handle_DATA(self, server: SMTPSession, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.original_content or b""
        try:
            verification = await self._verify(server, session, envelope, content)
            await _in_database(
                store.store,
                content,
                door="lmtp" if isinstance(server, LMTP) else "smtp",
                mail_from=_reverse_path(envelope),
                recipients=envelope.rcpt_tos,
                peer=_peer(session),
                verification=verification,
            )
        except Exception:  # of any kind: what is not kept is not acknowledged
            logger.exception("could not store a mail")
            return "451 4.3.0 Try again in a minute, our store does not answer"
        self.stored.set()
        return "250 2.0.0 Stored"

    async def _verify(
        self, server: SMTPSession, session: Session, envelope: Envelope, content: bytes
    ) -> Verification:
        """Whom a stranger's mail comes from. Here a slow DNS holds up its own mail alone."""
        peer = _peer(session)
        if server.guests.is_trusted(peer) or not _reverse_path(envelope):
            return UNKNOWN
        work = partial(_look_at_sender, content, peer, _reverse_path(envelope), self._resolver)
        return await asyncio.get_running_loop().run_in_executor(self._lookers, work)

    async def handle_exception(self, error: Exception) -> str:
        logger.error("the door failed", exc_info=error)
        return "451 4.3.0 Try again in a minute, we have a fault"

    async def read_stored(self) -> None:
        """Read what has been stored, for ever; first what an earlier process left."""
        while True:
            self.stored.clear()
            try:
                while await _in_database(_read_one):
                    pass
            except Exception:  # whatever it is: what has been stored is read as soon as it can be
                logger.exception("could not read what is stored, looking again in a second")
                await asyncio.sleep(1)
                continue
            await self.stored.wait()

    async def listen_for_events(self) -> None:
        """What the web process keeps of e-mail services is read here too."""
        async for _ in bell.listen(bell.INBOUND):
            self.stored.set()

    async def fetch(self) -> None:
        """Fetch from the accounts of the settings, for ever; what changes there counts at once."""
        loop = asyncio.get_running_loop()
        fetchers = Fetchers(lambda: loop.call_soon_threadsafe(self.stored.set))
        try:
            async for _ in bell.listen(bell.FETCHING):
                try:
                    await _in_database(fetchers.settle)
                except DatabaseError:  # the bell rings again once the database is back
                    logger.exception("the accounts to fetch from could not be read")
        finally:
            await asyncio.to_thread(fetchers.stop, FETCHERS_STOP_WITHIN)


def _look_at_sender(content: bytes, peer: str, mail_from: str, resolver: Any) -> Verification:
    sender = sender_of(content)
    return check(content, sender, peer=peer, mail_from=mail_from, resolver=resolver)


def _read_one() -> bool:
    return reading.read_next() or service_reports.read_next()


def _reverse_path(envelope: Envelope) -> str:
    """Who sent it; "" for the null reverse-path, which aiosmtpd hands over in its brackets."""
    mail_from = envelope.mail_from or ""
    return "" if mail_from == "<>" else mail_from


def _peer(session: Session) -> str:
    return str(session.peer[0]) if session.peer else ""


async def listen(door: Door, where: HostPort) -> asyncio.Server:
    """Open the SMTP door. Port 0 takes any free one; the server's sockets tell which."""
    environment = settings.ENVIRONMENT
    certificate = _certificate(environment.helo_name)
    guests = Guests(
        trusted=environment.smtp_trusted,
        most=environment.smtp_connections,
        proxies=environment.smtp_proxies,
    )

    def session() -> SMTP:
        return SMTPSession(
            door,
            guests=guests,
            ident="ESMTP Telltale",
            tls_context=certificate.context,
            **_options(environment.helo_name),
        )

    return await asyncio.get_running_loop().create_server(session, host=where.host, port=where.port)


async def listen_for_lmtp(door: Door, where: HostPort) -> asyncio.Server:
    """Open the door for a mail server of ours."""
    environment = settings.ENVIRONMENT
    everywhere = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    guests = Guests(trusted=everywhere, most=environment.smtp_connections)

    def session() -> SMTP:
        return LMTPSession(door, guests=guests, ident="LMTP Telltale", **_options(environment.helo_name))

    return await asyncio.get_running_loop().create_server(session, host=where.host, port=where.port)


def _options(name: str) -> dict[str, Any]:
    return {
        "hostname": name,
        "data_size_limit": settings.MAX_MESSAGE_SIZE * 2,  # a bounce may hold our whole mail and more
        "enable_SMTPUTF8": True,
        "loop": asyncio.get_running_loop(),
    }


def _certificate(name: str) -> Certificate:
    environment = settings.ENVIRONMENT
    chosen = environment.tls_certificate
    if not chosen:
        return own_certificate(environment.data / "tls", name=name)
    try:
        return Certificate(chosen, environment.tls_key or chosen)
    except (OSError, ssl.SSLError) as error:
        raise SystemExit(
            f"The certificate in TELLTALE_TLS_CERTIFICATE ({chosen}) cannot be used: {error}. "
            "It should be PEM, with the key in TELLTALE_TLS_KEY or in the same file."
        ) from error


async def _in_database(work: Any, *args: Any, **kwargs: Any) -> Any:
    """In a thread, which gives its connection back to the pool: idle threads must not keep all of them."""

    def with_connection() -> Any:
        close_old_connections()
        try:
            return work(*args, **kwargs)
        finally:
            connection.close()

    return await sync_to_async(with_connection, thread_sensitive=False)()


async def serve() -> None:
    door = Door()
    where = settings.ENVIRONMENT.smtp_listen
    servers = [await listen(door, where)]
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    logger.info("the SMTP door is open at %s", where)
    if lmtp := settings.ENVIRONMENT.lmtp_listen:
        servers.append(await listen_for_lmtp(door, lmtp))
        logger.info("the LMTP door is open at %s", lmtp)
    tasks = [
        asyncio.create_task(task) for task in (door.read_stored(), door.listen_for_events(), door.fetch())
    ]
    stopping = asyncio.create_task(stop.wait())
    # None of them ends by itself. One that does has met a fault of ours: a new process is better than a deaf one.
    await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for server in servers:
        server.close()
    for task in (stopping, *tasks):
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended


def main() -> None:
    asyncio.run(serve())


if __name__ == "__main__":
    main()
