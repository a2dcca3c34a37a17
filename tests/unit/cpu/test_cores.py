"""Usable cores on fake trees of /proc and /sys, the division among slots, pinning and claims."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import corepod
import pytest
from corepod.cpu.claims import CoreClaims, claim_core, forget_visitors, holder
from corepod.cpu.cores import MOST_CORES, Usable, format_list, in_order, parse_list, usable
from corepod.cpu.pinning import assign, in_container, pin
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.waiting import until

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Mapping

SOURCES = str(Path(corepod.__file__).parents[1])
FREE = MOST_CORES + os.getpid()  # a core that no real pool and no other run of the tests claims

V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 master:1 - cgroup cgroup rw,cpu,cpuacct\n"
    "33 31 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
)
HYBRID = V1 + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
FS = "sys/fs/cgroup"
ONLINE = {"sys/devices/system/cpu/online": "0-3\n"}


def siblings(*groups: str) -> dict[str, str]:
    return {
        f"sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list": f"{group}\n"
        for group in groups
        for core in parse_list(group)
    }


def v1_quota(folder: str, quota: object, period: object = 100000) -> dict[str, str]:
    return {
        f"{folder}/cpu.cfs_quota_us": f"{quota}\n",
        f"{folder}/cpu.cfs_period_us": f"{period}\n",
    }


class Machine(NamedTuple):
    cores: tuple[int, ...]
    limit: str
    quota: float | None = None
    affinity: str = "0-3"
    cgroup: str = "0::/\n"
    mounts: str = V2
    files: Mapping[str, str | bytes | None] | None = MappingProxyType({})  # None: no /proc, no /sys
    allowed: tuple[int, ...] | None = None  # where a quota cuts


CPU_POD = "4:cpuset:/pods/a\n3:cpu,cpuacct:/pods/a\n0::/pods/a\n"
ALL = (0, 1, 2, 3)

MACHINES = {
    "nothing limits": Machine(ALL, "online cores 0-3"),
    "no files at all": Machine(ALL, "affinity 0-3", files=None),
    "affinity": Machine((1, 2), "affinity 1-2", affinity="1-2"),
    "affinity, online unknown": Machine(ALL, "affinity 0-3", files={"sys/devices/system/cpu/online": "garbage"}),
    "online of another view": Machine(
        (4, 5),
        "affinity 4-5",
        affinity="4-5",
        files={"sys/devices/system/cpu/online": "0-1"},
    ),
    "v2 cpuset": Machine((0, 2), "cpuset 0,2", affinity="0,2", files={f"{FS}/cpuset.cpus.effective": "0,2\n"}),
    "v2 cpuset the affinity doesn't show": Machine(
        (0, 2), "cpuset 0,2", files={f"{FS}/cpuset.cpus.effective": "0,2\n"}
    ),
    "v2 cpuset of a group above": Machine(
        (3,), "cpuset 3", cgroup="0::/a/b\n", files={f"{FS}/a/cpuset.cpus.effective": "3\n"}
    ),
    "affinity inside the cpuset": Machine(
        (1,), "affinity 1", affinity="1", files={f"{FS}/cpuset.cpus.effective": "0-1\n"}
    ),
    "affinity across the cpuset": Machine(
        (1,),
        "affinity 1-2 within cpuset 0-1",
        affinity="1-2",
        files={f"{FS}/cpuset.cpus.effective": "0-1\n"},
    ),
    "cpuset and affinity have nothing in common": Machine(
        (0, 1), "affinity 0-1", affinity="0-1", files={f"{FS}/cpuset.cpus.effective": "6-7\n"}
    ),
    "v2 max": Machine(ALL, "online cores 0-3", files={f"{FS}/cpu.max": "max 100000\n"}),
    "v2 whole": Machine(
        (0, 1),
        "cgroup cpu.max 200000/100000 = 2 cores",
        2.0,
        files={f"{FS}/cpu.max": "200000 100000\n"},
        allowed=ALL,
    ),
    "v2 one": Machine(
        (0,),
        "cgroup cpu.max 50000/50000 = 1 core",
        1.0,
        files={f"{FS}/cpu.max": "50000 50000\n"},
        allowed=ALL,
    ),
    "v2 fraction rounds down": Machine(
        (0,),
        "cgroup cpu.max 150000/100000 = 1.5 cores",
        1.5,
        files={f"{FS}/cpu.max": "150000 100000\n"},
        allowed=ALL,
    ),
    "v2 below one is one": Machine(
        (0,),
        "cgroup cpu.max 50000/100000 = 0.5 cores",
        0.5,
        files={f"{FS}/cpu.max": "50000 100000\n"},
        allowed=ALL,
    ),
    "quota as large as the cpuset": Machine(
        (0, 2),
        "cpuset 0,2",
        2.0,
        affinity="0,2",
        files={f"{FS}/cpu.max": "200000 100000\n", f"{FS}/cpuset.cpus.effective": "0,2\n"},
    ),
    "quota above the cores": Machine(ALL, "online cores 0-3", 9.0, files={f"{FS}/cpu.max": "900000 100000\n"}),
    "nested, the group above is less": Machine(
        (0, 1),
        "cgroup cpu.max 250000/100000 = 2.5 cores",
        2.5,
        cgroup="0::/a/b/c\n",
        files={
            f"{FS}/a/cpu.max": "250000 100000\n",
            f"{FS}/a/b/cpu.max": "max 100000\n",
            f"{FS}/a/b/c/cpu.max": "300000 100000\n",
        },
        allowed=ALL,
    ),
    "nested, its own is less": Machine(
        (0,),
        "cgroup cpu.max 100000/100000 = 1 core",
        1.0,
        cgroup="0::/a/b\n",
        files={f"{FS}/a/cpu.max": "250000 100000\n", f"{FS}/a/b/cpu.max": "100000 100000\n"},
        allowed=ALL,
    ),
    "a group beside it doesn't count": Machine(
        ALL,
        "online cores 0-3",
        cgroup="0::/a/b\n",
        files={f"{FS}/a/c/cpu.max": "100000 100000\n"},
    ),
    "v1 quota": Machine(
        (0, 1),
        "cgroup cpu.cfs_quota_us 200000/100000 = 2 cores",
        2.0,
        cgroup=CPU_POD,
        mounts=V1,
        files=v1_quota(f"{FS}/cpu,cpuacct/pods/a", 200000),
        allowed=ALL,
    ),
    "v1 quota of the group above": Machine(
        (0, 1, 2),
        "cgroup cpu.cfs_quota_us 30000/10000 = 3 cores",
        3.0,
        cgroup=CPU_POD,
        mounts=V1,
        files=v1_quota(f"{FS}/cpu,cpuacct/pods/a", -1) | v1_quota(f"{FS}/cpu,cpuacct/pods", 30000, 10000),
        allowed=ALL,
    ),
    "v1 no quota": Machine(
        ALL,
        "online cores 0-3",
        cgroup=CPU_POD,
        mounts=V1,
        files=v1_quota(f"{FS}/cpu,cpuacct/pods/a", -1),
    ),
    "v1 period of nought": Machine(
        ALL,
        "online cores 0-3",
        cgroup=CPU_POD,
        mounts=V1,
        files=v1_quota(f"{FS}/cpu,cpuacct/pods/a", 100000, 0),
    ),
    "v1 cpuset": Machine(
        (1, 3),
        "cpuset 1,3",
        affinity="1,3",
        cgroup=CPU_POD,
        mounts=V1,
        files={f"{FS}/cpuset/pods/a/cpuset.cpus": "1,3\n"},
    ),
    "v1 cpuset with an offline core": Machine(
        (0, 2),
        "cpuset 0,2",
        affinity="0,2",
        cgroup=CPU_POD,
        mounts=V1,
        files={
            f"{FS}/cpuset/pods/a/cpuset.cpus": "0,2-3\n",
            f"{FS}/cpuset/pods/a/cpuset.effective_cpus": "0,2\n",
            "sys/devices/system/cpu/online": "0-2\n",
        },
    ),
    "v1 container, no namespace": Machine(
        (0,),
        "cgroup cpu.cfs_quota_us 100000/100000 = 1 core",
        1.0,
        cgroup="3:cpu,cpuacct:/docker/abc\n",
        mounts="32 31 0:29 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct\n",
        files=v1_quota(f"{FS}/cpu", 100000),
        allowed=ALL,
    ),
    "v1 container in a container": Machine(
        (0,),
        "cgroup cpu.cfs_quota_us 100000/100000 = 1 core",
        1.0,
        cgroup="3:cpu:/docker/abc/inner\n",
        mounts="32 31 0:29 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n",
        files=v1_quota(f"{FS}/cpu/inner", 100000) | v1_quota(f"{FS}/cpu", 200000),
        allowed=ALL,
    ),
    "v1 mount of a group with a longer name": Machine(
        (0,),
        "cgroup cpu.cfs_quota_us 100000/100000 = 1 core",
        1.0,
        cgroup="3:cpu:/docker/abc\n",
        mounts="32 31 0:29 /docker/ab /other ro - cgroup cgroup rw,cpu\n"
        "33 31 0:29 / /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n",
        files=v1_quota(f"{FS}/cpu/docker/abc", 100000) | v1_quota("other", 50000),
        allowed=ALL,
    ),
    "v1 name with systemd's backslash": Machine(
        (0, 1),
        "cgroup cpu.cfs_quota_us 200000/100000 = 2 cores",
        2.0,
        cgroup="3:cpu:/my\\x2dapp.slice/b\n",
        mounts="32 31 0:29 /my\\134x2dapp.slice /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n",
        files=v1_quota(f"{FS}/cpu/b", 200000),
        allowed=ALL,
    ),
    "mount point with a space, name with a colon": Machine(
        (0, 1),
        "cgroup cpu.max 200000/100000 = 2 cores",
        2.0,
        cgroup="0::/a:b\n",
        mounts="30 23 0:26 / /my\\040groups rw - cgroup2 cgroup2 rw\n",
        files={"my groups/a:b/cpu.max": "200000 100000\n"},
        allowed=ALL,
    ),
    "name that isn't UTF-8": Machine(
        (0, 1),
        "cgroup cpu.max 200000/100000 = 2 cores",
        2.0,
        files={"proc/self/cgroup": b"0::/a\xff\n", f"{FS}/a\udcff/cpu.max": "200000 100000\n"},
        allowed=ALL,
    ),
    "mount of another kind with the same word": Machine(
        ALL,
        "online cores 0-3",
        cgroup="3:cpu:/\n",
        mounts="32 31 0:29 / /other rw - tmpfs tmpfs rw,cpu\n",
        files=v1_quota("other", 100000),
    ),
    "hybrid, limits in v1": Machine(
        (2,),
        "cgroup cpu.cfs_quota_us 150000/100000 = 1.5 cores",
        1.5,
        affinity="2-3",
        cgroup=CPU_POD,
        mounts=HYBRID,
        files=v1_quota(f"{FS}/cpu,cpuacct/pods/a", 150000) | {f"{FS}/cpuset/pods/cpuset.cpus": "2-3\n"},
        allowed=(2, 3),
    ),
    "hybrid, limits in both, v2 is less": Machine(
        (0,),
        "cgroup cpu.max 100000/100000 = 1 core",
        1.0,
        cgroup=CPU_POD,
        mounts=HYBRID,
        files=v1_quota(f"{FS}/cpu,cpuacct/pods/a", 150000) | {f"{FS}/unified/pods/a/cpu.max": "100000 100000\n"},
        allowed=ALL,
    ),
    "moved out of its namespace": Machine(
        (0, 1),
        "cgroup cpu.max 200000/100000 = 2 cores",
        2.0,
        cgroup="0::/../other\n",
        files={f"{FS}/cpu.max": "200000 100000\n", "sys/fs/other/cpu.max": "1 1\n"},
        allowed=ALL,
    ),
    "mounted from outside its namespace": Machine(
        (0, 1),
        "cgroup cpu.max 200000/100000 = 2 cores",
        2.0,
        mounts="30 23 0:26 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
        files={f"{FS}/cpu.max": "200000 100000\n"},
        allowed=ALL,
    ),
    "group that isn't in the mount": Machine(
        (0, 1),
        "cgroup cpu.max 200000/100000 = 2 cores",
        2.0,
        cgroup="0::/kubepods/pod1/abc\n",
        files={f"{FS}/cpu.max": "200000 100000\n"},
        allowed=ALL,
    ),
    "garbled quota, the group above counts": Machine(
        (0, 1),
        "cgroup cpu.max 200000/100000 = 2 cores",
        2.0,
        cgroup="0::/a\n",
        files={f"{FS}/a/cpu.max": "lots\n", f"{FS}/cpu.max": "200000 100000\n"},
        allowed=ALL,
    ),
    "unreadable: quota and cpuset": Machine(
        ALL,
        "online cores 0-3",
        files={f"{FS}/cpu.max": None, f"{FS}/cpuset.cpus.effective": None},
    ),
    "garbled: one number": Machine(ALL, "online cores 0-3", files={f"{FS}/cpu.max": "200000\n"}),
    "garbled: nought": Machine(ALL, "online cores 0-3", files={f"{FS}/cpu.max": "0 100000\n"}),
    "garbled: digits without end": Machine(ALL, "online cores 0-3", files={f"{FS}/cpu.max": "9" * 400 + " 1\n"}),
    "garbled: binary": Machine(
        ALL,
        "online cores 0-3",
        files={f"{FS}/cpu.max": b"\xff\x00", f"{FS}/cpuset.cpus.effective": b"\xfe\x00-\xff"},
    ),
    "garbled: huge cpuset": Machine(ALL, "online cores 0-3", files={f"{FS}/cpuset.cpus.effective": "0-400000000\n"}),
    "garbled: /proc/self/cgroup": Machine(ALL, "online cores 0-3", cgroup="hello\n0::/\0x\n:\n"),
    "garbled: mountinfo": Machine(ALL, "online cores 0-3", mounts=" - \n30 23 - cgroup2\nx - cgroup2 a b\n"),
    "garbled: siblings": Machine(
        ALL,
        "online cores 0-3",
        files={"sys/devices/system/cpu/cpu1/topology/thread_siblings_list": "0,x\n"},
    ),
    "SMT, neighbours": Machine((0, 2, 1, 3), "online cores 0-3", files=siblings("0-1", "2-3")),
    "SMT, far": Machine(ALL, "online cores 0-3", files=siblings("0,2", "1,3")),
    "SMT, quota takes whole cores first": Machine(
        (0, 2),
        "cgroup cpu.max 200000/100000 = 2 cores",
        2.0,
        files=siblings("0-1", "2-3") | {f"{FS}/cpu.max": "200000 100000\n"},
        allowed=(0, 2, 1, 3),
    ),
    "SMT, the first sibling isn't allowed": Machine(
        (1, 2, 3), "affinity 1-3", affinity="1-3", files=siblings("0-1", "2-3")
    ),
    "SMT, 4 threads a core": Machine(
        (0, 4, 1, 5, 2, 6, 3, 7),
        "online cores 0-7",
        affinity="0-7",
        files=siblings("0-3", "4-7") | {"sys/devices/system/cpu/online": "0-7\n"},
    ),
    "SMT, a sibling is offline": Machine(
        (0, 2, 3),
        "online cores 0,2-3",
        affinity="0,2-3",
        files=siblings("0", "2-3") | {"sys/devices/system/cpu/online": "0,2-3\n"},
    ),
}


def build(root: Path, files: Mapping[str, str | bytes | None]) -> None:
    """A tree of files; None makes a folder in a file's place: even root can't read that."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES.keys())
