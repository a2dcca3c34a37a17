"""Pools that share their state replace their workers in turn: never more at a time than `take_turns` says."""

from __future__ import annotations

import json
import os
import signal
import socket
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from corepod.contract.exits import EXIT_LATE

from tests.process.commands.client import corepod
from tests.process.test_recycling import eager
from tests.redisserver import redis_server
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

BEGINS, WAITS = "makes way for a new worker", "waits for its turn"
ROUNDS = 6  # replacements of both pools that are looked at


class Fleet:
    """Two pools that share their state, whose old workers end when `go` is called."""

    def __init__(self, start: Start, folder: Path, *flags: str, prefix: tuple[str, ...] = (), shared: str = "") -> None:
        self.go_file, self.ends_file = folder / "go", folder / "ends"
        env = {"TURNS_GO": str(self.go_file), "TURNS_ENDS": str(self.ends_file)}
        state = shared or f"sqlite:///{folder / 'state.db'}"
        words = ["--workers", "1", "--stop-timeout", "300", "--lame-duck", "0", "--keep-alive", "1"]
        words += ["--log-format", "json", "--shared", state, *flags]
        self.controls = [f"@turns-{uuid4().hex}" for _ in range(2)]
        self.pools = [
            start("turns:app", *words, "--control", control, env=env, prefix=prefix).ready()
            for control in self.controls
        ]

    def go(self) -> None:
        self.go_file.touch()

    def said(self, text: str) -> list[tuple[Pool, dict[str, Any]]]:
        """Lines of the logs that have this in their message."""
        return [
            (pool, line)
            for pool in self.pools
            for raw in pool.log.splitlines()
            if raw.startswith("{") and text in (line := json.loads(raw)).get("message", "")
        ]

    def until_said(self, text: str, count: int = 1) -> list[tuple[Pool, dict[str, Any]]]:
        until(lambda: len(self.said(text)) >= count, lambda: f"{text!r} {count} times\n{self.logs}", 3 * DEADLINE)
        return self.said(text)

    def until_waits(self, first: Pool) -> Pool:
        """The other pool says that it waits. This one may have said so, too, on a busy machine."""
        other = self.pools[1 - self.pools.index(first)]

        def waits() -> bool:
            return other in [pool for pool, _ in self.said(WAITS)]

        until(waits, lambda: self.logs, 3 * DEADLINE)
        return other

    @property
    def logs(self) -> str:
        return "\n".join(pool.log for pool in self.pools)

    def ends(self) -> dict[int, int]:
        """When each process has ended, in milliseconds."""
        lines = self.ends_file.read_text().splitlines() if self.ends_file.exists() else []
        return {int(pid): int(float(at) * 1000) for pid, at in map(str.split, lines)}

    def intervals(self) -> list[tuple[int, int | None]]:
        """From the decision to replace a worker to its end, in milliseconds; None where it hasn't ended."""
        # Read first: whoever began later is no part of it, and whoever is had its predecessor's end written before.
        said, found = self.said(BEGINS), []
        ends = self.ends()
        for _, line in said:
            began = datetime.fromisoformat(line["time"]).timestamp()
            found.append((int(began * 1000 + 0.5), ends.get(line["pid"])))
        return sorted(found, key=lambda interval: interval[0])


def overlaps(intervals: list[tuple[int, int | None]]) -> int:
    return sum(end is None or begin < end for (_, end), (begin, _) in pairwise(intervals))


def stop(fleet: Fleet) -> None:
    fleet.go()
    for pool in fleet.pools:
        assert pool.stop() == 0


def test_two_pools_recycle_their_workers_one_after_the_other(start: Start, tmp_path: Path) -> None:
    fleet = Fleet(start, tmp_path, "--max-age", "1", "--take-turns", "1", prefix=eager())
    [(first, _)] = fleet.until_said(BEGINS)
    # The first one's old worker doesn't end, so the other pool has to wait, however long its worker is due.
    fleet.until_waits(first)
    assert len(fleet.said(BEGINS)) == 1, fleet.logs
    fleet.go()
    fleet.until_said(BEGINS, ROUNDS)
    assert len({id(pool) for pool, _ in fleet.said(BEGINS)}) == 2, "each gets its turn"
    intervals = fleet.intervals()
    assert overlaps(intervals) == 0, intervals
    stop(fleet)


