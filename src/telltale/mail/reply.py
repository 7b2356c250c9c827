"""What an SMTP server answers: RFC 5321 section 4.2."""

from __future__ import annotations

from dataclasses import dataclass

from telltale.mail.status import EnhancedStatus


@dataclass(frozen=True, slots=True)
class SmtpReply:
    """One reply, every line of it as it stood on the wire.

    `code` is the reply code (three digits). `lines` are the lines without their line ends and with their
    codes: ("550-5.1.1 No such user here.", "550 5.1.1 Please check the address."). Octets that are no
    UTF-8 stand as escapes (`\\xee`), so that no octet is lost.
    """

    code: int
    lines: tuple[str, ...]

    @classmethod
    def from_wire(cls, octets: bytes) -> SmtpReply:
        """The reply that these octets hold; its code is that of the last line, which ends it.

        Raises ValueError where the last line does not begin with three digits from 200 to 599.
        """
        lines = tuple(
            line.decode("utf-8", "backslashreplace")
            for line in octets.removesuffix(b"\n").removesuffix(b"\r").replace(b"\r\n", b"\n").split(b"\n")
        )
        code = lines[-1][:3]
        if not (len(code) == 3 and code.isascii() and code.isdigit() and "200" <= code <= "599"):
            raise ValueError(f"an SMTP reply begins with a code of three digits, not with {lines[-1][:80]!r}")
        return cls(int(code), lines)

    @property
    def text(self) -> str:
        """The words of all lines, without reply codes and separators, one line each."""
        return "\n".join(line[4:] for line in self.lines)

    @property
    def enhanced_status(self) -> EnhancedStatus | None:
        """The enhanced code that the reply carries, RFC 2034 section 4; None where there is none to trust."""
        status = EnhancedStatus.parse(self.lines[-1][4:]) or EnhancedStatus.parse(self.lines[0][4:])
        # RFC 2034 section 4: a class that contradicts the reply code is no enhanced code; ignore it.
        return status if status and status.class_ == self.code // 100 else None

    @property
    def is_positive(self) -> bool:
        return 200 <= self.code < 400

    @property
    def is_permanent(self) -> bool:
        return self.code >= 500

    def __str__(self) -> str:
        return "\n".join(self.lines)
