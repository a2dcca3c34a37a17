"""`python -m corepod`."""

from __future__ import annotations

import sys

from corepod.cli import main

if __name__ == "__main__":
    sys.exit(main())
