"""What has waited for too long is answered 503 at once, over every protocol, and nothing else is."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.scoreboard import ACCEPTED, IN_FLIGHT, QUEUED, REQUESTS, SHED, SHED_LATE
from corepod.worker import arrival
from corepod.worker.application import overload
from corepod.worker.application.wsgi import as_asgi
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.unit.h2client import Http2
from tests.unit.served import DEADLINE, Served, answer, get, read_all, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHORT = 0.1  # seconds of queue_timeout, and less than every wait here
REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class App:
    """Counts what reaches it. A request for /wait is answered when it is let go."""

    def __init__(self) -> None:
        self.calls, self.scopes = 0, list[Any]()
        self.go = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls += 1
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["path"] == "/wait":
            await asyncio.get_running_loop().run_in_executor(None, self.go.wait, DEADLINE)
        await answer(send, b"served")


def wait(seconds: float) -> None:
    """At least so long: longer is as good."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() > end, "time to pass")


def on_a_new_connection(served: Served) -> bytes:
    with served.held():
        sock = served.connect()
        sock.sendall(LAST)
        wait(2 * SHORT)
    with sock:
        return read_all(sock)


def on_a_kept_connection(served: Served) -> bytes:
    with served.connect() as sock:
        # A busy machine may be late for the first one, too.
        until(lambda: _asked(sock), "the first one is served")
        with served.held():
            sock.sendall(LAST)
            wait(2 * SHORT)
        return read_all(sock)


def _asked(sock: socket.socket) -> bool:
    sock.sendall(REQUEST)
    got = b""
    while not got.endswith((b"served", b"again\n")):
        got += sock.recv(65536)
    return got.endswith(b"served")


def of_a_websocket(served: Served) -> bytes:
    with served.held():
        sock = served.connect()
        sock.sendall(HANDSHAKE)
        wait(2 * SHORT)
    with sock:
        return read_all(sock)


def over_http2(served: Served) -> bytes:
    with served.held():
        sock = served.connect()
        client = Http2(sock)
        stream = client.request("/")
        wait(2 * SHORT)
    with sock:
        client.read_until(stream)
        return b"HTTP/1.1 %d \r\nretry-after: 1\r\n" % client.statuses[stream] + client.bodies.get(stream, b"")


WAYS = [on_a_new_connection, on_a_kept_connection, of_a_websocket, over_http2]


@pytest.mark.parametrize("way", WAYS)
def test_what_has_waited_is_shed(way: Callable[[Served], bytes]) -> None:
    app = App()
    with Served(app, queue_timeout=SHORT) as served:
        reply = way(served)
        assert reply.startswith(b"HTTP/1.1 503 "), reply
        assert b"retry-after: 1\r\n" in reply.lower()
        assert reply.endswith(b"overloaded, please try again\n")
        assert app.calls == (way is on_a_kept_connection), "it hasn't reached the application"
        assert served.words[SHED_LATE] >= 1
        assert served.words[SHED] == 0
        assert served.words[QUEUED] >= SHORT * 1e9
        until(lambda: get(served).text == "served", "who comes in time is served")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("limit", [0.0, 10 * DEADLINE])
def test_what_has_waited_is_served_where_it_may_wait(way: Callable[[Served], bytes], limit: float) -> None:
    """The control: without the limit, and with one that isn't reached, the same requests are served."""
    app = App()
    with Served(app, queue_timeout=limit) as served:
        reply = way(served)
        assert reply.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 101 ")), reply
        assert app.calls
        assert served.words[SHED_LATE] == 0
        assert bool(served.words[QUEUED]) == bool(limit)
    assert all(arrival.ARRIVED not in scope["extensions"] for scope in app.scopes)


def test_a_handshake_of_tls_that_has_waited_counts(certificate: tuple[Path, Path]) -> None:
    app = App()
    with Served(app, queue_timeout=SHORT, tls_cert=str(certificate[0]), tls_key=str(certificate[1])) as served:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(certificate[0])
        reading, writing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(reading, writing, server_hostname="localhost")
        with served.held():
            sock = served.connect()
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            sock.sendall(writing.read())
            wait(2 * SHORT)
        with sock:
            reply = _over(tls, reading, writing, sock)
        assert reply.startswith(b"HTTP/1.1 503 "), reply
        assert app.calls == 0


def _over(tls: ssl.SSLObject, reading: ssl.MemoryBIO, writing: ssl.MemoryBIO, sock: socket.socket) -> bytes:
    """Finish the handshake, ask, and return the answer."""
    steps: list[Callable[[], Any]] = [tls.do_handshake, lambda: tls.write(LAST)]
    got = b""
    while True:
        try:
            if steps:
                steps[0]()
                steps.pop(0)
                sock.sendall(writing.read())
            elif not (data := tls.read(65536)):
                return got
            else:
                got += data
        except ssl.SSLWantReadError:
            sock.sendall(writing.read())
            if not (data := sock.recv(65536)):
                return got
            reading.write(data)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return got


