"""A small SMTP client, RFC 5321, by which the sandbox's servers send their reports. One mail, one recipient."""

from __future__ import annotations

import asyncio

from telltale.mail.reply import SmtpReply
from telltale.sandbox.zone import Exchanger

PATIENCE = 30.0  # seconds for one whole session
MOST_REPLY_LINES = 100


class NotTaken(Exception):  # noqa: N818 - the world failed, not we
    """The other server refused. Its words are the text."""

    def __init__(self, reply: SmtpReply) -> None:
        super().__init__(str(reply))
        self.is_permanent = reply.is_permanent


async def hand_over(to: Exchanger, *, hello: str, rcpt_to: str, content: bytes) -> SmtpReply:
    """Send `content` from <> to `rcpt_to`. Returns the answer to the final dot.

    Raises NotTaken for a refusal; OSError (TimeoutError is one) or ValueError where the connection or the
    protocol broke.
    """
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(to.address, to.port)
        try:
            return await _converse(reader, writer, hello=hello, rcpt_to=rcpt_to, content=content)
        finally:
            writer.close()


async def _converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, hello: str, rcpt_to: str, content: bytes
) -> SmtpReply:
    await _heard(reader, 220)
    offers = (await _asked(reader, writer, f"EHLO {hello}", 250)).text.upper().split()
    body = " BODY=8BITMIME" if not content.isascii() and "8BITMIME" in offers else ""
    utf8 = " SMTPUTF8" if not rcpt_to.isascii() and "SMTPUTF8" in offers else ""
    await _asked(reader, writer, f"MAIL FROM:<>{body}{utf8}", 250)
    await _asked(reader, writer, f"RCPT TO:<{rcpt_to}>", 250)
    await _asked(reader, writer, "DATA", 354)
    stuffed = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
    writer.write(stuffed + b".\r\n")
    await writer.drain()
    taken = await _heard(reader, 250)
    writer.write(b"QUIT\r\n")  # whatever the answer: the mail is theirs
    return taken


async def _asked(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: str, code: int
) -> SmtpReply:
    writer.write(line.encode() + b"\r\n")
    await writer.drain()
    return await _heard(reader, code)


async def _heard(reader: asyncio.StreamReader, code: int) -> SmtpReply:
    octets = b""
    for _ in range(MOST_REPLY_LINES):
        line = await reader.readline()
        if not line.endswith(b"\n"):
            raise ConnectionResetError("the connection was closed")
        octets += line
        if line[3:4] != b"-":
            break
    reply = SmtpReply.from_wire(octets)
    if reply.code != code:
        raise NotTaken(reply)
    return reply
