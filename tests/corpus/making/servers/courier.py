"""Courier."""

from __future__ import annotations

from ..world import HOSTS
from .server import Server

_ROUTES = "".join(f"{host.name.partition('.')[2]}:{host.name}\n" for host in HOSTS)

COURIER = Server(
    name="courier",
    packages=("courier-mta", "courier-authlib-userdb"),
    files={
        "/etc/courier/me": "mx.lamp.example\n",
        "/etc/courier/locals": "lamp.example\nmx.lamp.example\n",
        "/etc/courier/defaultdomain": "lamp.example\n",
        "/etc/courier/bofh": "opt BOFHCHECKDNS=0\nopt BOFHCHECKHELO=0\n",
        "/etc/courier/smtpaccess/default": "192.0.2\tallow,RELAYCLIENT\n127.0.0\tallow,RELAYCLIENT\n",
        # Courier takes every address of its machine for itself when it comes from an MX record.
        "/etc/courier/esmtproutes": _ROUTES,
        "/etc/courier/queuetime": "25s\n",
        "/etc/courier/warntime": "5s\n",
        "/etc/courier/retryalpha": "2s\n",
        "/etc/courier/retrybeta": "2s\n",
        "/etc/courier/retrymaxdelta": "0\n",
        "/etc/courier/aliases/own": "sales: nobody@paper.example\npostmaster: root\n",
        "/home/robot/.courier": "| echo The robot has no more paper.; exit 70\n",
    },
    prepare=(
        "useradd -m robot; chown -R robot /home/robot; maildirmake.courier -q 1000S /home/ben/Maildir;"
        " chown -R ben /home/ben; maildirmake.courier /home/ana/Maildir; chown -R ana /home/ana;"
        " makesmtpaccess; makealiases; echo 'ADDRESS=192.0.2.10' >>/etc/courier/esmtpd;"
        " sed -i 's/^BOFHCHECKDNS=.*/BOFHCHECKDNS=0/; s/^ESMTPDSTART=.*/ESMTPDSTART=YES/' /etc/courier/esmtpd;"
        " sed -i 's,^ESMTP_BLOCKBACKSCATTER=.*,ESMTP_BLOCKBACKSCATTER=,' /etc/courier/courierd;"
        " sed -i 's,^DEFAULTDELIVERY=.*,DEFAULTDELIVERY=./Maildir,' /etc/courier/courierd"
    ),
    start="/usr/sbin/authdaemond start; courier start; esmtpd start",
    nudge="courier flush",
    changing={
        r"(?<=id )[0-9A-F]{16}\.[0-9A-F]{16}\.[0-9A-F]{8}": "00000000001E4F2A.000000006AE7B2C3.00001F4D",
        r"(?<=\"=_)[a-z]+(?=_\d\")": "evmsqao",
        r"(?<=Message-ID: <)courier\.[0-9A-F.]+(?=@)": "courier.6AE7B2C3.00001F4D",
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
        "greylisted",
        "connection-lost",
        "unreachable",
        "local-full",
        "program-fails",
        "alias",
        "success-local",
        "success-relayed",
    ),
)
