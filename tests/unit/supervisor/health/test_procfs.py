"""What is read of /proc and of the control group, from this very machine and from texts of others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from corepod.supervisor.health import procfs

from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


# A job in a shell's background inherits that it ignores SIGINT, and Python leaves it at that.
WAITS = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); input()"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits for its input to end."""
    process = subprocess.Popen([sys.executable, "-c", WAITS], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    yield process
    process.kill()
    process.communicate()


def test_a_file_that_is_not_there_is_empty() -> None:
    assert procfs.read("/proc/nothing/here") == ""


def test_nothing_is_known_of_a_process_that_is_gone() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert procfs.thread_time(process.pid) is None
    assert procfs.cpu_time(process.pid) is None
    assert procfs.rss(process.pid) is None
    assert not procfs.writes_to_full_pipe(process.pid)


def test_time_of_the_main_thread_and_of_all() -> None:
    me = os.getpid()

    def burn() -> None:
        end = time.thread_time() + 0.3
        while time.thread_time() < end:
            pass

    before_thread, before_all = procfs.thread_time(me), procfs.cpu_time(me)
    assert before_thread is not None
    assert before_all is not None
    thread = threading.Thread(target=burn)
    thread.start()
    thread.join()
    after_thread, after_all = procfs.thread_time(me), procfs.cpu_time(me)
    assert after_thread is not None
    assert after_all is not None
    # What a thread beside the loop burns is none of the loop's work.
    assert after_all - before_all >= 0.25
    burn()
    assert (procfs.thread_time(me) or 0.0) - after_thread >= 0.25


def test_a_starved_thread_counts_what_it_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"/proc/7/task/7/schedstat": "2000000000 3000000000 17\n"}
    monkeypatch.setattr(procfs, "read", lambda path: texts.get(path, ""))
    assert procfs.thread_time(7) == 5.0


def test_where_the_kernel_keeps_no_schedstat(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    fields = ["S", "1", *"0" * 9, str(3 * ticks), str(2 * ticks), *"0" * 30]
    texts = {"/proc/7/task/7/stat": "7 (a (tricky) name) " + " ".join(fields)}
    monkeypatch.setattr(procfs, "read", lambda path: texts.get(path, ""))
    assert procfs.thread_time(7) == 5.0


def test_resident_memory() -> None:
    # Of this process: one that has just been started grows between the two reads.
    size = procfs.rss(os.getpid())
    status = Path("/proc/self/status").read_text()
    kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    assert size is not None
    assert 0.5 < size / (kilobytes * 1024) < 2


def test_children(child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    assert child.pid in procfs.children()
    assert child.pid in procfs.children(os.getpid())
    assert procfs.children(child.pid) == []
    # Where the kernel has no list, every process is asked for its parent.
    original = procfs.read
    monkeypatch.setattr(procfs, "read", lambda path: "" if path.endswith("/children") else original(path))
    assert child.pid in procfs.children()


def test_a_sleep_in_a_full_pipe_shows() -> None:
    read, write = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", "import os\nwhile True: os.write(1, b'x' * 4096)"], stdout=write)
    try:
        until(lambda: procfs.writes_to_full_pipe(process.pid), "a sleep in a write to a pipe")
    finally:
        process.kill()
        process.wait()
        os.close(read)
        os.close(write)


def test_a_sleep_in_a_read_is_none(child: subprocess.Popen[bytes]) -> None:
    until(lambda: "pipe" in procfs.read(f"/proc/{child.pid}/wchan"), "a sleep in a read of a pipe")
    assert not procfs.writes_to_full_pipe(child.pid)


class Group:
    """A control group as files that are read instead of the machine's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, files: Mapping[str, str]) -> None:
        self.files = dict(files)
        monkeypatch.setattr(procfs, "read", lambda path: self.files.get(path, ""))
        self.group = procfs.Cgroup()


V2 = "/sys/fs/cgroup"


def test_version_2_in_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Group(
        monkeypatch,
        {
            "/proc/self/cgroup": "0::/\n",
            f"{V2}/cpu.stat": "usage_usec 9\nnr_throttled 3\nthrottled_usec 2500000\n",
            f"{V2}/memory.events": "low 0\nhigh 0\nmax 12\noom 2\noom_kill 2\noom_group_kill 0\n",
        },
    )
    assert group.group.throttled() == 2.5
    assert group.group.memory_kills() == 2
    group.files[f"{V2}/memory.events"] = "oom_kill 3\n"
    assert group.group.memory_kills() == 3


def test_version_2_on_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Group(
        monkeypatch,
        {
            "/proc/self/cgroup": "0::/system.slice/app.service\n",
            f"{V2}/system.slice/app.service/cpu.stat": "throttled_usec 1000000\n",
            f"{V2}/cpu.stat": "throttled_usec 9000000\n",
            f"{V2}/system.slice/app.service/memory.events": "oom_kill 1\n",
        },
    )
    assert group.group.throttled() == 1.0
    assert group.group.memory_kills() == 1


def test_version_1(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Group(
        monkeypatch,
        {
            "/proc/self/cgroup": "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/\n",
            f"{V2}/cpu/docker/abc/cpu.stat": "nr_periods 5\nnr_throttled 1\nthrottled_time 1500000000\n",
            f"{V2}/memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
        },
    )
    assert group.group.throttled() == 1.5
    assert group.group.memory_kills() == 4


@pytest.mark.parametrize("text", ["", "throttled_usec\n", "throttled_usec x\n", "throttled_usec 1 2\n"])
def test_what_is_missing_or_garbled_is_unknown(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    group = Group(monkeypatch, {"/proc/self/cgroup": "0::/\n", f"{V2}/cpu.stat": text})
    assert group.group.throttled() is None
    assert group.group.memory_kills() == 0


def test_this_machine_is_understood() -> None:
    group = procfs.Cgroup()
    assert group.memory_kills() >= 0
    assert (group.throttled() or 0.0) >= 0.0


def test_which_signals_a_process_handles(child: subprocess.Popen[bytes]) -> None:
    until(lambda: procfs.catches(child.pid, signal.SIGINT), "Python's own handler")
    assert not procfs.catches(child.pid, signal.SIGQUIT)
    assert not procfs.catches(0, signal.SIGINT)
