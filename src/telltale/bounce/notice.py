"""What a mail says in words: the notice that a server wrote, apart from the mail that it returns below.

Rule: the notice ends where the returned mail begins. Whatever stands there was written by others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from telltale.bounce.enclosure import announces_returned, begins_header
from telltale.mail.addresses import addresses_in
from telltale.mail.lazy import Lazy
from telltale.mail.markup import text_of_html
from telltale.mail.mime import ENCLOSED, Part

LONGEST_NOTIFICATION = 500_000  # octets; Amazon SNS sends 256 kB at most
LONGEST_TEXT = 100_000  # octets of one part that are read as a notice; servers write 2,000
LONGEST_ENCLOSED = 200_000  # octets of an enclosed mail that are looked at: its header
LONG_LINE = 200  # characters: a longer one may be made to keep us busy, and is cut and tidied
LONGEST_LINE = 4_000  # characters; RFC 5322 allows 998
LONGEST_OPENING = 1_000  # characters
MOST_TEXTS = 3  # a notice in two languages has two

_STATUS_TYPES = {"message/delivery-status", "message/global-delivery-status"}

FAILED_RECIPIENTS = ("x-failed-recipients", "x-failed-recipient", "x-undeliverable-address")
_SERVERS = re.compile(
    r"(?:mailer[-_.]?daemon|mail[-_.]?daemon|mdaemon|post[-_.]?master|mail[-_.]?(?:er|delivery|router|admin|system)"
    r"(?:[-_.]?(?:subsystem|system|error|failure))?)(?:[-_+.=][^@]*)?@|[\w.+-]{0,60}?(?:smtp|mail)[-_.]?(?:service|gateway)s?@",
    re.IGNORECASE,
)
_NAMES_OF_SERVERS = re.compile(
    r"mailer[-_ ]?daemon|mail ?deliver(?:y|er)? (?:sub)?system|mail delivery|post ?master|system administrator|"
    r"mail administrator|mail system|microsoft outlook|delivery (?:sub)?system|mail router|mail server|mail gateway|"
    r"internet mail|e-?mail system",
    re.IGNORECASE,
)
_SERVER_WITHOUT_ADDRESS = re.compile(r"mailer-daemon|postmaster", re.IGNORECASE)
_NO_RETURN_PATH = re.compile(r"<\s*(?:mailer-daemon|postmaster)?(?:@[^>]*)?>?$|mailer-daemon", re.IGNORECASE)
_RUN_OF_SPACE = re.compile(r"\s{51,}")
_QUOTED = re.compile(
    r"^(?:>|-{2,}\s*(?:(?:original|forwarded) message|weitergeleitet|urspr|mensaje (?:original|reenviado)|"
    r"message (?:d'origine|"
    r"transféré)|messaggio (?:originale|inoltrato)|mensagem (?:original|encaminhada)|пересылаемое)|begin forwarded|"
    r"_{20,}$|(?:from|von|de|da|van|от|发件人|差出人):[ \t]\S)",
    re.IGNORECASE | re.MULTILINE,
)


class Notice:
    """The words of one mail: who wrote it, about what, and what it says in front of the mail that it returns."""

    def __init__(self, mail: Part, parts: list[Part]) -> None:
        self.mail = mail
        self.parts = parts

    def first_of(self, types: Iterable[str]) -> Part | None:
        """The first part of one of these types."""
        for name in types:
            if name in self._by_type:
                return self._by_type[name]
        return None

    @Lazy
    def report_type(self) -> str:
        """RFC 6522 section 3: what kind of report a multipart/report says that it is."""
        return self.mail.parameters.get("report-type", "").lower()

    @Lazy
    def subject(self) -> str:
        return self.mail.words("subject")

    @Lazy
    def sender(self) -> str:
        """The From field with its encoded words read."""
        return self.mail.words("from")

    @Lazy
    def sender_address(self) -> str:
        return next(addresses_in(self.sender), "").lower()

    @Lazy
    def server(self) -> str:
        """The mail server that From names, "" where it names none. "Postmaster <>" is one."""
        sender = self.sender[:500]
        if not sender.strip(' <>"'):
            return "" if "@" in self.mail.header("return-path") else "nobody"
        name = sender.replace(self.sender_address, "") if self.sender_address else sender
        if found := _SERVERS.match(self.sender_address) or _NAMES_OF_SERVERS.search(name):
            return found[0]
        found = _SERVER_WITHOUT_ADDRESS.search(sender) if "@" not in sender else None
        return found[0] if found else ""

    @Lazy
    def has_no_return_path(self) -> bool:
        """Whether no answer is wanted: RFC 5321 section 4.5.5."""
        value = self.mail.header("return-path")
        return bool(value) and _NO_RETURN_PATH.match(value) is not None

    @Lazy
    def wants_answers(self) -> bool:
        """Whether whoever wrote it is no mail server, and wants to hear of what becomes of it, as people do."""
        path = next(addresses_in(self.mail.header("return-path")), "").lower()
        return path != "" and path == self.sender_address and not self.server

    @Lazy
    def failed_recipients(self) -> list[str]:
        """The addresses that a header of Exim or Gmail names; [] where there is none."""
        values = [value for name in FAILED_RECIPIENTS for value in self.mail.headers(name)]
        return list(dict.fromkeys(addresses_in(", ".join(values)))) if values else []

    @Lazy
    def whole_text(self) -> str:
        """Its texts in front of the first enclosed mail, one after the other."""
        lines = "\n".join(self._texts()).split("\n")
        if max(map(len, lines)) > LONG_LINE:
            lines = [
                _RUN_OF_SPACE.sub(" " * 50, line[:LONGEST_LINE]) if len(line) > LONG_LINE else line
                for line in lines
            ]
        return "\n".join(lines)

    @Lazy
    def notification(self) -> str:
        """The first text, whole and as it stands, for a reader of JSON; what a person reads is cut and tidied."""
        texts = (part for part in self._own_parts() if part.content_type == "text/plain")
        return next((part.text(LONGEST_NOTIFICATION) for part in texts), "")

    @Lazy
    def text(self) -> str:
        """What stands in front of the returned mail."""
        return "\n".join(self._all_lines[: self._end])

    @Lazy
    def lower(self) -> str:
        return "\n".join(self._lower_lines[: self._end])

    @Lazy
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self._all_lines[: self._end]]

    @Lazy
    def opening(self) -> str:
        """The first words, in lower case; what is quoted or forwarded is not among them."""
        text = self.whole_text.lstrip()[:LONGEST_OPENING]
        quoted = _QUOTED.search(text)
        return text[: quoted.start()].lower() if quoted else text.lower()

    @Lazy
    def returned(self) -> Part | None:
        """The mail that came back, or its header: enclosed, or below the notice."""
        enclosed = next((part for part in self.parts[1:] if part.content_type in ENCLOSED), None)
        if enclosed is not None:
            return enclosed.enclosed(LONGEST_ENCLOSED)
        lines = self._all_lines
        lower = self._lower_lines
        start = next((at for at in range(self._end, len(lines)) if begins_header(lower, at)), None)
        if start is None:
            return None
        octets = "\n".join(line.removeprefix(">").removeprefix(" ") for line in lines[start:]).encode(
            "utf-8", "replace"
        )
        return Part(octets, 0, len(octets))

    @Lazy
    def returned_to(self) -> tuple[str, ...]:
        """To whom the mail went that came back, as its header says."""
        if self.returned is None or self.returned.content_type == "multipart/report":
            return ()  # a notice that came back came from a server, and went to the one who sent before
        fields = [
            value for name in ("x-original-to", "to", "cc", "bcc") for value in self.returned.headers(name)
        ]
        return tuple(dict.fromkeys(addresses_in(", ".join(fields)[:20_000])))

    @Lazy
    def _by_type(self) -> dict[str, Part]:
        return {part.content_type: part for part in reversed(self.parts)}

    @Lazy
    def _all_lines(self) -> list[str]:
        return self.whole_text.split("\n")

    @Lazy
    def _lower_lines(self) -> list[str]:
        return self.whole_text.lower().split("\n")

    @Lazy
    def _end(self) -> int:
        """The number of lines that the notice has; it never ends before it has said something."""
        lines = self._lower_lines
        start = next((at for at, line in enumerate(lines) if line and not line.isspace()), len(lines)) + 1
        for at in range(start, len(lines)):
            line = lines[at]
            if line and (announces_returned(line) or begins_header(lines, at)):
                return at
        return len(lines)

    def _texts(self) -> Iterator[str]:
        own = [
            part for part in self._own_parts() if not part.is_attached or part.content_type == "text/plain"
        ]
        plain = [part for part in own if part.content_type == "text/plain"]
        texts = [part.text(LONGEST_TEXT) for part in plain[:MOST_TEXTS]]
        if any(text.strip() for text in texts):
            yield from texts
            return
        for part in own:
            if part.content_type == "text/html":
                yield text_of_html(part.text(LONGEST_TEXT))
                return

    def _own_parts(self) -> Iterator[Part]:
        """Up to the first enclosed mail: what stands behind it is a signature or the mail's own attachment."""
        if len(self.parts) == 1 and self.mail.content_type.startswith("multipart/"):
            yield self.mail.as_text()  # its parts are lost, and with them their types
            return
        for part in self.parts:
            if part.content_type in ENCLOSED:
                return
            if part.content_type not in _STATUS_TYPES:
                yield part
