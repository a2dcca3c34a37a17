"""What can happen to the file of the embedded backend."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from corepod import shared
from corepod.shared import Unavailable, state
from corepod.shared.embedded import store, where
from corepod.shared.embedded.backend import EmbeddedBackend
from corepod.worker.application.shared_state import SharedSettings

from tests.process.container import without_private_mounts
from tests.process.shared.running import run
from tests.waiting import DEADLINE

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COREPOD_SHARED", f"sqlite://{tmp_path}/state.sqlite")
    monkeypatch.setenv("COREPOD_SHARED_TIMEOUT", "30")
    return tmp_path / "state.sqlite"


HOLDING = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
db.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.readline()
db.execute("ROLLBACK")
"""


def test_a_file_that_another_process_holds(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder may even stand still: the event loop goes on, calls end in time, and all is well afterwards."""
    run(lambda: shared.set("a", 1))
    monkeypatch.setenv("COREPOD_SHARED_TIMEOUT", "0.3")
    pipe = subprocess.PIPE
    with (
        subprocess.Popen([sys.executable, "-c", HOLDING, str(path)], stdin=pipe, stdout=pipe) as holder,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(holder.kill)  # it may stand still
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        os.kill(holder.pid, signal.SIGSTOP)

        async def work() -> None:
            turns = 0

            async def turn() -> None:
                nonlocal turns
                while True:
                    await asyncio.sleep(0)
                    turns += 1

            turning = asyncio.create_task(turn())
            for call in [shared.set("a", 2), *[shared.increment("n") for _ in range(20)]]:
                with pytest.raises(Unavailable, match=r"state\.sqlite"):
                    await asyncio.wait_for(call, DEADLINE)
            assert turns > 100
            turning.cancel()

        run(work)
        os.kill(holder.pid, signal.SIGCONT)
        holder.communicate(b"\n", timeout=DEADLINE)
    monkeypatch.setenv("COREPOD_SHARED_TIMEOUT", "30")

    async def after() -> None:
        assert await shared.get("a") == 1
        # Of the calls that nobody waited for, only one that had begun may have been carried out.
        assert await shared.increment("n") in (1, 2)

    run(after)


@pytest.mark.parametrize("where_", ["header", "page"])
def test_a_damaged_file_is_left_as_it_is(path: Path, where_: str) -> None:
    async def fill() -> None:
        for number in range(100):
            await shared.set(f"{number}", "x" * 1000)

    run(fill)
    gc.collect()
    db = sqlite3.connect(path)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    content = bytearray(path.read_bytes())
    start = 0 if where_ == "header" else 4096
    content[start : start + 16384] = b"garbage " * 2048
    path.write_bytes(content)

    async def read() -> None:
        for number in range(100):
            await shared.get(f"{number}")

    async def work() -> None:
        with pytest.raises(Unavailable, match=r"state\.sqlite: .*; .*move it away"):
            await read()
        with pytest.raises(Unavailable, match="move it away"):
            await shared.set("new", 1)

    run(work)
    assert path.read_bytes() == content
    for file in path.parent.glob("state.sqlite*"):
        file.rename(file.with_name(f"away.{file.name}"))
    run(lambda: shared.set("a", 1))  # without a restart


def test_a_file_of_a_later_version_is_refused(path: Path) -> None:
    run(lambda: shared.set("a", 1))
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    gc.collect()

    async def work() -> None:
        with pytest.raises(Unavailable, match="version 99"):
            await shared.get("a")

    run(work)


def test_a_file_that_is_taken_away_is_made_again(path: Path) -> None:
    """Cleaners of temporary folders do that. Processes must not go on with different files."""

    def take_away() -> None:
        for file in path.parent.glob("state.sqlite*"):
            file.unlink()

    async def work() -> None:
        await shared.set("a", 1)
        take_away()
        assert await shared.get("a") is None
        await shared.set("a", 2)
        db = sqlite3.connect(path)
        assert db.execute("SELECT value FROM state").fetchall() == [(b"2",)]
        db.close()

    run(work)


def test_what_has_expired_leaves_room_for_what_comes(path: Path) -> None:
    async def work() -> None:
        for number in range(200):
            await shared.set(f"{number}", b"x" * 4000, 0.001)
            await state.backend().acquire(f"{number}", "me", 0.001)
            await shared.limit(f"{number}", 1, 0.001)
        db = sqlite3.connect(path)
        for table in ("state", "lock", "rate"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] < 50
        db.close()

    run(work)
    assert path.stat().st_size < 200 * 4000 / 2


# What its file system does

SMALL = """
import asyncio, os, sys
from corepod import shared
async def main():
    await shared.set("a", 1)
    try:
        for number in range(200):
            await shared.set(f"{number}", b"x" * 20000)
    except shared.Unavailable as error:
        print(error)
    assert await shared.get("a") == 1
    os.unlink(sys.argv[1])
    await shared.set("b", 1)
    print(await shared.get("b"))
asyncio.run(main())
"""
READ_ONLY = """
import asyncio, os, subprocess, sys
from corepod import shared
async def main():
    await shared.set("a", 1)
    await shared.close()
asyncio.run(main())
import gc, threading
gc.collect()
for thread in threading.enumerate():  # the one that works on the file closes it
    if thread is not threading.current_thread():
        thread.join()
subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)
async def again():
    try:
        await shared.set("a", 2)
    except shared.Unavailable as error:
        print(error)
