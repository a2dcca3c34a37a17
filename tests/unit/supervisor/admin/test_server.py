"""The admin port under friendly and hostile clients: a real loop on real sockets, driven by the test itself."""

from __future__ import annotations

import gc
import os
import random
import resource
import select
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from corepod.supervisor.admin import responses
from corepod.supervisor.admin import server as module
from corepod.supervisor.admin.resources import HEAD_MOST
from corepod.supervisor.admin.responses import Reply
from corepod.supervisor.admin.server import MOST, PAUSE, AdminConnection, AdminServer
from corepod.supervisor.io.loop import Loop
from corepod.supervisor.launch.sockets import ADMIN_BACKLOG, queue

from tests import garbage
from tests.unit.contract.test_access import CASES, Case
from tests.unit.supervisor.admin.documents import FakeStatus, slot
from tests.unit.supervisor.admin.test_resources import MALFORMED, OK, read
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from corepod.supervisor.admin.status import PoolStatus

DEADLINE = 20.0  # seconds; only a failing test takes it
PATIENCE = 0.4  # seconds; injected where the deadline itself is tested
PROBE = OK + b"\r\n"
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
CUT = (ConnectionResetError, BrokenPipeError)  # by the server, while the client sent
MINE = b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Server:
    """An admin port and the part of the supervisor's loop that it needs. Faults in a callback fail the test."""

    def __init__(self, *slots: dict[str, object], patience: float = DEADLINE, public: bool = False) -> None:
        self.loop = Loop()
        self.status = FakeStatus(*slots)
        self.admin = AdminServer(self.loop, cast("PoolStatus", self.status), status_public=public, patience=patience)
        self.sockets: list[socket.socket] = []

    def listen(
        self, address: object = ("127.0.0.1", 0), family: int = socket.AF_INET, *, trusted: bool = False
    ) -> socket.socket:
        sock = socket.socket(family)
        self.sockets.append(sock)
        # Taken over by the accepted sockets: of a large answer something stays to be written later.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        sock.bind(address)  # type: ignore[arg-type]
        sock.listen(ADMIN_BACKLOG)
        sock.setblocking(False)
        self.admin.serve(sock, trusted=trusted)
        return sock

    def turn(self, longest: float = 0.02) -> None:
        """One turn of the loop, as the supervisor does it."""
        now = self.loop.now()
        due = self.admin.expire(now)
        self.loop.wait(min(now + longest, due) if due is not None else now + longest)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Turn until it is true."""
        end = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < end, f"not in time: {what}"
            self.turn()

    def connect(self, to: socket.socket, data: bytes = b"", *, receive_buffer: int | None = None) -> Client:
        client = Client(self, to, receive_buffer)
        client.send(data)
        return client

    def dial(self, to: socket.socket, data: bytes = b"") -> socket.socket:
        """A connection in the queue, with its data; the loop doesn't turn meanwhile."""
        sock = socket.create_connection(to.getsockname(), timeout=DEADLINE)
        self.sockets.append(sock)
        sock.sendall(data)
        return sock

    def exchange(self, to: socket.socket, data: bytes) -> bytes:
        """Everything that comes back until the end."""
        with self.connect(to, data) as client:
            return client.finish()

    def close(self) -> None:
        self.admin.close()
        for sock in self.sockets:
            sock.close()


