"""Entry point of every process that runs the application: it imports it, then becomes the template or a worker."""

from __future__ import annotations

import sys

from corepod.worker.bootstrap import main

if __name__ == "__main__":
    sys.exit(main())
