"""`telltale run`: the whole desk on one machine, from the database up.

Start: data folder, ports, PostgreSQL, what prepare.py does, the processes. Stop: the other way round.
The first Ctrl-C stops, the second hurries.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from telltale.cli import ports
from telltale.cli.errors import CommandError
from telltale.cli.parts import cluster_of, complete, services
from telltale.cli.secrets import make_data_folder
from telltale.cli.service import FIRST_PAUSE, LONGEST_PAUSE, Keeper, Service, set_aside, tail
from telltale.config.environment import Environment, HostPort, load
from telltale.postgres import Cluster, FolderInUseError, PostgresError
from telltale.postgres.lock import Lock

_LEFT_OVERS_GONE_WITHIN = 15.0  # seconds; what a killed supervisor left ends by itself
_OPEN_WITHIN = 30.0
_PAUSE = 0.05


def run() -> int:
    """The desk of this environment, until Ctrl-C."""
    environment = load()
    desk = Desk(environment, os.environ)
    return desk.run(lambda _path: f"The desk is open at {environment.url}\nCtrl-C stops it.")