class Client:
    """A connection whose other end is served while it waits."""

    def __init__(self, server: Server, to: socket.socket, receive_buffer: int | None = None) -> None:
        self._server = server
        self.sock = socket.socket(to.family)
        server.sockets.append(self.sock)
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.setblocking(False)
        self.received = b""
        self.ended = False
        # 115: in progress, which is how a connection starts where the queue is full for a moment.
        error = self.sock.connect_ex(to.getsockname())
        assert error in (0, 11, 115), os.strerror(error)
        server.until(self._connected, "connected")

    def _connected(self) -> bool:
        try:
            self.sock.getpeername()
        except OSError:
            assert self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
            return False
        return True

    def send(self, data: bytes) -> None:
        while data:
            try:
                data = data[self.sock.send(data) :]
            except BlockingIOError:
                self._server.turn()

    def take(self, most: int = 65536) -> bool:
        """Receive what is there; whether the server has closed. Raises ConnectionResetError."""
        try:
            data = self.sock.recv(most)
        except BlockingIOError:
            return False
        self.received += data
        self.ended = not data
        return self.ended

    def finish(self) -> bytes:
        self._server.until(self.take, "closed by the server")
        return self.received

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.sock.close()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    faults: list[object] = []
    monkeypatch.setattr("sys.excepthook", lambda *fault: faults.append(fault))
    servers: list[Server] = []
    before = len(os.listdir("/proc/self/fd"))

    def start(*slots: dict[str, object], **options: object) -> Server:
        servers.append(Server(*slots, **options))  # type: ignore[arg-type]
        return servers[-1]

    yield start
    left = sum(len(server.admin.open) for server in servers)
    for server in servers:
        server.close()
        assert not server.admin.open
        assert len(server.loop._callbacks) == 1, "the loop watches only its own pipe"
    assert not faults
    # Each loop keeps its epoll and its pipe until the test is over.
    assert len(os.listdir("/proc/self/fd")) <= before + 3 * len(servers), f"{left} were open"


def big(server: Server, slots: int = 60) -> bytes:
    """Let the metrics be larger than what the kernel takes of them; returns them."""
    server.status.content["slots"] = [slot(number) for number in range(slots)]
    reply = server.admin.resources.reply(SCRAPE, local=True, trusted=False)
    assert reply is not None
    while not reply.complete():
        server.admin.resources.go_on()
    return reply.data.partition(b"\r\n\r\n")[2]


# Friendly clients


def test_answers_and_closes(serve: Callable[..., Server]) -> None:
    server = serve()
    assert read(server.exchange(server.listen(), PROBE)).body == "ok\n"


def test_metrics_are_fresh(serve: Callable[..., Server]) -> None:
    server = serve()
    to = server.listen()
    for slots in (1, 3):
        server.status.content["slots"] = [slot(number) for number in range(slots)]
        assert f"\ncorepod_slots {slots}\n" in read(server.exchange(to, SCRAPE)).body


def test_only_one_request_a_connection(serve: Callable[..., Server]) -> None:
    server = serve()
    answer = server.exchange(server.listen(), PROBE + PROBE.replace(b"livez", b"readyz"))
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("size", [1, 7])
def test_a_request_in_pieces(serve: Callable[..., Server], size: int) -> None:
    server = serve()
    with server.connect(server.listen()) as client:
        for at in range(0, len(PROBE), size):
            server.turn(0)
            client.send(PROBE[at : at + size])
        assert read(client.finish()).status == 200


def test_a_half_closed_client_gets_its_answer(serve: Callable[..., Server]) -> None:
    server = serve()
    size = len(big(server))
    with server.connect(server.listen(), SCRAPE) as client:
        client.sock.shutdown(socket.SHUT_WR)
        assert len(read(client.finish()).body) == size


def test_a_client_that_gives_up_early(serve: Callable[..., Server]) -> None:
    server = serve()
    to = server.listen()
    for data in (b"", b"GET /li", SCRAPE):
        server.connect(to, data).sock.close()
    assert server.exchange(to, PROBE)
    server.until(lambda: not server.admin.open, "all closed")


def test_a_large_answer_for_a_slow_reader(serve: Callable[..., Server]) -> None:
    server = serve()
    body = big(server)
    to = server.listen()
    with server.connect(to, SCRAPE, receive_buffer=4096) as client:
        while not client.take(20_000):
            server.turn(0.001)
        assert client.received.partition(b"\r\n\r\n")[2] == body


def test_idle_costs_nothing(serve: Callable[..., Server]) -> None:
    server = serve()
    to = server.listen()
    assert server.admin.expire(server.loop.now()) is None
    server.exchange(to, PROBE)
    assert server.admin.expire(server.loop.now()) is None
    with server.connect(to):
        server.until(lambda: server.admin.open, "accepted")
        due = server.admin.expire(server.loop.now())
        assert due is not None
        assert due > server.loop.now()
    server.until(lambda: not server.admin.open, "closed")
    assert server.admin.expire(server.loop.now()) is None


