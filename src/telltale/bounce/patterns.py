"""Regular expressions that are compiled when they are first needed: a command that explains one line needs few.

`pattern(EXPRESSION).search(text)`; the expressions stay where they are used, as text.
"""

from __future__ import annotations

import re
from functools import cache

pattern = cache(re.compile)
