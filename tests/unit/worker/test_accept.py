"""Taking connections from the shared queue: the gate, hesitation, limits, and how it stops. Real sockets and loops."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.scoreboard import ACCEPTED, IN_FLIGHT
from corepod.worker import accept
from corepod.worker.accept import ThreadShare

from tests.unit.served import DEADLINE, Served, read_all, until

if TYPE_CHECKING:
    from collections.abc import Iterator

GET = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
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


@pytest.mark.parametrize("strategy", ["gate", "one", "batch"])
def test_everybody_is_served(strategy: str, stack: ExitStack) -> None:
    with Served(app, strategy=strategy) as served:
        socks = [client(served, stack, GET) for _ in range(50)]
        assert all(read_all(sock).endswith(b"ok") for sock in socks)
        assert served.words[ACCEPTED] == 50
        served.until_idle()


def test_the_gate_is_closed_until_the_request_arrives(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accept, "HOLD", LONG)
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
    monkeypatch.setattr(accept, "HOLD", LONG)
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


def test_a_worker_whose_threads_compute_hesitates_but_not_for_ever(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accept, "ThreadShare", Burning)
    monkeypatch.setattr(accept, "HESITATE", 0.1)
    with Served(waits, strategy="gate") as served:
        client(served, stack, GET.replace(b"/", b"/wait", 1))
        until(lambda: served.words[IN_FLIGHT] == 1, "it has something to do")
        started = time.monotonic()
        assert read_all(client(served, stack, GET)).endswith(b"ok")
        assert time.monotonic() - started >= 0.1
        stack.close()


def test_a_worker_that_hesitates_stops_when_it_has_nothing_left_to_do(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a queue waits beside an idle core: two workers get less done than one that doesn't hesitate."""
    monkeypatch.setattr(accept, "ThreadShare", Burning)
    monkeypatch.setattr(accept, "HESITATE", LONG)
    with Served(waits, strategy="gate") as served:
        busy = client(served, stack, GET.replace(b"/", b"/wait", 1))
        until(lambda: served.words[IN_FLIGHT] == 1, "it has something to do")
        second = client(served, stack, GET)
        turn(served)
        assert served.words[ACCEPTED] == 1, "it hesitates"
        busy.close()
        assert read_all(second).endswith(b"ok")


def test_a_worker_without_requests_does_not_hesitate(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accept, "ThreadShare", Burning)
    monkeypatch.setattr(accept, "HESITATE", LONG)
    with Served(waits, strategy="gate") as served:
        for _ in range(3):
            assert read_all(client(served, stack, GET)).endswith(b"ok")
            served.until_idle()


def test_only_the_gate_hesitates(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accept, "ThreadShare", Burning)
    monkeypatch.setattr(accept, "HESITATE", LONG)
    with Served(waits, strategy="one") as served:
        client(served, stack, GET.replace(b"/", b"/wait", 1))
        until(lambda: served.words[IN_FLIGHT] == 1, "it has something to do")
        assert read_all(client(served, stack, GET)).endswith(b"ok")
        stack.close()


def test_the_share_of_threads() -> None:
    share, stop = ThreadShare(), threading.Event()

    def burn() -> None:
        while not stop.is_set():
            pass

    time.sleep(accept.WINDOW)
    idle = share.now()
    thread = threading.Thread(target=burn)
    thread.start()
    try:
        until(lambda: share.now() > idle + 0.2, "the thread's work shows")
    finally:
        stop.set()
        thread.join()
    until(lambda: share.now() < 0.2, "and ends")


def test_no_descriptor_left(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so once, burns nothing meanwhile, and goes on when there is room."""
    monkeypatch.setattr(accept, "PAUSE", 0.05)
    with Served(app) as served:
        sock = stack.enter_context(socket.socket())
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        probe = os.dup(0)
        os.close(probe)
        resource.setrlimit(resource.RLIMIT_NOFILE, (probe, hard))
        try:
            sock.connect(("127.0.0.1", served.port))
            sock.sendall(GET)
            until(lambda: served.notes, "it says so")
            before = time.process_time()
            time.sleep(0.3)  # six more attempts
            assert time.process_time() - before < 0.2, "a busy loop"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        sock.settimeout(DEADLINE)
        assert read_all(sock).endswith(b"ok")
    assert len(served.notes) == 1
    assert "ulimit -n" in served.notes[0]


def test_the_last_one_to_stop_takes_what_is_queued(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accept, "HOLD", LONG)
    with Served(app, strategy="gate") as served:
        client(served, stack)
        until(lambda: served.words[ACCEPTED] == 1, "the gate is closed")
        queued = [client(served, stack, GET) for _ in range(5)]
        served.call(stop(served, last=True))
        assert all(read_all(sock).endswith(b"ok") for sock in queued)
        with pytest.raises(ConnectionRefusedError):
            served.connect()


def test_one_of_many_leaves_the_queue_to_the_others(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accept, "HOLD", LONG)
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


async def stop(served: Served, *, last: bool) -> None:
    served.acceptor.stop(last=last)
    served.acceptor.stop(last=last)  # the second time it has nothing to do
