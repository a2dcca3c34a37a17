"""The log file of a pool: no line is lost or torn when it rotates, and nothing that happens to it stops the pool."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.exits import EXIT_BOOT, EXIT_SETTINGS

from tests.process.background import ONE, TWO, Machine, get
from tests.process.container import Container
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]


def files(path: Path) -> list[Path]:
    """The oldest first."""
    numbers = sorted((int(p.suffix[1:]) for p in path.parent.glob(f"{path.name}.*")), reverse=True)
    return [*(path.with_name(f"{path.name}.{number}") for number in numbers), path]


def everything(path: Path) -> list[str]:
    """The lines of all files, none of which was renamed while they were read."""
    found: list[str] = []

    def read() -> bool:
        found.clear()
        with contextlib.suppress(FileNotFoundError):
            before = path.stat().st_ino
            found.extend(line for file in files(path) for line in file.read_text().splitlines())
            return path.stat().st_ino == before
        return False

    until(read, "a moment without rotation")
    return found


def said(path: Path, text: str) -> list[str]:
    return [line for line in everything(path) if text in line]


def test_no_line_is_lost_or_torn_in_a_flood(user: Machine) -> None:
    """Both workers write as fast as they can, on both streams, while the file rotates all the time."""
    started = user.start("ok:app", *TWO, "--log-max-size", "16k", "--log-files", "1000")
    count, each = 8, 500
    clients = [
        threading.Thread(
            target=get, args=(started, f"/say?text=flood-{number}-{'x' * 80}-end&n={each}&err={number % 2}")
        )
        for number in range(count)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    path = user.log()
    until(lambda: len(said(path, "x-end")) >= count * each, lambda: f"{len(said(path, 'flood-'))} lines")
    lines = said(path, "flood-")
    whole = re.compile(r"\S+Z worker \d+ slot [01] pid \d+ \| flood-(\d)-x{80}-end")
    found = [match[1] for line in lines if (match := whole.fullmatch(line))]
    assert len(found) == len(lines) == count * each
    assert {number: found.count(number) for number in set(found)} == {str(number): each for number in range(count)}
    assert len(files(path)) > 10
    assert all(file.stat().st_size <= 16 << 10 for file in files(path))
    assert user.status()["log_lines_dropped"] == 0


def test_as_many_files_are_kept_as_are_asked_for(user: Machine) -> None:
    started = user.start("ok:app", *ONE, "--log-max-size", "2k", "--log-files", "3")
    for number in range(20):
        get(started, f"/say?text=batch-{number:02}-line&n=20")
    user_log = user.log()
    until(lambda: said(user_log, "batch-19-line"), "the last batch")
    until(lambda: len(files(user_log)) == 3, "three files")
    assert len(said(user_log, "batch-00-line")) == 0
    assert [path.name for path in files(user_log)] == [f"{user.name}.log{end}" for end in (".2", ".1", "")]


def test_one_file_only(user: Machine) -> None:
    started = user.start("ok:app", *ONE, "--log-max-size", "2k", "--log-files", "1")
    for number in range(10):
        get(started, f"/say?text=batch-{number:02}-line&n=20")
    until(lambda: said(user.log(), "batch-09-line"), "the last batch")
    assert files(user.log()) == [user.log()]
    assert user.log().stat().st_size <= 2 << 10


def test_a_line_that_is_longer_than_a_file(user: Machine) -> None:
    started = user.start("ok:app", *ONE, "--log-max-size", "1k")
    get(started, f"/say?text={'y' * 5000}")
    get(started, "/say?text=after")
    until(lambda: said(user.log(), "after"), "the line after it")
    assert len(said(user.log(), "y" * 5000)) == 1


def test_json_lines(user: Machine) -> None:
    started = user.start("ok:app", *ONE, "--log-format", "json")
    get(started, "/say?text=hello&err=1")
    until(lambda: said(user.log(), "hello"), "the line")
    records = [json.loads(line) for line in everything(user.log())]
    (record,) = [record for record in records if record["message"] == "hello"]
    assert (record["stream"], record["slot"], record["time"][-1]) == ("stderr", 0, "Z")


def test_a_renamed_file_is_written_until_the_signal_comes(user: Machine) -> None:
    """As logrotate does it."""
    started = user.start("ok:app", *ONE)
    path, renamed = user.log(), user.log("yesterday")
    path.rename(renamed)
    get(started, "/say?text=before-the-signal")
    until(lambda: "before-the-signal" in renamed.read_text(), "the line in the renamed file")
    assert not path.exists()
    os.kill(started["pid"], signal.SIGUSR2)
    until(lambda: path.exists() and "the log file is reopened" in path.read_text(), "the new file")
    get(started, "/say?text=behind-the-signal")
    until(lambda: "behind-the-signal" in path.read_text(), "the line in the new file")
    assert "behind-the-signal" not in renamed.read_text()
    assert [os.readlink(f"/proc/{started['pid']}/fd/{fd}") for fd in (1, 2)] == [str(path)] * 2


def test_an_emptied_file(user: Machine) -> None:
    """logrotate's copytruncate: what is written next is at the beginning, without a hole."""
    started = user.start("ok:app", *ONE)
    os.truncate(user.log(), 0)
    get(started, "/say?text=first")
    until(lambda: said(user.log(), "first"), "the line")
    assert b"\0" not in user.log().read_bytes()