@pytest.mark.parametrize("places", [0, 100])
def test_without_turns_or_with_many_they_do_not_wait(start: Start, tmp_path: Path, places: int) -> None:
    """Negative control: what is never seen above is seen here."""
    fleet = Fleet(start, tmp_path, "--max-age", "3", "--take-turns", str(places), prefix=eager())
    until(lambda: len({id(pool) for pool, _ in fleet.said(BEGINS)}) == 2, lambda: f"both\n{fleet.logs}", 3 * DEADLINE)
    assert overlaps(fleet.intervals()) > 0
    stop(fleet)


def test_reloads_of_two_pools_go_one_after_the_other(start: Start, tmp_path: Path) -> None:
    fleet = Fleet(start, tmp_path, "--take-turns", "1")
    before = [pool.slot()["pid"] for pool in fleet.pools]
    for pool in fleet.pools:
        pool.signal(signal.SIGHUP)
    [(first, _)] = fleet.until_said("reload: done")
    other = fleet.until_waits(first)
    assert other.slot()["pid"] in before, "its old worker serves meanwhile"
    assert other.get("/").text in map(str, before)
    fleet.go()
    fleet.until_said("reload: done", 2)
    assert not {pool.slot()["pid"] for pool in fleet.pools} & set(before)
    stop(fleet)


def test_the_turn_of_a_worker_that_is_killed_becomes_free(start: Start, tmp_path: Path) -> None:
    """Nobody gives it back: its lease ends."""
    fleet = Fleet(start, tmp_path, "--take-turns", "1")
    old = {id(pool): pool.slot()["pid"] for pool in fleet.pools}
    for pool in fleet.pools:
        pool.signal(signal.SIGHUP)
    [(first, _)] = fleet.until_said("reload: done")
    fleet.until_waits(first)
    os.kill(old[id(first)], signal.SIGKILL)
    fleet.until_said("reload: done", 2)
    assert not fleet.ends(), "no worker has ended as it should"
    stop(fleet)


def test_pools_that_share_a_redis_go_one_after_the_other(start: Start, tmp_path: Path) -> None:
    """As above, on a real server: the places are there, and the reload's client says what it waits for."""
    with redis_server(tmp_path / "redis") as server:
        fleet = Fleet(start, tmp_path, "--take-turns", "1", "--shared-timeout", "30", shared=server.url)
        for pool in fleet.pools:
            pool.signal(signal.SIGHUP)
        [(first, _)] = fleet.until_said("reload: done")
        other = fleet.until_waits(first)
        assert other.slot()["waits_for_turn"]
        assert not first.slot()["waits_for_turn"]
        control = fleet.controls[fleet.pools.index(other)]
        late = corepod("reload", control, "--wait", "--timeout", "0.1")
        assert late.code == EXIT_LATE, late
        assert "slot 0 waits until workers of other pools are replaced (take_turns)" in late.err
        assert "waits for its turn to be replaced" in corepod("describe", f"{control}/0").out
        other.signal(signal.SIGTERM)
        fleet.go()
        assert other.wait() == 0, "a stop waits for no turn"
        assert first.stop() == 0
        places = server.command("KEYS", "*turns*")
        assert places
        assert not [key for key in places if server.command("HEXISTS", key, "owner")], "the places are given back"


@pytest.mark.parametrize(("shared", "said"), [((), True), (("--shared", "sqlite://{folder}/state.db"), False)])
def test_turns_without_a_state_that_others_share_are_warned_of(
    start: Start, tmp_path: Path, shared: tuple[str, ...], said: bool
) -> None:
    words = [word.format(folder=tmp_path) for word in shared]
    pool = start("ok:app", "--workers", "1", "--take-turns", "1", *words).ready()
    assert ("take_turns has no effect" in pool.log) == said


def test_a_state_that_cannot_be_reached_holds_up_no_replacement(start: Start, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    env = {"TURNS_GO": str(tmp_path / "go"), "TURNS_ENDS": str(tmp_path / "ends")}
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and listens not: whoever connects is refused
        nowhere = f"redis://127.0.0.1:{nobody.getsockname()[1]}/0"
        pool = start("turns:app", "--workers", "1", "--take-turns", "1", "--shared", nowhere, env=env).ready()
        for number in (1, 2):
            pool.signal(signal.SIGHUP)
            pool.until_log("reload: done", number)
    assert pool.log.count("replaced without a turn (take_turns)") == 1
    assert pool.stop() == 0
