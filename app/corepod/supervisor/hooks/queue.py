"""One hook: its events wait in a row, and one process at a time is told of the next one. Pure decisions."""

from __future__ import annotations

from collections import deque

from corepod.contract import hooks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WAIT_MOST = 32  # events of a hook: what comes while so many wait is dropped


class HookQueue:
    """`name` is the setting, `value` what is to be run. `pid` is that of the process that runs now, 0 for none."""

    def __init__(self, name: str, value: str, timeout: float) -> None:
        self.name, self.value, self._timeout = name, value, timeout
        self.waiting: deque[dict[str, Any]] = deque()
        self.pid = 0
        self._since = 0.0
        self._cause = ""  # why its process was killed
        self.done = self.failed = self.dropped = 0
        self._owned_up = 0  # of those that were dropped, how many the log has told of

    @property
    def shown(self) -> str:
        return hooks.shown(self.value)

    @property
    def busy(self) -> bool:
        return bool(self.pid or self.waiting)

    def add(self, event: dict[str, Any]) -> None:
        """It has happened. Where too many wait the latest is dropped: the first ones tell how the trouble began."""
        if len(self.waiting) >= WAIT_MOST:
            self.dropped += 1
        else:
            self.waiting.append(event)

    def take(self) -> dict[str, Any] | None:
        """The event to run the hook for now, if there is one and no process of it runs."""
        return self.waiting.popleft() if self.waiting and not self.pid else None

    def began(self, pid: int, now: float) -> None:
        self.pid, self._since, self._cause = pid, now, ""

    def refused(self) -> None:
        """Its process couldn't be started."""
        self.failed += 1

    @property
    def kill_at(self) -> float | None:
        """When its process has had all its time; None where none runs, or it has been killed already."""
        return self._since + self._timeout if self.pid and not self._cause else None

    def killed(self, cause: str) -> None:
        self._cause = self._cause or cause

    def late(self, now: float) -> bool:
        """Whether its process is to be killed now."""
        due = self.kill_at
        return due is not None and now >= due

    def ended(self, how: str, now: float) -> str:
        """Its process has ended, as `how` says, or well where that is empty. Returns what went wrong, for the log."""
        self.pid = 0
        if not how:
            self.done += 1
            return ""
        self.failed += 1
        return f"{self._cause or how} after {now - self._since:.1f} s"

    def untold(self) -> int:
        """How many events were dropped that the log hasn't told of: once, when there is room again."""
        if len(self.waiting) >= WAIT_MOST:
            return 0
        lost, self._owned_up = self.dropped - self._owned_up, self.dropped
        return lost

    def give_up(self) -> None:
        """Drop what still waits."""
        self.dropped += len(self.waiting)
        self.waiting.clear()
