"""Tells the service manager how the pool is (sd_notify(3)). Imported only where one has asked for it (NOTIFY_SOCKET).

What is sent is small and rare, never waited for, and kept until the next look where the manager's queue is full.
"""

from __future__ import annotations

import os
import socket

from corepod.contract.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

AGAIN = 0.1  # seconds until a message that the manager had no room for is sent once more
SPARE = 5.0  # seconds after the time for a stop within which the supervisor has left
MOST_UNSENT = 16
# What means this process and no other: whatever inherited it could speak in the pool's name.
OURS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


def take(environ: MutableMapping[str, str]) -> dict[str, str]:
    """The manager's variables, removed from what children inherit."""
    return {name: environ.pop(name) for name in OURS if name in environ}


def watchdog_interval(variables: Mapping[str, str], pid: int) -> float | None:
    """Seconds between two signs of life, half of what the manager allows; None where it wants none of this process."""
    allowed = variables.get("WATCHDOG_USEC", "")
    if variables.get("WATCHDOG_PID", str(pid)) != str(pid) or not (allowed.isascii() and allowed.isdecimal()):
        return None
    return int(allowed) / 2e6 or None


class Facts(Record):
    """What the manager is told about."""

    ready: int  # workers
    slots: int
    ever_ready: bool
    stopping: bool
    reloads: dict[str, object]  # as the pool's generations have it

    @property
    def reloading(self) -> bool:
        return self.reloads["asked"] != self.reloads["ended"]

    def text(self) -> str:
        """One line for `systemctl status`."""
        count = f"{self.ready} of {self.slots} workers ready"
        if self.stopping:
            return f"stopping; {count}"
        if not self.ever_ready:
            return f"starting; {count}"
        if self.reloading:
            return f"reloading; {count}"
        failure = self.reloads["failure"]
        return f"{count}; the last reload failed ({failure}), the old code serves" if failure else count


class States:
    """Which messages follow from the facts. A pure decision."""

    def __init__(self, *, stop_timeout: float, watchdog: float | None) -> None:
        """`watchdog` is the interval between two signs of life."""
        self._stop_timeout, self._watchdog = stop_timeout, watchdog
        self._ready = self._stopping = False
        self._reloads: object = 0  # how many reloads the manager knows the beginning of
        self._reloading = False
        self._text = ""
        self._alive_at = float("-inf")

    @property
    def due(self) -> float | None:
        """When the next sign of life is."""
        return None if self._watchdog is None else self._alive_at + self._watchdog

    def messages(self, facts: Facts, now: float) -> list[str]:
        """What the manager doesn't know yet. `now` is CLOCK_MONOTONIC, by which it orders reloads."""
        lines = [*self._transitions(facts, now)]
        if (text := facts.text()) != self._text:
            self._text = text
            lines = [lines[0] + f"\nSTATUS={text}", *lines[1:]] if lines else [f"STATUS={text}"]
        if self.due is not None and now >= self.due:
            self._alive_at = now
            lines.append("WATCHDOG=1")
        return lines

    def _transitions(self, facts: Facts, now: float) -> list[str]:
        if self._stopping:
            return []
        if facts.stopping:
            self._stopping = True
            # Only ever longer than the unit's TimeoutStopSec=: the pool ends by itself within this time.
            return [f"STOPPING=1\nEXTEND_TIMEOUT_USEC={round((self._stop_timeout + SPARE) * 1e6)}"]
        if not facts.ever_ready:
            return []
        lines = []
        if not self._ready:
            self._ready = True
            lines.append("READY=1")
        if facts.reloads["asked"] != self._reloads:
            self._reloads, self._reloading = facts.reloads["asked"], True
            lines.append(f"RELOADING=1\nMONOTONIC_USEC={round(now * 1e6)}")
        if self._reloading and not facts.reloading:
            self._reloading = False
            lines.append("READY=1")
        return lines


class Manager:
    """Sends them to the socket of the manager."""

    def __init__(
        self, variables: Mapping[str, str], facts: Callable[[], Facts], *, pid: int, stop_timeout: float
    ) -> None:
        self._facts = facts
        path = variables.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._states = States(stop_timeout=stop_timeout, watchdog=watchdog_interval(variables, pid))
        self._unsent: list[str] = []
        self._again: float | None = None

    def deadline(self) -> float | None:
        """When `look` has something to send without anything new."""
        return min((t for t in (self._states.due, self._again) if t is not None), default=None)

    def look(self, now: float) -> None:
        """Send what the manager doesn't know yet."""
        self._unsent += self._states.messages(self._facts(), now)
        del self._unsent[:-MOST_UNSENT]
        self._again = None
        while self._unsent:
            try:
                self._socket.sendto(self._unsent[0].encode(), self._address)
            except BlockingIOError:
                self._again = now + AGAIN
                return
            except OSError:
                self._unsent.clear()  # nobody listens there (any more): the pool runs all the same
                return
            del self._unsent[0]


def manager(facts: Callable[[], Facts], *, stop_timeout: float) -> Manager | None:
    """For this process; None where no manager can be told at an address of its own."""
    variables = take(os.environ)
    if not variables.get("NOTIFY_SOCKET", "").startswith(("/", "@")):
        return None  # vsock:, of a virtual machine's own init
    return Manager(variables, facts, pid=os.getpid(), stop_timeout=stop_timeout)
