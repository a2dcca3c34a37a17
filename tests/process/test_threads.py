"""Requests in threads: stalled ones are seen, explained and ended, slow ones are let be; clients that stop in the
middle of a body; and an application that wants to end its process, or leaves threads behind that don't."""

from __future__ import annotations

import os
import re
import socket
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.process.inplace import in_place_of_supervisor
from tests.process.traffic import Client
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

STALLED, STUCK = 0.5, 2.5  # seconds
ONE = ("--workers", "1", "--pin", "never", "--lame-duck", "0", "--crash-budget", "1000/60")
LIMITS = ("--stalled-after", str(STALLED), "--stuck-dump", "1", "--stuck-timeout", str(STUCK))
# Where the state is looked at that a worker has before it is ended: the machine may be busy meanwhile.
ENDED_LATER = ("--stuck-timeout", "8")
TWO = ("--wsgi-threads", "2")


def clients(pool: Pool, path: str, count: int) -> list[Client]:
    """They have all reached the application, or its queue."""
    before = pool.slot()["requests"]
    made = [Client(pool, path) for _ in range(count)]
    until(lambda: pool.slot()["requests"] == before + count, f"{count} more requests")
    return made


@contextmanager
def sending(pool: Pool, count: int, start: bytes) -> Iterator[list[socket.socket]]:
    """Clients that have sent the start of a request, and nothing more."""
    with ExitStack() as stack:
        before = pool.slot()["requests"]
        made = [
            stack.enter_context(socket.create_connection(("127.0.0.1", pool.port), timeout=DEADLINE))
            for _ in range(count)
        ]
        for sock in made:
            sock.sendall(start)
        until(lambda: pool.slot()["requests"] == before + count, f"{count} more requests")
        yield made


def is_replaced(pool: Pool, lost: list[Client], where: str) -> None:
    """It is stuck, not ready, explained and ended, and the next one serves."""
    until(lambda: pool.slot()["state"] == "stuck", f"the state stuck\n{pool.log}")
    answer = pool.admin("/readyz")
    assert answer.status_code == 503
    assert re.match(r"slot 0 has been stuck for \d+ s: all its threads have stalled", answer.text)
    assert pool.admin("/livez").status_code == 200
    after = pool.until_restarts(1)
    assert after["last_exit"].startswith("stuck: all its threads have stalled for ")
    said = pool.log
    stuck = said.index("stuck: all its threads")
    dump = said.index("stacks:", stuck)  # those of a start that took long may be in front
    death = said.index("died: stuck: ", dump)
    assert f" in {where}" in said[dump:death]
    assert {client.result() for client in lost} <= {-1, 504}
    until(lambda: pool.get("/pid").text == str(after["pid"]), "an answer of the next one")


def is_let_be(pool: Pool, pid: int, requests: list[Client]) -> None:
    assert {request.result() for request in requests} == {200}
    after = pool.slot()
    assert (after["pid"], after["restarts"]) == (pid, 0)
    assert "stuck" not in pool.log


# Stalled


def test_threads_that_hang_while_a_request_waits(start: Start) -> None:
    pool = start("threads_wsgi:app", *ONE, *LIMITS, *TWO, *ENDED_LATER).ready()
    is_replaced(pool, [*clients(pool, "/forever", 2), *clients(pool, "/pid", 1)], "never_set")
    pool.until_log("requests wait for a thread: each of the 2 threads serves one")


def test_threads_that_hang_while_every_request_times_out(start: Start) -> None:
    """None waits for long, and so none may be waiting at the time of a look."""
    pool = start("threads_wsgi:app", *ONE, *LIMITS, *TWO, *ENDED_LATER, "--request-timeout", "0.3").ready()
    lost = [Client(pool, "/forever") for _ in range(2)]
    assert [client.result() for client in lost] == [504, 504]
    taken = "its thread can't be stopped and runs on: 2 of 2 threads are taken"
    # A request whose thread has taken longer than that to begin has taken none.
    until(lambda: taken in pool.log or pool.get("/forever").is_success, "both threads taken")
    assert pool.get("/pid").status_code == 504
    is_replaced(pool, [], "never_set")