asyncio.run(again())
"""


@pytest.mark.root
def test_a_disk_that_is_full(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    output = _on_own_disk(tmp_path, SMALL, "head -c 300000 /dev/zero >filler", "filler")
    assert "disk/state.sqlite: database or disk is full; make room on its disk" in output
    assert output.endswith("\n1\n")  # as soon as there is room


@pytest.mark.root
def test_a_disk_that_is_full_from_the_beginning(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    script = (
        "from corepod import shared\n"
        "try:\n    shared.sync.set('a', 1)\nexcept shared.Unavailable as error:\n    print(error)\n"
    )
    assert "make room on its disk" in _on_own_disk(tmp_path, script, "{ cat /dev/zero >filler || true; }", "")


@pytest.mark.root
def test_a_disk_that_cant_be_written(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    output = _on_own_disk(tmp_path, READ_ONLY, "true", str(tmp_path / "disk"))
    assert "disk/state.sqlite: " in output
    assert "let the pool's user write" in output


def _on_own_disk(folder: Path, script: str, before: str, argument: str) -> str:
    if why := without_private_mounts():
        pytest.skip(why)
    made = f'mount -t tmpfs -o size=1500k none {folder}/disk && cd {folder}/disk && {before} && exec "$@"'
    words = ["unshare", "--mount", "sh", "-c", made, "sh", sys.executable, "-c", script, argument]
    environment = {**os.environ, "COREPOD_SHARED": f"sqlite://{folder}/disk/state.sqlite"}
    environment["COREPOD_SHARED_TIMEOUT"] = "30"
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=2 * DEADLINE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# Forks


def test_a_forked_child_has_a_connection_of_its_own(path: Path) -> None:
    async def child() -> None:
        assert await shared.increment("n") == 2
        await shared.close()

    async def work() -> None:
        await shared.increment("n")
        mine = state.backend()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                asyncio.events._set_running_loop(None)
                asyncio.run(child())
                gc.collect()
                status = 0
            finally:
                os._exit(status)
        assert (await asyncio.to_thread(os.waitpid, pid, 0))[1] == 0
        assert state.backend() is mine
        assert path.with_name("state.sqlite-wal").exists()  # the child hasn't cleaned up what the parent uses
        assert await shared.increment("n") == 3

    run(work)


def test_a_fork_in_the_middle_of_operations(path: Path) -> None:
    """The child ends as any program does, with everything that Python clears then."""
    script = (
        "import os, sys, sqlite3, time\nfrom corepod import shared\n"
        "for number in range(30):\n"
        "    shared.sync.increment('n')\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        sqlite3.connect(':memory:').execute('SELECT 1').fetchall()\n"
        "        if number % 3 == 0:\n"
        "            assert shared.sync.get('n') == number + 1\n"
        "        sys.exit(0)\n"
        "    assert shared.sync.get('n') == number + 1\n"
        "    assert os.waitpid(pid, 0)[1] == 0\n"
        "print(shared.sync.get('n'), os.path.exists(sys.argv[1] + '-wal'))\n"
    )
    words = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, str(path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=4 * DEADLINE, check=False)
    assert done.stdout == "30 True\n", done.stderr


def test_a_fork_while_another_process_holds_the_file(path: Path) -> None:
    """A fork doesn't wait for ever for the thread that works on the file, which goes on afterwards."""

    async def work() -> None:
        await shared.set("a", 1)
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        change = asyncio.create_task(shared.set("a", 2))
        while store._working.acquire(blocking=False):  # until the thread has it
            store._working.release()
            await asyncio.sleep(0.001)
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0  # noqa: ASYNC222 - the child ends at once
        holder.execute("ROLLBACK")
        holder.close()
        assert await change
        assert await shared.get("a") == 2

    run(work)


