"""Taking connections from the shared queue: gate, other workers, limits, and how it stops. Real sockets and loops."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import socket
import subprocess
import threading
import time
from contextlib import ExitStack
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.scoreboard import ACCEPTED, AWAY, CONNECTIONS, IDLE, IN_FLIGHT
from corepod.worker import accept, gate

from tests import garbage
from tests.unit.served import DEADLINE, Served, read_all, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GET = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
WAIT = GET.replace(b"/", b"/wait", 1)
LONG = 60.0  # seconds: longer than any test


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def turn(served: Served, times: int = 20) -> None:
    """Let the server's loop go round: whatever it was about to do it has done."""

    async def rounds() -> None:
        for _ in range(times):
            await asyncio.sleep(0.001)

    served.call(rounds())


def client(served: Served, stack: ExitStack, data: bytes = b"") -> socket.socket:
    sock = stack.enter_context(served.connect())
    sock.sendall(data)
    return sock


@pytest.mark.parametrize("strategy", ["gate", "one", "several", "batch"])
def test_everybody_is_served(strategy: str, stack: ExitStack) -> None:
    with Served(app, strategy=strategy) as served:
        socks = [client(served, stack, GET) for _ in range(50)]
        assert all(read_all(sock).endswith(b"ok") for sock in socks)
        assert served.words[ACCEPTED] == 50
        served.until_idle()


def test_the_gate_is_closed_until_the_request_arrives(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "HOLD", LONG)
    with Served(app, strategy="gate") as served:
        first = client(served, stack)
        until(lambda: served.words[ACCEPTED] == 1, "the first one is accepted")
        second = client(served, stack, GET)
        turn(served)
        assert served.words[ACCEPTED] == 1, "the second one waits in the queue, where another worker may take it"
        first.sendall(GET)
        assert read_all(first).endswith(b"ok")
        assert read_all(second).endswith(b"ok")


