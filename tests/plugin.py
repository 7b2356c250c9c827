"""Gives the tests a PostgreSQL of their own, unless DATABASE_URL names one.

pytest loads this before Django's settings are read. Where the server will listen is known before it runs, so
that it is started only for tests that ask for the database.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from telltale.postgres import Cluster
from telltale.postgres.cluster import ADMIN

# Not below the project: the server runs as another user where the tests run as root.
_folder = Path(tempfile.mkdtemp(prefix="telltale-tests-"))
_folder.chmod(0o711)
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
cluster = Cluster(_folder / "postgres", log=_folder / "postgres.log", durable=False)
has_own_database = not os.environ.get("DATABASE_URL")

# A folder of labelled mails, whose figures tests/bounce/test_shared_corpus.py holds. The desk knows no such setting.
CORPUS = os.environ.get("TELLTALE_CORPUS", "")

for name in [name for name in os.environ if name.startswith("TELLTALE_") and name != "TELLTALE_POSTGRES_BIN"]:
    del os.environ[name]  # the tests say themselves what they want
os.environ["SECRET_KEY"] = "tests-only-" * 5
os.environ["TELLTALE_DATA"] = str(_folder / "data")
os.environ["TELLTALE_HELO"] = "desk.lamp.example"
os.environ["TELLTALE_UNDO_SEND"] = "0s"  # a test that wants a second thought asks for one
if has_own_database:
    os.environ["DATABASE_URL"] = cluster.dsn(role=ADMIN)  # only the admin may make a test database