def test_usable(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if machine.files is not None:
        known = {"proc/self/cgroup": machine.cgroup, "proc/self/mountinfo": machine.mounts}
        build(tmp_path, {**known, **ONLINE, **machine.files})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(parse_list(machine.affinity)))

    found = usable(str(tmp_path))

    assert (found.cores, found.limit, found.quota, found.allowed) == (
        machine.cores,
        machine.limit,
        machine.quota,
        machine.allowed or machine.cores,
    )


def test_usable_where_the_sandbox_has_no_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int) -> set[int]:
        raise OSError(errno.ENOSYS, "not there")

    monkeypatch.setattr(os, "sched_getaffinity", refuse)
    build(tmp_path, {**ONLINE, "proc/self/cgroup": "0::/\n", "proc/self/mountinfo": V2})
    assert usable(str(tmp_path)).cores == ALL
    build(tmp_path, {f"{FS}/cpuset.cpus.effective": "2"})
    assert usable(str(tmp_path)).cores == (2,)


REPORT_USABLE = """
import os, sys
from corepod.cpu.cores import usable
if sys.argv[1] != "all":
    os.sched_setaffinity(0, {int(sys.argv[1])})
if len(sys.argv) > 2:
    open(sys.argv[2] + "/cgroup.procs", "w").write("0")
found = usable()
print(found.cores, found.limit, found.quota, sep="|")
"""


