"""Lines and content out of what a client sends, in whatever pieces it comes. RFC 5321 sections 2.3.8 and 4.5.2."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from telltale.sandbox.octets import Incoming, Unreadable

MOST = 90  # octets of content
PIECES: dict[str, Callable[[bytes], list[bytes]]] = {
    "whole": lambda octets: [octets],
    "cut before the dot": lambda octets: [octets[:-3], octets[-3:]],
    "cut within the dot": lambda octets: [octets[:-2], octets[-2:]],
    "octet by octet": lambda octets: [octets[place : place + 1] for place in range(len(octets))],
}
by_pieces = pytest.mark.parametrize("pieces", PIECES.values(), ids=PIECES.keys())


class Pieces:
    """Reads as a connection on which these pieces come one after the other, and then nothing more."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]

    async def read(self, most: int) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


def incoming(octets: bytes, pieces: Callable[[bytes], list[bytes]]) -> Incoming:
    return Incoming(Pieces(pieces(octets)), idle=1)  # type: ignore[arg-type]


@by_pieces
@pytest.mark.parametrize(
    ("on_the_wire", "expected"),
    [
        (b"", b""),
        (b"Subject: x\r\n\r\nbody\r\n", b"Subject: x\r\n\r\nbody\r\n"),
        (b"..\r\n...\r\n..a\r\na..\r\n", b".\r\n..\r\n.a\r\na..\r\n"),
        (b"x" * (MOST - 2) + b"\r\n", b"x" * (MOST - 2) + b"\r\n"),
        (b"x" * (MOST - 1) + b"\r\n", None),
        (b"..\r\n" * 30, b".\r\n" * 30),  # RFC 1870 section 5: a dot that was doubled counts once
        (b"..\r\n" * 31, None),
        (b"x" * 3 * MOST + b"\r\n", None),
    ],
    ids=[
        "nothing",
        "a mail",
        "dots",
        "just right",
        "one octet more",
        "dots that fit",
        "dots too many",
        "thrice",
    ],
)
async def test_the_content_ends_at_its_dot_and_is_kept_up_to_its_limit(
    on_the_wire: bytes, expected: bytes | None, pieces: Callable[[bytes], list[bytes]]
) -> None:
    stream = incoming(on_the_wire + b".\r\n", pieces)

    assert await stream.content(most=MOST) == expected
    with pytest.raises(EOFError):
        await stream.line()


@by_pieces
async def test_a_command_that_came_with_the_content_is_heard_after_it(
    pieces: Callable[[bytes], list[bytes]],
) -> None:
    stream = incoming(b"DATA\r\nx\r\n.\r\nNOOP\r\n", pieces)

    assert await stream.line() == b"DATA"
    assert await stream.content(most=MOST) == b"x\r\n"
    assert await stream.line() == b"NOOP"


@by_pieces
@pytest.mark.parametrize(
    "content", [b"a\nb\r\n", b"a\rb\r\n", b"a\n.\nb\r\n", b"a\n.\r\nb\r\n", b"a\r.\r\nb\r\n", b"\r\r\n"]
)
async def test_a_bare_line_end_within_the_content_is_refused(
    content: bytes, pieces: Callable[[bytes], list[bytes]]
) -> None:
    stream = incoming(content + b".\r\n", pieces)
    with pytest.raises(Unreadable, match="bare <CR> or <LF>"):
        await stream.content(most=MOST)


@by_pieces
async def test_content_of_more_than_four_times_the_limit_ends_the_session(
    pieces: Callable[[bytes], list[bytes]],
) -> None:
    stream = incoming(b"x" * 5 * MOST, pieces)
    with pytest.raises(Unreadable, match="far too large"):
        await stream.content(most=MOST)
