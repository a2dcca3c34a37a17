"""The reason of the end is where Kubernetes looks for it, whatever ended the pool; and only then."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

from corepod.config.resolve import resolve
from corepod.contract.exits import EXIT_APP, EXIT_BIND, EXIT_BOOT, EXIT_BUDGET, EXIT_OK

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]


def message(tmp_path: Path) -> Path:
    """As the kubelet makes it: there, empty, longer than what comes if somebody wrote before."""
    path = tmp_path / "termination-log"
    path.write_text("from an earlier life " * 1000)
    return path


def test_a_used_up_budget(start: Start, tmp_path: Path) -> None:
    path = message(tmp_path)
    pool = start("ok:app", "--workers", "1", "--crash-budget", "1/60", "--termination-log", str(path)).ready()
    os.kill(pool.slot()["pid"], signal.SIGKILL)
    os.kill(pool.until_restarts(1)["pid"], signal.SIGKILL)
    assert pool.wait() == EXIT_BUDGET
    lines = path.read_text().splitlines()
    assert "died: signal SIGKILL" in lines[-3]
    assert lines[-2:] == [
        "slot 0 is given up: 2 deaths in 60 s, and the crash budget allows 1",
        "every slot is given up: the pool exits",
    ]


def test_an_application_that_raises_shows_its_exception(start: Start, tmp_path: Path) -> None:
    path = message(tmp_path)
    assert start("boot_error:app", "--workers", "1", "--termination-log", str(path)).wait() == EXIT_BOOT
    assert "ValueError: DATABASE_URL has no host" in path.read_text()
    assert len(path.read_bytes()) <= 4096


def test_an_application_that_is_not_there(start: Start, tmp_path: Path) -> None:
    path = message(tmp_path)
    assert start("nowhere:app", "--workers", "1", "--termination-log", str(path)).wait() == EXIT_APP
    assert "nowhere" in path.read_text()


def test_an_address_that_is_taken(start: Start, tmp_path: Path) -> None:
    path = message(tmp_path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        assert start("ok:app", "--bind", taken, "--termination-log", str(path)).wait() == EXIT_BIND
    assert taken in path.read_text()


def test_who_is_asked_to_stop_has_nothing_to_explain(start: Start, tmp_path: Path) -> None:
    path = message(tmp_path)
    before = path.read_text()
    assert start("ok:app", "--workers", "1", "--termination-log", str(path)).ready().stop() == EXIT_OK
    assert path.read_text() == before


def test_a_file_that_is_not_there_is_not_made(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    assert start("nowhere:app", "--workers", "1", "--termination-log", str(path)).wait() == EXIT_APP
    assert not path.exists()


def test_pid1_knows_the_place_and_run_has_none() -> None:
    assert resolve({}, {}, None, pod=True).values["termination_log"] == "/dev/termination-log"
    assert resolve({}, {}, None, pod=False).values["termination_log"] == ""
