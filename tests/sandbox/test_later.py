"""What follows an acceptance: bounces, warnings, reports of success and automatic answers, as the desk reads them."""

from __future__ import annotations

from datetime import timedelta
from email import message_from_bytes, policy

import pytest

from telltale.bounce import read
from telltale.bounce.returned import Kind, Returned
from telltale.mail.reply import SmtpReply
from telltale.mail.report import Action, RecipientReport
from telltale.sandbox import Sandbox
from telltale.sandbox.events import Kind as Event
from telltale.sandbox.hosts import PROVIDER_DOMAINS
from telltale.sandbox.providers import PROVIDERS
from telltale.sandbox.scenarios import SCENARIOS, Later
from tests.sandbox.client import MAIL_FROM, Desk, client_of
from tests.sandbox.conftest import Meet

READ_AS = {
    Later.FAILED: (Kind.BOUNCE, Action.FAILED),
    Later.DELAYED: (Kind.DELAYED, Action.DELAYED),
    Later.DELIVERED: (Kind.DELIVERED, Action.DELIVERED),
}
REPORTING = [scenario for scenario in SCENARIOS if scenario.later in READ_AS]
NOBODY = "<>"  # the null sender, as aiosmtpd has it
every_provider = pytest.mark.parametrize("provider", PROVIDER_DOMAINS)


@every_provider
@pytest.mark.parametrize("scenario", REPORTING, ids=lambda scenario: scenario.name)
async def test_a_report_comes_from_nobody_to_the_return_path_and_reads_as_what_it_says(
    sandbox: Sandbox, desk: Desk, meet: Meet, provider: str, scenario
) -> None:
    recipient = f"{scenario.name}@{provider}.sandbox.test"
    async with meet(provider) as client:
        assert (await client.deliver(recipient)).startswith(b"250")
    letter = await desk.next_letter()
    returned = read(letter.content)

    assert (letter.mail_from, letter.rcpt_to) == (NOBODY, MAIL_FROM)
    report = only_report(returned)
    assert (returned.kind, report.action) == READ_AS[scenario.later]
    assert report.final_recipient == recipient
    assert returned.keys.message_ids == ("<7@lamp.example>",)
    assert returned.oddities == ()
    assert_says_what_the_provider_says(report, provider)


def assert_says_what_the_provider_says(report: RecipientReport, provider: str) -> None:
    quoted = SmtpReply.from_wire(report.diagnostic_code.text.encode())
    assert report.diagnostic_code.type == "smtp"
    assert {line[:3] for line in quoted.lines} == {str(quoted.code)}
    assert "{" not in report.diagnostic_code.text
    assert report.remote_mta == f"mailstore.{provider}.sandbox.test"
    if quoted.enhanced_status:
        assert report.status == quoted.enhanced_status
    assert {"failed": 5, "delayed": 4, "delivered": 2}[report.action] == quoted.code // 100


async def test_a_bounce_quotes_each_line_of_the_server_behind(meet: Meet, desk: Desk) -> None:
    async with meet("google") as client:
        await client.deliver("bounce-later@google.sandbox.test")
    content = (await desk.next_letter()).content
    report = only_report(read(content))

    lines = [
        "550-5.1.1 The email account that you tried to reach does not exist. Please try",
        "550-5.1.1 double-checking the recipient's email address for typos or",
        "550-5.1.1 unnecessary spaces. For more information, go to",
        "550 5.1.1  https://support.google.com/mail/?p=NoSuchUser",
    ]
    assert ("Diagnostic-Code: smtp; " + "\r\n ".join(lines)).encode() in content
    assert report.diagnostic_code.text.startswith(" ".join(lines))
    assert str(report.status) == "5.1.1"


async def test_a_warning_says_until_when_it_will_be_tried(meet: Meet, desk: Desk) -> None:
    async with meet("postfix") as client:
        await client.deliver("delayed-later@postfix.sandbox.test")
    returned = read((await desk.next_letter()).content)
    report = only_report(returned)

    assert report.last_attempt_date
    assert report.will_retry_until
    left = report.will_retry_until - report.last_attempt_date
    assert timedelta(days=4, hours=23) < left <= timedelta(days=5)