def test_usable_of_a_real_process() -> None:
    cores = os.sched_getaffinity(0)
    last = max(cores)
    assert set(in_order(cores)) == cores
    assert set(usable().allowed) == cores
    narrowed = output(REPORT_USABLE, last)
    assert narrowed.startswith(f"({last},)|")
    if len(cores) > 1:
        assert f"|affinity {last}|" in narrowed


@pytest.mark.root
def test_quota_of_a_real_group() -> None:
    """A quota of one core over a group of its own, in which a process asks."""
    with real_group("cpu/cpu.cfs_quota_us", "100000") as group:
        cores, limit, quota = output(REPORT_USABLE, "all", group).split("|")
    assert quota == "1.0"
    assert cores == f"({in_order(os.sched_getaffinity(0))[0]},)"
    if len(os.sched_getaffinity(0)) > 1:
        assert limit == "cgroup cpu.cfs_quota_us 100000/100000 = 1 core"


@contextmanager
def real_group(file: str, text: str) -> Iterator[str]:
    """A control group of v1 with one limit."""
    controller, _, name = file.partition("/")
    group = Path("/sys/fs/cgroup", controller, f"corepod-test-{os.getpid()}")
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made: {error}")
    try:
        (group / name).write_text(text)
        yield str(group)
    finally:
        group.rmdir()