def test_threads_of_a_framework_that_hang(start: Start) -> None:
    """The loop goes on, and with it what isn't in a thread; but no function is called any more."""
    pool = start("threads_asgi:app", *ONE, *LIMITS, *ENDED_LATER).ready()
    lost = clients(pool, "/forever", 40)
    assert pool.get("/pid").status_code == 200
    is_replaced(pool, [*lost, *clients(pool, "/sleep?s=0", 1)], "Event.wait")


def test_threads_of_the_loop_that_hang(start: Start) -> None:
    """Of which there are as many as Python chooses."""
    pool = start("threads_asgi:app", *ONE, *LIMITS, *ENDED_LATER).ready()
    count = min(32, (os.cpu_count() or 1) + 4)
    is_replaced(pool, clients(pool, "/hang", count + 1), "Event.wait")


# Slow


def test_slow_requests_that_nobody_waits_for(start: Start) -> None:
    pool = start("threads_wsgi:app", *ONE, *LIMITS, *TWO).ready()
    pid = pool.slot()["pid"]
    is_let_be(pool, pid, clients(pool, f"/sleep?s={STUCK + 1.5}", 2))


def test_slow_requests_that_end_one_after_the_other(start: Start) -> None:
    """Each takes longer than stalled threads get, but others go on all the time."""
    pool = start("threads_wsgi:app", *ONE, *LIMITS, "--stalled-after", "2", "--wsgi-threads", "3").ready()
    pid, slow = pool.slot()["pid"], list[Client]()
    for _ in range(3):
        slow += clients(pool, f"/sleep?s={STUCK + 0.5}", 1)
        time.sleep(1)
    is_let_be(pool, pid, [*slow, *(Client(pool, "/sleep?s=1") for _ in range(3))])


@pytest.mark.parametrize("path", ["/spin", "/stream"])
def test_requests_that_compute_or_stream_while_others_wait(start: Start, path: str) -> None:
    pool = start("threads_wsgi:app", *ONE, *LIMITS, "--stalled-after", "1.5", *TWO).ready()
    pid = pool.slot()["pid"]
    is_let_be(pool, pid, [*clients(pool, f"{path}?s={STUCK + 1}", 2), *clients(pool, "/pid", 1)])


def test_stalled_threads_may_be_allowed(start: Start) -> None:
    pool = start("threads_wsgi:app", *ONE, *LIMITS, *TWO, "--stalled-after", "0").ready()
    pid = pool.slot()["pid"]
    is_let_be(pool, pid, [*clients(pool, f"/sleep?s={STUCK + 1}", 2), *clients(pool, "/pid", 1)])


def test_slow_functions_of_a_framework(start: Start) -> None:
    pool = start("threads_asgi:app", *ONE, *LIMITS).ready()
    pid = pool.slot()["pid"]
    is_let_be(pool, pid, clients(pool, f"/sleep?s={STUCK + 1}", 40))


# Bodies

HEAD = b"POST /body HTTP/1.1\r\nHost: test\r\n"


@pytest.mark.parametrize("count", [2, 8])
@pytest.mark.parametrize(
    "head", [b"Content-Length: 1000\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"]
)
def test_clients_that_stop_in_the_middle_of_a_small_body(start: Start, count: int, head: bytes) -> None:
    """They cost memory, not threads, and that not for ever."""
    pool = start("threads_wsgi:app", *ONE, *LIMITS, *TWO, "--body-timeout", "2").ready()
    with sending(pool, count, HEAD + head) as socks:
        assert pool.get("/pid").status_code == 200
        assert all(sock.recv(65536).startswith(b"HTTP/1.1 408") for sock in socks)
    until(lambda: pool.slot()["in_flight"] == 0, "nothing in flight")
    assert pool.slot()["restarts"] == 0


