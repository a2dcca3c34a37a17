"""Locks on the scoreboard, as another process finds them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corepod.supervisor.health.scoreboard import SharedScoreboard

OTHER = """
import sys
from corepod.worker.scoreboard import ScoreboardRecord
print(getattr(ScoreboardRecord(int(sys.argv[1])), sys.argv[2])(*map(int, sys.argv[3:])))
"""


def other_worker(board: SharedScoreboard, method: str, *arguments: int) -> bool:
    """What this method of another worker's record returns. That worker ends afterwards, and has no lock any more."""
    command = [sys.executable, "-c", OTHER, str(board.fd), method, *map(str, arguments)]
    said = subprocess.check_output(command, pass_fds=(board.fd,), text=True)
    return {"True\n": True, "False\n": False}[said]
