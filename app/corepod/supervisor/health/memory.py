"""What is known of the memory of a worker and of the container, for a pool that limits it. Sizes are bytes."""

from __future__ import annotations

from corepod.supervisor.health import procfs

NO_LIMIT = 1 << 60  # what version 1 shows for none is above this


def pss(pid: int) -> int | None:
    """Memory of `pid` with its part of what it shares; None where the kernel doesn't say. It walks all pages and holds
    up whoever maps memory meanwhile, so it costs more, the larger the process is."""
    for line in procfs.read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    return None


class Estimate:
    """A worker's memory without the part of others in what it shares. The cheap number comes first; the dear one only
    where that is over the limit, and then again only when it could have got there, too."""

    def __init__(self) -> None:
        self._resident, self._proportional = 0, 0

    def look(self, pid: int, limit: int) -> int:
        """The present size, 0 where it isn't known. Up to `limit` it may be too high."""
        resident = procfs.rss(pid) or 0
        if not limit or resident <= limit:
            return resident
        if not self._proportional or self._proportional + resident - self._resident > limit:
            # A kernel without it, or a sandbox: all of it counts then.
            self._resident, self._proportional = resident, pss(pid) or resident
        return min(resident, self._proportional + resident - self._resident)


class ControlGroup:
    """The memory of the control group of this process, and of those around it, on versions 1 and 2."""

    def __init__(self, root: str = "/sys/fs/cgroup", mine: dict[str, str] | None = None) -> None:
        """`mine` are the paths of this process's groups, see `procfs.memberships`."""
        mine = procfs.memberships() if mine is None else mine
        self._levels = _levels(root, mine["v2"], V2) if "v2" in mine else []
        self._levels += _levels(f"{root}/memory", mine["memory"], V1) if "memory" in mine else []

    def fullest(self) -> tuple[int, int] | None:
        """What is in use, and the limit, of the group that is closest to its limit; None where none has one. Files that
        the kernel can drop at once don't count. A limit may change while the pool runs."""
        found = [use for folder, names in self._levels if (use := _use(folder, names)) is not None]
        return max(found, key=lambda use: use[0] / use[1], default=None)


V2 = ("memory.max", "memory.current", "inactive_file")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def _levels(root: str, path: str, names: tuple[str, str, str]) -> list[tuple[str, tuple[str, str, str]]]:
    """The folders from the group itself up to the root. In a container with a namespace of its own the path is /, and
    the mount is the container's own folder; without one the path may lead nowhere, and then the mount counts."""
    parts = [part for part in path.split("/") if part]
    return [("/".join([root, *parts[:count]]), names) for count in range(len(parts), -1, -1)]


def _use(folder: str, names: tuple[str, str, str]) -> tuple[int, int] | None:
    limit = procfs.read(f"{folder}/{names[0]}").strip()
    if not limit.isdigit() or not 0 < int(limit) < NO_LIMIT:
        return None  # "max", or no such folder
    used = procfs.read(f"{folder}/{names[1]}").strip()
    if not used.isdigit():
        return None
    idle = procfs.pairs(f"{folder}/memory.stat").get(names[2], 0)
    return max(0, int(used) - idle), int(limit)