LISTS = {
    "empty": ("", (), ""),
    "newline": ("3\n", (3,), "3"),
    "range": ("0-3,8", (0, 1, 2, 3, 8), "0-3,8"),
    "pair": ("0,1", (0, 1), "0-1"),
    "out of order, twice": ("8,0-2,1", (0, 1, 2, 8), "0-2,8"),
}


@pytest.mark.parametrize(("text", "cores", "shortest"), LISTS.values(), ids=LISTS.keys())
def test_lists(text: str, cores: tuple[int, ...], shortest: str) -> None:
    assert parse_list(text) == cores
    assert format_list(cores) == shortest


@pytest.mark.parametrize(
    "text",
    [
        ",",
        "1,",
        "x",
        "-1",
        "1-",
        "3-1",
        "1--2",
        "1.5",
        "0x1",
        "1 2",
        "\u0661",
        "\u00b2",
        "+1",
        "65536",
    ],
)
def test_a_list_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="core"):
        parse_list(text)


@given(st.sets(st.integers(0, 3000)))
@settings(deadline=None)
def test_what_is_formatted_parses(cores: set[int]) -> None:
    assert parse_list(format_list(cores)) == tuple(sorted(cores))


@given(st.text(alphabet="0123456789-, x\n", max_size=12))
@settings(deadline=None)
def test_any_text_is_a_list_or_a_value_error(text: str) -> None:
    try:
        cores = parse_list(text)
    except ValueError:
        return
    assert parse_list(format_list(cores)) == cores


