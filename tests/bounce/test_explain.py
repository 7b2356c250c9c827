"""What a report means: host, stage and words in; reason, party and the fate of the address out."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from telltale.bounce import Party, Retry, Verdict, compiler, explain, knowledge
from telltale.mail.reply import SmtpReply
from telltale.mail.report import NO_DIAGNOSTIC, SERVICE_EVENT, Action, Diagnostic, RecipientReport, Stage
from telltale.mail.status import EnhancedStatus
from telltale.sandbox.providers import PROVIDERS
from telltale.sandbox.providers.base import COMMON

GOOGLE = "gmail-smtp-in.l.google.com"
MICROSOFT = "lamp-example.mail.protection.outlook.com"
YAHOO = "mta6.am0.yahoodns.net"
GMX = "mx00.emig.gmx.net"
ANY = "mx.lamp.example"

DEAD, ALIVE = True, False
REPLIES = tomllib.loads(Path(__file__).with_name("replies.toml").read_text(encoding="utf-8"))
MANY_LINKS = tuple(f"https://lamp.example/{number}" for number in range(50))
MAY_BE_DEAD = {"user_unknown", "mailbox_disabled", "domain_not_found", "null_mx"}


def heard(words: str, *, host: str = ANY, stage: Stage = Stage.RCPT, to: str = "ana@lamp.example") -> Verdict:
    """The verdict on a reply that we heard ourselves."""
    reply = SmtpReply.from_wire(words.encode())
    return explain(RecipientReport.from_reply(reply, recipient=to, remote_mta=host, stage=stage))


def told(
    diagnostic: str,
    *,
    kind: str = "smtp",
    action: Action = Action.FAILED,
    status: str = "",
    host: str = "",
    stage: Stage | None = None,
) -> Verdict:
    """The verdict on what a bounce tells, or what our own client found out."""
    return explain(
        RecipientReport(
            "ana@lamp.example",
            action,
            status=EnhancedStatus.parse(status),
            diagnostic_code=Diagnostic(kind, diagnostic),
            remote_mta=host,
            stage=stage,
        )
    )


@pytest.mark.parametrize(
    ("words", "host", "stage", "reason", "party", "address_dead"),
    [
        # The codes that every help desk meets.
        (("550-5.1.1 The email account that you tried to reach does not exist. Please try\r\n"
         "550-5.1.1 double-checking the recipient's email address.\r\n550 5.1.1 abc - gsmtp"),
         GOOGLE, Stage.RCPT, "user_unknown", "recipient", DEAD),
        ("550 5.1.1 no", ANY, Stage.RCPT, "user_unknown", "recipient", DEAD),  # the code alone says it
        ("552 5.2.2 The mailbox is over quota", ANY, Stage.RCPT, "mailbox_full", "recipient", ALIVE),
        ("552-5.2.2 The recipient's inbox is out of storage space.\r\n552 5.2.2 abc - gsmtp",
         GOOGLE, Stage.RCPT, "mailbox_full", "recipient", ALIVE),
        ("554 5.4.4 Unable to route", ANY, Stage.RCPT, "no_route", "network", ALIVE),
        ("554 5.4.4 [internal] Domain Lookup Failed", ANY, Stage.RCPT, "no_route", "network", ALIVE),
        ("554 5.4.7 Delivery time expired", ANY, Stage.RCPT, "expired", "unknown", ALIVE),
        (("421-4.7.28 Gmail has detected an unusual rate of unsolicited email originating from\r\n"
         "421-4.7.28 your IP address. To protect our users from spam, email sent from your IP\r\n"
         "421 4.7.28 address has been temporarily rate limited. abc - gsmtp"),
         GOOGLE, Stage.CONTENT, "rate_limited", "us", ALIVE),
        ("550", ANY, Stage.RCPT, "unknown", "unknown", ALIVE),  # many causes, and none is said
        ("550 Requested action not taken", ANY, Stage.RCPT, "unknown", "unknown", ALIVE),
        # 5.7.1 says least of all: the words decide.
        ("550 5.7.1 Refused", ANY, Stage.RCPT, "policy", "unknown", ALIVE),
        ("550 5.7.1 Message looks like spam", ANY, Stage.CONTENT, "spam_content", "message", ALIVE),
        ("550 5.7.1 Service unavailable; client [192.0.2.7] blocked using zen.spamhaus.org",
         ANY, Stage.RCPT, "ip_blocklisted", "us", ALIVE),
        ("550 5.7.1 rejected by DMARC policy", ANY, Stage.CONTENT, "auth_dmarc", "us", ALIVE),
        ("550 5.7.1 SPF check failed", ANY, Stage.MAIL, "auth_spf", "us", ALIVE),
        ("554 5.7.1 <ana@lamp.example>: Relay access denied", ANY, Stage.RCPT, "relay_denied", "provider", ALIVE),
        ("554 5.7.1 <ana@lamp.example>: Recipient address rejected: Access denied",
         ANY, Stage.RCPT, "recipient_policy", "provider", ALIVE),
        # The same number means another thing elsewhere.
        ("550 5.4.1 Recipient address rejected: Access denied. [X.prod.outlook.com]",
         MICROSOFT, Stage.RCPT, "user_unknown", "recipient", DEAD),
        ("450 4.4.1 x", ANY, Stage.RCPT, "host_unreachable", "network", ALIVE),
        ("550 5.7.27 x", GOOGLE, Stage.CONTENT, "auth_spf", "us", ALIVE),
        ("550 5.7.27 x", ANY, Stage.CONTENT, "sender_domain_invalid", "us", ALIVE),
        ("550 5.1.10 x", MICROSOFT, Stage.RCPT, "user_unknown", "recipient", DEAD),
        ("550 5.1.10 x", ANY, Stage.RCPT, "null_mx", "recipient", DEAD),
        ("550 5.5.0 Requested action not taken: mailbox unavailable", MICROSOFT, Stage.RCPT,
         "user_unknown", "recipient", DEAD),
        # RFC 5321 says "mailbox unavailable" for a refusal by a rule, too.
        ("550 5.5.0 Requested action not taken: mailbox unavailable", ANY, Stage.RCPT, "unknown", "unknown", ALIVE),
        ("550 Requested action not taken: mailbox unavailable", ANY, Stage.RCPT, "unknown", "unknown", ALIVE),
        ("550-Requested action not taken: mailbox unavailable\r\n550 Reject due to policy restrictions.",
         GMX, Stage.CONTENT, "policy", "unknown", ALIVE),
        # Alive in spite of its code: a flood.
        (("550-5.2.1 The user you are trying to contact is receiving mail at a rate that\r\n"
         "550-5.2.1 prevents additional messages from being delivered.\r\n550 5.2.1 abc - gsmtp"),
         GOOGLE, Stage.RCPT, "recipient_rate_limited", "recipient", ALIVE),
        # Words about us hold words about a missing address.
        ("550 5.1.8 <b@desk.example>: Sender address rejected: Domain not found",
         ANY, Stage.RCPT, "sender_domain_invalid", "us", ALIVE),
        # Before RCPT, nobody has named the recipient: it cannot be the address.
        ("550 5.1.1 User unknown", ANY, Stage.MAIL, "sender_address_invalid", "us", ALIVE),
        ("550 Domain does not exist", ANY, Stage.MAIL, "sender_domain_invalid", "us", ALIVE),
        ("554 No SMTP service here", ANY, Stage.CONNECT, "ip_reputation", "us", ALIVE),
        ("554 no", ANY, Stage.RCPT, "unknown", "unknown", ALIVE),
        # Routine
        ("450 4.2.0 Greylisted, try again in 15 seconds", ANY, Stage.RCPT, "greylisted", "provider", ALIVE),
        ("421 4.3.2 Service not available", ANY, Stage.RCPT, "system_busy", "provider", ALIVE),
        ("552 5.3.4 Message size exceeds fixed limit", ANY, Stage.MAIL, "message_too_large", "message", ALIVE),
        ("553 5.6.7 Non-ASCII addresses are not permitted", ANY, Stage.RCPT, "utf8_unsupported", "provider", ALIVE),
        ("550 5.2.1 This account is temporarily disabled", ANY, Stage.RCPT, "mailbox_inactive", "recipient", ALIVE),
        ("550 5.2.1 This account has been disabled", ANY, Stage.RCPT, "mailbox_disabled", "recipient", DEAD),
        # Other tongues
        ("550 Benutzer nicht bekannt", ANY, Stage.RCPT, "user_unknown", "recipient", DEAD),
        ("550 5.2.2 Postfach voll", ANY, Stage.RCPT, "mailbox_full", "recipient", ALIVE),
        ("550 Buzón lleno", ANY, Stage.RCPT, "mailbox_full", "recipient", ALIVE),
    ],
)  # fmt: skip
def test_a_reply_is_explained(words, host, stage, reason, party, address_dead):
    verdict = heard(words, host=host, stage=stage)

    assert (verdict.reason, verdict.party, verdict.address_dead) == (reason, party, address_dead)


@pytest.mark.parametrize(
    ("text", "stage", "reason"),
    [
        ("DNS: lamp.example does not exist (NXDOMAIN)", Stage.DNS, "domain_not_found"),
        ("DNS: lamp.example takes no mail (null MX, RFC 7505)", Stage.DNS, "null_mx"),
        ("DNS: lamp.example has no mail server (no MX, no address)", Stage.DNS, "no_route"),
        ("DNS: no answer for lamp.example: The resolution lifetime expired", Stage.DNS, "dns_failure"),
        ("mx.lamp.example [192.0.2.1] port 25: connection refused", Stage.CONNECT, "host_unreachable"),
        ("mx.lamp.example [192.0.2.1] port 25: timed out after 30 seconds", Stage.CONNECT, "host_unreachable"),
        ("mx [192.0.2.1] port 25: timed out after 300 seconds waiting for the reply to RCPT", Stage.RCPT,
         "connection_lost"),
        # What the server had said stands in our sentence, and is not what we say.
        (("mx [192.0.2.1] port 25: the connection was lost while waiting for the greeting; it had said "
         "'550 5.1.1 no such user'"), Stage.CONNECT, "connection_lost"),
        ("mx [192.0.2.1] port 25: its certificate is not trusted: certificate has expired", Stage.STARTTLS,
         "tls_failure"),
        (("mx [192.0.2.1] port 25: the connection was lost while waiting for the reply to the message; the whole "
         "message had been handed over, so it may or may not have arrived"), Stage.CONTENT,
         "handed_over_unconfirmed"),
        ("The sandbox sends nothing outside this machine, and lamp.org is no domain of the sandbox.", Stage.DNS,
         "sandbox_only"),
        ("a sentence that no rule knows", Stage.CONNECT, "host_unreachable"),  # the step tells
    ],
)  # fmt: skip
def test_what_our_own_client_found_out_is_explained(text, stage, reason):
    verdict = told(text, kind="x-local", action=Action.DELAYED, stage=stage)

    assert (verdict.reason, verdict.said_by) == (reason, "")


def test_a_mail_that_may_have_arrived_is_not_called_lost_nor_sent_again():
    verdict = told(
        "it may or may not have arrived", kind="x-local", action=Action.DELAYED, stage=Stage.CONTENT
    )

    assert verdict.retry is Retry.UNCLEAR
    assert "duplicate" in verdict.meaning


@pytest.mark.parametrize(
    ("diagnostic", "reason", "words"),
    [
        (("554 5.4.7 [internal] message timeout (exceeded max time, last transfail: "
         "454 4.4.4 [internal] no MX or A for domain)"),
         "expired", "no mail server could be found (“454 4.4.4 [internal] no MX or A for domain”)"),
        ("5.4.7 - Delivery expired (message too old) 'DNS Soft Error' (delivery attempts: 0)",
         "expired", "DNS gave no answer (“DNS Soft Error”)"),
        ("554 4.4.7 Message expired: unable to deliver in 840 minutes.<421 4.4.2 Connection timed out>",
         "expired", "“421 4.4.2 Connection timed out”"),
        ("554 5.4.7 Delivery time expired", "expired", "not stated"),
        ("554 5.4.7 Mailbox full", "expired", "the mailbox is full"),
        # Cisco's own 5.1.0 "unknown address" is nothing: what it quotes counts.
        ("5.1.0 - Unknown address error 550-'5.2.2 mailbox full' (delivery attempts: 0)",
         "mailbox_full", "no space left"),
        ((f"host {GOOGLE}[192.0.2.1] said: 550-5.1.1 The email account that you tried to reach does not exist. "
         "550 5.1.1 abc - gsmtp (in reply to RCPT TO command)"), "user_unknown", "does not exist"),
        (f"host {ANY}[192.0.2.1] said: 550 5.1.1 User unknown (in reply to MAIL FROM command)",
         "sender_address_invalid", "address that this mail comes from"),
        ("delivery temporarily suspended: connect to mx.lamp.example[192.0.2.1]:25: Connection refused",
         "host_unreachable", "No connection"),
    ],
)  # fmt: skip
def test_what_a_bounce_quotes_is_found(diagnostic, reason, words):
    verdict = told(diagnostic)

    assert verdict.reason == reason
    assert words in verdict.meaning


@pytest.mark.parametrize(("diagnostic", "status"), [("", "4.0.0"), ("450 no", "")])
def test_a_mail_that_failed_with_a_temporary_code_was_given_up(diagnostic, status):
    """RFC 3464 section 2.3.4 allows `Action: failed` with `Status: 4.0.0`."""
    assert told(diagnostic, status=status).reason == "expired"


def test_lines_that_a_bounce_has_joined_read_like_lines():
    joined = "550-5.1.1 The email account that you tried to 550-5.1.1 reach does not exist. 550 5.1.1 - gsmtp"

    assert told(joined).rule == "google.01"


@pytest.mark.parametrize(
    ("words", "host", "rule"),
    [
        ("550 5.1.1 The email account that you tried to reach does not exist", GOOGLE, "google.01"),
        ("550 5.1.1 x", ANY, "enhanced:X.1.1"),
        ("550 Rejected", ANY, "basic:550"),
    ],
)
def test_a_verdict_names_what_decided(words, host, rule):
    assert heard(words, host=host).rule == rule


def test_a_phrase_of_any_server_is_named_so():
    assert heard("550 Mail for this domain: no such person").rule.startswith("text:")


def test_a_report_without_words_and_codes_is_decided_by_its_action():
    verdict = explain(RecipientReport("ana@lamp.example", Action.FAILED))

    assert (verdict.reason, verdict.rule, verdict.permanent) == ("unknown", "action", True)


def test_the_action_alone_says_whether_it_is_final():
    assert told("450 4.2.2 Mailbox full", action=Action.FAILED).permanent
    assert not told("550 5.1.1 User unknown", action=Action.DELAYED).permanent


def test_an_address_is_not_dead_while_the_mail_is_still_tried():
    assert not told("550 5.1.1 User unknown", action=Action.DELAYED).address_dead


def test_a_delay_is_tried_again_by_itself():
    verdict = heard("452 4.2.2 Mailbox full")

    assert verdict.retry is Retry.AUTOMATIC
    assert "duplicate" in verdict.retry_advice


def test_a_delay_that_will_hardly_end_well_says_so():
    verdict = heard("450 4.1.1 User unknown")

    assert verdict.retry is Retry.AUTOMATIC
    assert "most likely fail" in verdict.retry_advice


@pytest.mark.parametrize(
    ("action", "reason"),
    [(Action.DELIVERED, "delivered"), (Action.RELAYED, "relayed"), (Action.EXPANDED, "relayed")],
)
def test_good_news_is_no_refusal(action, reason):
    verdict = told("250 2.1.5 User unknown to nobody", action=action)

    assert (verdict.reason, verdict.permanent, verdict.address_dead) == (reason, False, False)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (GOOGLE, "Google"),
        (MICROSOFT, "Microsoft"),
        (YAHOO, "Yahoo"),
        ("mx01.mail.icloud.com", "Apple iCloud"),
        ("mx.google.sandbox.test", "Google"),
        ("mx.postfix.sandbox.test", "mx.postfix.sandbox.test"),
        (
            "gmail-smtp-in.l.google.com.lamp.example",
            "gmail-smtp-in.l.google.com.lamp.example",
        ),  # borrowed name
        ("", ""),
    ],
)
def test_a_verdict_tells_who_said_it(host, name):
    assert heard("550 5.1.1 x", host=host).said_by == name


def test_the_meaning_names_the_domain():
    assert "the domain lamp.example" in heard("554 5.4.4 Unable to route").meaning
    assert "{domain}" not in heard("554 5.4.4 Unable to route", to="").meaning


def test_braces_in_the_words_of_others_do_no_harm():
    assert "{0.x}" in told("554 5.4.7 timeout (last transfail: {0.x} {domain})").meaning


def test_a_provider_s_own_explanation_is_not_told_of_another():
    words = "550-5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages"

    assert "Gmail" in told(words, host=GOOGLE).meaning
    assert "Gmail" not in told(words, host=YAHOO).meaning


@pytest.mark.parametrize(
    ("words", "pause"),
    [
        ("450 Greylisted, try again in 15 seconds", timedelta(seconds=15)),
        ("450 please retry in 300s", timedelta(minutes=5)),
        ("451 4.7.1 Greylisted for 5 minutes", timedelta(minutes=5)),
        ("451 Greylisting in action, please come back in 00:04:59", timedelta(minutes=4, seconds=59)),
        ("451 try again in 1 hour", timedelta(hours=1)),
        ("451 try again in 4000 days", timedelta(days=5)),  # no queue waits longer
        ("451 timed out after 300 seconds, try again later", None),
        ("451 try again; at most 100 messages a day", None),
        ("450 4.2.2 Mailbox full", None),
    ],
)
def test_the_time_that_a_server_asks_for_is_read(words, pause):
    assert heard(words).retry_after == pause


def test_a_final_refusal_asks_nobody_back():
    assert heard("550 5.7.1 Try again in 15 seconds").retry_after is None


# What the sandbox's servers say, scenario by scenario.
MEANT = {
    "no-such-user": {"user_unknown"},
    "bounce-later": {"user_unknown"},
    "full": {"mailbox_full"},
    "full-later": {"mailbox_full"},
    "disabled": {"mailbox_disabled"},
    "policy": {"policy", "recipient_policy"},
    "spam": {"spam_content", "content_rejected"},
    "too-large": {"message_too_large"},
    "blocklisted": {"ip_blocklisted", "ip_reputation"},
    "auth": {"auth_missing", "auth_dmarc"},
    "rate-limited": {"rate_limited", "ip_reputation", "recipient_rate_limited"},
    "temporary": {"system_error", "system_busy"},
    "greylist": {"greylisted"},
    "bare-550": {"unknown"},
    "no-route": {"no_route"},
    "expired": {"expired"},
    "relay": {"relay_denied"},
}
MOMENT = {
    "recipient": "ana@lamp.example",
    "recipient_domain": "lamp.example",
    "mail_from": "b@desk.example",
    "domain": "desk.example",
    "client": "192.0.2.7",
    "host": ANY,
    "seconds": 15,
    "time": 1_700_000_000,
    "session": "abc123",
}


@pytest.mark.parametrize(
    ("provider", "scenario"),
    [
        (name, scenario)
        for name, provider in PROVIDERS.items()
        for scenario in MEANT
        if scenario in provider.words or scenario in COMMON
    ],
)
def test_each_scenario_of_the_sandbox_is_told_as_what_it_is(provider, scenario):
    words = PROVIDERS[provider].words_for(scenario).format_map(MOMENT)
    verdict = heard(words, host=f"mx.{provider}.sandbox.test")

    assert verdict.reason in MEANT[scenario]
    assert verdict.address_dead == (scenario in ("no-such-user", "bounce-later", "disabled"))


def test_every_verdict_is_fit_to_be_shown():
    """No empty sentence and no hole left open, whatever the reason and the action."""
    for rule in compiler.rule_entries([*compiler.RULE_FILES, *compiler.OWN_RULE_FILES]):
        for action in (Action.FAILED, Action.DELAYED):
            kind = "x-local" if rule["id"].startswith("own.") else "smtp"
            verdict = told(rule["sample"], action=action, kind=kind)
            texts = (verdict.title, verdict.meaning, verdict.retry_advice, *verdict.actions)
            assert all(texts)
            assert not any("{domain}" in text or "{obstacle}" in text for text in texts)
            assert isinstance(verdict.party, Party)


def test_an_unknown_step_and_no_words_are_no_trouble():
    report = RecipientReport("ana@lamp.example", Action.DELAYED, diagnostic_code=NO_DIAGNOSTIC)

    assert explain(report).reason == "unknown"


def test_the_engine_is_imported_without_reading_its_rules():
    code = "import telltale.bounce.knowledge as k; print(k._compiled.cache_info().currsize)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "0"


def answered(words: str) -> Verdict:
    """The verdict on a reply of which nothing is known but its words."""
    is_delayed = words.startswith("4")
    return told(words, action=Action.DELAYED if is_delayed else Action.FAILED)


@pytest.mark.parametrize(
    ("reasons", "words"),
    [(reasons, words) for reasons in REPLIES if reasons != "alive" for words in REPLIES[reasons]["replies"]],
)
def test_replies_of_the_world_are_understood(reasons: str, words: str):
    verdict = answered(words)

    assert verdict.reason in reasons.split("|")
    assert not verdict.address_dead or verdict.reason in MAY_BE_DEAD


@pytest.mark.parametrize("words", REPLIES["alive"]["replies"])
def test_words_that_leave_a_doubt_prove_no_address_dead(words: str):
    assert not answered(words).address_dead


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("550 5.1.1 Your IP is blocked", "ip_blocklisted"),
        ("550 5.1.1 Mailbox full", "mailbox_full"),
        ("550 5.1.1 Your domain could not be found", "sender_domain_invalid"),
        (
            "550 5.1.7 No such domain",
            "sender_domain_invalid",
        ),  # RFC 3463 section 3.2: X.1.7 is about the sender
        (
            "550 5.1.1 Something about the sender",
            "unknown",
        ),  # the code alone proves nothing against its own words
    ],
)
def test_a_code_does_not_make_an_address_dead_against_its_words(words: str, reason: str):
    verdict = answered(words)

    assert not verdict.address_dead
    assert verdict.reason in (reason, "sender_address_invalid")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("RCPT TO:<ana@lamp.example>", "user_unknown"),
        ("MAIL FROM:<b@desk.example> SIZE=1234", "sender_address_invalid"),
    ],
)
def test_what_exim_quotes_is_found_with_its_step(command: str, reason: str):
    words = (
        f"SMTP error from remote mail server after {command}: host {ANY} [192.0.2.1]: 550 5.1.1 User unknown"
    )

    assert told(words).reason == reason


def test_octets_that_are_no_utf_8_are_read_as_latin_letters():
    assert told(r"550 bo\xeete inconnue").reason == "user_unknown"


def test_a_reply_without_spaces_between_scripts_is_read():
    assert answered("550 SPF検証に失敗しました").reason == "auth_spf"


def test_a_carrier_whose_filter_says_unknown_after_data_proves_nothing():
    """docomo and au refuse an unknown user at RCPT; what they call unknown behind the message, a filter refused."""
    words, host = "550 Unknown user ana@docomo.ne.jp", "mfsmax.docomo.ne.jp"

    assert heard(words, host=host, stage=Stage.RCPT).address_dead
    assert heard(words, host=host, stage=Stage.CONTENT).reason == "recipient_policy"


@pytest.mark.parametrize(
    ("words", "lists", "delisting"),
    [
        (
            "550 Client host [192.0.2.7] blocked using zen.spamhaus.org",
            ("Spamhaus",),
            "https://check.spamhaus.org/",
        ),
        (
            "550 blocked using bl.spamcop.net and dnsbl.lamp.example",
            ("SpamCop", "dnsbl.lamp.example"),
            "spamcop.net",
        ),
        ("550 Your IP is on a block list", (), "ask for removal there."),
        ("552 Mailbox full", (), ""),
    ],
)
def test_block_lists_are_named_with_the_way_out(words, lists, delisting):
    verdict = answered(words)

    assert verdict.block_lists == lists
    assert not delisting or any(delisting in action for action in verdict.admin_actions)


@pytest.mark.parametrize(
    ("words", "links"),
    [
        ("550 see https://lamp.example/help?id=1.", ("https://lamp.example/help?id=1",)),
        ("550-see http://lamp.example/a\r\n550 or http://lamp.example/b", ("http://lamp.example/a", "http://lamp.example/b")),
        ("550 (https://lamp.example/x), https://lamp.example/x", ("https://lamp.example/x",)),
        ("550 javascript:alert(1) ftp://lamp.example/ file:///etc/passwd", ()),
        ("550 https://lamp.example@evil.example/", ()),  # looks like one host and leads to another
        ("550 https://192.0.2.1/x http://localhost/ http:///x", ()),
        (f"550 https://lamp.example/{'a' * 600}", ()),
        (f"550 {' '.join(MANY_LINKS)}", MANY_LINKS[:5]),
        ("550 no link", ()),
    ],
)  # fmt: skip
def test_links_are_taken_from_the_words_if_they_are_harmless(words: str, links: tuple[str, ...]):
    assert heard(words).links == links


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        ("552 5.3.4 Message size 12345678 exceeds size limit 10485760 of server", 10_485_760),
        ("552 Message too big, max size is 20 MB", 20 << 20),
        ("552 5.3.4 Message exceeds fixed limit of 35,651,584 bytes", 35_651_584),
        ("552 Your message is larger than 1.5 GB", 3 << 29),
        ("552 Nachricht zu groß (maximal 25MB)", 25 << 20),
        ("552 5.3.4 Message too large", None),
        ("552 5.3.4 Message too large, 99999999999999 bytes is the limit", None),
        ("552 5.2.2 Mailbox full, limit 20 MB", None),  # it is not the mail that is too large
    ],
)
def test_the_size_that_a_server_allows_is_read(words: str, limit: int | None):
    assert answered(words).size_limit == limit


@pytest.mark.parametrize(
    ("words", "address"),
    [
        ("551 User not local; please try <ana@new.example>", "ana@new.example"),
        ("551 5.1.6 <ana@lamp.example> has moved to ana.b@new.example.", "ana.b@new.example"),
        ("551 5.1.6 The user has moved, no forwarding address", ""),
        ("551 has moved to a@new.example or b@new.example", ""),  # which one?
        ("550 5.1.1 No such user, ask help@lamp.example", ""),
    ],
)
def test_the_new_address_of_a_recipient_who_has_moved_is_read(words: str, address: str):
    assert answered(words).new_address == address


@pytest.mark.parametrize(
    ("reason", "record"),
    [
        ("auth_spf", "v=spf1"),
        ("auth_dkim", "_domainkey"),
        ("auth_dmarc", "_dmarc"),
        ("auth_missing", "_domainkey"),
        ("ptr_missing", "PTR record"),
        ("sender_domain_invalid", "MX record"),
    ],
)
def test_what_dns_must_say_is_told_to_the_admin(reason: str, record: str):
    assert any(record in action for action in knowledge.reasons()[reason].admin_actions)


def test_only_four_reasons_make_an_address_dead():
    assert {name for name, known in knowledge.reasons().items() if known.address_dead} == MAY_BE_DEAD


def by_service(event: str, words: str = "", *, kind: str = "smtp", action: Action = Action.FAILED) -> Verdict:
    """The verdict on an event of an e-mail service."""
    return explain(
        RecipientReport(
            "ana@lamp.example",
            action,
            diagnostic_code=Diagnostic(kind, words),
            other_fields=((SERVICE_EVENT, event),),
        )
    )


@pytest.mark.parametrize(
    ("event", "words", "reason"),
    [
        ("sparkpost; 22", "", "mailbox_full"),
        ("sparkpost; 22", "550 failed", "mailbox_full"),
        ("mailjet; recipient; user unknown", "", "user_unknown"),
        # The words of the server say more than the class that the service puts them in.
        ("sparkpost; 10", "552 5.2.2 The mailbox is full", "mailbox_full"),
        ("sendgrid; bounce; Invalid Address", "550 5.7.1 Blocked by policy", "policy"),
        # Not known: what the code says is left.
        ("sparkpost; 999", "", "unknown"),
        ("lamp; 10", "", "unknown"),
    ],
)
def test_the_class_of_a_service_counts_where_the_words_say_nothing(event: str, words: str, reason: str):
    verdict = by_service(event, words)

    assert verdict.reason == reason
    assert verdict.address_dead == (reason in MAY_BE_DEAD)


def test_a_class_of_a_service_says_who_decided():
    assert by_service("sparkpost; 22").rule == "service:sparkpost; 22"


def test_no_address_is_dead_by_a_class_alone_where_the_words_speak_of_something_else():
    verdict = by_service("sparkpost; 10", "550 your login failed")

    assert not verdict.address_dead


def test_no_address_is_dead_while_a_service_still_tries():
    assert not by_service("sparkpost; 10", action=Action.DELAYED).address_dead
