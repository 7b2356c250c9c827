"""What a provider's servers say: the form of the tables beside this file.

The words stand as they do on the wire, one line per line, with their codes. In braces, what the moment fills in:
{recipient}, {recipient_domain}, {mail_from}, {domain} (that of the sender), {client} (its IP address), {host},
{seconds} (until a grey list opens), {time} (seconds since 1970) and {session}, the provider's name for the session;
in `accepted` also {queue_id} and {size}, the octets of the message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Provider:
    """The manners of one provider."""

    name: str
    title: str  # for people
    size: int  # octets, for SIZE: RFC 1870
    smtputf8: bool  # RFC 6531
    greeting: str
    mail_ok: str
    rcpt_ok: str
    data_ok: str
    accepted: str
    closing: str
    make_session: Callable[[], str]
    make_queue_id: Callable[[], str]
    notifier: str  # the display name in the From of its bounces
    failed_subject: str  # of its bounces; {subject} is the subject of the returned mail
    words: Mapping[str, str]  # scenario -> reply
    reset: str = "250 2.0.0 Ok"

    def words_for(self, scenario: str) -> str:
        """What the provider says in this scenario; where nothing is known of it, what many servers say."""
        return self.words.get(scenario) or COMMON[scenario]


# Scenario -> words that no provider owns. Those of later bounces stand here too.
COMMON: Mapping[str, str] = {
    "bare-550": "550 Rejected",
    "no-route": "554 5.4.4 [internal] Domain Lookup Failed",
    "expired": (
        "554 5.4.7 [internal] message timeout "
        "(last transfail: 454 4.4.4 [internal] no MX or A for domain: mail.{recipient_domain})"
    ),
    "delayed-later": "451 4.4.1 [internal] connection timed out to mailstore.{recipient_domain}",
    "delivered-later": "250 2.1.5 <{recipient}> delivered",
    "refuse-data": "554 5.3.2 System not accepting network messages",
    "greylist": (
        "450 4.7.1 <{recipient}>: Recipient address rejected: "
        "Greylisted, please try again in {seconds} seconds"
    ),
    "relay": "554 5.7.1 <{recipient}>: Relay access denied",
    "greeting-refused": "554 {host} ESMTP not accepting connections",
    "greeting-busy": "421 4.3.2 {host} Service not available, too many connections, closing channel",
}
