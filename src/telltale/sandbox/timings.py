"""How long the sandbox takes over things, in seconds. Tests make it quick; a demo keeps the defaults."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timings:
    later: float = 4.0  # from an acceptance to the bounce, warning or auto-reply that follows it
    greylist: float = 15.0
    slow: float = 10.0  # before a slow answer, or a slow greeting
    idle: float = 300.0  # RFC 5321 section 4.5.3.2.7: a server waits five minutes for the next command
    courier_retries: tuple[float, ...] = (
        0.5,
        1.0,
        2.0,
        5.0,
        15.0,
        30.0,
    )  # when the desk is away for a moment
