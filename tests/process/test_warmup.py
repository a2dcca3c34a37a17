"""Requests that the template serves before it forks (`--warmup`), in real pools."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.exits import EXIT_SETTINGS

from tests.procfs import alive
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

SHARED = ("--preload", "application", "--pin", "never")


def begin(start: Start, *flags: str, app: str = "warmed:app", **options: Any) -> Pool:
    """A pool with two workers and the standby."""
    return start(app, "--workers", "2", *SHARED, *flags, **options).ready()


def seen(pool: Pool, number: int = 2) -> dict[int, dict[str, Any]]:
    """What so many of the pool's workers know, by their pids."""
    found: dict[int, dict[str, Any]] = {}

    def all_seen() -> bool:
        answer = pool.get("/").json()
        found[answer["pid"]] = answer
        return len(found) >= number

    until(all_seen, f"answers of {number} workers")
    return found


def requests(pool: Pool) -> float:
    """How many the pool has counted, whatever their status."""
    rows = [line for line in pool.admin("/metrics").text.splitlines() if line.startswith("corepod_requests_total{")]
    assert rows
    return sum(float(row.rpartition(" ")[2]) for row in rows)


def test_workers_share_what_the_template_has_made(start: Start, tmp_path: Path) -> None:
    """In the template and nowhere else, before any worker, without a lifespan, and uncounted."""
    lifespans = tmp_path / "lifespans"
    pool = begin(start, "--warmup", "/fill?a=b", "--access-log", env={"LIFESPAN_LOG": str(lifespans)})
    status = pool.status()
    template = status["template"]["pid"]
    assert status["mode"] == "fork"
    assert requests(pool) == 0
    workers = [slot["pid"] for slot in status["slots"]]
    for answer in seen(pool).values():
        assert answer["cache"] == {"filled by": template}
        (asked,) = answer["asked"]
        assert (asked["pid"], asked["worker"], asked["target"]) == (template, None, "/fill?a=b")
        assert (asked["client"][0], asked["scheme"], asked["state"]) == ("127.0.0.1", "http", {})
        assert asked["headers"]["host"] == "localhost"
        assert asked["headers"]["user-agent"] == "corepod-warmup"
    assert {int(line.split()[1]) for line in lifespans.read_text().splitlines()} == set(workers)
    assert "warm-up requests: /fill?a=b 200" in pool.log
    assert '"GET / ' in pool.until_log('"GET / ')
    assert '"GET /fill' not in pool.log


def test_without_the_setting_nothing_is_asked(start: Start) -> None:
    """The control: what a worker makes is its own."""
    pool = begin(start)
    assert all(answer["asked"] == [] and answer["cache"] == {} for answer in seen(pool).values())
    assert pool.get("/fill").status_code == 200
    filled = [answer["cache"] for answer in seen(pool).values() if answer["cache"]]
    assert len(filled) == 1
    assert "warm-up" not in pool.log


def test_a_worker_after_a_crash_has_it_too_and_a_reload_makes_it_anew(start: Start) -> None:
    pool = begin(start, "--warmup", "/fill")
    template = pool.status()["template"]["pid"]
    pool.kill_worker()
    pool.ready()
    assert all(answer["cache"] == {"filled by": template} for answer in seen(pool).values())
    old = [slot["pid"] for slot in pool.status()["slots"]]
    pool.signal(signal.SIGHUP)
    pool.until_log("reload: done")
    until(lambda: not any(map(alive, old)), "the old workers gone")
    pool.ready()
    renewed = pool.status()["template"]["pid"]
    assert renewed != template
    assert all(answer["cache"] == {"filled by": renewed} for answer in seen(pool).values())
    assert pool.log.count("warm-up requests: /fill 200") == 2


def test_a_request_that_fails_does_not_stop_the_start(start: Start) -> None:
    pool = begin(start, "--warmup", "/fail", "--warmup", "/fill")
    assert pool.status()["mode"] == "fork"
    assert all("filled by" in answer["cache"] for answer in seen(pool).values())
    assert pool.log.count("the warm-up request /fail was answered with 500: the start goes on.") == 1
    assert "ValueError: no database" in pool.log


def test_a_request_that_starts_a_thread_is_why_workers_are_not_forked(start: Start) -> None:
    pool = begin(start, "--warmup", "/start-thread")
    assert pool.status()["mode"] == "spawn"
    assert (
        "workers are started one by one, not forked: the warm-up requests (/start-thread) started 1 thread(s) "
        "(metrics-flusher)" in pool.log
    )


def test_where_the_import_forbids_forking_no_request_is_made(start: Start) -> None:
    pool = begin(start, "--warmup", "/", app="thread_at_import:app")
    assert pool.status()["mode"] == "spawn"
    assert "(metrics-flusher); the warm-up requests aren't made" in pool.log
    assert pool.log.count("warm-up requests") == 1
    assert requests(pool) == 0


@pytest.mark.parametrize("app", ["threads_wsgi:app", "threads_asgi:app"])
def test_threads_of_requests_are_the_workers_own(start: Start, app: str) -> None:
    pool = begin(start, "--warmup", "/sleep?s=0", app=app)
    assert pool.status()["mode"] == "fork"
    waiting = {str(slot["pid"]) for slot in pool.status()["slots"]}

    def all_answered() -> bool:
        waiting.discard(pool.get("/sleep?s=0").text)
        return not waiting

    until(all_answered, "answers of both workers")


def test_a_pool_that_shares_nothing_can_not_be_warmed(start: Start) -> None:
    pool = start("warmed:app", "--warmup", "/fill")
    assert pool.wait() == EXIT_SETTINGS
    assert "--warmup: needs preload = application" in pool.log
