"""Notices that other cores may be used than before, as after an in-place resize of a pod or `systemctl set-property`.

No event tells of it: cgroup v2 reports changes of cgroup.events to inotify, and neither those of cpu.max nor those of
cpuset.cpus.effective. So it is looked, cheaply: the kernel keeps the affinity of this process within its cpuset and
within the cores that are online, so that one call shows a change of all three, and the quota takes a file or two.
"""

from __future__ import annotations

import os

from corepod.cpu import cores

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_QUOTA_FILES = ("cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us")


class Allowance:
    """What decides about the cores of this process, as far as it may change while it runs."""

    __slots__ = ("_cgroup", "_files", "_root")

    def __init__(self, root: str = "/") -> None:
        self._root, self._cgroup = root, ""
        self._files: list[str] = []

    def look(self) -> tuple[Any, ...]:
        """A value that differs as soon as `cores.usable` may find other cores."""
        group = cores.read(f"{self._root}/proc/self/cgroup")
        if group != self._cgroup:
            self._cgroup = group
            names = [f"{folder}/{name}" for folder in cores.groups(self._root) for name in _QUOTA_FILES]
            self._files = [name for name in names if os.path.exists(name)]
        try:
            affinity = frozenset(os.sched_getaffinity(0))
        except OSError:  # some sandboxes lack the call
            affinity = frozenset()
        return affinity, group, *map(cores.read, self._files)


class Settled:
    """A value that flaps may not be followed: a new one counts when it has held for `hold` seconds."""

    __slots__ = ("_hold", "_seen", "_since", "value")

    def __init__(self, value: Any, hold: float) -> None:
        self.value = self._seen = value
        self._since, self._hold = 0.0, hold

    def see(self, value: Any, now: float) -> bool:
        """Whether this is another value than the accepted one, and has held for long enough."""
        if value != self._seen:
            self._seen, self._since = value, now
        return bool(value != self.value and now - self._since >= self._hold)

    @property
    def due(self) -> float | None:
        """When the present value, if it lasts, is to be accepted; None where it is the accepted one."""
        return None if self._seen == self.value else self._since + self._hold

    def accept(self) -> None:
        """The value seen last is the one that counts from now on."""
        self.value = self._seen
