"""Runs a module as `python -m` would, on a leash: it ends when the process that started it is gone.

Called as: leash MODULE ARGUMENTS…

Standard input is a pipe that nobody writes to. It closes when the supervisor ends, even with SIGKILL.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

STOPPED_WITHIN = 10.0  # seconds from SIGTERM to SIGKILL


def main() -> None:
    threading.Thread(target=_end_with_the_supervisor, name="leash", daemon=True).start()
    module, *sys.argv[1:] = sys.argv[1:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with_the_supervisor() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOPPED_WITHIN)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
