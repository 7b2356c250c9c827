"""OpenSMTPD. Where it has warned of a delay, its last word is a second warning: it is not kept."""

from __future__ import annotations

from .server import Server

_CONFIGURATION = """\
table aliases file:/etc/aliases
bounce warn-interval 5s
listen on 192.0.2.10 hostname mx.lamp.example
action "local" mbox alias <aliases>
action "relay" relay helo mx.lamp.example ttl 25s
match from any for domain "lamp.example" action "local"
match from any for any action "relay"
"""
_ALIASES = """\
sales: nobody@paper.example
robot: "|/usr/local/bin/robot"
"""

OPENSMTPD = Server(
    name="opensmtpd",
    packages=("opensmtpd",),
    files={
        "/etc/smtpd.conf": _CONFIGURATION,
        "/etc/aliases": _ALIASES,
        "/usr/local/bin/robot": "#!/bin/sh\necho The robot has no more paper. >&2\nexit 70\n",
    },
    prepare="chmod 755 /usr/local/bin/robot; echo mx.lamp.example >/etc/mailname",
    start="smtpd",
    nudge="smtpctl schedule all",
    changing={
        r"(?<=with ESMTP id )[0-9a-f]+": "3fa9c07b",
        r"(?<=with ESMTPA id )[0-9a-f]+": "3fa9c07b",
        r"(?<=Message-ID: <)[0-9a-f]{10,}(?=@)": "9be41d5a70c2f863",
        r"(?<=boundary=\")[0-9]+(?=/)": "15023704481920667345",
    },
    cases=(
        "no-such-user",
        "several-fates",
        "full",
        "no-enhanced-code",
        "spam",
        "greeting",
        "null-mx",
        "unknown-domain",
        "no-address",
        "greylisted",
        "connection-lost",
        "unreachable",
        "program-fails",
        "alias",
        "success-local",
        "success-relayed",
    ),
)
