"""What a client sends, cut into lines and content. Strict about line ends, bounded in memory.

RFC 5321 section 2.3.8: a line ends in CRLF. A lone CR or LF is refused: servers that read it in two ways let
mail be smuggled.
"""

from __future__ import annotations

import asyncio

LONGEST_LINE = 4096  # octets; RFC 5321 section 4.5.3.1.4 wants 512, extensions make it longer
READ_AT_ONCE = 64 * 1024  # octets
FAR_TOO_MUCH = 4  # times what a server takes: a client that goes on so long is cut off
_END = b"\r\n.\r\n"


class Unreadable(Exception):  # noqa: N818 - the client failed, not we
    """Octets that no reply can set right. `reply` is the server's last word."""

    def __init__(self, reply: str) -> None:
        super().__init__(reply)
        self.reply = reply


class Incoming:
    """The octets of one client. Its methods raise EOFError where it is gone, TimeoutError where it is idle."""

    def __init__(self, reader: asyncio.StreamReader, *, idle: float) -> None:
        self._reader = reader
        self._idle = idle  # seconds
        self._buffer = bytearray()

    async def line(self) -> bytes:
        """The next command, without its CRLF."""
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > LONGEST_LINE:
                raise Unreadable("500 5.5.2 Line too long")
            self._buffer += await self._more()
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        if len(line) > LONGEST_LINE:
            raise Unreadable("500 5.5.2 Line too long")
        if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
            raise Unreadable("521 5.5.2 Error: bare <CR> or <LF> received")
        return line[:-2]

    async def content(self, *, most: int) -> bytes | None:
        """All up to the final dot, dots unstuffed; None where that is longer than `most` octets."""
        # The line end of DATA stands before the content, so that an empty content has its final dot too.
        kept = bytearray(b"\r\n") + self._buffer
        self._buffer.clear()
        # RFC 1870 section 5: doubled dots do not count. The shortest line to have one is of three octets.
        room = most + most // 3 + len(_END)
        dropped = searched = 0
        while (end := kept.find(_END, searched)) < 0:
            if dropped + len(kept) > FAR_TOO_MUCH * most + len(_END):
                raise Unreadable("552 5.3.4 Message far too large")
            if dropped + len(kept) > room:
                dropped += len(kept) - len(_END)
                del kept[: -len(_END)]
            searched = max(0, len(kept) - len(_END) + 1)
            kept += await self._more()
        self._buffer += kept[end + len(_END) :]
        del kept[end + 2 :]
        content = b"" if dropped else _unstuffed(kept)
        return None if dropped or len(content) > most else content

    async def until_gone(self) -> None:
        """Hears all, says nothing, returns when the client has closed."""
        while await self._reader.read(READ_AT_ONCE):
            pass

    async def _more(self) -> bytes:
        async with asyncio.timeout(self._idle):
            octets = await self._reader.read(READ_AT_ONCE)
        if not octets:
            raise EOFError
        return octets


def _unstuffed(content: bytearray) -> bytes:
    """The content behind its leading CRLF: RFC 5321 section 4.5.2."""
    line_ends = content.count(b"\r\n")
    if content.count(b"\n") != line_ends or content.count(b"\r") != line_ends:
        raise Unreadable("521 5.5.2 Error: bare <CR> or <LF> received")
    return bytes(content.replace(b"\r\n.", b"\r\n")[2:])