# The thread and the event loop


def test_an_event_loop_that_was_blocked_is_no_outage(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COREPOD_SHARED_TIMEOUT", "30")
    run(lambda: shared.set("a", 1))
    gc.collect()

    async def work() -> None:
        begun = threading.Event()

        def answer(file: object, db: object) -> bytes:
            begun.set()
            return b"answer"

        found = asyncio.create_task(state.backend()._store.run(answer, 30.0))  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        # The loop is blocked until the thread has answered and more than the timeout is over by the loop's clock.
        assert begun.wait(DEADLINE)
        with store._working:
            loop = asyncio.get_running_loop()
            monkeypatch.setattr(loop, "time", lambda: time.monotonic() + 31.0)
        assert await found == b"answer"

    run(work)


def test_an_unforeseen_error_doesnt_end_the_thread(path: Path) -> None:
    def fail(file: object, db: object) -> None:
        raise KeyError("a")

    async def work() -> None:
        with pytest.raises(KeyError):
            await state.backend()._store.run(fail, 30.0)  # type: ignore[attr-defined]
        await shared.set("a", 1)

    run(work)


# Where it is


def _settings(pool: str = "shop", folder: str = "/srv/a", url: str = "") -> SharedSettings:
    return SharedSettings(url, "", 30.0, False, pool, folder)


def test_each_pool_has_a_file_of_its_own() -> None:
    names = ["shop", "shop2", "a/b", "a-b", "", "ü"]
    found = [where.path(_settings(name), {"TMPDIR": "/t"}, 5) for name in names]
    assert found[4] is None  # outside of a pool
    paths = [path for path in found if path]
    assert len(set(paths)) == len(names) - 1
    assert all(path.startswith("/t/corepod-5/") and path.count("/") == 3 for path in paths)
    assert where.path(_settings(), {}, 5) == where.path(_settings(), {}, 5)
    assert where.path(_settings(folder="/srv/b"), {}, 5) != where.path(_settings(), {}, 5)  # another project's
    service = {"STATE_DIRECTORY": "/var/lib/shop:/var/lib/other"}
    released = [where.path(_settings(folder=folder), service, 5) for folder in ("/srv/1", "/srv/2")]
    assert released[0] == released[1]
    assert str(released[0]).startswith("/var/lib/shop/shop.")
    assert where.path(_settings(url="sqlite:///a%20b/c"), service, 5) == "/a b/c"


def _default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmbeddedBackend:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    return EmbeddedBackend(_settings())


def test_the_file_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = _default(tmp_path, monkeypatch)  # without one, the files beside the database would go at any moment
    mask = os.umask(0)
    try:
        run(lambda: backend.increment("n", 1, None))
    finally:
        os.umask(mask)
    folder = tmp_path / f"corepod-{os.geteuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    files = {file.name.partition(".sqlite")[2]: file.stat().st_mode & 0o777 for file in folder.iterdir()}
    assert files == {"": 0o600, "-shm": 0o600, "-wal": 0o600}


@pytest.mark.parametrize("trap", ["link", "file", "open", "link to a file"])
def test_a_trap_in_the_temporary_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str) -> None:
    """Where others may write, they may have been first."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    folder = tmp_path / f"corepod-{os.geteuid()}"
    if trap == "link":
        folder.symlink_to(theirs)
    elif trap == "file":
        folder.touch()
    else:
        folder.mkdir(0o700)
        if trap == "open":
            folder.chmod(0o777)
    path = where.path(_settings(), {"TMPDIR": str(tmp_path)}, os.geteuid())
    if trap == "link to a file":
        assert path is not None
        os.symlink(theirs / "file", path)

    async def work() -> None:
        with pytest.raises(Unavailable, match=str(folder)):
            await _default(tmp_path, monkeypatch).increment("n", 1, None)

    run(work)
    assert list(theirs.iterdir()) == []


def test_a_folder_that_isnt_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COREPOD_SHARED", f"sqlite://{tmp_path}/here/state.sqlite")

    async def work() -> None:
        with pytest.raises(ValueError, match="there is no folder"):
            await shared.get("a")

    run(work)


def test_processes_that_open_a_new_file_together(path: Path) -> None:
    script = "from corepod import shared; print(shared.sync.increment('n'))"
    started = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(6)]
    try:
        assert sorted(int(one.communicate(timeout=2 * DEADLINE)[0]) for one in started) == [1, 2, 3, 4, 5, 6]
    finally:
        for one in started:
            one.kill()
            one.communicate()
