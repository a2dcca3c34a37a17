"""Entry point of every process that runs the application: it imports it, then becomes the template or a worker."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Not above: multiprocessing imports this module in each child that it spawns (from Python 3.14 on in its fork
    # server), and a child of the application needs no server.
    from corepod.worker.bootstrap import main

    # The blank argument that makes room for the process's title is nothing to the application.
    if sys.argv[-1].isspace():
        del sys.argv[-1], sys.orig_argv[-1]
    sys.exit(main())