@every_provider
async def test_an_automatic_answer_says_that_it_is_one_and_to_what(
    meet: Meet, desk: Desk, provider: str
) -> None:
    async with meet(provider) as client:
        await client.deliver(f"vacation@{provider}.sandbox.test")
    letter = await desk.next_letter()
    answer = message_from_bytes(letter.content, policy=policy.default)
    returned = read(letter.content)

    assert (letter.mail_from, letter.rcpt_to) == (NOBODY, MAIL_FROM)
    assert answer["Auto-Submitted"] == "auto-replied"  # RFC 3834 section 5
    assert answer["In-Reply-To"] == "<7@lamp.example>"
    assert answer["From"] == f"vacation@{provider}.sandbox.test"
    assert (returned.kind, returned.reports) == (Kind.AUTOREPLY, ())


async def test_a_report_is_announced_when_the_desk_has_taken_it(
    sandbox: Sandbox, desk: Desk, meet: Meet
) -> None:
    async with meet("apple") as client:
        await client.deliver("bounce-later@icloud.example")
    heard = await sandbox.wait_for("reported", recipient="bounce-later@icloud.example")

    assert heard.detail == "250 2.0.0 Stored"
    assert desk.letters.qsize() == 1


async def test_a_desk_that_has_no_time_is_asked_again(sandbox: Sandbox, desk: Desk, meet: Meet) -> None:
    desk.refusals = ["451 4.3.0 Not now", "421 4.3.2 Closing"]
    async with meet("apple") as client:
        await client.deliver("bounce-later@apple.sandbox.test")

    assert (await desk.next_letter()).rcpt_to == MAIL_FROM
    await sandbox.wait_for("reported")


@pytest.mark.parametrize(
    ("refusals", "why"),
    [
        (["550 5.1.1 Nobody here"], "550 5.1.1 Nobody here"),
        (["451 4.3.0 Not now"] * 3, "451 4.3.0 Not now"),  # as often as the courier tries
    ],
)
async def test_a_report_that_is_never_taken_is_noted(
    sandbox: Sandbox, desk: Desk, meet: Meet, refusals: list[str], why: str
) -> None:
    desk.refusals = refusals
    async with meet("apple") as client:
        await client.deliver("bounce-later@apple.sandbox.test")
    heard = await sandbox.wait_for("unreported")

    assert heard.detail == why
    assert desk.letters.empty()


@pytest.mark.parametrize(
    "mail_from", ["a@gmail.com", "a@no-such-domain.sandbox.test", "a@null-mx.sandbox.test"]
)
async def test_a_report_to_a_domain_without_a_mail_server_goes_nowhere(
    sandbox: Sandbox, meet: Meet, mail_from: str
) -> None:
    async with meet("yahoo") as client:
        await client.deliver("bounce-later@yahoo.sandbox.test", mail_from=mail_from)
    heard = await sandbox.wait_for("unreported")

    assert heard.detail == f"no mail server is known for {mail_from.partition('@')[2]}"


async def test_nothing_follows_a_mail_from_nobody(sandbox: Sandbox, desk: Desk, meet: Meet) -> None:
    async with meet("google") as client:
        await client.begin("bounce-later@google.sandbox.test", mail_from="")
        assert (await client.hand_over()).startswith(b"250")
    async with meet("google") as client:
        await client.deliver("vacation@google.sandbox.test")

    assert (await desk.next_letter()).content.startswith(b"From: <vacation@")
    assert desk.letters.empty()
    assert [heard.kind for heard in sandbox.journal.events if heard.kind is Event.UNREPORTED] == []


async def test_a_line_of_ours_that_begins_with_a_dot_comes_back_as_it_was(meet: Meet, desk: Desk) -> None:
    async with meet("apple") as client:
        await client.deliver("bounce-later@icloud.example", message=b"..dotted: x\r\n\r\nbody\r\n")

    assert b"\r\n\r\n.dotted: x\r\n" in (await desk.next_letter()).content


