"""How many mails a second the bounce engine reads, against what others take for less.

    python bench/bounce.py FOLDER [--rounds 5]

FOLDER holds mails, one a file (*.eml), in any depth. Each mail is given to each reader in turn, so that a busy
machine is equally unfair to all; of all rounds the best time for each mail counts. Compared are:

- `email`: Python's parser alone, policy compat32. It only takes the mail apart.
- `read`: what this engine reads out of it.
- `read + explain`: and what each report means.
- `flufl.bounce`, where that is installed: finds addresses, and needs the mail to be parsed before.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from email import message_from_bytes
from pathlib import Path

from telltale.bounce import explain, read

Reader = Callable[[bytes], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    mails = [path.read_bytes() for path in sorted(arguments.folder.rglob("*.eml"))]
    if not mails:
        parser.error(f"no *.eml below {arguments.folder}")
    print(f"{len(mails)} mails, {sum(map(len, mails)) / 1e6:.1f} MB, {arguments.rounds} rounds")
    report(measured(mails, readers(), arguments.rounds), len(mails))


def readers() -> dict[str, Reader]:
    found: dict[str, Reader] = {"email": message_from_bytes, "read": read, "read + explain": read_and_explain}
    if importlib.util.find_spec("flufl") and importlib.util.find_spec("flufl.bounce"):
        found["flufl.bounce"] = flufl()
    return found


def read_and_explain(raw: bytes) -> None:
    for one in read(raw).reports:
        explain(one)


def flufl() -> Reader:
    from flufl.bounce import all_failures  # type: ignore[import-not-found]

    logging.getLogger("flufl.bounce").disabled = True  # it prints each failure of a detector

    def scan(raw: bytes) -> None:
        with suppress(Exception):  # it fails on some mail; the time until then counts
            all_failures(message_from_bytes(raw))

    return scan


def measured(mails: list[bytes], by_name: dict[str, Reader], rounds: int) -> dict[str, list[float]]:
    """The best time of each reader for each mail, in seconds."""
    best = {name: [float("inf")] * len(mails) for name in by_name}
    for _ in range(rounds):
        for number, raw in enumerate(mails):
            for name, reader in by_name.items():
                begun = time.perf_counter()
                reader(raw)
                best[name][number] = min(best[name][number], time.perf_counter() - begun)
    return best


def report(best: dict[str, list[float]], how_many: int) -> None:
    alone = sum(best["email"])
    for name, seconds in best.items():
        whole, slowest = sum(seconds), max(seconds)
        print(
            f"{name:15} {how_many / whole:8,.0f} mails/s   {alone / whole:5.2f} x email   "
            f"slowest mail {slowest * 1000:7.2f} ms"
        )


if __name__ == "__main__":
    main()