class Division(NamedTuple):
    mode: str
    slots: int
    cores: list[int | None]
    phrase: str = ""
    allowed: tuple[int, ...] = (0, 2, 1, 3)
    usable: int = 4  # number of cores; fewer where a quota cuts
    container: bool = False
    others: tuple[int, ...] = ()  # cores that other pools hold
    asked: tuple[int, ...] = ()  # for which a claim was made


DIVISIONS = {
    "never": Division("never", 2, [None, None]),
    "never in a container": Division("never", 4, [None] * 4, container=True),
    "always asks nobody": Division("always", 2, [0, 2], others=(0,)),
    "always in a container": Division("always", 1, [0], container=True),
    "always, more slots than cores": Division(
        "always",
        6,
        [0, 2, 1, 3, None, None],
        "slots 4-5 are not pinned: only cores 0-3 may be used",
    ),
    "container with as many": Division("auto", 4, [0, 2, 1, 3], container=True, asked=(0, 2, 1, 3)),
    "container with one core of its own": Division("auto", 1, [5], allowed=(5,), container=True, asked=(5,)),
    "container with as many, and another pool in it": Division(
        "auto",
        4,
        [0, 3, None, None],
        "slots 2-3 are not pinned: only cores 0-3 may be used, and other pools hold 1-2",
        container=True,
        others=(1, 2),
        asked=(0, 2, 1, 3),
    ),
    "container that may share": Division(
        "auto",
        1,
        [None],
        "slot 0 is not pinned: cores 0-3 may be shared with other containers, because their number differs "
        "from that of the slots; give this container cores of its own, or set pin to always",
        container=True,
    ),
    "container, only its quota is as small as its slots": Division(
        "auto",
        1,
        [None],
        "slot 0 is not pinned: cores 0-3 may be shared with other containers, because their number differs "
        "from that of the slots; give this container cores of its own, or set pin to always",
        usable=1,
        container=True,
    ),
    "container with more slots than cores": Division(
        "auto",
        2,
        [None, None],
        "slots 0-1 are not pinned: cores 5 may be shared with other containers, because their number differs "
        "from that of the slots; give this container cores of its own, or set pin to always",
        allowed=(5,),
        container=True,
    ),
    "free": Division("auto", 4, [0, 2, 1, 3], asked=(0, 2, 1, 3)),
    "no more than needed": Division("auto", 2, [0, 2], asked=(0, 2)),
    "the next ones": Division("auto", 2, [1, 3], others=(0, 2), asked=(0, 2, 1, 3)),
    "behind a quota the next ones, too": Division("auto", 1, [2], usable=1, others=(0,), asked=(0, 2)),
    "some are held": Division(
        "auto",
        4,
        [1, 3, None, None],
        "slots 2-3 are not pinned: only cores 0-3 may be used, and other pools hold 0,2",
        others=(0, 2),
        asked=(0, 2, 1, 3),
    ),
    "all are held": Division(
        "auto",
        1,
        [None],
        "slot 0 is not pinned: only cores 0-3 may be used, and other pools hold 0-3",
        others=(0, 1, 2, 3),
        asked=(0, 2, 1, 3),
    ),
    "more slots than cores": Division(
        "auto",
        5,
        [0, 2, 1, 3, None],
        "slot 4 is not pinned: only cores 0-3 may be used",
        asked=(0, 2, 1, 3),
    ),
}


