"""The process `receive`, to be killed at the worst moments."""

from __future__ import annotations

import os
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

from tests.cli.helpers import free_port
from tests.delivery.test_worker import PATIENCE


class DoorProcess:
    """The process `receive` on the database of this test."""

    def __init__(self) -> None:
        database = connection.settings_dict
        url = (
            f"postgresql:///{database['NAME']}?host={database['HOST']}&port={database['PORT']}"
            f"&user={database['USER']}"
        )
        self.port = free_port()
        variables = {"DATABASE_URL": url, "TELLTALE_SMTP_LISTEN": f"127.0.0.1:{self.port}"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "telltale.inbound.door"],
            env=os.environ | variables,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_until_open(self) -> None:
        self._read_until("the SMTP door is open")

    def _read_until(self, words: str) -> None:
        assert self.process.stderr
        said = [""]
        while words not in said[-1]:
            said.append(self.process.stderr.readline())
            assert said[-1], f"the door ended before it said {words!r}: {''.join(said)}"

    def connect(self) -> smtplib.SMTP:
        client = smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE)
        client.ehlo()
        return client

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        assert self.process.stderr
        self.process.stderr.close()
        return code


@contextmanager
def locked(table: str) -> Iterator[None]:
    """Whoever writes into this table has to wait."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        yield


def somebody_waits_for(table: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %s::regclass", [table])
        return bool(cursor.fetchone()[0])
