"""Postfix, once with its own words and once with templates in German."""

from __future__ import annotations

from dataclasses import replace

from .server import Server

_MAIN = """\
compatibility_level = 3.6
myhostname = mx.lamp.example
mydomain = lamp.example
mydestination = lamp.example, mx.lamp.example
mynetworks = 127.0.0.0/8, 192.0.2.0/24
inet_protocols = ipv4
inet_interfaces = 192.0.2.10
local_recipient_maps =
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
maillog_file = /var/log/postfix.log
smtpd_recipient_restrictions = permit_mynetworks, reject
message_size_limit = 40000
mailbox_size_limit = 40000
queue_run_delay = 2s
minimal_backoff_time = 2s
maximal_backoff_time = 4s
maximal_queue_lifetime = 25s
delay_warning_time = 5s
smtputf8_autodetect_classes = all
smtp_destination_recipient_limit = 50
"""
_ALIASES = """\
sales: nobody@paper.example
robot: "|echo The robot has no more paper.; exit 70"
"""
_GERMAN = """\
failure_template = <<EOF
Charset: utf-8
From: MAILER-DAEMON (Mail-Zustelldienst)
Subject: Unzustellbar: Ihre Nachricht kam zurück
Postmaster-Subject: Kopie für den Postmaster: unzustellbare Nachricht

Hier ist der Mailserver $myhostname.

Leider konnte Ihre Nachricht an einen oder mehrere Empfänger nicht
zugestellt werden. Sie hängt unten an.

Bei Fragen wenden Sie sich bitte an <postmaster@$mydomain>.

EOF

delay_template = <<EOF
Charset: utf-8
From: MAILER-DAEMON (Mail-Zustelldienst)
Subject: Verzögert: Ihre Nachricht ist noch unterwegs
Postmaster-Subject: Warnung für den Postmaster: verzögerte Nachricht

Hier ist der Mailserver $myhostname.

Dies ist nur eine Warnung. Sie müssen die Nachricht nicht noch einmal senden.

Ihre Nachricht konnte seit $delay_warning_time_hours Stunde(n) nicht zugestellt werden.
Es wird weiter versucht, bis sie $maximal_queue_lifetime_days Tage alt ist.

EOF
"""

POSTFIX = Server(
    name="postfix",
    packages=("postfix",),
    files={"/etc/postfix/main.cf": _MAIN, "/etc/aliases": _ALIASES},
    prepare="newaliases; postconf -F '*/*/chroot=n'; head -c 38000 /dev/zero >/var/mail/ben; chown ben /var/mail/ben",
    start="postfix start",
    nudge="postqueue -f",
    changing={
        r"(?<=SMTP id )[0-9A-F]+": "4F1C2A9B3E",
        r"(?<=\(Postfix\)\n\tid )[0-9A-F]+": "4F1C2A9B3E",
        r"(?<=Message-Id: <)[0-9.A-F]+(?=@mx\.lamp\.example>)": "20261102120000.4F1C2A9B3E",
        r"(?<=\.)\d{10}(?=/mx\.lamp\.example)": "1793620800",
    },
    cases=(
        "no-such-user",
        "no-such-user-dsn",
        "several-fates",
        "full",
        "no-enhanced-code",
        "latin-1-reply",
        "wordy",
        "spam",
        "too-large",
        "greeting",
        "null-mx",
        "unknown-domain",
        "dns-broken",
        "greylisted",
        "connection-lost",
        "unreachable",
        "local-unknown",
        "local-full",
        "program-fails",
        "alias",
        "utf-8-not-offered",
        "utf-8-refused",
        "success-local",
        "success-relayed",
    ),
)
POSTFIX_IN_GERMAN = replace(
    POSTFIX,
    name="postfix_german",
    files=dict(POSTFIX.files)
    | {
        "/etc/postfix/main.cf": f"{_MAIN}bounce_template_file = /etc/postfix/german.cf\n",
        "/etc/postfix/german.cf": _GERMAN,
    },
    cases=("several-fates", "rate-limited"),
)
