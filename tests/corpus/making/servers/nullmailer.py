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
    most_reports=1,  # it warns, and gives up later than we wait
    changing={
        r"(?<=boundary=\")[0-9.]+(?=\")": "1793620800.123456.4711",
        r"(?<=Message-Id: <)[0-9a-z.]+(?=@mx)": "1793620800.123456.4711.nullmailer",
        r"(?<=pid )\d+": "4711",
    },
    cases=("no-such-user", "full", "latin-1-reply", "wordy", "spam", "greylisted"),
)
