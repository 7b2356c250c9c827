"""How many examples the properties try.

In the suite they are few, and always the same ones, so that no run fails by chance. To look further, with new ones at
each run:

    PROPERTIES=100 .venv/bin/python -m pytest tests/bounce/test_properties.py tests/mail/test_properties.py

tries a hundred times as many.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("PROPERTIES") or "1")


def examples(number: int) -> settings:
    """The settings of a property that tries this many examples in the suite."""
    return settings(
        max_examples=number * TIMES,
        derandomize=TIMES == 1,
        deadline=None,  # time is the fuzzer's affair, and that of bench/linear.py
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
