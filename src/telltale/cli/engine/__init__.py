"""`telltale bounce read`, `telltale bounce report` and `telltale explain`: the bounce engine on the command line.

Rule 1: they need the engine alone: no settings, no Django, no database. They answer within 150 ms.
Rule 2: rich is imported where something is drawn for a person, and never for JSON.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import TypeAlias

WRONG = 2  # the exit code for what a person can mend; argparse's own
PIPE_CLOSED = 141  # what shells say of a command whose reader has gone, such as `| head`

READ = """Read mail that came back, and say of each recipient what became of it and why.

PATH is a mail (.eml), an mbox, a Maildir, a folder of these, or - for standard input; gzipped ones are read too."""
REPORT = """Write a page over a pile of bounces: by reason, provider, day and party, with the worst addresses.

PATH is a mail (.eml), an mbox, a Maildir, a folder of these, or - for standard input; gzipped ones are read too."""
EXPLAIN = """Say what the words of a mail server, or its code, mean.

TEXT is what the server said ("550 5.1.1 No such user"), a code alone (550, 5.7.1, 421-4.7.28), or - for standard
input. With --json, every line of standard input is one reply, and gets one line of JSON."""

COMMANDS = ("bounce", "explain")
Command = Callable[[argparse.Namespace], int]
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001  # it has no other name


def add_commands(commands: Commands) -> None:
    """Adds them to the command line of Telltale. Each is called as `options.command(options)`."""
    _add_explain(commands)
    bounce = commands.add_parser("bounce", help="Read mail that came back: bounces, delays, complaints.")
    verbs = bounce.add_subparsers(metavar="COMMAND", required=True)
    _add_read(verbs)
    _add_report(verbs)


def _add_explain(commands: Commands) -> None:
    explain = _parser(commands, "explain", "Say what a mail server's words or code mean.", EXPLAIN)
    explain.add_argument("text", nargs="+", metavar="TEXT", help="a reply, a code, or - for standard input")
    explain.add_argument("--host", default="", metavar="MX", help="the mail server that said it")
    explain.add_argument("--stage", default="", help="the step of the SMTP session it answered, such as RCPT")
    explain.add_argument("--json", action="store_true", help="write JSON, a line for each reply")
    explain.set_defaults(command=_quietly(_explain))


def _add_read(verbs: Commands) -> None:
    read = _parser(verbs, "read", "Say of each mail what it is and means.", READ)
    read.add_argument("--json", action="store_true", help="write a line of JSON for each mail")
    _add_paths(read)
    read.set_defaults(command=_quietly(_read))


def _add_report(verbs: Commands) -> None:
    report = _parser(verbs, "report", "Write a page over a pile of bounces.", REPORT)
    report.add_argument("--html", required=True, metavar="FILE", help="the page to write")
    _add_paths(report)
    report.set_defaults(command=_quietly(_report))


def _add_paths(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("paths", nargs="+", metavar="PATH", help="a mail, mbox, Maildir, folder, or -")
    verb.add_argument(
        "--jobs",
        type=_number_of_jobs,
        nargs="?",
        default=1,
        const=os.cpu_count() or 1,
        metavar="N",
        help="work with N processes; without N, one for each core",
    )


def _parser(commands: Commands, name: str, summary: str, description: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name, help=summary, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def _read(options: argparse.Namespace) -> int:
    from telltale.cli.engine.read import read

    return read(options.paths, as_json=options.json, jobs=options.jobs)


def _report(options: argparse.Namespace) -> int:
    from telltale.cli.engine.report import report

    return report(options.paths, html=options.html, jobs=options.jobs)


def _explain(options: argparse.Namespace) -> int:
    from telltale.cli.engine.explain import explain

    return explain(" ".join(options.text), host=options.host, stage=options.stage, as_json=options.json)


def _quietly(command: Command) -> Command:
    """The command, which says in a sentence what a person can mend, and nothing where its reader has gone."""

    def run(options: argparse.Namespace) -> int:
        from telltale.cli.errors import CommandError

        try:
            code = command(options)
            sys.stdout.flush()
        except CommandError as error:
            print(error, file=sys.stderr)
            return WRONG
        except BrokenPipeError:
            # Python would try to write the rest at its end, and complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return PIPE_CLOSED
        return code

    return run


def _number_of_jobs(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 1_000):
        problem = f"{text!r} is no number of processes: write --jobs 4, or put --jobs behind the paths"
        raise argparse.ArgumentTypeError(problem)
    return int(text)
