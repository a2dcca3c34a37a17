"""Which cores this process's workers may use, in what order, and which limit decided. Linux only.

A file that is missing, unreadable or garbled is no limit; nothing about it raises.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_CORES = 1 << 16  # a garbled "0-4000000000" must not fill PID 1's memory
CPUSET_FILES = ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus")
# What mountinfo escapes. systemd's names have backslashes (`\x2d` for a dash), so the last one
# is common; it is also replaced last, or it would make new escapes.
ESCAPES = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))


class Usable:
    """The cores that workers may use.

    `cores`: in the order in which slots take them, as many as can be kept busy at once.
    `allowed`: the same before a quota cut it. A quota says how much and not where, so a slot's
    core is chosen among these. `limit`: a phrase that says which limit decided. `quota`: in cores.
    """

    __slots__ = ("allowed", "cores", "limit", "quota")

    def __init__(self, allowed: tuple[int, ...], count: int, limit: str, quota: float | None) -> None:
        self.allowed = allowed
        self.cores = allowed[:count]
        self.limit = limit
        self.quota = quota


def usable(root: str = "/") -> Usable:
    """What affinity, cpuset and quota leave together, at least one core.

    `root` is the folder that has /proc and /sys.
    """
    online = _cores_in(read(f"{root}/sys/devices/system/cpu/online"))
    try:
        affinity = os.sched_getaffinity(0)
    except OSError:  # some sandboxes lack the call
        affinity = online or set(range(os.cpu_count() or 1))
    folders = groups(root)
    cpuset = _cpuset(folders)
    # No core in common means that a cpuset was misread: the affinity is the kernel's own word.
    allowed = in_order((affinity & cpuset) or affinity, root)
    limit = _deciding(affinity, cpuset, online)
    quota = _least_quota(folders)
    if quota is None:
        return Usable(allowed, len(allowed), limit, None)
    count = max(1, int(quota[0]))
    return Usable(allowed, count, quota[1] if count < len(allowed) else limit, quota[0])


def in_order(cores: Iterable[int], root: str = "/") -> tuple[int, ...]:
    """One thread of each physical core first; a sibling would only share what is taken already."""
    allowed = set(cores)

    def turn(core: int) -> tuple[int, int]:
        path = f"{root}/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list"
        siblings = _cores_in(read(path)) & allowed
        return sum(sibling < core for sibling in siblings), core

    return tuple(sorted(allowed, key=turn))


def parse_list(text: str) -> tuple[int, ...]:
    """The numbers in a list such as "0-3,8", rising. Raises ValueError for anything else."""
    found: set[int] = set()
    for part in text.strip().split(",") if text.strip() else ():
        first, dash, last = part.partition("-")
        ends = (first, last) if dash else (first, first)
        if not all(end.isascii() and end.isdecimal() for end in ends):
            raise ValueError(f"{part!r} is no core and no range of cores; write a list like 0-3,8")
        low, high = int(ends[0]), int(ends[1])
        if not low <= high < MOST_CORES:
            raise ValueError(f"{part!r} is no range of cores: it has to rise, below {MOST_CORES}")
        found.update(range(low, high + 1))
    return tuple(sorted(found))


def format_list(cores: Iterable[int]) -> str:
    """The shortest list that `parse_list` reads as these numbers: "0-3,8"."""
    ranges: list[tuple[int, int]] = []
    for core in sorted(set(cores)):
        if ranges and ranges[-1][1] == core - 1:
            ranges[-1] = (ranges[-1][0], core)
        else:
            ranges.append((core, core))
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


def _deciding(affinity: set[int], cpuset: set[int], online: set[int]) -> str:
    both = affinity & cpuset
    if online and online <= (both or affinity):
        return f"online cores {format_list(online)}"
    if not both or affinity < cpuset:
        return f"affinity {format_list(affinity)}"
    # The kernel cuts the affinity to the cpuset: where they are equal, the cpuset is the cause.
    if both == cpuset:
        return f"cpuset {format_list(cpuset)}"
    return f"affinity {format_list(affinity)} within cpuset {format_list(cpuset)}"


def _cpuset(folders: list[str]) -> set[int]:
    """The cores that all cpusets of these groups have, empty where there is none."""
    named = [_cores_in(read(f"{group}/{name}")) for group in folders for name in CPUSET_FILES]
    found = [cores for cores in named if cores]
    return set.intersection(*found) if found else set()


def _least_quota(groups: list[str]) -> tuple[float, str] | None:
    """The least quota of these groups, in cores, and a phrase that says where it comes from."""
    found: list[tuple[float, str]] = []
    for group in groups:
        parts = [read(f"{group}/cpu.cfs_{name}_us") for name in ("quota", "period")]
        for name, text in (
            ("cpu.max", read(f"{group}/cpu.max")),
            ("cpu.cfs_quota_us", " ".join(parts)),
        ):
            if cores := _ratio(text):
                fraction, unit = "/".join(text.split()), "core" if cores == 1 else "cores"
                found.append((cores, f"cgroup {name} {fraction} = {round(cores, 2):g} {unit}"))
    return min(found, key=lambda limit: limit[0], default=None)


def _ratio(text: str) -> float | None:
    """Quota over period; None for no limit ("max" in v2, -1 in v1) and for garbled text."""
    try:
        quota, period = (int(word) for word in text.split())
        cores = quota / period
    except (ValueError, ArithmeticError):
        return None
    return cores if quota > 0 and period > 0 else None


def groups(root: str) -> list[str]:
    """The folders of this process's control groups and of those above: each may limit it."""
    mounts = list(_mounts(read(f"{root}/proc/self/mountinfo")))
    found: list[str] = []
    for line in read(f"{root}/proc/self/cgroup").split("\n"):
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        # The line of v2 names no controllers.
        kind = set(controllers.split(",")) if controllers else {"cgroup2"}
        shown = [(top, point) for marks, top, point in mounts if kind <= marks]
        found += [root + folder for folder in _visible(group, shown)]
    return found


