"""`python -m telltale` is `telltale`."""

import sys

from telltale.cli import main

if __name__ == "__main__":  # worker processes import this file where they are spawned
    sys.exit(main())
