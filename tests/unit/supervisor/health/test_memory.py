"""The memory of a worker and of its container, read from files as the kernel writes them, and from the kernel."""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING

import pytest
from corepod.supervisor.health import memory, procfs
from corepod.supervisor.health.memory import ControlGroup, Estimate

if TYPE_CHECKING:
    from pathlib import Path

MB = 1 << 20


def group(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def v2(limit: str, used: int, idle: int = 0) -> dict[str, str]:
    stat = f"anon 1\ninactive_file {idle * MB}\n"
    return {"memory.max": f"{limit}\n", "memory.current": f"{used * MB}\n", "memory.stat": stat}


def test_files_that_can_be_dropped_do_not_count(tmp_path: Path) -> None:
    group(tmp_path / "pod", v2(str(500 * MB), 300, idle=100))
    assert ControlGroup(str(tmp_path), {"v2": "/pod"}).fullest() == (200 * MB, 500 * MB)


def test_the_limit_may_be_that_of_a_group_around(tmp_path: Path) -> None:
    group(tmp_path / "pod/box", v2("max", 100))
    group(tmp_path / "pod", v2(str(500 * MB), 300))
    assert ControlGroup(str(tmp_path), {"v2": "/pod/box"}).fullest() == (300 * MB, 500 * MB)
    group(tmp_path / "pod/box", v2(str(110 * MB), 100))
    assert ControlGroup(str(tmp_path), {"v2": "/pod/box"}).fullest() == (100 * MB, 110 * MB), "the one that is fuller"


def test_a_path_that_leads_nowhere_and_the_mount_of_the_container(tmp_path: Path) -> None:
    group(tmp_path, v2(str(500 * MB), 300))
    for path in ("/", "/kubepods/pod1/box", "/../.."):
        assert ControlGroup(str(tmp_path), {"v2": path}).fullest() == (300 * MB, 500 * MB)


def test_version_1(tmp_path: Path) -> None:
    files = {"memory.limit_in_bytes": f"{400 * MB}", "memory.usage_in_bytes": f"{300 * MB}"}
    group(tmp_path / "memory/box", {**files, "memory.stat": f"inactive_file 7\ntotal_inactive_file {50 * MB}\n"})
    group(tmp_path / "memory", {**files, "memory.limit_in_bytes": "9223372036854771712"})
    assert ControlGroup(str(tmp_path), {"memory": "/box", "v2": "/"}).fullest() == (250 * MB, 400 * MB)


def test_no_limit_and_nothing_to_read(tmp_path: Path) -> None:
    group(tmp_path, v2("max", 300))
    assert ControlGroup(str(tmp_path), {"v2": "/"}).fullest() is None
    assert ControlGroup(str(tmp_path / "nothing"), {"v2": "/x", "memory": "/x"}).fullest() is None
    assert ControlGroup(str(tmp_path), {}).fullest() is None
    group(tmp_path, {**v2("0", 0)})
    assert ControlGroup(str(tmp_path), {"v2": "/"}).fullest() is None


def test_what_is_shared_counts_in_parts() -> None:
    """As the kernel has it: this process and a child of it, which shares its memory."""
    with mmap.mmap(-1, 64 * MB) as shared:
        for at in range(0, len(shared), mmap.PAGESIZE):
            shared[at] = 1
        alone = memory.pss(os.getpid())
        if alone is None:
            pytest.skip("no smaps_rollup here")
        read, write = os.pipe()
        child = os.fork()
        if not child:  # pragma: no cover - another process
            os.read(read, 1)
            os._exit(0)
        try:
            both = memory.pss(os.getpid())
            assert both is not None
            assert both < alone - 16 * MB
            resident = procfs.rss(os.getpid())
            assert resident is not None
            assert both < resident - 16 * MB
        finally:
            os.write(write, b"x")
            os.waitpid(child, 0)
            os.close(read)
            os.close(write)


class Kernel:
    """Sizes in MB of a process that has 100 MB in common with one other, and how often the dear number was read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.resident, self.shared, self.walks, self.hidden = 0, 100, 0, False
        monkeypatch.setattr(procfs, "rss", lambda pid: self.resident * MB)
        monkeypatch.setattr(memory, "pss", self.walk)

    def walk(self, pid: int) -> int | None:
        self.walks += 1
        return None if self.hidden else (self.resident - self.shared // 2) * MB


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


def test_the_dear_number_is_read_only_where_it_may_matter(kernel: Kernel) -> None:
    estimate = Estimate()
    kernel.resident = 200
    assert estimate.look(1, 200 * MB) == 200 * MB
    assert kernel.walks == 0
    kernel.resident = 220
    assert estimate.look(1, 200 * MB) == 170 * MB
    kernel.resident = 250
    assert [estimate.look(1, 200 * MB) for _ in range(100)] == [200 * MB] * 100
    assert kernel.walks == 1, "it can't be over the limit before it has grown by what was left"
    kernel.resident, kernel.shared = 251, 40
    assert estimate.look(1, 200 * MB) == 231 * MB
    assert kernel.walks == 2


def test_where_the_kernel_does_not_say_all_of_it_counts(kernel: Kernel) -> None:
    kernel.hidden, kernel.resident = True, 220
    assert Estimate().look(1, 200 * MB) == 220 * MB
