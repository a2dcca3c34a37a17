"""Somebody sends TERM to processes of the pool themselves: to one of them, or to all."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests import procfs
from tests.process.traffic import Client, standby
from tests.procfs import alive, comm
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]


def template(pool: Pool) -> int:
    pid: int = pool.status()["template"]["pid"]
    return pid


def test_a_worker_that_is_starting_stops_its_start(start: Start) -> None:
    pool = start("slow_lifespan:app", "--workers", "1", env={"SLOW_START": "600"})
    until(lambda: pool.slot()["pid"], "a process in the slot")
    first = int(pool.slot()["pid"])
    # It takes that name when it is told of its slot; before that it is a standby, which lets the signal pass.
    until(lambda: comm(first) == "corepod-worker", "a worker in its lifespan")
    os.kill(first, signal.SIGTERM)
    until(lambda: pool.slot()["pid"] not in (None, first), "the next worker")
    until(lambda: not alive(first), "the first one gone")
    assert pool.slot()["restarts"] == 0


def test_template_and_standby_let_it_pass(start: Start) -> None:
    pool = start("ok:app", "--workers", "1").ready()
    before = template(pool), standby(pool)
    for pid in before:
        for signum in (signal.SIGTERM, signal.SIGINT):
            os.kill(pid, signum)
        until(lambda pid=pid: not procfs.signals(pid, "ShdPnd"), "the signals delivered")  # type: ignore[misc]
    pool.kill_worker()  # by one that has got them, and that tells nobody of them
    assert pool.slot()["pid"] == before[1]
    assert template(pool) == before[0]
    assert "is gone" not in pool.log


@pytest.mark.parametrize("order", ["the supervisor first", "the supervisor last", "any"])
@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_all_at_once(start: Start, tmp_path: Path, order: str, pause: float) -> None:
    """As systemd, some init processes and a shell's `kill 0` do it: what is in flight is answered, nothing dies and
    nothing is started for it. The pause is that of a sender who is held up."""
    pool = start("duties:app", "--workers", "2", "--lame-duck", "0").ready()
    clients = [Client(pool, f"/until?path={tmp_path}/go") for _ in range(4)]
    until(lambda: sum(slot["in_flight"] for slot in pool.status()["slots"]) == 4, "requests in flight")
    before = pool.family()
    members = before[1:]
    random.shuffle(members)
    place = {"the supervisor first": 0, "the supervisor last": len(members)}.get(order, len(members) // 2)
    members.insert(place, before[0])
    for number, pid in enumerate(members):
        if pause and number in (1, len(members) - 1):
            time.sleep(pause)
        with contextlib.suppress(ProcessLookupError):  # it has had nothing to finish
            os.kill(pid, signal.SIGTERM)
    pool.until_log("SIGTERM: draining")
    assert set(pool.family()) <= set(before), "one that was started in vain"
    (tmp_path / "go").touch()
    assert [client.result() for client in clients] == [200] * 4
    assert pool.wait() == 0
    for word in ("died", "is gone", "makes way", "ended", " ERROR "):
        assert word not in pool.log, pool.log


def test_all_at_once_while_it_starts(start: Start) -> None:
    pool = start("slow_start:app", "--workers", "1", env={"SLOW": "600"})
    pool.until_log("worker on")
    until(lambda: any(comm(pid) == "corepod-boot" for pid in pool.family()), "a process that imports")
    for pid in reversed(pool.family()):
        with contextlib.suppress(ProcessLookupError):  # the supervisor, which hears of the first one, has ended it
            os.kill(pid, signal.SIGTERM)
    assert pool.wait() == 0
    assert "ended before" not in pool.log
    assert " ERROR " not in pool.log
