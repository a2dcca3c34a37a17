"""Requests that hold their threads for too long: they are answered, explained, and their worker makes way for a new one
without a death, whatever else goes wrong."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.process.inplace import in_place_of_supervisor
from tests.process.test_threads import clients
from tests.process.traffic import Client
from tests.procfs import alive
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

ONE = ("--workers", "1", "--pin", "never", "--lame-duck", "0", "--crash-budget", "1/600")
# Nothing here may take as long as stop_timeout: a hung thread doesn't hold up its worker.
LIMIT = ("--wsgi-timeout", "2", "--stop-timeout", "300", "--keep-alive", "0.5")
EAGER = """
from corepod.supervisor.pool import recycle
recycle.FIRST_PAUSE = 0.3
from corepod.supervisor.main import main
sys.exit(main())
"""
# Its new workers don't start while there is the file.
FRAGILE = """
import os
import threading
assert not os.path.exists("broken")
def app(environ, start_response):
    if environ["PATH_INFO"] == "/forever":
        open("broken", "w").close()
        threading.Event().wait()
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""


def replaced(pool: Pool, slot: int = 0) -> int:
    return int(pool.slot(slot)["replaced"].get("timeout", 0))


def until_replaced(pool: Pool, times: int = 1) -> None:
    """At least: where one of the hanging requests is sent much later than the others, its worker is the next one."""
    until(lambda: replaced(pool) >= times, lambda: f"a new worker\n{pool.log}")


def no_death(pool: Pool, *before: int) -> None:
    until(lambda: not any(map(alive, before)), lambda: f"the old ones gone\n{pool.log}")
    assert {slot["restarts"] for slot in pool.status()["slots"]} == {0}
    assert "died:" not in pool.log


@pytest.mark.parametrize(("threads", "more"), [(8, ()), (1, ("--standby", "none")), (2, ("--no-overlap",))])
def test_all_threads_hang(start: Start, threads: int, more: tuple[str, ...]) -> None:
    """Those that waited for a thread, and those that come, are served; a second time as well."""
    pool = start("threads_wsgi:app", *ONE, *LIMIT, "--wsgi-threads", str(threads), *more).ready()
    for _ in range(2):
        before = replaced(pool)
        pid = pool.ready().slot()["pid"]
        hung = clients(pool, "/forever", threads)
        waiting = [Client(pool, "/pid") for _ in range(3)]
        assert [client.result() for client in waiting] == [200] * 3
        assert [client.result() for client in hung] == [504] * threads
        until_replaced(pool, before + 1)
        assert pool.get("/pid").status_code == 200
        no_death(pool, pid)
    said = pool.log
    assert "GET /forever has held its thread for 2 s (wsgi_timeout) and is given up" in said
    assert " in never_set" in said[said.index("stacks:") :]
    assert re.search(
        r"makes way for a new worker: a request has held its thread for \d+ s, and wsgi_timeout is 2", said
    )
    count = re.search(r'corepod_worker_replaced_total{slot="0",reason="timeout"} (\d+)', pool.admin("/metrics").text)
    assert count is not None
    assert int(count[1]) >= 2


def test_the_others_finish_and_a_stream_goes_on(start: Start) -> None:
    pool = start("threads_wsgi:app", *ONE, *LIMIT).ready()
    pid = pool.slot()["pid"]
    hung, streams = clients(pool, "/forever", 1), clients(pool, "/stream?s=5", 2)
    assert [client.result() for client in (*hung, *streams)] == [504, 200, 200]
    until_replaced(pool)
    no_death(pool, pid)


def test_a_request_whose_client_has_given_up(start: Start) -> None:
    """Its thread is held all the same."""
    pool = start("threads_wsgi:app", *ONE, *LIMIT, "--request-timeout", "1").ready()
    pid = pool.slot()["pid"]
    assert pool.get("/forever").status_code == 504
    until_replaced(pool)
    no_death(pool, pid)


def test_several_workers(start: Start) -> None:
    pool = start("threads_wsgi:app", *ONE, *LIMIT, "--workers", "3").ready()
    before = [slot["pid"] for slot in pool.status()["slots"]]
    waiting: list[Client] = []

    def each_has_one() -> bool:
        waiting.append(Client(pool, "/forever"))
        slots = pool.status()["slots"]
        return all(slot["in_flight"] or slot["replaced"].get("timeout") for slot in slots)

    # Not all at once: while one worker is held up the others get every request, and each answers 16 that hang.
    until(each_has_one, "a request in each", pause=0.2)
    until(lambda: all(replaced(pool, slot) for slot in range(3)), lambda: f"all of them replaced\n{pool.log}")
    assert pool.get("/pid").status_code == 200
    assert {client.result() for client in waiting} == {504}
    no_death(pool, *before)


def test_new_workers_that_do_not_start(start: Start, tmp_path: Path) -> None:
    """The present one goes on in another thread, and makes way as soon as one starts."""
    (tmp_path / "fragile.py").write_text(FRAGILE)
    prefix, flags = in_place_of_supervisor(EAGER), ("--wsgi-threads", "1", "--standby", "none")
    pool = start("fragile:app", *ONE, *LIMIT, *flags, cwd=tmp_path, prefix=prefix).ready()
    pid = pool.slot()["pid"]
    assert pool.get("/forever").status_code == 504
    pool.until_log("AssertionError", 2)
    assert pool.get("/").text == str(pid)
    (tmp_path / "broken").unlink()
    until_replaced(pool)
    # The old one may take a connection until it has read that it is to stop.
    until(lambda: pool.get("/").text != str(pid), "an answer of the new one")
    no_death(pool, pid)
