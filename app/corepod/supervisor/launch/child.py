"""A child of the supervisor, and signals that reach it and nobody else."""

from __future__ import annotations

import os
import signal


class Child:
    """A child that isn't reaped yet. As long as that is so its pid can't be another process's, and its pidfd (where the
    kernel has these) never will be.
    """

    __slots__ = ("_fd", "pid")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._fd = os.pidfd_open(pid)
        except (OSError, AttributeError):  # an old kernel or C library, a sandbox, or no descriptor is left
            self._fd = -1

    def signal(self, signum: int) -> None:
        """Send it a signal; nothing happens where it is reaped, or may not be signalled."""
        try:
            if self._fd >= 0:
                signal.pidfd_send_signal(self._fd, signum)
            elif is_child(self.pid):
                os.kill(self.pid, signum)
        except (ProcessLookupError, PermissionError):
            pass  # a program that has become another user's: its end is waited for, no longer than a stop may take

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def is_child(pid: int) -> bool:
    """Whether this process is a child of the supervisor and isn't reaped yet, be it dead or alive."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except (OSError, OverflowError):  # no child, or no pid at all
        return False
    return True
