"""The pid file and the ready file of a pool: there when they should be, and gone with it."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from corepod.contract.exits import EXIT_OK, EXIT_SETTINGS

from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

ONE = ("--workers", "1", "--pin", "never", "--standby", "none")


def test_a_pool_is_told_by_its_pid_file(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "pool.pid"
    path.write_text(f"{2**22 - 1}\n")  # of a pool that was killed
    pool = start("ok:app", *ONE, "--pid-file", str(path), umask=0o077).ready()
    assert path.read_text() == f"{pool.supervisor}\n"
    assert path.stat().st_mode & 0o777 == 0o644
    subprocess.run(f"kill -HUP $(cat {path})", shell=True, check=True)
    pool.until_log("reload: done")
    subprocess.run(f"kill $(cat {path})", shell=True, check=True)
    assert pool.wait() == EXIT_OK
    assert [entry for entry in tmp_path.iterdir() if entry.suffix != ".log"] == []


def test_that_of_a_pool_that_lives_is_left_to_it(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "pool.pid"
    first = start("ok:app", *ONE, "--pid-file", str(path)).ready()
    second = start("ok:app", *ONE, "--pid-file", str(path))
    assert second.wait() == EXIT_SETTINGS
    assert f"{path} belongs to another pool that runs, with pid {first.supervisor}" in second.log
    assert path.read_text() == f"{first.supervisor}\n"
    path.write_text("1\n")  # of another pool, since somebody has removed the first one's
    assert first.stop() == EXIT_OK
    assert path.read_text() == "1\n"


@pytest.mark.parametrize("flag", ["--pid-file", "--ready-file"])
def test_a_folder_that_is_not_there(start: Start, tmp_path: Path, flag: str) -> None:
    path = tmp_path / "missing" / "file"
    pool = start("ok:app", *ONE, flag, str(path))
    assert pool.wait() == EXIT_SETTINGS
    assert f"{flag}: {path} can't be written (No such file or directory)" in pool.log


def test_what_is_no_pid_file_is_not_replaced(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("of great value")
    assert start("ok:app", *ONE, "--pid-file", str(path)).wait() == EXIT_SETTINGS
    assert path.read_text() == "of great value"


def test_the_ready_file_follows_the_pool(start: Start, tmp_path: Path) -> None:
    """With a relative name it is in the folder in which the pool is started, whatever --chdir says."""
    path = tmp_path / "ready"
    path.write_text("of a pool that was killed")
    flags = ("--ready-file", "ready", "--pid-file", "pid", "--chdir", str(tmp_path / "code"), "--lame-duck", "60")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "slow.py").write_text(
        "import asyncio, os\n"
        "async def app(scope, receive, send):\n"
        "    if scope['type'] == 'lifespan':\n"
        "        await receive()\n"
        f"        while not os.path.exists({str(tmp_path / 'go')!r}): await asyncio.sleep(0.02)\n"
        "        await send({'type': 'lifespan.startup.complete'})\n"
        "        await receive()\n"
    )
    pool = start("slow:app", *ONE, *flags, "--stop-timeout", "100", cwd=tmp_path)
    until(lambda: pool.slot()["pid"], "a worker that starts")
    assert not path.exists()
    (tmp_path / "go").touch()
    until(path.exists, "the ready file")
    (tmp_path / "go").unlink()
    worker = pool.slot()["pid"]
    os.kill(worker, signal.SIGKILL)
    until(lambda: not path.exists(), "no worker is ready")
    (tmp_path / "go").touch()
    until(path.exists, "the next one is")
    assert path.read_bytes() == b""
    assert (tmp_path / "pid").read_text() == f"{pool.supervisor}\n"
    pool.signal(signal.SIGTERM)
    until(lambda: not path.exists(), "it isn't ready any more")
    assert pool.process.poll() is None, "it still serves"
    pool.signal(signal.SIGQUIT)
    assert pool.wait() == EXIT_OK
    assert not (tmp_path / "pid").exists()
