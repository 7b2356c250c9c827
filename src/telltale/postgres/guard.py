"""Stands between the desk and its PostgreSQL, so that neither outlives the other.

Called as: guard ACCOUNT LOCK PROGRAM ARGUMENTS…

Standard input is a pipe from the desk. When it closes, because the desk stops or because it was killed, the
server is told to stop. LOCK is an open file whose lock the server and all its processes inherit.
"""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import threading
from pathlib import Path

from telltale.postgres.account import Account

_STOPPED_WITHIN = 60.0  # seconds; then without the last checkpoint, which the next start makes up for


def main() -> int:
    name, lock, *command = sys.argv[1:]
    entry = pwd.getpwnam(name)
    server = subprocess.Popen(  # noqa: S603  (the desk's own words)
        command, pass_fds=[int(lock)], **Account(name, entry.pw_uid, entry.pw_gid).start(cwd=Path.cwd())
    )
    signal.signal(signal.SIGTERM, lambda _number, _frame: server.send_signal(signal.SIGQUIT))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_stop_with_the_desk, args=[server], daemon=True).start()
    return server.wait()


def _stop_with_the_desk(server: subprocess.Popen[bytes]) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    server.send_signal(signal.SIGINT)  # "fast": clients are sent away, all is written
    try:
        server.wait(_STOPPED_WITHIN)
    except subprocess.TimeoutExpired:
        server.send_signal(signal.SIGQUIT)


if __name__ == "__main__":
    sys.exit(main())
