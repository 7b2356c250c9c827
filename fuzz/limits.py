"""What one input may cost. Who costs more is reported as if the engine had raised."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

SECONDS = 1.0  # of this process's own time, for one input
MEMORY = 200  # MB that one input may add to the most that the process ever had
LARGEST_PROCESS = 2_000  # MB; libFuzzer itself keeps the inputs that it has found
_KB_IN_MB = 1_000


class TooExpensive(Exception):  # noqa: N818  # it is no error of the fuzzer's
    """An input has cost too much time or memory."""


def kept(target: Callable[[bytes], object]) -> Callable[[bytes], None]:
    """This target, which raises TooExpensive where an input costs too much."""

    def run(octets: bytes) -> None:
        memory = _most_memory()
        begun = time.process_time()
        target(octets)
        seconds = time.process_time() - begun
        if seconds > SECONDS:
            raise TooExpensive(f"{seconds:.1f} s for {len(octets):,} octets")
        if _most_memory() - memory > MEMORY:
            raise TooExpensive(f"{_most_memory() - memory} MB for {len(octets):,} octets")

    return run


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // _KB_IN_MB
