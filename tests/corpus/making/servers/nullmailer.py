"""nullmailer, which hands everything to one smart host."""

from __future__ import annotations

from .server import Server

NULLMAILER = Server(
    name="nullmailer",
    packages=("nullmailer",),
    files={
        "/etc/nullmailer/me": "mx.lamp.example\n",
        "/etc/nullmailer/defaultdomain": "lamp.example\n",
        "/etc/nullmailer/remotes": "192.0.2.31 smtp\n",
        "/etc/nullmailer/pausetime": "2\n",
        "/etc/nullmailer/maxpause": "2\n",
        "/etc/nullmailer/queuelifetime": "20\n",
    },
    start="chown -R mail /etc/nullmailer /var/spool/nullmailer; setpriv --reuid mail --clear-groups nullmailer-send &",
    submit="/usr/sbin/sendmail -f {sender} {recipients}",
    changing=(r"(?<=pid )\d+", r"(?<=boundary=\")[0-9a-zA-Z.]+(?=\")", r"(?<=Message-Id: <)[0-9a-z.]+(?=@)"),
    cases=("no-such-user", "full", "latin-1-reply", "wordy", "spam", "greylisted"),
)
