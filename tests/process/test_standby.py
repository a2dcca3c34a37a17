"""What waits for the next crash: armed, live or nothing; and how many hold a lifespan at the same time."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.process.inplace import in_place_of_supervisor
from tests.process.traffic import ask, standby
from tests.procfs import alive, descendants
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]


class Diary:
    """The starts and ends of lifespans, in their order, as the application notes them."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lifespans"
        self.env = {"LIFESPAN_LOG": str(self.path)}

    @property
    def events(self) -> list[tuple[str, int]]:
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return [(what, int(pid)) for what, pid in map(str.split, lines)]

    @property
    def started(self) -> list[int]:
        return [pid for what, pid in self.events if what == "startup"]

    @property
    def ended(self) -> list[int]:
        return [pid for what, pid in self.events if what == "shutdown"]

    def holders(self) -> int:
        """The most that held a lifespan at once; a process that was killed held it until then (see each test)."""
        most, holding = 0, 0
        for what, _ in self.events:
            holding += 1 if what == "startup" else -1
            most = max(most, holding)
        return most


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    return Diary(tmp_path)


def test_an_armed_standby_has_no_lifespan(start: Start, diary: Diary) -> None:
    """The next one starts when the last one is dead: never are there two holders."""
    pool = start("ok:app", "--workers", "1", env=diary.env).ready()
    first, waiting = pool.slot()["pid"], standby(pool)
    assert diary.started == [first]
    os.kill(first, signal.SIGKILL)
    assert ask(pool.port, "/pid") == str(waiting)
    assert diary.started == [first, waiting]
    pool.ready()
    assert len(diary.started) == 2
    assert pool.stop() == 0
    assert diary.ended == [waiting]


def test_a_live_standby_has_run_the_lifespan_before(start: Start, diary: Diary) -> None:
    pool = start("ok:app", "--workers", "1", "--standby", "live", env=diary.env).ready()
    first, waiting = pool.slot()["pid"], standby(pool)
    assert diary.started == [first, waiting]
    os.kill(first, signal.SIGKILL)
    assert ask(pool.port, "/pid") == str(waiting)
    last = standby(pool)
    assert diary.started == [first, waiting, last]
    assert pool.stop() == 0
    # The one in the slot and the one that waited, both in order: a live standby has something to close, too.
    assert sorted(diary.ended) == sorted([waiting, last])


def test_a_live_standby_is_not_kept_for_ever(start: Start, diary: Diary) -> None:
    """Its successor starts when it has ended; the worker doesn't notice."""
    pool = start("ok:app", "--workers", "1", "--standby", "live", "--live-max-age", "0.3", env=diary.env).ready()
    worker = pool.slot()["pid"]
    until(lambda: len(diary.ended) >= 2, "two standbys replaced")
    assert diary.holders() == 2, "the worker and one standby"
    assert worker not in diary.ended
    assert (pool.slot()["pid"], pool.slot()["restarts"]) == (worker, 0)
    assert "is gone" not in pool.log


# The five seconds that a standby has to end are soon over on a busy machine.
MUCH_TIME = """
from corepod.supervisor.pool import generation
generation.DISMISS_TIMEOUT = 100.0
from corepod.supervisor.main import main
sys.exit(main())
"""


def test_nobody_waits_for_a_standby_that_takes_its_time_to_end(start: Start) -> None:
    """It is too old and closes what it holds; a crash meanwhile is served by a fork made for it."""
    flags = ("--workers", "1", "--standby", "live", "--live-max-age", "5")
    much_time = in_place_of_supervisor(MUCH_TIME)
    pool = start("slow_lifespan:app", *flags, env={"SLOW_STOP": "1000"}, prefix=much_time).ready()
    old, worker = standby(pool), pool.slot()["pid"]
    until(lambda: not pool.status()["standby"]["ready"], "the standby too old")
    os.kill(worker, signal.SIGKILL)
    assert ask(pool.port, "/pid") not in (str(old), str(worker))
    assert alive(old), "it still ends"
    pool.signal(signal.SIGQUIT)
    assert pool.wait() == 0


def test_a_standby_whose_lifespan_fails_harms_nobody(start: Start, tmp_path: Path) -> None:
    """What fails is said, a few times, and then one waits that hasn't run it."""
    flag = tmp_path / "held"
    pool = start("flagged:app", "--workers", "1", "--standby", "live", env={"FAIL_WHILE": str(flag)}).ready()
    worker, waiting = pool.slot()["pid"], standby(pool)
    flag.touch()
    os.kill(waiting, signal.SIGKILL)
    pool.until_log("the application's lifespan keeps failing in the standby")
    pool.ready()
    assert pool.log.count("the queue is held by somebody else") == 3
    assert (pool.slot()["pid"], pool.slot()["restarts"]) == (worker, 0)
    flag.unlink()
    os.kill(worker, signal.SIGKILL)
    assert ask(pool.port, "/pid").isdigit()


def test_none_is_none(start: Start) -> None:
    pool = start("ok:app", "--workers", "1", "--standby", "none").ready()
    # For a moment whoever was in between in the fork is there, too.
    until(lambda: len(descendants(pool.process.pid)) == 2, "template and worker")
    for restarts in (1, 2):
        os.kill(pool.slot()["pid"], signal.SIGKILL)
        assert ask(pool.port, "/pid").isdigit()
        pool.until_restarts(restarts)
    until(lambda: len(descendants(pool.process.pid)) == 2, "template and worker again")


@pytest.mark.parametrize("mode", ["armed", "live", "none"])
def test_where_nothing_may_be_forked_each_is_executed(start: Start, diary: Diary, mode: str) -> None:
    """The same modes, with one line that says why."""
    flags = ("--workers", "1", "--standby", mode, "--preload", "application")
    pool = start("thread_at_import:app", *flags, env=diary.env).ready()
    first = pool.slot()["pid"]
    assert pool.status()["mode"] == "spawn"
    assert pool.log.count("workers are started one by one, not forked: ") == 1
    assert "the application's import started 1 thread(s) (metrics-flusher)" in pool.log
    family = 1 if mode == "none" else 2
    until(lambda: len(descendants(pool.process.pid)) == family, f"{family} processes")
    assert len(diary.started) == (2 if mode == "live" else 1)
    os.kill(first, signal.SIGKILL)
    assert ask(pool.port, "/pid").isdigit()
    assert pool.until_restarts(1)["pid"] != first
    pool.ready()
    assert pool.log.count("one by one") == 1
    assert pool.stop() == 0
    assert not any(map(alive, diary.started))
