"""What prometheus_client leaves to the process manager in its multiprocess mode: values of dead processes.

Each process writes a file for each kind of metric into a common folder, and a scrape adds them up. Counters outlive
their process, and end with the pool; the gauges of kinds that begin with `live` don't even outlive the process, and
their files have to be removed. Files of dead processes are many in a pool that lives for long: to put their counters
together takes prometheus_client, which isn't here.
"""

from __future__ import annotations

import os

from corepod.contract.env import METRICS_FOLDER
from corepod.supervisor.health.procfs import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX, SUFFIX = "gauge_live", ".db"  # gauge_KIND_PID.db
COUNTING = ("counter", "histogram", "summary")
KINDS = ("all", "sum", "max", "min", "mostrecent")


class MetricFiles:
    """The folder that the variables name; no folder, no work."""

    def __init__(self, environ: Mapping[str, str], cwd: str) -> None:
        folder = next((environ[name] for name in METRICS_FOLDER if environ.get(name)), "")
        self._folder = os.path.join(cwd, folder) if folder else ""

    def forget(self, pid: int) -> None:
        """This process is dead."""
        if self._folder:
            for kind in KINDS:
                self._remove(f"{PREFIX}{kind}_{pid}{SUFFIX}")

    def begin_anew(self) -> None:
        """A pool starts, and its counters with it: remove every file of a process that is dead."""
        if not self._folder:
            return
        try:
            names = os.listdir(self._folder)
        except OSError:
            return  # the first worker makes the folder
        for name in names:
            kind, _, pid = name.removesuffix(SUFFIX).rpartition("_")
            ours = name.endswith(SUFFIX) and (kind in COUNTING or kind.startswith("gauge_"))
            if ours and pid.isdecimal() and not _exists(int(pid)):
                self._remove(name)

    def _remove(self, name: str) -> None:
        try:
            os.unlink(f"{self._folder}/{name}")
        except OSError:
            pass  # it had no such metric, or the folder isn't ours to write


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    # A zombie, left by a pool that was killed, waits for init.
    return not read(f"/proc/{pid}/stat").rpartition(")")[2].startswith(" Z")
