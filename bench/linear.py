"""Whether the bounce engine's time stays linear in the size of a mail that is made to keep it busy.

    python bench/linear.py [--size 100000] [--only WORD]

Every bait is read and explained at one size and at twice that size. Printed are those that are worse than linear, as
they are found, and then the slowest; where any is worse, the exit code is 1. All of it takes some minutes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

from telltale.bounce import explain, read
from telltale.bounce.dialects import DIALECTS
from telltale.bounce.said import report_of

SIZE = 100_000  # octets; what is longer in one text is not read
MOST_GROWTH = 3.0  # times as long for twice the size; a machine that does other things needs some room
LINE = 3_000  # octets; a longer one is cut
WORTH_A_LOOK = 0.05  # seconds; what is quicker is not measured well enough
SLOWEST = 20  # that are shown
TOO_LONG = 1.0  # seconds for a mail of twice the size
RUNS = 3  # of which the best counts

FROM_A_SERVER = "From: MAILER-DAEMON@x.example\nReturn-Path: <>\nSubject: Undelivered Mail\n"
STATUS = (
    FROM_A_SERVER
    + "Content-Type: multipart/report; report-type=delivery-status; boundary=B\n\n--B\n\nSorry.\n"
    "--B\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x.example\n\n"
)
# What a pattern may stumble over, again and again.
PIECES = (
    *(
        " ",
        "\t",
        "\n",
        " \n",
        "<",
        ">",
        "@",
        "a@",
        "@a",
        "a@b.",
        "<a@b.example",
        "<a@b.example> ",
        "a@b.example\n",
    ),
    *(
        "<a@b.example>: x\n",
        "<a@b.example>\n\nx\n\n",
        "a.",
        "a-",
        "1",
        "1.",
        "1,",
        "1 ",
        "9" * 80 + " ",
        ":",
        ": ",
        "a:",
    ),
    *(
        ";",
        "=",
        "=?",
        "=?utf-8?q?a?= ",
        '"',
        "'",
        "\\",
        '"a" ',
        "(",
        ")",
        "()",
        "[",
        "]",
        "[]",
        "(a) ",
        "-",
        "- ",
        "--- ",
    ),
    *(
        "*",
        "#",
        "# ",
        "|",
        "/",
        "//",
        "http://",
        "http://a.b ",
        "550 ",
        "550-",
        "550-5.1.1 ",
        "550 5.1.1 x\n",
        "5.1.1 ",
    ),
    *(
        "\\xe9",
        "\\x{e9}",
        "&#",
        "&amp;",
        "<<< ",
        "<<< 550-x\n",
        ">>> ",
        ">>> RCPT TO:<a@b.c>\n<<< 550 x\n",
        "said: ",
    ),
    *(
        "host a[b] said: ",
        "host a [b] ",
        "smtp error from remote mail server after a: ",
        "remote server returned ",
        "<a #",
    ),
    *(
        "last transfail: (",
        "error_code :",
        "try again ",
        "wait 1",
        "exceeds ",
        "limit ",
        "delivery temporarily suspended: ",
    ),
    *(
        "recipient: ",
        "recipient address: a@b.c\n",
        "sent <<< ",
        "a on 1 ",
        "rfc822;a",
        "smtp=",
        "generated from a@b.c ",
    ),
    *(
        "could not be delivered ",
        "received: x\n",
        "x-a: b\n",
        " x\n",
        "user unknown ",
        "退",
        "退信",
        "原因：",
        "收件人a@b.c\n",
    ),
    *(
        "the reason for ",
        "for ",
        "from ",
        "reason: ",
        "did not like our ",
        "does not like recipient. ",
        "bl.",
        "a.bl.a ",
    ),
    *("mailbox ", "not ", "spam ", "a\u0301", "\u00e9", "İ", "ß", "\x00", "\x85", "\u2028", "\ufeff"),
)


@dataclass(frozen=True, slots=True)
class Bait:
    """`piece` again and again behind `start`; `end` closes it. A "{n}" in the piece is another number each time."""

    name: str
    start: str
    piece: str
    end: str = ""
    task: Callable[[bytes], None] | None = None

    def octets(self, size: int) -> bytes:
        times = size // len(self.piece.encode())
        if "{n}" in self.piece:
            pieces = "".join(self.piece.replace("{n}", str(number)) for number in range(times))
        else:
            pieces = self.piece * times
        return f"{self.start}{pieces}{self.end}".encode()


@dataclass(frozen=True, slots=True)
class Measured:
    """How many seconds a bait took at one size, and at twice that size."""

    name: str
    small: float
    large: float

    @property
    def growth(self) -> float:
        return self.large / max(self.small, 1e-6)

    @property
    def is_worse(self) -> bool:
        """Than it may be: too slow at all, or more than linear."""
        return self.large > TOO_LONG or (self.large > WORTH_A_LOOK and self.growth > MOST_GROWTH)

    def __str__(self) -> str:
        return f"{self.large * 1000:8.1f} ms   {self.growth:5.2f} x for twice the size   {self.name}"


def baits() -> Iterator[Bait]:
    yield from _in_replies()
    yield from _in_headers()
    yield from _in_structure()
    yield from _in_reports()
    yield from _in_notices()


def _in_replies() -> Iterator[Bait]:
    for start in ("", "550 5.1.1 ", "host a[b] said: 550 ", "x-local; "):
        for piece, end in product((*PIECES, "!?", "。", "…"), ("", "a", "@", " 550 5.1.1 user unknown")):
            yield Bait(f"reply {start!r} + {piece[:20]!r} + {end!r}", start, piece, end, task=_explained)


def _in_headers() -> Iterator[Bait]:
    names = (
        "Subject",
        "From",
        "To",
        "Return-Path",
        "Content-Type",
        "References",
        "X-Failed-Recipients",
        "Auto-Submitted",
    )
    for name in names:
        for piece in (*PIECES, "=?utf-8?q?", "=?utf-8?b?", "<a@b> ", "(", '; a="', "; a=b", "re: "):
            # In front of the others: where a field comes twice, the first one counts.
            value = piece.replace("\n", "\n ")
            yield Bait(f"{name}: {piece[:20]!r}", f"{name}: ", value, f"\n{FROM_A_SERVER}\nundeliverable")


def _in_structure() -> Iterator[Bait]:
    multipart = "Content-Type: multipart/mixed; boundary=B\n"
    yield Bait("header fields", FROM_A_SERVER, "A: b\n")
    yield Bait("folds", FROM_A_SERVER + "A: b\n", " x\n")
    yield Bait("parts", multipart + "\n", "--B\n\n")
    yield Bait("parts with a header", multipart + "\n", "--B\nContent-Type: text/plain\n\nx\n")
    yield Bait("almost delimiters", multipart + "\n", "--Bx\n")
    yield Bait("likely delimiters", "Content-Type: multipart/mixed\n\n", "--B")
    yield Bait("multiparts within each other", multipart + "\n", "--B\n" + multipart + "\n")
    yield Bait("enclosed mails", multipart + "\n", "--B\nContent-Type: message/rfc822\n\n")
    yield Bait("digests", "Content-Type: multipart/digest; boundary=B\n\n", "--B\n\nSubject: x\n\n")
    yield Bait("base64 in one line", FROM_A_SERVER + "Content-Transfer-Encoding: base64\n\n", "QUFB")
    yield Bait("padding", FROM_A_SERVER + "Content-Transfer-Encoding: base64\n\n", "=")
    yield Bait("quoted-printable", FROM_A_SERVER + "Content-Transfer-Encoding: quoted-printable\n\n", "=\n")
    for charset in ("utf-7", "utf-16", "hz", "iso-2022-jp", "iso-2022-kr", "punycode", "gb18030", "big5"):
        for piece in ("+-", "~{", "\x1b$B", "\x1b$)C\x0e", "a-"):
            yield Bait(
                f"{charset} {piece!r}",
                f"{FROM_A_SERVER}Content-Type: text/plain; charset={charset}\n\n",
                piece,
            )
    for piece in ("<", "<a", "<!--", "<script>", "<p>", "&", "&#9", "<td", "</"):
        yield Bait(f"HTML {piece!r}", FROM_A_SERVER + "Content-Type: text/html\n\n", piece)
    yield Bait("JSON", "From: a@b.example\n\n", '{"Message":')
    recipient = '{"emailAddress":"a@b.example","diagnosticCode":"smtp; 550 5.1.1 x"},'
    yield Bait(
        "JSON recipients",
        'From: a@b.example\n\n{"notificationType":"Bounce","bounce":{"bouncedRecipients":[',
        recipient,
        recipient[:-1] + "]}}",
    )


def _in_reports() -> Iterator[Bait]:
    one = "Final-Recipient: rfc822; a@b.example\nAction: failed\nStatus: 5.1.1\n"
    starts = {
        "fields": "",
        "a diagnostic": one + "Diagnostic-Code: smtp; 550 ",
        "folds of a diagnostic": one + "Diagnostic-Code: smtp; 550 x\n",
        "a recipient": "Action: failed\nFinal-Recipient: rfc822; ",
        "a recipient in UTF-8": "Action: failed\nFinal-Recipient: utf-8; ",
        "a date": one + "Last-Attempt-Date: ",
        "a status": one + "Status: ",
    }
    pieces = (
        *PIECES,
        one + "\n",
        one,
        "Final-Recipient: rfc822; x\n\n",
        "Action: x\n\n",
        "\n\nAction: failed",
        "A: b\n",
    )
    for name, start in starts.items():
        for piece in pieces:
            yield Bait(f"{name} + {piece[:20]!r}", STATUS + start, piece)


def _in_notices() -> Iterator[Bait]:
    header = FROM_A_SERVER + "Content-Type: text/plain; charset=utf-8\n\n"
    yield from _of_many_recipients(header)
    headings = {"nobody": "", "general": "Your mail could not be delivered to\n\n"}
    headings |= {
        f"{dialect.name} {number}": f"{sign}\n\n<a@b.example>:\n"
        for dialect in DIALECTS
        for number, sign in enumerate(dict.fromkeys((dialect.signs[0], dialect.signs[-1])))
    }
    for name, heading in headings.items():
        for piece in PIECES:
            yield Bait(f"{name} + {piece[:20]!r}", header + heading, piece)
            line = piece.replace("\n", " ") * (LINE // len(piece))
            yield Bait(f"{name} + lines of {piece[:20]!r}", header + heading, f"{line}a\n")


def _of_many_recipients(header: str) -> Iterator[Bait]:
    """Each is another one: what is looked up for one of them among all takes quadratic time."""
    of_each = "<a{n}@b.example>: host a[b] said: 550 5.1.1 x\n\n"
    session = ">>> RCPT To:<z{n}@b.example>\n<<< 550 no\n550 5.1.1 <z{n}@b.example>... User unknown\n"
    listed = "".join(f"<a{number}@b.example>\n" for number in range(1_000))
    status = "".join(
        f"Final-Recipient: rfc822; o{number}@b.example\nAction: failed\nStatus: 5.0.0\n\n"
        for number in range(1_000)
    )
    words = f"{STATUS.partition('--B')[0]}--B\n\nCould not be delivered\n\n"
    end = f"--B\nContent-Type: message/delivery-status\n\n{status}"
    yield Bait("many: general", f"{header}Could not be delivered\n\n", of_each)
    yield Bait("many: sendmail", f"{header}The following addresses had errors\n{listed}\n", session)
    yield Bait(
        "many: sendmail's transcript",
        f"{header}The following addresses had errors\n{listed}\nTranscript of session follows\n",
        session,
    )
    yield Bait("many: a status beside words", words, of_each, end)
    yield Bait("many: advice", f"{header}Could not be delivered\n\n", "please contact a{n}@b.example\n")


def _read_and_explained(raw: bytes) -> None:
    for report in read(raw).reports:
        explain(report)


def _explained(octets: bytes) -> None:
    explain(report_of(octets.decode("utf-8", "backslashreplace")))


def seconds(bait: Bait, size: int, *, runs: int) -> float:
    octets = bait.octets(size)
    task = bait.task or _read_and_explained
    times = []
    for _ in range(runs):
        begun = time.process_time()
        task(octets)
        times.append(time.process_time() - begun)
    return min(times)


def measured(bait: Bait, size: int) -> Measured:
    """One run tells what is quick; only the others are worth more."""
    large = seconds(bait, 2 * size, runs=1)
    if large < WORTH_A_LOOK or large > TOO_LONG:
        return Measured(bait.name, seconds(bait, size, runs=1), large)
    return Measured(bait.name, seconds(bait, size, runs=RUNS), seconds(bait, 2 * size, runs=RUNS))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--size", type=int, default=SIZE, help="octets of the smaller mail")
    parser.add_argument("--only", default="", metavar="WORD", help="the baits whose names have this word")
    options = parser.parse_args()
    found = []
    for bait in baits():
        if options.only in bait.name:
            found.append(measured(bait, options.size))
            if found[-1].is_worse:
                print(found[-1], flush=True)
    slowest = sorted(found, key=lambda one: one.large, reverse=True)[:SLOWEST]
    print(f"{len(found)} baits of {options.size:,} and {2 * options.size:,} octets. The slowest:")
    print(*slowest, sep="\n")
    worse = sum(one.is_worse for one in found)
    print(f"Too slow, or worse than linear: {worse}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
