"""The supervisor, PID 1 of a container or an ordinary process. Executed by path with -I -S, so that nothing of the
environment (sitecustomize, .pth files, tracing agents) starts threads in it."""

from __future__ import annotations

import os
import sys

# At the end: in front, a module of the same name in site-packages would replace one of the standard library's.
sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from corepod.supervisor.main import main

if __name__ == "__main__":
    # At once: while the interpreter takes itself apart a third Ctrl-C would kill it, and change its exit code.
    os._exit(main())
