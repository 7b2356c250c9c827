"""What the fuzzer gives its input to: mails to `read`, replies to `explain`, anything to the words of the standards."""

from __future__ import annotations

from telltale.bounce.said import report_of
from telltale.bounce.translation import LANGUAGES
from telltale.mail.report import RecipientReport, Stage
from tests.bounce.promises import explained, read_and_explained
from tests.mail.promises import address_read, reply_read, words_read

STAGES = (None, *Stage)
HOSTS = (
    "",
    "mx.lamp.example",
    "gmail-smtp-in.l.google.com",
    "lamp-example.mail.protection.outlook.com",
    "mx.yandex.ru",
)


def mail(octets: bytes) -> None:
    """The octets are a mail."""
    read_and_explained(octets)


def reply(octets: bytes) -> None:
    """The first octet chooses the host, the stage and the language; the others are what the host said."""
    first, said = (octets or b"\0")[0], octets[1:]
    host, stage = HOSTS[first % len(HOSTS)], STAGES[first % len(STAGES)]
    language = LANGUAGES[first % len(LANGUAGES)]
    report = report_of(said.decode("utf-8", "backslashreplace"), host=host, stage=stage)
    explained(report, language=language)
    if heard := reply_read(said):
        explained(RecipientReport.from_reply(heard, recipient="", remote_mta=host, stage=stage))


def standards(octets: bytes) -> None:
    """The octets are a field, a text, an address or HTML: whatever `telltale.mail` reads."""
    words_read(octets)
    address_read(octets.decode("utf-8", "backslashreplace"))


TARGETS = {"mail": mail, "reply": reply, "standards": standards}
