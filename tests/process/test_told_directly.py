"""Somebody sends TERM to a process of the pool itself, not to the supervisor."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from tests.process.traffic import standby
from tests.procfs import comm
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.harness import Pool


def test_a_worker_that_is_starting_stops_its_start(start: Callable[..., Pool]) -> None:
    pool = start("slow_lifespan:app", "--workers", "1", "--crash-budget", "1000/60", env={"SLOW_START": "600"})
    until(lambda: pool.slot()["pid"], "a process in the slot")
    first = int(pool.slot()["pid"])
    # It takes that name when it is told of its slot; before that it is a standby, which the slot doesn't miss.
    until(lambda: comm(first) == "corepod-worker", "a worker in its lifespan")
    os.kill(first, signal.SIGTERM)
    until(lambda: pool.slot()["restarts"] == 1 and pool.slot()["pid"], "the next worker")
    slot = pool.slot()
    assert slot["last_exit"] == "exit code 0"
    assert slot["pid"] != first


def test_a_standby_ends_in_order_and_is_made_again(start: Callable[..., Pool]) -> None:
    pool = start("ok:app", "--workers", "1").ready()
    first = standby(pool)
    os.kill(first, signal.SIGTERM)
    pool.until_log("the standby is gone (exit code 0) and another one is started")
    until(lambda: standby(pool) not in (None, first), "the next standby")
    assert pool.slot()["restarts"] == 0
