"""One request and what became of it, against a server that does what it is told."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from corepod.hit.exchange import NOBODY, OK, REFUSED, RESET, SERVER_ERROR, TIMED_OUT, WRONG, Client, Responder, identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIGNED = b"x-corepod-slot: 1\r\nx-corepod-core: 3\r\nx-corepod-pid: 77\r\n"
LINGER_NONE = struct.pack("ii", 1, 0)  # closing sends a reset


def answer(status: str, body: bytes = b"ok", head: bytes = SIGNED) -> bytes:
    return b"HTTP/1.1 %b\r\n%bcontent-length: %d\r\n\r\n%b" % (status.encode(), head, len(body), body)


@contextmanager
def serving(*turns: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that treats its first connection with the first of `turns`, and so on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for turn in turns:
                sock, _ = listener.accept()
                with sock:
                    turn(sock)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)
        assert not thread.is_alive()


def says(*answers: bytes) -> Callable[[socket.socket], None]:
    """Gives these answers on one connection, a request each, then closes."""

    def turn(sock: socket.socket) -> None:
        for data in answers:
            read(sock)
            sock.sendall(data)

    return turn


def read(sock: socket.socket) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536)


def cuts(sock: socket.socket) -> None:
    read(sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)


def waits(sock: socket.socket) -> None:
    sock.settimeout(10)
    while sock.recv(65536):
        pass


@pytest.mark.parametrize(
    ("turn", "outcome"),
    [
        (says(answer("200 OK")), OK),
        (says(answer("503 Busy")), SERVER_ERROR),
        (says(answer("404 No")), WRONG),
        (says(b"nonsense\r\n\r\n"), WRONG),
        (says(b""), RESET),  # closed without a word
        (says(answer("200 OK", b"half")[:-2]), RESET),
        (cuts, RESET),
        (waits, TIMED_OUT),
    ],
)
def test_what_became_of_it(turn: Callable[[socket.socket], None], outcome: str) -> None:
    with serving(turn) as url:
        found = Client(url, timeout=0.3 if turn is waits else 10).get("/a?b=c")
    assert found.outcome == outcome, found


def test_nobody_listens() -> None:
    with socket.socket() as bound:  # and nobody else can listen there meanwhile
        bound.bind(("127.0.0.1", 0))
        found = Client(f"http://127.0.0.1:{bound.getsockname()[1]}").get("/")
    assert (found.outcome, found.worker) == (REFUSED, NOBODY)


def test_who_answered_is_remembered_for_the_failure_of_a_kept_connection() -> None:
    def one_then_reset(sock: socket.socket) -> None:
        says(answer("200 OK"))(sock)
        cuts(sock)

    with serving(one_then_reset) as url:
        client = Client(url, kept=True)
        assert client.get("/").worker == Responder(slot=1, core=3, pid=77)
        found = client.get("/")
    assert (found.outcome, found.worker.pid) == (RESET, 77)
    assert client.bound == NOBODY


def test_a_connection_that_was_closed_meanwhile_is_no_failure() -> None:
    closed = threading.Event()

    def one_then_close(sock: socket.socket) -> None:
        says(answer("200 OK"))(sock)
        sock.shutdown(socket.SHUT_RDWR)
        closed.set()

    with serving(one_then_close, says(answer("200 OK"))) as url:
        client = Client(url, kept=True)
        assert client.get("/").outcome == OK
        assert closed.wait(10)
        assert client.get("/").outcome == OK
        client.close()


def test_a_server_that_closes_after_its_answer_is_asked_anew() -> None:
    close = answer("200 OK", head=SIGNED + b"connection: close\r\n")
    with serving(says(close), says(close)) as url:
        client = Client(url, kept=True)
        assert [client.get("/").outcome for _ in range(2)] == [OK, OK]


def test_an_answer_that_is_not_the_right_one() -> None:
    with serving(says(answer("200 OK", b"no"))) as url:
        found = Client(url).get("/", lambda given: f"says {given.body!r}")
    assert (found.outcome, found.detail) == (WRONG, "says b'no'")


def test_a_body_tells_what_headers_do_not() -> None:
    body = b'{"pid": 8, "slot": 0, "core": 5, "pinned": false, "pod": "web-1", "node": "n1"}'
    assert identity({}, body) == Responder("web-1", "n1", 0, None, 8)
    assert identity({"X-Corepod-Pid": "9"}, body) == Responder("web-1", "n1", 0, None, 9)
    assert identity({}, body.replace(b"false", b"true")).core == 5
    assert identity({}, b"<html>") == identity({}, b'{"pid": [') == NOBODY


@pytest.mark.parametrize(
    ("worker", "place"),
    [
        (Responder(), "nobody"),
        (Responder(pid=5), "pid 5"),
        (Responder(slot=1, pid=5), "slot 1"),
        (Responder(pod="web-1", slot=0, pid=8), "web-1 slot 0"),
    ],
)
def test_the_place_outlives_the_process(worker: Responder, place: str) -> None:
    assert worker.place == place


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://x", "http://"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match="is not a URL"):
        Client(url)