def test_without_a_gate_nobody_waits(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control of the one before."""
    monkeypatch.setattr(gate, "HOLD", LONG)
    with Served(app, strategy="one") as served:
        client(served, stack)
        until(lambda: served.words[ACCEPTED] == 1, "the first one is accepted")
        assert read_all(client(served, stack, GET)).endswith(b"ok")


def test_a_silent_connection_does_not_close_the_gate_for_ever(stack: ExitStack) -> None:
    with Served(app, strategy="gate") as served:
        for _ in range(10):
            client(served, stack)
        assert read_all(client(served, stack, GET)).endswith(b"ok")
        assert served.words[ACCEPTED] == 11


def test_a_handler_that_blocks_keeps_the_gate_closed(stack: ExitStack) -> None:
    """While it blocks, a second connection stays in the queue; it isn't accepted first and served late."""
    go = threading.Event()

    async def blocks(scope: Any, receive: Any, send: Any) -> None:
        go.wait(DEADLINE)
        await app(scope, receive, send)

    with Served(blocks, strategy="gate") as served:
        first = client(served, stack, GET)
        until(lambda: served.words[IN_FLIGHT] == 1, "it blocks")
        second = client(served, stack, GET)
        time.sleep(0.02)  # ten times as long as the gate is held
        assert served.words[ACCEPTED] == 1
        go.set()
        assert read_all(first).endswith(b"ok")
        assert read_all(second).endswith(b"ok")


class Burning:
    """As measured while the process's threads use the whole core."""

    def now(self) -> float:
        return 1.0


async def waits(scope: Any, receive: Any, send: Any) -> None:
    while scope["path"] == "/wait" and (await receive())["type"] != "http.disconnect":
        pass
    await app(scope, receive, send)


@pytest.fixture
def computing(monkeypatch: pytest.MonkeyPatch, stack: ExitStack) -> Iterator[Served]:
    """A worker with a request in flight, whose threads use the core."""
    monkeypatch.setattr(accept, "ThreadShare", Burning)
    with Served(waits, strategy="gate") as served:
        client(served, stack, WAIT)
        until(lambda: served.words[IN_FLIGHT] == 1, "it has something to do")
        yield served
        stack.close()


def test_a_busy_worker_leaves_connections_to_an_idle_one(
    computing: Served, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "STEP_BACK", LONG)
    computing.sibling.show(IDLE)
    second = client(computing, stack, GET)
    turn(computing)
    assert computing.words[ACCEPTED] == 1, "the idle one may take it"
    computing.sibling.show(AWAY)
    assert read_all(second).endswith(b"ok")


def test_but_not_for_ever(computing: Served, stack: ExitStack) -> None:
    """An idle worker that takes nothing is blocked."""
    computing.sibling.show(IDLE)
    for _ in range(3):
        assert read_all(client(computing, stack, GET)).endswith(b"ok")


def test_it_leaves_nothing_where_everybody_is_busy(
    computing: Served, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a queue waits beside workers that could serve it between two turns of a thread."""
    monkeypatch.setattr(gate, "STEP_BACK", LONG)
    for _ in range(3):
        assert read_all(client(computing, stack, GET)).endswith(b"ok")


def test_it_takes_what_it_has_left_when_it_has_nothing_else_to_do(
    computing: Served, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "STEP_BACK", LONG)
    monkeypatch.setattr(accept, "LOOK", LONG)
    computing.sibling.show(IDLE)
    second = client(computing, stack, GET)
    turn(computing)
    assert computing.words[ACCEPTED] == 1, "left to the idle one"
    computing.call(end_the_others(computing))
    assert read_all(second).endswith(b"ok")


async def end_the_others(served: Served) -> None:
    for connection in list(served.server.connections.members):
        connection.transport.abort()


@pytest.mark.parametrize(("strategy", "shows"), [("gate", True), ("one", False), ("batch", False)])
def test_who_shows_as_idle(strategy: str, shows: bool, stack: ExitStack) -> None:
    """Only where it matters to others, and only while a connection would be served at once."""

    def idle(served: Served) -> bool:
        return served.sibling.idle_sibling() is not None

    with Served(waits, strategy=strategy, limit_connections=2) as served:
        assert idle(served) is shows
        busy = client(served, stack, WAIT)
        until(lambda: served.words[IN_FLIGHT] == 1, "it is busy")
        until(lambda: not idle(served), "and shows it")  # in its own thread, a line later
        busy.close()
        until(lambda: idle(served) is shows, "it has nothing to do")
        for _ in range(2):
            client(served, stack, b"GET / HT")
        until(lambda: served.words[CONNECTIONS] == 2, "it holds as many as it may")
        until(lambda: not idle(served), "and shows it")
        stack.close()
        until(lambda: idle(served) is shows, "there is room again")
    assert not idle(served), "it doesn't accept any more"


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nHo", b"\r\n"])
def test_half_a_head_opens_the_gate(data: bytes, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "HOLD", LONG)
    with Served(app, strategy="gate") as served:
        for _ in range(20):
            client(served, stack, data)
        assert read_all(client(served, stack, GET)).endswith(b"ok")


def test_a_connection_that_has_gone_opens_the_gate(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "HOLD", LONG)
    with Served(app, strategy="gate") as served:
        for _ in range(20):
            client(served, stack).close()
        assert read_all(client(served, stack, GET)).endswith(b"ok")


def test_a_handshake_opens_the_gate(stack: ExitStack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What comes first isn't a request, so nobody waits for one."""
    monkeypatch.setattr(gate, "HOLD", LONG)
    pair = str(tmp_path / "pair.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*command, "-subj", "/CN=test", "-keyout", pair, "-out", pair], check=True, capture_output=True)
    with Served(app, strategy="gate", tls_cert=pair) as served:
        for _ in range(5):
            client(served, stack)
        until(lambda: served.words[ACCEPTED] == 5, "none waits for the one before")
        stack.close()  # else the server waits for handshakes that never end


@pytest.fixture
def _nothing_is_freed() -> Iterator[None]:
    """What other tests have left in cycles would give its descriptors back in the middle of the test."""
    gc.collect()
    with garbage.kept():
        yield


@pytest.mark.usefixtures("_nothing_is_freed")
def test_no_descriptor_left(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so once, burns nothing meanwhile, and goes on when there is room."""
    attempts: list[float] = []
    attempt = accept.Acceptor._accept_next

    def noted(acceptor: accept.Acceptor, listener: socket.socket) -> bool:
        attempts.append(time.monotonic())
        return attempt(acceptor, listener)

    monkeypatch.setattr(accept, "PAUSE", 0.05)
    monkeypatch.setattr(accept.Acceptor, "_accept_next", noted)
    with Served(app) as served:
        sock = stack.enter_context(socket.socket())
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        probe = os.dup(0)
        os.close(probe)
        resource.setrlimit(resource.RLIMIT_NOFILE, (probe, hard))
        try:
            sock.connect(("127.0.0.1", served.port))
            sock.sendall(GET)
            until(lambda: len(attempts) > 6, "it tries again and again")
            pauses = [later - earlier for earlier, later in pairwise(attempts)]
            assert min(pauses) > 0.04, "a busy loop"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        sock.settimeout(DEADLINE)
        assert read_all(sock).endswith(b"ok")
    assert len(served.notes) == 1
    assert "ulimit -n" in served.notes[0]


def test_the_last_one_to_stop_takes_what_is_queued(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "HOLD", LONG)
    with Served(app, strategy="gate") as served:
        client(served, stack)
        until(lambda: served.words[ACCEPTED] == 1, "the gate is closed")
        queued = [client(served, stack, GET) for _ in range(5)]
        served.call(stop(served, last=True))
        assert all(read_all(sock).endswith(b"ok") for sock in queued)
        with pytest.raises(ConnectionRefusedError):
            served.connect()


def test_one_of_many_leaves_the_queue_to_the_others(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "HOLD", LONG)
    with Served(app, strategy="gate") as served:
        other = stack.enter_context(served._listener.dup())
        client(served, stack)
        until(lambda: served.words[ACCEPTED] == 1, "the gate is closed")
        queued = client(served, stack, GET)
        served.call(stop(served, last=False))
        assert served.words[ACCEPTED] == 1
        other.setblocking(True)
        other.settimeout(DEADLINE)
        connection = stack.enter_context(other.accept()[0])
        connection.sendall(b"taken")
        assert queued.recv(100) == b"taken"


def test_what_comes_late_is_taken_by_the_last_one(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection may still be on its way when the queue is empty, and no other process will take it."""
    monkeypatch.setattr(gate, "HOLD", LONG)
    with Served(app, strategy="gate", limit_connections=1) as served:
        client(served, stack)
        until(lambda: served.words[ACCEPTED] == 1, "the gate is closed, and the limit reached")
        served.call(take_all(served))
        assert read_all(client(served, stack, GET)).endswith(b"ok")
        served.call(stop(served, last=False))


async def take_all(served: Served) -> None:
    served.acceptor.take_all()


async def stop(served: Served, *, last: bool) -> None:
    if last:
        served.acceptor.take_all()
    for _ in range(2):  # the second time it has nothing to do
        served.acceptor.stop()
    served.acceptor.take_all()  # nor has this