def _mounts(mountinfo: str) -> Iterator[tuple[set[str], str, str]]:
    """Each cgroup mount: its controllers (v2: the word cgroup2), its top group and its path."""
    for line in mountinfo.split("\n"):
        place, _, system = line.partition(" - ")
        where, what = place.split(" "), system.split(" ")
        if len(where) < 5 or len(what) < 3 or what[0] not in ("cgroup", "cgroup2"):
            continue
        marks = {"cgroup2"} if what[0] == "cgroup2" else set(what[2].split(","))
        yield marks, _unescape(where[3]), _unescape(where[4])


def _unescape(path: str) -> str:
    for escaped, char in ESCAPES:
        path = path.replace(escaped, char)
    return path


def _visible(group: str, mounts: list[tuple[str, str]]) -> Iterator[str]:
    """The folders of a group and of those above it that mounts (top group, path) show."""
    below = [(point, _names_below(top, group)) for top, point in mounts]
    inside = [(point, names) for point, names in below if names is not None]
    # A group that no mount shows (moved out of its cgroup namespace, or mounted from outside of it)
    # leaves the mount's top: the only limit known, and better than the host's count.
    for point, names in inside or [(point, []) for _, point in mounts]:
        for depth in range(len(names), -1, -1):
            yield "/".join([point, *names[:depth]])


def _names_below(top: str, group: str) -> list[str] | None:
    """The names that lead from one group to another, None where it isn't below."""
    names = [name for name in group.split("/") if name]
    start = [name for name in top.split("/") if name]
    rest = names[len(start) :]
    return rest if names[: len(start)] == start and ".." not in rest else None


def _cores_in(text: str) -> set[int]:
    try:
        return set(parse_list(text))
    except ValueError:
        return set()


def read(path: str) -> str:
    """The file's text, empty where it can't be read."""
    try:
        # A group's name may be any bytes; its folder is found only when they come out unchanged.
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except (OSError, ValueError):  # ValueError: a NUL in a path taken from a garbled file
        return ""