@pytest.mark.parametrize("case", DIVISIONS.values(), ids=DIVISIONS.keys())
def test_assign(case: Division) -> None:
    asked: list[int] = []

    def take(core: int) -> bool:
        asked.append(core)
        return core not in case.others

    found = assign(
        Usable(case.allowed, case.usable, "some limit", None),
        case.slots,
        case.mode,
        case.container,
        take,
    )

    assert found == (case.cores, case.phrase)
    assert tuple(asked) == case.asked


def test_assign_where_sockets_are_refused() -> None:
    def refuse(core: int) -> bool:
        if core == 0:
            return True
        raise PermissionError(errno.EACCES, "Permission denied")

    assert assign(Usable((0, 1), 2, "", None), 2, "auto", False, refuse) == (
        [0, None],
        "slot 1 is not pinned: cores can't be claimed here (Permission denied); set pin to always",
    )


HOLDER = """
import sys
from corepod.cpu.claims import claim_core
mine = claim_core(int(sys.argv[1]))
print(mine is not None, flush=True)
sys.stdin.read()
"""


def test_a_claim_of_another_process_ends_with_its_death() -> None:
    with running(HOLDER, FREE) as holder:
        assert line_of(holder) == "True"
        assert claim_core(FREE) is None
        with running(HOLDER, FREE) as second:
            assert line_of(second) == "False"
        with opened(claim_core(FREE + 1)):
            pass
        holder.kill()
        holder.wait()
        pool = CoreClaims()
        until(lambda: pool.claim(FREE), "the core free again")
        pool.release(FREE)


@pytest.mark.parametrize("leak", [False, True], ids=["as made", "control: made inheritable"])
def test_a_claim_is_not_inherited(leak: bool) -> None:
    with opened(claim_core(FREE)) as mine:
        mine.set_inheritable(leak or mine.get_inheritable())
        with running("import sys; print(1, flush=True); sys.stdin.read()") as child:
            line_of(child)
            mine.close()
            again = claim_core(FREE)
            assert (again is None) is leak
            if again:
                again.close()


def test_claims_are_kept_and_given_back() -> None:
    pool, other = CoreClaims(), CoreClaims()
    assert pool.claim(FREE)
    assert pool.claim(FREE)
    assert not other.claim(FREE)
    other.release(FREE)  # not its own: nothing happens
    assert not other.claim(FREE)
    pool.release(FREE)
    assert other.claim(FREE)
    other.release(FREE)
    assert (pool.held, other.held) == ({}, {})


def test_one_gives_way_to_a_pool_of_the_same_user() -> None:
    with running(HOLDER, FREE) as pool:
        assert line_of(pool) == "True"
        assert holder(FREE) == (pool.pid, os.geteuid())
        assert CoreClaims().squatter(FREE) == ""


SQUATTER = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
name, how = "\\0corepod/core/" + sys.argv[1], sys.argv[2]
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM if how == "another kind" else socket.SOCK_STREAM)
sock.bind(name)
if how not in ("is silent", "another kind"):
    sock.listen(0)
visitors = []
while how == "lets nobody in":
    visitor = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    visitor.setblocking(False)
    try:
        visitor.connect(name)
    except BlockingIOError:
        break
    visitors.append(visitor)
