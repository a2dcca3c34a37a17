"""A program in place of the supervisor's: the supervisor itself, with one thing about it bent."""

from __future__ import annotations

import sys

COMMAND_LINE = """
import os, sys
import corepod
code = f"import sys; sys.path.append({os.path.dirname(corepod.__path__[0])!r})\\n" + CODE
execve = os.execve
os.execve = lambda path, argv, environment: execve(path, [path, "-I", "-S", "-c", code], environment)
sys.argv = sys.argv[3:]
from corepod.cli import main
sys.exit(main())
"""


def in_place_of_supervisor(code: str) -> tuple[str, ...]:
    """In front of a command: where it would execute the supervisor it executes this, which may import its modules and
    has to call `corepod.supervisor.main.main`."""
    return (sys.executable, "-c", COMMAND_LINE.replace("CODE", repr(code)))
