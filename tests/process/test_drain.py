"""A stop: what is in flight finishes, who is connected is asked to leave, nobody is lost, and it ends in time."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.process.container import Container
from tests.process.harness import APPS, Pool
from tests.process.traffic import Queued, Traffic, refused
from tests.procfs import alive
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Start = Callable[..., Pool]

ONE = ("--workers", "1", "--lame-duck", "0")
KINDS = [pytest.param(Container, id="as PID 1", marks=pytest.mark.root), pytest.param(Pool, id="as a process")]


class Request(threading.Thread):
    """A request in the background; `answer` when it is done, `error` where it failed."""

    def __init__(self, pool: Pool, path: str) -> None:
        super().__init__()
        self._url = f"http://127.0.0.1:{pool.port}{path}"
        self.answer: httpx.Response | None = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.answer = httpx.get(self._url, timeout=2 * DEADLINE)
        except Exception as error:
            self.error = error

    def result(self) -> httpx.Response:
        self.join(DEADLINE)
        assert self.answer is not None, self.error
        return self.answer


def patient(start: Start, folder: Path, app: str, changes: str, *args: str) -> Pool:
    """A pool whose workers have more patience at their end than in earnest: `changes` are lines that say so, with the
    modules `worker` and `connections`. A test that sleeps for a second must not be what is tested."""
    module = app.partition(":")[0]
    (folder / "served.py").write_text(
        f"from corepod.worker import connections, worker\n{changes}\nfrom {module} import app\n"
    )
    return start("served:app", *args, cwd=folder, env={"PYTHONPATH": str(APPS)})


def in_flight(pool: Pool, count: int) -> None:
    until(lambda: sum(slot["in_flight"] for slot in pool.status()["slots"]) == count, f"{count} requests in flight")


@pytest.mark.parametrize("kind", KINDS)
def test_everybody_is_served_who_is_there(start: Start, kind: type[Pool], tmp_path: Path) -> None:
    pool = start("duties:app", *ONE, "--keep-alive", "1000", "--stop-timeout", "1000", kind=kind).ready()
    slow = [Request(pool, f"/until?path={tmp_path}/go") for _ in range(20)]
    idle = http.client.HTTPConnection("127.0.0.1", pool.port, timeout=DEADLINE)
    idle.request("GET", "/pid")
    kept = idle.getresponse()
    kept.read()
    with connect(f"ws://127.0.0.1:{pool.port}/") as talk:
        talk.send("hello")
        assert talk.recv(DEADLINE) == "hello"
        in_flight(pool, 21)
        stream = Request(pool, "/stream?n=50&s=0.1")  # the last one: it ends by itself
        in_flight(pool, 22)
        pool.signal(signal.SIGTERM)
        pool.until_log("SIGTERM: draining")
        # The WebSocket is told to come again elsewhere.
        with pytest.raises(ConnectionClosed) as closed:
            talk.recv(DEADLINE)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    # An idle connection isn't cut: a request may be on its way. The answer to it asks the client to go.
    assert not kept.will_close
    idle.request("GET", "/pid")
    last = idle.getresponse()
    assert (last.status, last.will_close) == (200, True)
    last.read()
    idle.close()
    # New ones are refused at once, not left in a queue.
    until(lambda: refused(pool.port), "new connections refused")
    (tmp_path / "go").touch()
    for request in slow:
        assert request.result().status_code == 200
        assert request.result().headers["connection"] == "close"
    assert stream.result().text.splitlines() == [str(number) for number in range(50)]
    assert pool.wait() == 0
    assert "lost" not in pool.log


def test_idle_connections_do_not_hold_it_up(start: Start) -> None:
    pool = start("ok:app", *ONE, "--stop-timeout", "1000", "--keep-alive", "1000").ready()
    idle = [http.client.HTTPConnection("127.0.0.1", pool.port, timeout=DEADLINE) for _ in range(20)]
    for connection in idle:
        connection.request("GET", "/pid")
        connection.getresponse().read()
    silent = socket.create_connection(("127.0.0.1", pool.port))
    half = socket.create_connection(("127.0.0.1", pool.port))
    half.sendall(b"GET /pid HTTP/1.1\r\nHost: x\r\n")
    until(lambda: pool.slot()["connections"] == 22, "22 connections")
    assert pool.stop() == 0
    for sock in (silent, half, *(connection.sock for connection in idle)):
        sock.settimeout(DEADLINE)
        with suppress(ConnectionResetError):
            assert sock.recv(1) == b""
        sock.close()


def test_who_is_in_the_queue_is_served(start: Start, tmp_path: Path) -> None:
    """Connections that came before the stop, while the worker was busy."""
    pool = start("duties:app", *ONE).ready()
    busy = Request(pool, f"/block_until?path={tmp_path}/go")
    in_flight(pool, 1)
    queued = Queued(pool.port, 50)
    until(lambda: pool.status()["accept_queue"]["length"] >= 50, "50 in the queue")
    pool.signal(signal.SIGTERM)
    pool.until_log("SIGTERM: draining")
    (tmp_path / "go").touch()
    answers = queued.answers()
    assert all(answer.isdigit() for answer in answers), answers
    assert busy.result().status_code == 200
    assert pool.wait() == 0


def test_who_was_connected_and_silent_is_served(start: Start, tmp_path: Path) -> None:
    """The kernel keeps such a connection from the workers. Its request may come after the stop has begun."""
    pool = start("duties:app", *ONE).ready()
    busy = Request(pool, f"/block_until?path={tmp_path}/go")
    in_flight(pool, 1)
    silent = [socket.create_connection(("127.0.0.1", pool.port), timeout=DEADLINE) for _ in range(20)]
    pool.signal(signal.SIGTERM)
    pool.until_log("SIGTERM: draining")
    for sock in silent:
        sock.sendall(b"GET /pid HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    (tmp_path / "go").touch()
    for sock in silent:
        with sock, sock.makefile("rb") as answer:
            assert answer.readline().split()[1] == b"200"
    assert busy.result().status_code == 200
    assert pool.wait() == 0


def test_several_workers(start: Start, tmp_path: Path) -> None:
    pool = start("duties:app", "--workers", "3", "--pin", "never").ready()
    slow = [Request(pool, f"/until?path={tmp_path}/go") for _ in range(30)]
    in_flight(pool, 30)
    pool.signal(signal.SIGTERM)
    pool.until_log("SIGTERM: draining")
    (tmp_path / "go").touch()
    assert pool.wait() == 0
    assert {request.result().status_code for request in slow} == {200}


# The deadline


@pytest.mark.parametrize("path", ["/never", "/stream?n=100000&s=0.01", "/in_a_lock", "/for_ever"])
def test_who_never_ends_is_cut_off_at_the_deadline(start: Start, tmp_path: Path, path: str) -> None:
    """A request that waits, a stream, a loop that is blocked, a loop that burns."""
    # A worker that cuts them itself has the rest of the time to end before it is killed.
    pool = patient(start, tmp_path, "duties:app", "worker.LAST_MOMENT = 4.0", *ONE, "--stop-timeout", "5").ready()
    worker = pool.slot()["pid"]
    endless = Request(pool, path)
    in_flight(pool, 1)
    started = time.monotonic()
    assert pool.stop() == 0
    assert time.monotonic() - started >= 1
    endless.join(DEADLINE)
    assert endless.error is not None or (endless.answer is not None and endless.answer.status_code >= 500)
    assert not alive(worker)
    blocked = path in ("/in_a_lock", "/for_ever")
    assert ("it didn't stop in time" in pool.log) is blocked
    assert ("lost 1 in flight: GET " in pool.log) is blocked


def test_a_lifespan_that_does_not_end_is_cut_off_too(start: Start) -> None:
    pool = start("slow_lifespan:app", *ONE, "--stop-timeout", "1", env={"SLOW_STOP": "1000"}).ready()
    assert pool.stop() == 0
    assert "it didn't stop in time" in pool.log


# The lame duck


def test_the_lame_duck_is_not_ready_and_still_serves(start: Start) -> None:
    pool = start("ok:app", "--workers", "1", "--lame-duck", "20").ready()
    pool.signal(signal.SIGTERM)
    until(lambda: pool.admin("/readyz").status_code == 503, "not ready")
    assert pool.admin("/readyz").text == "draining\n"
    assert pool.admin("/livez").status_code == 200
    assert pool.status()["state"] == "draining"
    # The worker is told at the same time, and may serve somebody before it reads that.
    until(lambda: pool.get("/pid").headers.get("connection") == "close", "clients asked to go")
    # It is a whole worker still: when it dies another one takes its place.
    os.kill(pool.slot()["pid"], signal.SIGKILL)
    until(lambda: pool.slot()["restarts"] == 1, "the death seen")
    until(lambda: pool.get("/pid").headers.get("connection") == "close", "clients asked to go by the next one")
    until(lambda: refused(pool.port), "new connections refused")
    assert pool.wait() == 0


@pytest.mark.parametrize("keep_alive", [False, True])
def test_no_request_is_lost_where_clients_look_at_readiness(start: Start, keep_alive: bool) -> None:
    """As behind a Service, which goes on sending for a moment after the pod isn't ready any more."""
    pool = start("ok:app", "--workers", "2", "--pin", "never", "--lame-duck", "20").ready()
    with Traffic(pool.port, "/sleep?s=0.01", clients=8, keep_alive=keep_alive) as traffic:
        traffic.more(100)
        pool.signal(signal.SIGTERM)
        until(lambda: pool.admin("/readyz").status_code == 503, "not ready")
        traffic.more(100)
    assert traffic.failures == []
    assert pool.wait() == 0


