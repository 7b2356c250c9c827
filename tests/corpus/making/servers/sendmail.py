"""Sendmail."""

from __future__ import annotations

from .server import Server

_CONFIGURATION = """\
divert(0)dnl
VERSIONID(`a server on loopback')dnl
OSTYPE(`debian')dnl
DAEMON_OPTIONS(`Name=MTA, Addr=192.0.2.10, Port=smtp')dnl
define(`confDONT_PROBE_INTERFACES', `True')dnl
FEATURE(`promiscuous_relay')dnl
define(`confHOST_STATUS_DIRECTORY', `')dnl
define(`confMAX_HOP', `10')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`local_procmail')dnl
define(`confDOMAIN_NAME', `mx.lamp.example')dnl
define(`confTO_QUEUEWARN', `5s')dnl
define(`confTO_QUEUERETURN', `25s')dnl
define(`confMIN_QUEUE_AGE', `1s')dnl
define(`confTO_IDENT', `0')dnl
define(`confBAD_RCPT_THROTTLE', `0')dnl
define(`confPRIVACY_FLAGS', `')dnl
define(`ALIAS_FILE', `/etc/aliases')dnl
LOCAL_DOMAIN(`lamp.example')dnl
MAILER(`local')dnl
MAILER(`smtp')dnl
"""
_ALIASES = """\
MAILER-DAEMON: postmaster
postmaster: root
sales: nobody@paper.example
robot: "|echo The robot has no more paper.; exit 70"
"""

SENDMAIL = Server(
    name="sendmail",
    packages=("sendmail-bin", "sensible-mda", "procmail"),
    files={"/etc/mail/loopback.mc": _CONFIGURATION, "/etc/aliases": _ALIASES},
    prepare=(
        "cd /etc/mail; m4 -D_CF_DIR_=/usr/share/sendmail/cf/ /usr/share/sendmail/cf/m4/cf.m4 loopback.mc"
        " >sendmail.cf; newaliases; chmod 1777 /var/spool/mqueue"
    ),
    start="/usr/sbin/sendmail -bd",
    nudge="sendmail -q",
    changing={
        r"\b[0-9A-Za-z]{8}[0-9]{6}\b": "6A2AbCdE012345",
        r"(?<=\.)[0-9]{10}(?=/mx\.lamp\.example)": "1793620800",
        r"(?<=Message-Id: <)[0-9]{12}(?=\.)": "202611021200",
    },
    cases=(
        "no-such-user",
        "no-such-user-dsn",
        "several-fates",
        "full",
        "no-enhanced-code",
        "moved",
        "latin-1-reply",
        "wordy",
        "spam",
        "too-large",
        "greeting",
        "null-mx",
        "unknown-domain",
        "greylisted",
        "connection-lost",
        "unreachable",
        "program-fails",
        "alias",
        "loop",
        "success-local",
        "success-relayed",
    ),
)