def test_closing_cuts_everything(serve: Callable[..., Server]) -> None:
    server = serve()
    to = server.listen()
    with server.connect(to) as client:
        server.until(lambda: server.admin.open, "accepted")
        server.admin.close()
        assert client.finish() == b""
    assert server.admin.expire(server.loop.now()) is None
    to.close()  # and the loop has forgotten it: nothing wakes up for its number
    server.turn(0)


# Who asks


def outer_address() -> str | None:
    """An address of this machine that isn't loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            address = str(probe.getsockname()[0])
        except OSError:
            return None
    return None if address.startswith("127.") else address


def test_ipv4_loopback_is_local(serve: Callable[..., Server]) -> None:
    server = serve()
    assert read(server.exchange(server.listen(), MINE)).status == 200


@pytest.mark.parametrize("address", ["::1", "::ffff:127.0.0.1"])
def test_ipv6_loopback_is_local(serve: Callable[..., Server], address: str) -> None:
    server = serve()
    try:
        to = server.listen((address, 0), socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"no {address} here: {error}")
    assert read(server.exchange(to, MINE)).status == 200


def test_unix_peers_are_local(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve()
    to = server.listen(str(tmp_path / "admin"), socket.AF_UNIX)
    assert read(server.exchange(to, MINE)).status == 200
    assert read(server.exchange(to, MINE.replace(b"127.0.0.1", b"shop"))).status == 403


def test_the_control_socket_is_trusted(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve()
    to = server.listen(str(tmp_path / "control"), socket.AF_UNIX, trusted=True)
    other = server.listen()
    assert read(server.exchange(to, MINE.replace(b"127.0.0.1", b"shop"))).status == 200
    assert read(server.exchange(other, MINE.replace(b"127.0.0.1", b"shop"))).status == 403


@pytest.mark.parametrize("case", CASES, ids=str)
def test_who_may_see_the_status(serve: Callable[..., Server], case: Case) -> None:
    address = "127.0.0.1" if case.local else outer_address()
    if address is None:
        pytest.skip("this machine has only loopback addresses")
    server = serve(public=case.public)
    to = server.listen((address, 0))
    request = "\r\n".join(("GET /status HTTP/1.1", *case.lines, "", ""))
    answer = read(server.exchange(to, request.encode("latin-1")))
    assert answer.status == (403 if case.why_not else 200)
    if case.why_not:
        assert answer.body == f"{case.why_not}\n"
    assert read(server.exchange(to, SCRAPE)).status == 200
    assert read(server.exchange(to, PROBE)).status == 200


# Hostile clients


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_hostile_bytes(serve: Callable[..., Server], data: bytes) -> None:
    server = serve()
    to = server.listen()
    with server.connect(to, data) as client:
        client.sock.shutdown(socket.SHUT_WR)
        assert read(client.finish()).status == 400
    assert read(server.exchange(to, PROBE)).status == 200


def test_random_bytes(serve: Callable[..., Server]) -> None:
    server = serve()
    to = server.listen()
    source = random.Random(1)
    for _ in range(100):
        with server.connect(to, source.randbytes(source.choice((1, 10, 1000, 20_000)))):
            server.turn(0)
    assert read(server.exchange(to, PROBE)).status == 200


def test_a_large_head_is_refused_and_the_refusal_arrives(serve: Callable[..., Server]) -> None:
    server = serve()
    head = OK + b"Cookie: " + b"x" * (64 * 1024) + b"\r\n\r\n"
    assert read(server.exchange(server.listen(), head)).status == 431


def test_closing_at_once_would_reset(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    # The negative control of the test above.
    write = AdminConnection._write
    monkeypatch.setattr(AdminConnection, "_write", lambda self, reply: write(self, Reply(reply.data, more=False)))
    server = serve()
    to = server.listen()
    with server.connect(to) as client, pytest.raises(CUT):
        converse(client, OK + b"Cookie: " + b"x" * (64 * 1024))


def converse(client: Client, data: bytes) -> None:
    client.send(data)
    client.finish()


def test_a_client_that_never_stops_sending(serve: Callable[..., Server]) -> None:
    server = serve()
    with server.connect(server.listen(), b"POST /livez HTTP/1.1\r\nHost: x\r\n\r\n") as client, pytest.raises(CUT):
        client.send(b"x" * (64 << 20))


def dribble(server: Server, client: Client, seconds: float) -> None:
    """Send a byte now and then, for so long or until the server has had enough."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not client.ended:
        try:
            if not client.take():
                client.send(b"x")
        except CUT:  # a reset, where the server has closed with a byte unread
            client.ended = True
            return
        later = time.monotonic() + PATIENCE / 20
        server.until(lambda: time.monotonic() > later, "the next byte")  # noqa: B023


