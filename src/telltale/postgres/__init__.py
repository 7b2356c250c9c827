"""A PostgreSQL of the desk's own: found, made, started, stopped. No Django here.

Rule 1: the data stay private. No TCP port, peer authentication on a socket in a folder of mode 0700.
Rule 2: nothing outside the data folder is changed: no mode of a parent folder, no user account.
Rule 3: the server never runs as root.
Rule 4: whatever is killed, the next start finds it and mends it.
"""

from __future__ import annotations

from telltale.postgres.account import Account, account_for
from telltale.postgres.cluster import Cluster
from telltale.postgres.errors import FolderInUseError, PostgresError
from telltale.postgres.programs import Programs, find_programs

__all__ = [
    "Account",
    "Cluster",
    "FolderInUseError",
    "PostgresError",
    "Programs",
    "account_for",
    "find_programs",
]
