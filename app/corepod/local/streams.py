"""The standard streams of a command."""

from __future__ import annotations

import os


def complete() -> None:
    """Standard input, output and error exist: a pipe made here would get the number of one that is closed, and be
    written to."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