def test_slow_loris_is_cut(serve: Callable[..., Server]) -> None:
    server = serve(patience=PATIENCE)
    started = time.monotonic()
    with server.connect(server.listen(), b"GET /livez HTTP/1.1\r\nA: ") as client:
        dribble(server, client, DEADLINE)
        assert client.ended
        assert client.received == b""
    assert time.monotonic() - started >= PATIENCE


def test_slow_but_in_time(serve: Callable[..., Server]) -> None:
    # The negative control: it is the deadline that cuts, not the slowness.
    server = serve(patience=DEADLINE)
    with server.connect(server.listen(), b"GET /livez HTTP/1.1\r\nA: ") as client:
        dribble(server, client, 2 * PATIENCE)
        client.send(b"\r\nHost: x\r\n\r\n")
        assert read(client.finish()).status == 200


def test_a_silent_client_is_cut(serve: Callable[..., Server]) -> None:
    server = serve(patience=PATIENCE)
    with server.connect(server.listen()) as client:
        assert client.finish() == b""


def cut(server: Server) -> None:
    """The time of the oldest connection is over, and not a moment before it is closed. The test says what time it is:
    held up for a while, it would find another one closed that it has yet to look at."""
    oldest = next(iter(server.admin.open.values()))
    server.admin.expire(oldest.deadline - 0.001)
    assert oldest in server.admin.open.values()
    server.admin.expire(oldest.deadline)
    assert oldest not in server.admin.open.values()


def test_a_client_that_doesn_t_read_is_cut(serve: Callable[..., Server]) -> None:
    server = serve()
    size = len(big(server))
    to = server.listen()
    with server.connect(to, SCRAPE, receive_buffer=4096) as client:
        server.until(lambda: any(c.answering for c in server.admin.open.values()), "the answer waits")
        assert server.exchange(to, PROBE), "others are served meanwhile"
        cut(server)
        try:
            client.finish()
        except ConnectionResetError:
            pass
        assert len(client.received) < size


def test_a_client_that_stays_after_its_answer_is_cut(serve: Callable[..., Server]) -> None:
    server = serve()
    with server.connect(server.listen(), b"nonsense\r\n\r\n") as client:
        assert read(client.finish()).status == 400
        cut(server)


def idle(server: Server, to: socket.socket, count: int) -> list[Client]:
    clients = []
    for _ in range(count):
        clients.append(server.connect(to))
        server.turn(0)
    return clients


def test_500_idle_connections_keep_nobody_out(serve: Callable[..., Server]) -> None:
    server = serve()
    to = server.listen()
    clients = idle(server, to, 500)
    assert len(server.admin.open) == MOST
    assert read(server.exchange(to, PROBE)).status == 200
    server.until(lambda: len([c for c in clients if c.ended or c.take()]) >= 500 - MOST, "the others are closed")


def readable(*fds: socket.socket | int) -> int:
    """How many of them have something to read; their numbers may be greater than `select` takes."""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return len(poll.poll(0))


