"""Looks for input on which the engine raises, hangs, eats memory or breaks another of its promises.

    python -m fuzz mail --seeds tests/corpus

README.md, beside this file, says what is needed and what comes out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

LONGEST_INPUT = 100_000  # octets

with atheris.instrument_imports(include=["telltale"]):
    from fuzz import limits, targets, words


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("target", choices=targets.TARGETS, help="what is given the input")
    parser.add_argument(
        "--seeds", type=Path, help="a folder of inputs to begin with; it is read and never written"
    )
    parser.add_argument(
        "--found",
        type=Path,
        help="a folder for the inputs that reached something new; the next run begins there",
    )
    options, of_libfuzzer = parser.parse_known_args()
    found = options.found or Path(tempfile.mkdtemp(prefix="telltale-fuzz-"))
    found.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(suffix=".dict") as dictionary:
        dictionary.write(words.dictionary(options.target))
        dictionary.flush()
        is_one_more_look = any(not word.startswith("-") for word in of_libfuzzer)  # at these inputs alone
        folders = [] if is_one_more_look else [str(folder) for folder in (found, options.seeds) if folder]
        of_ours = [
            f"-artifact_prefix={found}-",
            f"-dict={dictionary.name}",
            f"-max_len={LONGEST_INPUT}",
            f"-rss_limit_mb={limits.LARGEST_PROCESS}",
        ]
        target = limits.kept(targets.TARGETS[options.target])
        atheris.Setup([sys.argv[0], *of_ours, *of_libfuzzer, *folders], target)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
