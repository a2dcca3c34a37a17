"""Hostile clients on the admin port of a real pool: /livez goes on answering, and nothing else notices."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from tests.process.harness import Pool, running
from tests.process.traffic import descriptors
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Iterator

GOOD = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
# What is sent, and how the answer begins.
STRANGE = {
    "http2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", b"HTTP/1.1 400 "),
    "tls": (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(500), b"HTTP/1.1 400 "),
    "a header of 64 KB": (b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 65536 + b"\r\n\r\n", b"HTTP/1.1 431 "),
    "headers of 64 KB": (b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 10923 + b"\r\n", b"HTTP/1.1 431 "),
    "a body": (b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n" + b"x" * 9999, b"HTTP/1.1 405 "),
    "a request behind another": (2 * GOOD, b"HTTP/1.1 200 "),
}


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    flags = ("--workers", "1", "--lame-duck", "0", "--crash-budget", "1000/60")
    with running("ok:app", *flags, log=tmp_path_factory.mktemp("pool") / "log") as made:
        yield made.ready()


@pytest.fixture(autouse=True)
def unharmed(pool: Pool) -> Iterator[None]:
    """Whatever was done, worker and supervisor are as before, and no descriptor is left open."""
    before, open_before = pool.slot(), descriptors(pool)
    yield
    assert pool.admin("/livez").status_code == 200
    assert pool.get("/pid").json() == before["pid"]
    assert pool.slot()["restarts"] == before["restarts"]
    until(lambda: descriptors(pool) <= open_before, f"{open_before} descriptors again, not {descriptors(pool)}")
    assert "Traceback" not in pool.log


def dial(pool: Pool) -> socket.socket:
    return socket.create_connection(("127.0.0.1", pool.admin_port), timeout=DEADLINE)


def received(sock: socket.socket) -> bytes:
    """All of it, until the other side closes."""
    data = b""
    with contextlib.suppress(ConnectionResetError):  # closed with bytes unread
        while part := sock.recv(65536):
            data += part
    return data


@pytest.mark.parametrize("case", STRANGE.values(), ids=STRANGE)
def test_strange_requests_are_cut(pool: Pool, case: tuple[bytes, bytes]) -> None:
    data, start = case
    with dial(pool) as sock:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(data)
        answer = received(sock)  # comes to an end, though this side never closes
    assert answer.startswith(start)


def test_a_slow_one_is_cut_at_the_deadline(pool: Pool) -> None:
    """It sends a byte now and then, for ever; another one nothing at all."""
    with dial(pool) as sock, dial(pool) as silent:
        sock.settimeout(0.05)

        def cut() -> bool:
            try:
                sock.send(b"G")
                return sock.recv(1) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        assert pool.admin("/livez").status_code == 200
        until(cut, "the connection cut")
        assert received(silent) == b""


def test_500_open_connections(pool: Pool) -> None:
    """Silent ones, and those that stopped in the middle of a request."""
    with contextlib.ExitStack() as stack:
        for number in range(500):
            sock = stack.enter_context(dial(pool))
            with contextlib.suppress(OSError):  # who came first has to go
                sock.sendall(GOOD[: number % len(GOOD)])
        for _ in range(10):
            assert pool.admin("/livez").status_code == 200


def test_probes_are_answered_while_others_press(pool: Pool) -> None:
    """New connections all the time."""
    over, turn = threading.Event(), threading.Lock()

    def press() -> None:
        while not over.is_set():
            # Not while the probe has connected and hasn't sent anything: sixteen others then would push it out.
            with contextlib.suppress(OSError):
                with turn:
                    sock = dial(pool)
                with sock:
                    sock.sendall(STRANGE["tls"][0])

    threads = [threading.Thread(target=press) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            with turn:
                probe = dial(pool)
                probe.sendall(GOOD)
            with probe:
                assert received(probe).startswith(b"HTTP/1.1 200 ")
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_who_does_not_read_his_answer_holds_up_nobody(pool: Pool) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(30):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            sock.connect(("127.0.0.1", pool.admin_port))
            sock.sendall(GOOD.replace(b"/livez", b"/metrics"))
        assert pool.admin("/readyz").status_code == 200
        assert pool.admin("/metrics").status_code == 200


def test_a_restart_under_pressure(tmp_path_factory: pytest.TempPathFactory) -> None:
    log = tmp_path_factory.mktemp("pressed") / "log"
    with running("ok:app", "--workers", "1", log=log) as pool, contextlib.ExitStack() as stack:
        pool.ready()
        for _ in range(100):
            stack.enter_context(dial(pool))
        os.kill(pool.slot()["pid"], signal.SIGKILL)
        pool.until_restarts(1)
