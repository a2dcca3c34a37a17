"""How a program of this package ends, whatever becomes of its output: an interrupt, a closed pipe, a full disk."""

from __future__ import annotations

import errno
import signal
import sys
from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_FAILED, EXIT_OK

if TYPE_CHECKING:
    from collections.abc import Callable

# What a write to standard output fails with: a full disk, a quota, a terminal that is gone.
UNWRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


def ended(program: str, run: Callable[[], int]) -> int:
    """Run it, and return its exit code."""
    try:
        code = run()
        print(end="", flush=True)  # here, where a fault of the output can still be told
        return code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        sys.stdout = None  # head has seen enough
        return EXIT_OK
    except OSError as error:
        if error.filename is not None or error.errno not in UNWRITTEN:
            raise
        sys.stdout = None
        print(f"{program}: the output can't be written: {error.strerror}", file=sys.stderr)
        return EXIT_FAILED
