"""Spreads work over processes: chunks go out as they come, answers come back in the same order.

Rule 1: memory is bounded. No more than AHEAD chunks a process are out or wait for their turn.
Rule 2: a process ends with the one that started it, even by SIGKILL: its pipe closes.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from telltale.cli.errors import CommandError

if TYPE_CHECKING:  # costs 15 ms, and most commands work alone
    from multiprocessing.connection import Connection

AHEAD = 4
DIED = "A process of --jobs has died; the machine may be out of memory."
Task = TypeVar("Task")
Answer = TypeVar("Answer")


def in_order(work: Callable[[Task], Answer], tasks: Iterable[Task], *, jobs: int) -> Iterator[Answer]:
    """The answers of `work` to each task. It is a function of a module, and its answers can be pickled."""
    if jobs == 1:
        yield from map(work, tasks)
        return
    workers = Workers(work, jobs)
    try:
        yield from workers.answers(iter(tasks))
    finally:
        workers.stop()


class Workers:
    """Processes that wait for a task, each at the end of a pipe of its own."""

    def __init__(self, work: Callable[[Any], Any], number: int) -> None:
        import multiprocessing

        if sys.platform == "linux":
            context = multiprocessing.get_context("fork")  # quick, and harmless: this process has no threads
        else:
            context = multiprocessing.get_context("spawn")
        self.idle: list[Connection] = []
        self.processes = []
        for _ in range(number):
            ours, theirs = context.Pipe()
            self.idle.append(ours)
            process = context.Process(target=_serve, args=(theirs, self.idle, work), daemon=True)
            process.start()
            theirs.close()
            self.processes.append(process)
        self.most = AHEAD * number

    def answers(self, tasks: Iterator[Any]) -> Iterator[Any]:
        from multiprocessing.connection import wait

        busy: dict[Connection, int] = {}  # the number of the task that it works on
        answered: dict[int, Any] = {}
        given = due = 0
        while True:
            room = min(len(self.idle), self.most - (given - due))
            for task in islice(tasks, room):
                busy[_sent(self.idle.pop(), task)] = given
                given += 1
            if not busy:
                return
            ready = wait(list(busy))
            for worker in [worker for worker in busy if worker in ready]:
                answered[busy.pop(worker)] = _received(worker)
                self.idle.append(worker)
            while due in answered:
                yield answered.pop(due)
                due += 1

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.join()


def _sent(worker: Connection, task: Any) -> Connection:
    try:
        worker.send(task)
    except OSError as error:
        raise CommandError(DIED) from error
    return worker


def _received(worker: Connection) -> Any:
    try:
        return worker.recv()
    except (EOFError, OSError) as error:
        raise CommandError(DIED) from error


def _serve(tasks: Connection, others: Sequence[Connection], work: Callable[[Any], Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the first process's to answer
    for other in others:
        other.close()  # copies of the first process's ends: they would keep the pipes open when it is gone
    with suppress(EOFError, OSError):  # the first process has ended
        while True:
            tasks.send(work(tasks.recv()))
