"""What a process that runs for long does about its memory, once it has started."""

from __future__ import annotations

import gc


def keep_out_of_collections() -> None:
    """Let the garbage collector pass over all that is loaded by now: modules, rules, templates never become garbage.

    A full collection visits every object and stops the process meanwhile; 100,000 of ours take about 100 ms, which
    somebody would wait for who has just pressed a button.
    """
    gc.collect()
    gc.freeze()