async def test_each_recipient_of_a_mail_gets_a_report_of_his_own(
    sandbox: Sandbox, desk: Desk, meet: Meet
) -> None:
    recipients = {"bounce-later@ribeiro.example", "full-later@ribeiro.example"}
    async with meet("postfix") as client:
        await client.begin("anna@ribeiro.example")
        for recipient in recipients:
            await client.say(f"RCPT TO:<{recipient}>")
        await client.hand_over()
    reports = [only_report(read((await desk.next_letter()).content)) for _ in recipients]

    assert {report.final_recipient for report in reports} == recipients
    assert desk.letters.empty()


async def test_a_recipient_of_other_letters_is_named_as_he_was(meet: Meet, desk: Desk) -> None:
    recipient = "full-later+zoë@google.sandbox.test"
    async with meet("google") as client:
        await client.hello()
        await client.say(f"MAIL FROM:<{MAIL_FROM}> SMTPUTF8")
        await client.say(f"RCPT TO:<{recipient}>")
        assert (await client.hand_over()).startswith(b"250")

    assert only_report(read((await desk.next_letter()).content)).final_recipient == recipient


@pytest.mark.parametrize(
    "headers",
    [
        b"Subject: {subject} {0} {host} %s\r\n",
        b"Subject: caf\xc3\xa9 \xff\xfe\r\n",
        b"Subject: " + b"long " * 2000 + b"\r\n",
        b"Subject: =?utf-8?q?=0D=0ABcc:_eve@evil.example?=\r\n",
        b"Subject:\r\n Bcc: eve@evil.example\r\n",
        b"Subject: a\x00b\x0b\x0c\x85c\r\n",
        b"no header at all\r\n",
        b"X: " + b"y" * 100_000 + b"\r\n",
        b"",
    ],
    ids=["braces", "octets", "long", "encoded", "folded", "controls", "none", "huge", "empty"],
)
@pytest.mark.parametrize("scenario", ["bounce-later", "vacation"])
async def test_odd_headers_of_ours_break_no_report(
    meet: Meet, desk: Desk, headers: bytes, scenario: str
) -> None:
    async with meet("microsoft") as client:
        await client.deliver(f"{scenario}@outlook.example", message=headers + b"\r\nbody\r\n")
    letter = await desk.next_letter()
    returned = read(letter.content)

    assert max(map(len, letter.content.split(b"\r\n"))) <= 998  # RFC 5322 section 2.1.1
    assert "Bcc" not in message_from_bytes(letter.content)
    assert b"\n" not in letter.content.replace(b"\r\n", b"")
    expected = Kind.BOUNCE if scenario == "bounce-later" else Kind.AUTOREPLY
    assert returned.kind is expected


@every_provider
async def test_a_bounce_looks_like_the_provider_s(meet: Meet, desk: Desk, provider: str) -> None:
    async with meet(provider) as client:
        await client.deliver(f"bounce-later@{provider}.sandbox.test")
    bounce = message_from_bytes((await desk.next_letter()).content, policy=policy.default)

    expected = PROVIDERS[provider].failed_subject.replace("{subject}", "Your lamp")
    assert bounce["Subject"] == expected
    assert bounce["From"] == f"{PROVIDERS[provider].notifier} <mailer-daemon@{provider}.sandbox.test>"
    assert bounce["Auto-Submitted"] == "auto-generated"
    assert bounce.get_content_type() == "multipart/report"
    assert [part.get_content_type() for part in bounce.iter_parts()] == [
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ]


async def test_what_waits_is_not_sent_when_the_sandbox_stops(desk: Desk) -> None:
    async with (
        Sandbox(desk_port=desk.port) as sandbox,
        client_of(sandbox.ports["mx.google.sandbox.test"]) as client,
    ):
        await client.deliver("bounce-later@google.sandbox.test")

    assert desk.letters.empty()


def only_report(returned: Returned) -> RecipientReport:
    [report] = returned.reports
    return report
