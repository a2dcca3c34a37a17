"""`corepod.leader()` in pools: one worker leads, and a witness finds no second one whatever happens to them (see
tests/apps/leads.py)."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.procfs import alive
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.process.harness import Pool

THREE = ("--workers", "3", "--pin", "never", "--crash-budget", "0")


class Leading:
    """A pool of that application, and its notes."""

    def __init__(self, pool: Pool, notes: Path) -> None:
        self.pool, self.notes = pool, notes
        self.children: list[int] = []

    def read(self, name: str) -> list[list[str]]:
        path = self.notes / name
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def leaders(self) -> list[int]:
        return [int(pid) for pid, *_ in self.read("leaders")]

    def leader(self, after: int = 0) -> int:
        """The last one, when there have been more than `after`."""
        until(lambda: len(self.leaders) > after, lambda: f"leader {after + 1}\n{self.pool.log}")
        return self.leaders[-1]

    def slot_of(self, pid: int) -> int:
        return next(int(slot["slot"]) for slot in self.pool.status()["slots"] if slot["pid"] == pid)

    def ask(self, path: str, of: set[int]) -> dict[int, bool]:
        """What each of these workers answers."""
        answers: dict[int, bool] = {}

        def complete() -> bool:
            pid, answer = self.pool.get(path).json()
            answers[pid] = answer
            return of <= answers.keys()

        until(complete, lambda: f"answers of {of}: {answers}\n{self.pool.log}")
        return answers

    def kill_leader(self) -> int:
        """SIGKILL to the leader, which a reload or a limit may have ended just before; returns the next one."""
        self.leader()
        leaders = self.leaders
        with suppress(ProcessLookupError):
            os.kill(leaders[-1], signal.SIGKILL)
        return self.leader(after=len(leaders))

    @property
    def violations(self) -> list[list[str]]:
        return self.read("violations")


@pytest.fixture
def lead(start: Callable[..., Pool], tmp_path: Path) -> Iterator[Callable[..., Leading]]:
    made: list[Leading] = []

    def begin(*args: str, **env: str) -> Leading:
        pool = start("leads:app", *args, env={"LEADS": str(tmp_path), **env})
        made.append(Leading(pool, tmp_path))
        pool.ready()
        return made[-1]

    yield begin
    for pid in (pid for one in made for pid in one.children):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("preload", ["libraries", "application", "nothing"])
def test_one_worker_leads_through_deaths_and_reloads(preload: str, lead: Callable[..., Leading]) -> None:
    # Where nothing is forked, a standby is one more interpreter that has to start before the pool is complete.
    group = lead(*THREE, "--preload", preload, *(("--standby", "none") if preload == "nothing" else ()))
    first = group.leader()
    assert group.pool.status()["leader"] == first
    workers = {slot["pid"] for slot in group.pool.status()["slots"]}
    assert group.ask("/thread", workers) == {pid: pid == first for pid in workers}
    assert group.kill_leader() != first
    count = len(group.leaders)
    group.pool.signal(signal.SIGHUP)
    group.leader(after=count)
    group.kill_leader()
    group.pool.until_log("reload: done")
    assert len(group.leaders) == len(set(group.leaders)) >= 4
    assert group.violations == []
    # Processes that hold the application, or try its import, have no part in it.
    assert {answer for _, answer, *_ in group.read("imports")} == {"False"}


def test_slot_0_is_not_enough_and_the_witness_sees_it(lead: Callable[..., Leading]) -> None:
    """The control: with overlap, a reload has two workers in the slot."""
    group = lead(*THREE[2:], "--workers", "2", LEADS_BY="slot")
    group.leader()
    group.pool.signal(signal.SIGHUP)
    until(lambda: group.violations, "two leaders at once")


def test_a_child_of_the_leader_keeps_no_lead(lead: Callable[..., Leading]) -> None:
    group = lead(*THREE[2:], "--workers", "1")
    first = group.leader()
    child, leads = group.pool.get("/fork").json()
    group.children.append(child)
    assert not leads
    second = group.kill_leader()
    assert second != first
    assert alive(child)
    assert group.violations == []


def test_a_live_standby_leads_when_it_is_a_worker(lead: Callable[..., Leading]) -> None:
    group = lead(*THREE[2:], "--workers", "1", "--standby", "live")
    first = group.leader()
    standbys = [pid for pid, placed, _ in group.read("starts") if placed == "False"]
    assert standbys, "the lifespan of a live standby has run"
    assert group.leaders == [first]  # and it hasn't taken the lead
    second = group.kill_leader()
    assert str(second) in standbys
    assert {leads for _, _, leads in group.read("starts")} == {"False"}
    assert group.violations == []


def test_the_lead_moves_when_its_slot_is_taken_away(lead: Callable[..., Leading], tmp_path: Path) -> None:
    (tmp_path / "only").write_text("1")
    group = lead(*THREE[2:], "--workers", "2")
    first = group.leader()
    assert group.slot_of(first) == 1
    (tmp_path / "only").write_text("")
    group.pool.signal(signal.SIGTTOU)
    second = group.leader(after=1)
    assert group.slot_of(second) == 0
    assert group.violations == []


def test_recycling_and_deaths_at_once(lead: Callable[..., Leading]) -> None:
    group = lead(*THREE, "--max-requests", "20", "--max-requests-jitter", "5")

    def leads_anew(count: int) -> bool:
        with suppress(httpx.HTTPError):  # the request of a worker that is killed
            group.pool.get()
        return len(group.leaders) > count

    for _ in range(2):
        count = len(group.leaders)
        until(partial(leads_anew, count), lambda: f"a leader that took over from a recycled one\n{group.pool.log}")
        leaders = group.leaders
        with suppress(ProcessLookupError):  # it may have reached its own limit
            os.kill(leaders[-1], signal.SIGKILL)
        until(
            partial(leads_anew, len(leaders)),
            lambda: f"a leader that took over from a dead one\n{group.pool.log}",
        )
    assert group.violations == []