print("there", flush=True)
sys.stdin.read()
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
@pytest.mark.parametrize("how", ["listens", "is silent", "lets nobody in"])
def test_one_does_not_give_way_to_another_user_and_names_him(how: str) -> None:
    with running(SQUATTER, FREE, how) as squatter:
        assert line_of(squatter) == "there"
        claims = CoreClaims()
        assert not claims.claim(FREE)
        assert claims.squatter(FREE) == f"process {squatter.pid} of user nobody"
        assert claims.rivals() == {}


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_socket_of_another_kind_is_no_claim_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(SQUATTER, FREE, "another kind") as squatter:
        assert line_of(squatter) == "there"
        pool, other = CoreClaims(), CoreClaims()
        assert pool.claim(FREE)
        assert pool.claim(FREE + 1)
        assert other.squatter(FREE) == ""
        assert pool.rivals() == {FREE: f"process {squatter.pid} of user nobody"}
        monkeypatch.setattr("corepod.cpu.claims.holders", lambda inodes: iter(()))
        assert pool.rivals() == {FREE: "a process that doesn't say who it is"}, "where it may not be seen"
        pool.release(FREE)
        pool.release(FREE + 1)


def test_a_claim_answers_for_ever_where_its_visitors_are_let_go() -> None:
    with opened(claim_core(FREE)) as mine:
        for _ in range(5000):  # more than the longest queue
            assert holder(FREE) == (os.getpid(), os.geteuid())
            forget_visitors(mine)
        forget_visitors(mine)  # nobody is there


def test_a_core_that_is_free_is_taken_before_that_of_a_squatter() -> None:
    def divide(
        slots: int, mine: set[int], squatted: set[int], *, container: bool = False
    ) -> tuple[list[int | None], str]:
        usable = Usable((0, 1, 2, 3), 4, "", None)
        return assign(
            usable, slots, "auto", container, lambda core: core in mine, lambda core: "X" * (core in squatted)
        )

    said = "core {} is claimed by X, which is no pool of this user or of root: it is used all the same"
    assert divide(2, {1, 3}, {0, 2}) == ([1, 3], "")
    assert divide(2, {3}, {0, 1}) == ([3, 0], said.format(0))
    assert divide(3, {3}, {0, 1}) == ([3, 0, 1], f"{said.format(0)}; {said.format(1)}")
    assert divide(4, {3}, {0}) == (
        [3, 0, None, None],
        f"{said.format(0)}; slots 2-3 are not pinned: only cores 0-3 may be used, and other pools hold 1-2",
    )
    assert divide(4, {2, 3}, {0, 1}, container=True)[0] == [2, 3, 0, 1]


def test_cores_of_a_container_without_sockets_are_its_own() -> None:
    def refuse(core: int) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    assert assign(Usable((0, 1), 2, "", None), 2, "auto", True, refuse) == ([0, 1], "")


def test_a_claim_that_is_refused_raises_and_leaves_no_socket() -> None:
    open_before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="too long"):
        claim_core(10**200)
    assert set(os.listdir("/proc/self/fd")) <= open_before  # the collector may close what other tests have left


THREADS = """
import sys, threading
from corepod.cpu.pinning import pin
for _ in range(3):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
if len(sys.argv) > 1:
    print(pin(int(sys.argv[1])), flush=True)
print("ready", flush=True)
sys.stdin.read()
"""


def test_pin_reaches_every_thread_of_another_process() -> None:
    core = max(os.sched_getaffinity(0))
    with running(THREADS) as child:
        assert line_of(child) == "ready"
        assert allowed_lists(child) == [format_list(os.sched_getaffinity(0))] * 4  # the control
        assert pin(core, child.pid) == ""
        assert allowed_lists(child) == [str(core)] * 4


def test_pin_reaches_every_thread_of_its_own_process() -> None:
    core = max(os.sched_getaffinity(0))
    with running(THREADS, core) as child:
        assert (line_of(child), line_of(child)) == ("", "ready")
        assert allowed_lists(child) == [str(core)] * 4


def test_pin_keeps_off_numbers_of_another_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    core = max(os.sched_getaffinity(0))
    with running(THREADS) as child:
        assert line_of(child) == "ready"
        before = allowed_lists(child)
        monkeypatch.setattr(os, "readlink", lambda _path: "0")
        assert pin(core, child.pid) == ""
        assert allowed_lists(child) == [str(core), *before[1:]]


def test_pin_says_that_the_core_is_not_there() -> None:
    with running(THREADS) as child:
        line_of(child)
        before = allowed_lists(child)
        assert pin(1023, child.pid) == "core 1023 is offline or outside the cpuset"
        assert allowed_lists(child) == before