def test_clients_that_stop_in_the_middle_of_a_large_body(start: Start) -> None:
    """They hold the threads until body_timeout, and no longer; the worker isn't to blame."""
    pool = start("threads_wsgi:app", *ONE, *LIMITS, *TWO, "--body-timeout", str(STUCK + 0.5)).ready()
    with sending(pool, 8, HEAD + b"Content-Length: 5000000\r\n\r\nabc") as socks:
        assert pool.get("/pid").status_code == 200
        assert all(sock.recv(65536).startswith(b"HTTP/1.1 408") for sock in socks)
    assert pool.slot()["restarts"] == 0
    assert "stuck" not in pool.log


# The end

# A worker ends a few tenths of a second before it would be killed: on a busy machine it may be late by that.
KILLED_LATER = in_place_of_supervisor(
    """
from corepod.supervisor.pool.state import Process
drain = Process.drain
Process.drain = lambda self, within, now: drain(self, within + 1.5, now)
from corepod.supervisor.main import main
sys.exit(main())
"""
)


def ended(pool: Pool) -> tuple[int, float]:
    """Exit code and seconds of a stop."""
    began = time.monotonic()
    return pool.stop(), time.monotonic() - began


def test_a_thread_of_the_application_that_never_ends_is_named(start: Start) -> None:
    pool = start("threads_wsgi:app", *ONE, "--stop-timeout", "3", prefix=KILLED_LATER).ready()
    pool.get("/thread")
    code, took = ended(pool)
    assert code == 0
    assert took > 2, "it might have had something to finish"
    assert re.search(
        r"waiting up to \d s for thread 'Thread-\d+ \(tireless\)' \(.*threads_wsgi.py:\d+ in tireless\)", pool.log
    )
    assert re.search(r"thread 'Thread-.* did not end by itself and is cut off", pool.log)
    assert "in time" not in pool.log, "the supervisor had to kill it"


def test_requests_that_hang_do_not_hold_up_the_end(start: Start) -> None:
    pool = start("threads_wsgi:app", *ONE, *TWO, "--stop-timeout", "3", prefix=KILLED_LATER).ready()
    lost = clients(pool, "/forever", 2)
    code, _ = ended(pool)
    assert code == 0
    assert {client.result() for client in lost} <= {500, -1}
    assert "2 request(s) still running at the end of stop_timeout are cut off" in pool.log
    assert "thread 'wsgi_0' (" in pool.log
    assert "in time" not in pool.log


def test_a_thread_that_the_loop_would_wait_for_does_not_hold_up_the_end(start: Start) -> None:
    """In the default executor, which is joined when the loop is closed."""
    pool = start("threads_asgi:app", *ONE, "--stop-timeout", "2", prefix=KILLED_LATER).ready()
    pool.get("/hidden")
    assert ended(pool)[0] == 0
    assert "thread 'asyncio_0' (" in pool.log
    assert "in time" not in pool.log


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize(
    ("app", "path", "code"),
    [
        ("threads_wsgi:app", "/exit?code=3", 3),
        ("threads_asgi:app", "/leave?code=3", 3),
        ("threads_asgi:app", "/leave?code=0", 0),
        ("threads_asgi:app", "/leave_thread?code=3", 3),
        ("threads_asgi:app", "/leave_task?code=3", 3),
        ("threads_asgi:app", "/leave_callback?code=3", 3),
        ("threads_asgi:app", "/interrupt", 0),
        ("threads_asgi:behind_middleware", "/leave?code=3", 3),
    ],
)
def test_an_application_that_exits_finishes_what_it_serves(
    start: Start, app: str, path: str, code: int, loop: str
) -> None:
    pool = start(app, *ONE, "--loop", loop).ready()
    before = pool.slot()
    (slow,) = clients(pool, "/sleep?s=1.5", 1)
    status = pool.get(path).status_code
    assert status == (500 if "exit" in path or path.startswith(("/leave?", "/leave_thread")) else 200)
    assert slow.result() == 200
    after = pool.until_restarts(1)
    assert after["last_exit"] == f"exit code {code}"
    assert after["pid"] != before["pid"]
    assert pool.get("/pid").text == str(after["pid"])
    assert "lost" not in pool.log
    pool.until_log("KeyboardInterrupt" if path == "/interrupt" else "SystemExit")
