"""`telltale`: starts the desk, or a part of it, and says what is wrong in a sentence.

Rule 1: nothing that a command does not need is imported: no Django before a process that serves.
Rule 2: what a person can mend ends with a sentence and exit code 2, never with a traceback.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from telltale import __version__
from telltale.cli import engine, imports, queue

WRONG = 2  # the exit code for what a person can mend; argparse's own
DESK = ("django", "psycopg", "uvicorn")  # by these it is known whether the extra "desk" is installed
INTERRUPTED = 130  # what shells say of a command that Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code."""
    try:
        return _obey(list(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:  # before there was anything to stop
        return INTERRUPTED


def _obey(words: list[str]) -> int:
    # Made by hand: argparse would read the options of Django's commands as its own.
    if words[:1] == ["manage"]:
        return _explained(_manage, argparse.Namespace(words=words[1:]))
    options = _parser().parse_args(words)
    command: Callable[[argparse.Namespace], int] = options.command
    if words[0] in engine.COMMANDS:  # they need no settings, and answer in a blink
        return command(options)
    return _explained(command, options)


def _explained(command: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    from telltale.cli.errors import CommandError
    from telltale.config.environment import SettingsError
    from telltale.postgres.errors import PostgresError

    try:
        if command is not _settings:
            _check_desk()
        return command(options)
    except (SettingsError, PostgresError, CommandError) as error:
        print(error, file=sys.stderr)
        return WRONG


def _check_desk() -> None:
    """Raises CommandError where the base package is here alone: the bounce engine needs no more."""
    from importlib.util import find_spec

    from telltale.cli.errors import CommandError

    missing = [name for name in DESK if find_spec(name) is None]
    if missing:
        raise CommandError(
            f"The desk is not installed here ({' and '.join(missing)} missing): pip install 'telltale[desk]'"
        )


def _run(_options: argparse.Namespace) -> int:
    from telltale.cli.run import run

    return run()


def _demo(options: argparse.Namespace) -> int:
    from telltale.cli.demo import demo

    return demo(reset=options.reset)


def _part(options: argparse.Namespace) -> int:
    from telltale.cli.parts import become

    return become(options.part)


def _manage(options: argparse.Namespace) -> int:
    from telltale.cli.parts import manage

    return manage(options.words)


def _settings(options: argparse.Namespace) -> int:
    from telltale.cli.table import in_force
    from telltale.config.environment import load, markdown

    print(markdown() if options.markdown else in_force(load()), end="")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="telltale",
        description="The help desk that tells you whether your reply arrived.",
        epilog="Settings are environment variables: `telltale settings` lists them.",
    )
    parser.add_argument("--version", action="version", version=f"telltale {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, command: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=command, part=name)
        return added

    add(
        "run",
        _run,
        "Start the whole desk, with a PostgreSQL of its own unless DATABASE_URL is set.",
    )
    demo = add("demo", _demo, "Start a desk with sample conversations and sandbox mail servers.")
    demo.add_argument("--reset", action="store_true", help="remove the demo's data first and start over")
    add("web", _part, "Serve the pages alone, where the parts of a desk are started one by one.")
    add("deliver", _part, "Deliver replies alone.")
    add("receive", _part, "Receive mail alone: by SMTP and LMTP, and fetched by IMAP.")
    add("manage", _manage, "Run a command of Django, such as `telltale manage createsuperuser`.")
    settings = add("settings", _settings, "Show every setting with the value in force.")
    settings.add_argument("--markdown", action="store_true", help="write the documentation of all settings")
    queue.add_commands(commands)
    imports.add_commands(commands)
    engine.add_commands(commands)
    return parser
