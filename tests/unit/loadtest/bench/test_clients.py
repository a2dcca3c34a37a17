"""The clients of the benchmarks, against a server of the standard library."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from loadtest.bench import held
from loadtest.bench.background import Arrivals, Clients
from loadtest.bench.client import OpenLoop, request
from loadtest.bench.closed_loop import ClosedLoop
from loadtest.bench.kept_loop import KeptOpenLoop
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator


class Counting(ThreadingHTTPServer):
    """Counts its connections and requests. `most`: requests after which it closes a connection."""

    daemon_threads = True
    request_queue_size = 128  # a connection that finds no room in it is made seconds later

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.connections = self.ended = self.requests = self.bodies = self.most = 0
        self.status = 200

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that end in the middle are part of these tests

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self.lock:
            self.ended += 1

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Counting

    def setup(self) -> None:
        super().setup()
        self.served = 0
        with self.server.lock:
            self.server.connections += 1

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.served += 1
        with self.server.lock:
            self.server.requests += 1
            self.server.bodies += len(body)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "2")
        if self.served == self.server.most:
            self.close_connection = True  # and doesn't say so
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = do_GET

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Counting]:
    with Counting() as counting:
        thread = threading.Thread(target=counting.serve_forever, args=(0.01,))
        thread.start()
        yield counting
        counting.shutdown()
        thread.join()


@pytest.fixture
def loop(server: Counting, request: pytest.FixtureRequest) -> Iterator[ClosedLoop]:
    with contextlib.closing(ClosedLoop(server.port, "/", 3, **getattr(request, "param", {}))) as made:
        yield made


def run(loop: ClosedLoop, least: int) -> int:
    """Run in pieces until so many are answered; the number of all answers."""
    answered = pieces = 0
    while answered < least:
        answered += len(loop.run(0.05))
        pieces += 1
    assert 0 < loop.late <= 3 * pieces
    return answered + loop.late


def test_every_request_of_a_closed_loop_is_counted_in_time_or_late(server: Counting, loop: ClosedLoop) -> None:
    assert run(loop, 20) == server.requests
    assert server.connections == 3


@pytest.mark.parametrize("loop", [{"fresh": True}], indirect=True)
def test_a_fresh_loop_takes_a_connection_for_each_request(server: Counting, loop: ClosedLoop) -> None:
    assert run(loop, 20) == server.requests == server.connections


@pytest.mark.parametrize("loop", [{"body": bytes(10_000)}], indirect=True)
def test_a_loop_can_send_bodies(server: Counting, loop: ClosedLoop) -> None:
    assert 10_000 * run(loop, 20) == server.bodies


def test_a_closed_loop_connects_anew_where_the_server_ends_a_connection(server: Counting, loop: ClosedLoop) -> None:
    server.most = 5
    answered = run(loop, 50)
    assert answered == server.requests
    assert server.connections >= answered / 5


def test_another_status_ends_a_closed_loop(server: Counting, loop: ClosedLoop) -> None:
    server.status = 404
    with pytest.raises(OSError, match="404"):
        loop.run(5.0)


def test_the_open_loop_takes_idle_connections_where_it_keeps_them(server: Counting) -> None:
    samples = KeptOpenLoop(server.port, "/", [0.0, 0.0, 0.0], 2).run(5.0)
    assert [sample.outcome for sample in samples] == ["ok"] * 3
    assert server.requests == 5  # one on each of the two before
    assert server.connections == 3
    OpenLoop(server.port, "/", [0.0, 0.0, 0.0]).run(5.0)
    assert server.connections == 6


def test_the_open_loop_notices_that_an_idle_connection_has_been_closed(server: Counting) -> None:
    server.most = 1
    load = KeptOpenLoop(server.port, "/", [0.0], 1)
    until(lambda: server.ended == 1, "the end of the connection")
    assert [sample.outcome for sample in load.run(5.0)] == ["ok"]
    assert server.connections == 2


@pytest.mark.parametrize("kept", [False, True])
def test_clients_in_the_background_count_their_answers(server: Counting, kept: bool) -> None:
    with Clients(server.port, "/", 2, kept=kept) as clients:
        until(lambda: clients.answered >= 20, "answers")
    assert clients.answered == server.requests
    assert clients.failed == 0
    assert server.connections == (2 if kept else server.requests)


@pytest.mark.parametrize("kept", [False, True])
def test_clients_in_the_background_count_failures(server: Counting, kept: bool) -> None:
    server.status = 500
    with Clients(server.port, "/", 2, kept=kept) as clients:
        until(lambda: clients.failed >= 4, "failures")
    assert clients.answered == 0


def test_arrivals_in_the_background_come_at_their_times(server: Counting) -> None:
    with Arrivals(server.port, "/", [0.0, 0.01, 0.02]) as arrivals:
        until(lambda: arrivals.answered == 3, "answers")
    assert (server.requests, arrivals.failed) == (3, 0)


def test_idle_connections_have_had_one_answer_and_stay(server: Counting) -> None:
    with held.idle(server.port, 70) as idle:
        assert len(idle.socks) == 70
        assert (server.connections, server.requests) == (70, 70)
        idle.socks[0].sendall(request("/", close=False))
        assert idle.socks[0].recv(100).startswith(b"HTTP/1.1 200 ")
    assert all(sock.fileno() < 0 for sock in idle.socks)


def test_half_heads_are_no_requests(server: Counting) -> None:
    with held.Held(server.port, 10, held.HALF_HEAD):
        until(lambda: server.connections == 10, "connections")
        assert server.requests == 0


def test_slow_clients_bring_whole_requests_at_last(server: Counting) -> None:
    with contextlib.closing(held.Slow(server.port, 3, every=0.001)):
        until(lambda: server.requests >= 6, "requests")
    assert server.connections == 3


def test_as_many_connections_as_this_process_may_open() -> None:
    assert held.possible(10) == 10
    assert 10 < held.possible(1 << 40) < 1 << 40
