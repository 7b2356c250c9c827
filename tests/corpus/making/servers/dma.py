"""The DragonFly Mail Agent, which sends what programs on its machine hand to it."""

from __future__ import annotations

from .server import Server

DMA = Server(
    name="dma",
    packages=("dma",),
    files={"/etc/dma/dma.conf": "MAILNAME mx.lamp.example\n"},
    start="true",
    # It gives up after five days, and takes the age of a mail from its file.
    nudge="find /var/spool/dma -type f -mmin -60 -exec touch -d '6 days ago' {} +; dma -q1",
    submit="dma -f {sender} {recipients}",
    most_reports=1,  # it does not warn
    changing={
        r"(?<=\tid )[0-9a-f.]+": "1c2e4",
        r"(?<=Message-Id: <)[0-9a-f.]+(?=@)": "1c2e4",
        r"(?<=last )\d+(?= seconds)": "432001",
    },
    cases=(
        "no-such-user",
        "several-fates",
        "full",
        "latin-1-reply",
        "wordy",
        "spam",
        "unknown-domain",
        "greylisted",
        "null-mx",
        "unreachable",
    ),
)