def test_pin_says_that_the_process_is_gone() -> None:
    with running(THREADS) as child:
        pass
    assert pin(0, child.pid) == f"process {child.pid} is gone"


@pytest.mark.root
def test_pin_says_that_it_is_not_permitted() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    core = max(os.sched_getaffinity(0))
    stranger = (
        "import os, sys; from corepod.cpu.pinning import pin; os.setuid(65534);"
        "print(pin(int(sys.argv[1]), int(sys.argv[2])))"
    )
    with running(THREADS) as child:
        assert line_of(child) == "ready"
        assert output(stranger, core, child.pid) == (
            f"no permission to pin to core {core}: a sandbox forbids it, or the process has "
            "another user and CAP_SYS_NICE is missing"
        )


@pytest.mark.parametrize(
    ("number", "phrase"),
    [
        (errno.ENOSYS, "this kernel or sandbox can't pin"),
        (errno.EIO, "can't pin to core 3: Input/output error"),
    ],
    ids=["ENOSYS", "another"],
)
def test_pin_says_what_the_kernel_says(number: int, phrase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int, _cores: set[int]) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    assert pin(3) == phrase


class Kernel:
    """A process whose threads come and go while they are pinned."""

    def __init__(self, *listings: set[int]) -> None:
        self.listings = list(listings)
        self.pinned: list[int] = []

    def threads(self, _pid: int) -> set[int]:
        return self.listings.pop(0) if len(self.listings) > 1 else self.listings[0]

    def pin(self, thread: int, _cores: set[int]) -> None:
        self.pinned.append(thread)
        if thread == 66:
            raise ProcessLookupError(errno.ESRCH, "gone")


def test_pin_looks_again_for_threads_made_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel({1}, {1, 2, 66}, {1, 2, 3}, {1, 2, 3})
    monkeypatch.setattr("corepod.cpu.pinning._threads", kernel.threads)
    monkeypatch.setattr(os, "sched_setaffinity", kernel.pin)
    assert pin(0, 1) == ""
    assert sorted(kernel.pinned) == [1, 2, 3, 66]


def test_pin_ends_where_threads_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(*({number} for number in range(100, 1000)))
    monkeypatch.setattr("corepod.cpu.pinning._threads", kernel.threads)
    monkeypatch.setattr(os, "sched_setaffinity", kernel.pin)
    assert pin(0, 1) == ""
    assert len(kernel.pinned) < 20


@pytest.mark.parametrize(
    ("pid", "variable", "file", "expected"),
    [
        (2, "", "", False),
        (1, "", "", True),
        (2, "KUBERNETES_SERVICE_HOST", "", True),
        (2, "", ".dockerenv", True),
        (2, "", "run/.containerenv", True),
    ],
    ids=["none of them", "pid 1", "kubernetes", "docker", "podman"],
)
def test_in_container(
    pid: int,
    variable: str,
    file: str,
    expected: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: pid)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    if variable:
        monkeypatch.setenv(variable, "10.0.0.1")
    if file:
        build(tmp_path, {file: ""})
    assert in_container(str(tmp_path)) is expected


def test_imports_stay_small() -> None:
    """PID 1 imports both: each of these would cost it memory."""
    heavy = {
        "asyncio",
        "dataclasses",
        "logging",
        "random",
        "re",
        "subprocess",
        "threading",
        "typing",
    }
    code = f"import sys; sys.path.insert(0, {SOURCES!r}); import corepod.cpu.pinning; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True, text=True)
    assert "corepod.cpu.cores" in found.stdout.split()
    assert heavy.isdisjoint(found.stdout.split())


@contextmanager
def running(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A Python process that ends with the block. It gets the descriptors that are inheritable."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        close_fds=False,
        env={**os.environ, "PYTHONPATH": SOURCES},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def output(code: str, *arguments: object) -> str:
    with running(code, *arguments) as process:
        return line_of(process)


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.endswith("\n"), "the process died; its error output is above"
    return line[:-1]


def allowed_lists(process: subprocess.Popen[str]) -> list[str]:
    """Where each thread of a process may run, by the kernel's word; the main thread first."""
    threads = sorted(Path(f"/proc/{process.pid}/task").iterdir(), key=lambda path: int(path.name))
    lines = [line for path in threads for line in (path / "status").read_text().splitlines()]
    return [line.split()[1] for line in lines if line.startswith("Cpus_allowed_list:")]


def opened(made: socket.socket | None) -> socket.socket:
    assert made is not None
    return made
