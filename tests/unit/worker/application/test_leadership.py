"""`corepod.leader()` in one process: outside of a pool, as a worker, as its child, and where locks are refused."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import corepod
import pytest
from corepod.supervisor.health.scoreboard import SharedScoreboard
from corepod.worker.application import leadership
from corepod.worker.logs import log
from corepod.worker.scoreboard import ScoreboardRecord

from tests.unit.worker.locks import other_worker

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTSIDE = """
import asyncio, corepod
asyncio.run(corepod.wait_until_leader())
print(corepod.leader())
"""


@pytest.fixture
def board() -> Iterator[SharedScoreboard]:
    """Of a pool in which this process is a worker."""
    board = SharedScoreboard()
    leadership.join_pool(ScoreboardRecord(os.dup(board.fd)))
    yield board
    leadership.leave_pool()


def test_a_process_without_a_pool_leads() -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COREPOD_")}
    assert subprocess.check_output([sys.executable, "-c", OUTSIDE], env=clean, text=True) == "True\n"


def test_what_a_worker_starts_does_not_lead() -> None:
    code = "import corepod; print(corepod.leader())"
    env = {**os.environ, "COREPOD_SLOT": "0"}
    assert subprocess.check_output([sys.executable, "-c", code], env=env, text=True) == "False\n"


def test_the_first_worker_that_asks_leads(board: SharedScoreboard) -> None:
    assert board.leader() is None
    assert corepod.leader()
    asyncio.run(corepod.wait_until_leader())
    assert corepod.leader()
    assert not other_worker(board, "lead")
    child = os.fork()
    if child == 0:  # it sees whose lock it is; asked by this process itself, the kernel would say that nobody has it
        os._exit(board.leader() != os.getppid())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_next_one_leads_when_the_leader_is_gone(board: SharedScoreboard) -> None:
    assert other_worker(board, "lead")  # and ends
    assert corepod.leader()


def test_a_child_does_not_lead(board: SharedScoreboard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COREPOD_SLOT", "0")
    assert corepod.leader()
    child = os.fork()
    if child == 0:
        leadership.leave_pool()  # as corepod.worker.children does
        os._exit(corepod.leader())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not other_worker(board, "lead")


@pytest.mark.parametrize("leads", [True, False])
def test_a_worker_that_drains_keeps_the_lead_and_takes_none(
    leads: bool, board: SharedScoreboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COREPOD_SLOT", "0")
    if leads:
        assert corepod.leader()
    leadership.drain()
    assert corepod.leader() is leads
    assert other_worker(board, "lead") is not leads


@pytest.mark.parametrize("reused", [True, False])
def test_who_closes_the_descriptor_of_the_lock_has_lost_the_lead(
    reused: bool, board: SharedScoreboard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Another worker may lead from now on, and there must not be two."""
    monkeypatch.setattr(log, "propagate", True)
    fd = os.dup(board.fd)
    leadership.join_pool(ScoreboardRecord(fd))
    assert corepod.leader()
    os.close(fd)
    if reused:
        other = os.open(os.devnull, os.O_RDWR)
        if other != fd:
            os.dup2(other, fd)
            os.close(other)
    assert other_worker(board, "lead")
    assert not corepod.leader()
    assert not corepod.leader()
    assert caplog.text.count("can't lead: the application has closed a descriptor") == 1
    if reused:
        os.close(fd)


def test_a_system_without_locks(board: SharedScoreboard, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with pytest.raises(RuntimeError, match=r"refuses a lock .*No locks available"):
        corepod.leader()