def test_a_silent_connection_has_waited_for_nothing() -> None:
    """As a browser opens one ahead: it may be as old as it likes when its request comes."""
    with Served(App(), queue_timeout=10 * DEADLINE) as served:
        began = time.monotonic()
        with served.held():
            sock = served.connect()
            wait(3 * SHORT)
        with sock:
            until(lambda: served.words[ACCEPTED] == 1, "accepted")
            sock.sendall(LAST)
            assert b"served" in read_all(sock)
        age = time.monotonic() - began
        # What a pause of this machine adds comes on top of the request's own time, and isn't that of the connection.
        assert served.words[QUEUED] < age * 1e9


@pytest.mark.parametrize("http", ["httptools", "h11"])
def test_a_head_that_comes_slowly_has_not_waited(http: str) -> None:
    """It is the client that takes its time, always more than the limit. A busy machine may be late for the end of it:
    then it is asked once more."""
    patience = 0.5

    def is_served(served: Served) -> bool:
        with served.connect() as sock:
            sock.sendall(LAST[:-10])
            wait(1.5 * patience)
            sock.sendall(LAST[-10:])
            return read_all(sock).startswith(b"HTTP/1.1 200 ")

    with Served(app := App(), queue_timeout=patience, http=http) as served:
        until(lambda: is_served(served), "a request whose head has come slowly is served")
        assert app.calls == 1


def test_what_a_client_sends_ahead_has_not_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its turn comes when the one before has its answer: nobody but its own client has made it wait."""
    app, ahead = App(), [0.0]
    for module in (arrival, overload):
        monkeypatch.setattr(module, "monotonic", lambda: time.monotonic() + ahead[0])
    with Served(app, queue_timeout=10 * DEADLINE) as served, served.connect() as sock:
        sock.sendall(b"GET /wait HTTP/1.1\r\nHost: test\r\n\r\n" + REQUEST + LAST)
        until(lambda: served.words[IN_FLIGHT], "the first one is there")
        ahead[0] = 100 * DEADLINE
        app.go.set()
        reply = read_all(sock)
        assert reply.count(b"HTTP/1.1 200 ") == 3, reply
        assert served.words[SHED_LATE] == 0


@pytest.mark.parametrize(("seconds", "header"), [(0, b""), (7, b"retry-after: 7\r\n")])
def test_when_to_try_again(seconds: int, header: bytes) -> None:
    with Served(App(), queue_timeout=SHORT, retry_after=seconds) as served:
        reply = on_a_new_connection(served).lower()
    assert reply.startswith(b"http/1.1 503")
    assert (b"retry-after" in reply) == bool(header)
    assert header in reply


def test_a_handshake_is_refused_above_the_limit_of_requests() -> None:
    app = App()
    with Served(app, limit_requests=1) as served, served.connect() as sock:
        url, patience = f"ws://127.0.0.1:{served.port}/", DEADLINE
        with connect(url, open_timeout=patience, close_timeout=patience) as websocket:
            assert list(websocket) == []
        sock.sendall(b"GET /wait HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        until(lambda: app.calls == 2, "a request is being served")
        with pytest.raises(InvalidStatus) as refused:
            connect(url, open_timeout=patience)
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["retry-after"] == "1"
        assert app.calls == 2
        app.go.set()
        assert b"served" in read_all(sock)
        assert served.words[SHED] == 1


# Threads


class Wsgi:
    """Waits for its permission to answer."""

    def __init__(self) -> None:
        self.calls, self.go = 0, threading.Event()

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        self.calls += 1
        self.go.wait(DEADLINE)
        start_response("200 OK", [("Content-Length", "6")])
        return [b"served"]


def test_who_waits_for_a_thread_is_shed_while_none_is_free() -> None:
    wsgi = Wsgi()
    with Served(as_asgi(wsgi, 1), queue_timeout=1.0) as served, served.connect() as first:
        until(lambda: _begins(first, wsgi), "the only thread is taken")
        reply = served.raw(LAST)  # nothing lets the first one go before this has its answer
        assert reply.startswith(b"HTTP/1.1 503 "), reply
        assert b"retry-after: 1\r\n" in reply.lower()
        wsgi.go.set()
        assert first.recv(65536).startswith(b"HTTP/1.1 200 ")
        until(lambda: get(served).text == "served", "there is room again")
        assert wsgi.calls == served.words[REQUESTS] - served.words[SHED_LATE], (
            "what was shed never reached the application"
        )


def _begins(sock: socket.socket, wsgi: Wsgi) -> bool:
    if not wsgi.calls:
        sock.sendall(REQUEST)
        until(lambda: wsgi.calls or _is_shed(sock), "served or shed")
    return bool(wsgi.calls)


def _is_shed(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return bool(sock.recv(65536))
    except BlockingIOError:
        return False
    finally:
        sock.settimeout(DEADLINE)


def test_who_waits_for_a_thread_gets_one_where_there_is_no_limit() -> None:
    """The control."""
    wsgi = Wsgi()
    with Served(as_asgi(wsgi, 1)) as served, served.connect() as first, served.connect() as second:
        first.sendall(REQUEST)
        until(lambda: wsgi.calls == 1, "the only thread is taken")
        second.sendall(LAST)
        until(lambda: served.words[IN_FLIGHT] == 2, "the second one waits")
        wait(2 * SHORT)
        wsgi.go.set()
        assert read_all(second).startswith(b"HTTP/1.1 200 ")
        assert first.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert served.words[SHED_LATE] == 0


def test_a_unix_socket_tells_nothing() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert arrival.arrival(ours, 1.0, tls=False) is None
