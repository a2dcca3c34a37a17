"""Shared state in real pools: what it outlives, whom it reaches, and where it can't be used."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.harness import Pool

    Starting = Callable[..., Pool]


@pytest.fixture
def share(start: Starting, tmp_path: Path) -> Starting:
    """Starts pools whose temporary folder is the test's."""
    environment = {"TMPDIR": str(tmp_path), "STATE_DIRECTORY": "", "COREPOD_SHARED_TIMEOUT": "30"}

    def start_pool(*args: str, **more: str) -> Pool:
        env = {**environment, **more}
        return start("sharing:app", "-w", "2", "--pin", "never", "--name", "shop", *args, env=env)

    return start_pool


def _ask(pool: Pool, path: str) -> tuple[int, Any]:
    """The pid of who has answered, and the answer."""
    pid, value = pool.get(path, timeout=2 * DEADLINE).json()
    return pid, value


def _all(pool: Pool, path: str, wanted: Callable[[Any], bool]) -> None:
    """Until both workers have given an answer like that."""
    seen: dict[int, Any] = {}

    def both() -> bool:
        pid, value = _ask(pool, path)
        seen[pid] = value
        pids = {slot["pid"] for slot in pool.status()["slots"]}
        return len([pid for pid in pids if pid in seen and wanted(seen[pid])]) == 2

    until(both, lambda: f"{path} of both workers: {seen}\n{pool.log}", 2 * DEADLINE)


def test_state_outlives_workers_and_the_pool(share: Starting) -> None:
    pool = share("--standby", "none").ready()
    counts = [_ask(pool, "/count")[1], _ask(pool, "/threaded")[1]]
    assert counts == [1, 2]
    pid, _ = _ask(pool, "/count")
    os.kill(pid, signal.SIGKILL)
    until(lambda: pid not in [slot["pid"] for slot in pool.status()["slots"]], "another worker")
    pool.ready()
    assert _ask(pool, "/count")[1] == 4
    assert _ask(pool, "/forked")[1] == 0
    assert _ask(pool, "/count")[1] == 6
    assert pool.stop() == 0
    again = share("--standby", "none").ready()
    assert _ask(again, "/count")[1] == 7


def test_another_name_has_another_state(share: Starting) -> None:
    first = share("--standby", "none").ready()
    assert _ask(first, "/count")[1] == 1
    second = share("--standby", "none", "--name", "other").ready()
    assert _ask(second, "/count")[1] == 1


def test_a_message_reaches_every_worker_of_the_pool(share: Starting) -> None:
    pool = share("--standby", "live").ready()
    _all(pool, "/joined", bool)  # a worker may be ready a moment before messages reach it
    sender, _ = _ask(pool, "/tell")
    _all(pool, "/heard", lambda heard: sender in heard)
    os.kill(sender, signal.SIGKILL)
    until(lambda: sender not in [slot["pid"] for slot in pool.status()["slots"]], "another worker")
    pool.ready()
    _all(pool, "/joined", bool)
    other, _ = _ask(pool, "/tell")
    _all(pool, "/heard", lambda heard: other in heard)


def test_a_killed_holder_is_followed_by_the_other_worker(share: Starting) -> None:
    pool = share("--standby", "none").ready()
    holder: tuple[int, int] = (0, 0)

    def held() -> tuple[int, int] | None:
        pid, token = _ask(pool, "/held")
        return (pid, token) if token is not None and pid != holder[0] else None

    holder = until(held, "a holder") or holder
    os.kill(holder[0], signal.SIGKILL)
    heir = until(held, lambda: f"the next holder\n{pool.log}") or holder
    assert heir[1] > holder[1]


def test_it_cant_be_used_before_there_is_a_worker(share: Starting) -> None:
    pool = share("--preload", "application", "--standby", "none").ready()
    _, errors = _ask(pool, "/errors")
    assert len(errors) >= 2
    assert all("use shared state from its lifespan on" in error for error in errors[:1])
    assert pool.get("/").status_code == 200


def test_a_url_that_cant_work_is_reported_at_the_start(start: Starting) -> None:
    pool = start("sharing:app", env={"COREPOD_SHARED": "redis://:secret@"})
    assert pool.wait() != 0
    assert "COREPOD_SHARED: names no host" in pool.log
    assert "secret" not in pool.log


def test_a_request_that_needs_a_damaged_state_is_answered_503(start: Starting, tmp_path: Path) -> None:
    (tmp_path / "state.sqlite").write_bytes(b"garbage " * 1000)
    environment = {"COREPOD_SHARED": f"sqlite://{tmp_path}/state.sqlite", "COREPOD_SHARED_TIMEOUT": "30"}
    pool = start("needs_state_starlette:app", "-w", "1", "--pin", "never", "--standby", "none", env=environment).ready()
    assert pool.get("/state", timeout=2 * DEADLINE).status_code == 503
    assert (tmp_path / "state.sqlite").read_bytes() == b"garbage " * 1000
