"""Entry of every process that runs the application: loads it, then is the template or a worker itself."""

from __future__ import annotations

import sys

from corepod.worker.loader import main

if __name__ == "__main__":
    sys.exit(main())