def test_a_burst_fits_into_the_queue(serve: Callable[..., Server]) -> None:
    # None is accepted in between: one that doesn't fit has to come again in a second, be it a probe.
    server = serve()
    to = server.listen()
    for _ in range(min(500, int(Path("/proc/sys/net/core/somaxconn").read_text()))):
        last = server.dial(to)
    last.sendall(PROBE)
    server.until(lambda: readable(last), "an answer")
    assert read(last.recv(65536)).status == 200


def test_without_the_bound_they_would_stay(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    # The negative control: it is the bound that closes them.
    monkeypatch.setattr(module, "MOST", 1000)
    server = serve()
    clients = idle(server, server.listen(), 100)
    server.until(lambda: len(server.admin.open) == 100, "all are accepted")
    assert not [c for c in clients if c.take()]


@pytest.mark.parametrize("request_", [PROBE, SCRAPE], ids=["a small answer", "a large answer"])
def test_a_request_that_has_come_isn_t_crowded_out(serve: Callable[..., Server], request_: bytes) -> None:
    # Accepted before its request came, and the request comes in the same wake-up as a crowd of new connections.
    server = serve()
    size = len(big(server))
    to = server.listen()
    client = server.connect(to, receive_buffer=4096)
    server.until(lambda: server.admin.open, "accepted")
    (accepted,) = server.admin.open
    for _ in range(MOST + 5):
        server.dial(to)
    client.send(request_)
    until(lambda: readable(accepted), "the request has come")  # the loop doesn't turn meanwhile
    answer = read(client.finish())
    assert (answer.status, len(answer.body)) == (200, size if request_ is SCRAPE else len("ok\n"))


def test_clients_that_don_t_read_keep_nobody_out(serve: Callable[..., Server]) -> None:
    server = serve()
    big(server)
    to = server.listen()
    for _ in range(3 * MOST):
        server.connect(to, SCRAPE, receive_buffer=4096)
    server.until(lambda: len([c for c in server.admin.open.values() if c.answering]) == MOST, "all are answering")
    assert read(server.exchange(to, PROBE)).status == 200


def test_who_is_being_answered_stays_longer_than_who_is_silent(serve: Callable[..., Server]) -> None:
    server = serve()
    body = big(server)
    to = server.listen()
    with server.connect(to, SCRAPE, receive_buffer=4096) as reader:
        server.until(lambda: server.admin.open, "accepted")
        idle(server, to, 3 * MOST)
        reader.finish()
        assert reader.received.partition(b"\r\n\r\n")[2] == body


def test_a_wake_up_accepts_a_bounded_number(serve: Callable[..., Server]) -> None:
    server = serve()
    to = server.listen()
    clients = [server.dial(to, PROBE) for _ in range(40)]
    until(lambda: (queue(to) or {})["length"] == len(clients), "all are in the queue")
    server.turn(DEADLINE)
    until(lambda: readable(*clients) >= module.ACCEPTS, "so many have their answers")
    assert readable(*clients) == module.ACCEPTS
    server.until(lambda: readable(*clients) == len(clients), "all have theirs")
    for client in clients:
        assert read(client.recv(65536)).status == 200


# Nothing left in the system


@pytest.fixture
def no_descriptors() -> Iterator[Callable[[], None]]:
    """Call it, and the process gets no descriptor any more."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    # What other tests have left gives its descriptors back when it is freed: not in the middle of this one.
    gc.collect()

    def use_up() -> None:
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))

    with garbage.kept():
        yield use_up
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_without_descriptors_it_pauses(serve: Callable[..., Server], no_descriptors: Callable[[], None]) -> None:
    server = serve()
    to = server.listen()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.create_connection(to.getsockname()) as client:
        client.sendall(PROBE)
        no_descriptors()
        server.turn(DEADLINE)
        # At no time at all nothing is due, however long this test has been held up.
        due = server.admin.expire(0.0)
        assert due is not None
        # It sleeps until then, although the connection is still in the queue.
        assert server.loop.wait(due - PAUSE / 2) == 0
        assert server.loop.now() >= due - PAUSE / 2
        # One more try, as hopeless.
        server.admin.expire(due)
        server.loop.wait(server.loop.now() + DEADLINE)
        again = server.admin.expire(0.0)
        assert again is not None
        assert again > due
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        server.admin.expire(again)
        server.loop.wait(server.loop.now() + DEADLINE)
        assert read(client.recv(65536)).status == 200
    assert server.admin.expire(server.loop.now()) is None


def test_without_descriptors_an_idle_client_makes_room(
    serve: Callable[..., Server], no_descriptors: Callable[[], None]
) -> None:
    server = serve()
    to = server.listen()
    with server.connect(to) as silent, socket.create_connection(to.getsockname()) as client:
        server.until(lambda: len(server.admin.open) == 2, "both are accepted")
        with socket.create_connection(to.getsockname()) as late:
            late.sendall(PROBE)
            no_descriptors()
            server.until(lambda: readable(late), "an answer")
            assert read(late.recv(65536)).status == 200
        assert silent.finish() == b""
        client.sendall(PROBE)
        server.until(lambda: readable(client), "an answer")
        assert read(client.recv(65536)).status == 200


def test_a_fault_of_ours_takes_nothing_with_it(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve()
    to = server.listen()
    told: list[object] = []
    monkeypatch.setattr("sys.excepthook", lambda *fault: told.append(fault[0]))
    server.status.broken = True
    for _ in range(3):
        assert read(server.exchange(to, SCRAPE)).status == 500
    assert told == [RuntimeError]
    server.status.broken = False
    assert read(server.exchange(to, SCRAPE)).status == 200


def test_the_bound_of_a_head_is_what_one_read_may_bring(serve: Callable[..., Server]) -> None:
    server = serve()
    head = OK + b"A: " + b"x" * (HEAD_MOST - len(OK) - 7) + b"\r\n\r\n"
    assert read(server.exchange(server.listen(), head)).status == 200


# A large pool, whose responses are made in pieces


@pytest.fixture
def large(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> Server:
    """One piece in each turn of the loop, however fast the machine is."""
    monkeypatch.setattr(responses, "MOMENT", 0.0)
    return serve(*(slot(number) for number in range(512)))


@pytest.mark.parametrize("request_", [SCRAPE, MINE, MINE.replace(b"/status", b"/")], ids=["metrics", "status", "page"])
def test_others_are_answered_while_a_large_response_is_made(large: Server, request_: bytes) -> None:
    server = large
    to = server.listen()
    with server.connect(to, request_) as scraper, server.connect(to) as prober:
        server.until(lambda: server.admin.resources.making, "it is being made")
        prober.send(PROBE)
        assert read(prober.finish()).body == "ok\n"
        assert server.admin.resources.making, "it isn't complete yet"
        assert not scraper.received
        assert read(scraper.finish()).status == 200
    assert server.status.asked == 1


def test_a_large_response_is_whole_and_shared(large: Server) -> None:
    server = large
    to = server.listen()
    with server.connect(to, SCRAPE) as first:
        server.until(lambda: server.admin.resources.making, "it is being made")
        with server.connect(to, SCRAPE.replace(b"GET", b"HEAD")) as second:
            body = read(first.finish()).body
            head = read(second.finish())
    assert server.status.asked == 1
    assert 'corepod_worker_ready{slot="511"} 1\n' in body
    assert "corepod_slots 512\n" in body
    assert (head.body, head.headers["Content-Length"]) == ("", str(len(body)))
    assert '"slot": 511' in read(server.exchange(to, MINE)).body


def test_a_client_that_leaves_while_its_response_is_made(large: Server) -> None:
    server = large
    to = server.listen()
    with server.connect(to, SCRAPE):
        server.until(lambda: server.admin.resources.making, "it is being made")
    server.until(lambda: not server.admin.open, "its connection closed")
    server.until(lambda: not server.admin.resources.making, "its response complete")
    assert server.admin.expire(server.loop.now()) is None


def test_a_fault_in_the_middle_of_a_response(large: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr("sys.excepthook", lambda *what: told.append(what[0]))
    server = large
    del server.status.content["slots"][500]["cpu_seconds"]
    assert read(server.exchange(server.listen(), SCRAPE)).status == 500
    assert told == [KeyError]
