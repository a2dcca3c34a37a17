"""A pool as PID 1 of its own pid namespace, which is what matters of a container here: `corepod pid1`, or `run`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from tests import procfs
from tests.process.harness import Pool
from tests.procfs import descendants
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from pathlib import Path

# Propagation is left as it is, for it can't be changed in a chroot; that of /proc is made private all the same.
UNSHARE = ("unshare", "--fork", "--kill-child", "--propagation", "unchanged", "--pid", "--mount-proc")


@cache
def obstacle() -> str:
    """Why there is no namespace to be had here, empty where there is."""
    if os.geteuid() != 0:
        return "making a pid namespace needs root"
    try:
        done = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, timeout=DEADLINE, check=False)
    except FileNotFoundError:
        return "unshare(1) isn't installed"
    return f"no pid namespace can be made here: {done.stderr.strip()}" if done.returncode else ""


@cache
def without_private_mounts() -> str:
    """Why a process can't be given mounts of its own here, empty where it can."""
    try:
        done = subprocess.run(
            ["unshare", "--mount", "true"], capture_output=True, text=True, timeout=DEADLINE, check=False
        )
    except FileNotFoundError:
        return "unshare(1) isn't installed"
    # In a chroot mounts would show outside, too.
    return f"no mounts of its own can be had here: {done.stderr.strip()}" if done.returncode else ""


class Container(Pool):
    """The pool's pids are those of its namespace: `status()` and the log have them. `init` and `family()` are the
    kernel's own, as everybody outside sees them."""

    def __init__(self, app: str, *args: str, log: Path, command: str = "pid1", **options: Any) -> None:
        if why := obstacle():
            pytest.skip(why)
        prefix = (*UNSHARE, *options.pop("prefix", ()))
        super().__init__(app, *args, log=log, command=command, prefix=prefix, **options)
        self._init = 0

    @property
    def init(self) -> int:
        """The supervisor (before that, the command line in its place)."""
        if not self._init:
            below = until(lambda: self._ended() or descendants(self.process.pid), "a first process in the namespace")
            assert isinstance(below, list), f"it ended with {self.process.poll()}:\n{self.log}"
            self._init = below[0]
        return self._init

    @property
    def supervisor(self) -> int:
        return self.init

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.admin("/status").text)
        return answer

    def outside(self, pid: int) -> int:
        """The pid, as seen from here, of the process that has this pid in the namespace."""
        for candidate in descendants(self.process.pid):
            with contextlib.suppress(OSError):
                if procfs.status(candidate, "NSpid").split()[1:] == [str(pid)]:
                    return candidate
        raise AssertionError(f"no process in the namespace has pid {pid}")

    def signal(self, signum: int) -> None:
        os.kill(self.init, signum)

    def close(self) -> None:
        if not self._ended():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.init, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(DEADLINE)
        super().close()