def test_a_folder_that_is_removed_is_made_again(user: Machine) -> None:
    started = user.start("ok:app", *ONE)
    shutil.rmtree(user.log().parent)

    def written() -> bool:
        get(started, "/say?text=still-here")
        return user.log().exists() and "still-here" in user.log().read_text()

    until(written, "a line in the new file")


def test_a_folder_that_can_not_be_made_again_costs_lines_and_no_more(user: Machine) -> None:
    """They are counted, and told of once there is a file again."""
    started = user.start("ok:app", *ONE)
    folder = user.log().parent
    shutil.rmtree(folder)
    folder.touch()  # not even root makes a file in a file

    def dropped() -> int:
        get(started, "/say?text=lost")
        count: int = user.status()["log_lines_dropped"]
        return count

    until(lambda: dropped() > 3, "lines that are dropped")
    folder.unlink()

    def told() -> bool:
        get(started, "/say?text=found")
        return user.log().exists() and "line(s) of this log were dropped" in user.log().read_text()

    until(told, "a file again")
    assert user.status()["state"] == "ready"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")
def test_a_full_disk(user: Machine, tmp_path: Path) -> None:
    """Lines are lost and counted; none is torn; and it goes on when there is room again."""
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)]
    if (done := subprocess.run(mount, capture_output=True, text=True, check=False)).returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        path = small / "ok.log"
        started = user.start("ok:app", *ONE, "--log-file", str(path))
        text = "z" * 997  # no line ends where the disk does
        until(
            lambda: get(started, f"/say?text=begin-{text}-end&n=20") and _dropped(user) > 20, "lines that are dropped"
        )

        def whole() -> bool:
            # What a full disk takes of a line is there for the moment until it is cut off.
            *lines, rest = path.read_text().split("\n")
            return not rest and all(line.endswith("-end") for line in lines if "begin-" in line)

        until(whole, "no part of a line")
        os.truncate(path, 0)

        def told() -> bool:
            get(started, "/say?text=room")
            return "line(s) of this log were dropped" in path.read_text()

        until(told, "what was lost is told")
        user.stop(started["pid"])
    finally:
        user.close()
        subprocess.run(["umount", "--lazy", str(small)], check=True)


def _dropped(user: Machine) -> int:
    count: int = user.status()["log_lines_dropped"]
    return count


# corepod run and pid1


def test_run_with_a_log_file(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "logs" / "shop.log"
    pool = start("ok:app", *ONE, "--log-file", str(path), env={"XDG_RUNTIME_DIR": str(tmp_path)})
    until(lambda: path.exists() and "usable cores" in path.read_text(), lambda: pool.log)
    match = re.search(r"on 127\.0\.0\.1:(\d+)", path.read_text())
    assert match
    until(lambda: "] ready" in path.read_text(), "ready")
    get({"binds": [f"127.0.0.1:{match[1]}"]}, "/say?text=hello")
    until(lambda: re.search(r"Z worker 1 slot 0 pid \d+ \| hello\n", path.read_text()), "the worker's line")
    pool.signal(signal.SIGTERM)
    assert pool.wait() == 0
    assert pool.log == ""


def test_why_run_ends_is_on_standard_error_too(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "shop.log"
    pool = start("boot_error:app", *ONE, "--log-file", str(path), env={"XDG_RUNTIME_DIR": str(tmp_path)})
    assert pool.wait(3 * DEADLINE) == EXIT_BOOT  # after some tries, with pauses
    assert "ValueError: DATABASE_URL has no host" in path.read_text()
    assert "corepod: " in pool.log
    assert "ValueError: DATABASE_URL has no host" in pool.log


def test_a_log_file_that_can_not_be_opened(start: Start, tmp_path: Path) -> None:
    pool = start("ok:app", *ONE, "--log-file", "/proc/nowhere/shop.log", env={"XDG_RUNTIME_DIR": str(tmp_path)})
    assert pool.wait() == EXIT_SETTINGS
    assert "the log file /proc/nowhere/shop.log can't be written" in pool.log
    assert "--log-file" in pool.log


def test_a_device_is_written_as_a_stream_is(start: Start, tmp_path: Path) -> None:
    pool = start("ok:app", *ONE, "--log-file", "/dev/stdout", env={"XDG_RUNTIME_DIR": str(tmp_path)}).ready()
    pool.signal(signal.SIGUSR2)
    pool.until_log("can't be reopened")


def test_the_workers_of_a_pod_write_there_too(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "pod.log"
    flags = ("--lame-duck", "0", "--pin", "never", "--log-file", str(path))
    pool = start("ok:app", *flags, kind=Container, env={"XDG_RUNTIME_DIR": str(tmp_path)})
    until(lambda: path.exists() and "] ready" in path.read_text(), lambda: pool.log)
    match = re.search(r"on 127\.0\.0\.1:(\d+)", path.read_text())
    assert match
    get({"binds": [f"127.0.0.1:{match[1]}"]}, "/say?text=hello")
    until(lambda: re.search(r"Z worker 1 slot 0 .*\| hello\n", path.read_text()), "the worker's line")


def test_without_a_log_file_the_signal_says_why_it_does_nothing(start: Start, tmp_path: Path) -> None:
    pool: Any = start("ok:app", *ONE, env={"XDG_RUNTIME_DIR": str(tmp_path)}).ready()
    pool.signal(signal.SIGUSR2)
    pool.until_log("a signal has no effect: the log isn't a file of the pool's own (log_file), and can't be reopened")