@pytest.mark.parametrize("bind", [(), ("--bind", "unix:{folder}/s")], ids=["tcp", "unix too"])
def test_without_a_lame_duck_clients_are_refused_and_never_reset(
    start: Start, tmp_path: Path, bind: tuple[str, ...]
) -> None:
    """A refused client knows that its request was not served. One that is reset can't know. What a client meets depends
    on when it comes, so there are many of them."""
    more = [word.format(folder=tmp_path) for word in bind]
    # For clients that don't come to their next step for seconds.
    patience = "worker.LATE = 6.0\nconnections.FIRST_REQUEST = connections.NEXT_REQUEST = connections.IN_USE = 10.0"
    flags = ("--workers", "2", "--pin", "never", "--lame-duck", "0", *more)
    pool = patient(start, tmp_path, "ok:app", patience, *flags).ready()
    with Traffic(pool.port, clients=8) as new, Traffic(pool.port, clients=8, keep_alive=True) as kept:
        new.more(100)
        kept.more(100)
        assert pool.stop() == 0
        until(lambda: new.refused and kept.refused, "clients that are refused")
    assert new.failures == new.refused
    assert kept.failures == kept.refused


def test_without_a_lame_duck_who_does_not_look_is_refused(start: Start) -> None:
    """Shows that the test above could fail."""
    pool = start("ok:app", "--workers", "1", "--lame-duck", "0").ready()
    with Traffic(pool.port, clients=4) as traffic:
        traffic.more(50)
        assert pool.stop() == 0
        until(lambda: traffic.refused, f"a client that is refused: {traffic.failures}")


def test_a_start_is_not_kept_waiting_by_the_lame_duck(start: Start) -> None:
    """Nobody sends anything to what has never been ready."""
    late = {"SLOW_START": "1000"}
    pool = start("slow_lifespan:app", "--workers", "1", "--lame-duck", "900", "--stop-timeout", "1000", env=late)
    until(lambda: pool.slot()["state"] == "starting" and pool.slot()["pid"], "a worker that starts")
    assert pool.stop() == 0
