"""What the driver must know of a mail server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server from Debian's packages, in a root of its own.

    `files` are written into that root before the server starts; then the lines of `prepare` and `start` run in
    a shell there. `nudge` makes it try its queue now. `cases` are those that it can meet.
    """

    name: str  # of its folder of mails
    packages: tuple[str, ...]
    cases: tuple[str, ...]
    start: str
    files: Mapping[str, str] = field(default_factory=dict)
    prepare: str = "true"
    nudge: str = "true"
    # A command that takes a mail on its standard input, with {sender} and {recipients}; "" means SMTP.
    submit: str = ""
    most_reports: int = 2  # of one mail: a warning that it is late, and that it is given up
    # What is new in each run beside dates: patterns of queue ids, boundaries, process numbers; how such a thing looks.
    changing: Mapping[str, str] = field(default_factory=dict)
