"""The worker's server, on real sockets: HTTP/1.1, HTTP/2, WebSocket, TLS, how connections end, and what it counts."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from corepod.contract.scoreboard import (
    ACCEPTED,
    BYTES_IN,
    BYTES_OUT,
    CONNECTIONS,
    ENTRIES,
    ENTRY_OFFSET,
    ENTRY_SIZE,
    IN_FLIGHT,
    LATENCY,
    LATENCY_BOUNDS,
    LATENCY_SUM,
    OWED,
    REQUESTS,
    STATUS,
)
from corepod.worker import transport
from corepod.worker.http import connection as http_connection
from corepod.worker.http import patience
from corepod.worker.http.connection import HttpConnection
from corepod.worker.hypercorn import connection as hypercorn_connection
from corepod.worker.hypercorn import websocket
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.unit.h2client import Http2
from tests.unit.served import DEADLINE, Served, make_record, read_all, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing resets the connection


class App:
    """An application whose requests wait until they are let go."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)
        self.go = threading.Event()
        self.disconnects: list[dict[str, Any]] = []
        self.scopes: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            await self._websocket(receive, send)
        else:
            await getattr(self, "do_" + scope["path"].strip("/") if scope["path"] != "/" else "do_index")(receive, send)

    async def _answer(self, send: Any, body: bytes = b"done") -> None:
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _wait(self) -> None:
        self.arrived.release()
        await asyncio.get_running_loop().run_in_executor(None, self.go.wait, DEADLINE)

    async def do_index(self, receive: Any, send: Any) -> None:
        await self._answer(send)

    async def do_wait(self, receive: Any, send: Any) -> None:
        await self._wait()
        await self._answer(send)

    async def do_fail(self, receive: Any, send: Any) -> None:
        raise RuntimeError("asked to fail")

    async def do_half(self, receive: Any, send: Any) -> None:
        """Fails in the middle of its response."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("asked to fail in the middle")

    async def do_body(self, receive: Any, send: Any) -> None:
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
        await self._answer(send, b"%d" % len(body))

    async def do_stream(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun ", "more_body": True})
        await self._wait()
        await send({"type": "http.response.body", "body": b"done"})

    async def do_head(self, receive: Any, send: Any) -> None:
        """Waits between its response's head and the body."""
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await self._wait()
        await send({"type": "http.response.body", "body": b"done"})

    async def do_until_disconnect(self, receive: Any, send: Any) -> None:
        self.arrived.release()
        while (message := await receive())["type"] != "http.disconnect":
            pass
        self.disconnects.append(message)

    async def do_wait_and_send_much(self, receive: Any, send: Any) -> None:
        await self._wait()
        await self._answer(send, b"x" * (4 << 20))

    async def do_large(self, receive: Any, send: Any) -> None:
        await self._answer(send, b"x" * (4 << 20))

    async def _websocket(self, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})
        self.disconnects.append(message)


@pytest.fixture
def app() -> App:
    return App()


def recv_response(sock: socket.socket) -> bytes:
    """One response with a content-length."""
    got = b""
    while b"\r\n\r\n" not in got:
        data = sock.recv(65536)
        assert data, f"closed after {got!r}"
        got += data
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += sock.recv(65536)
    return head + b"\r\n\r\n" + body


# HTTP/1.1


def test_keep_alive_serves_many_requests_on_a_connection(app: App) -> None:
    with Served(app) as served:
        with served.connect() as sock:
            for _ in range(5):
                sock.sendall(GET)
                assert recv_response(sock).endswith(b"done")
            assert served.words[ACCEPTED] == 1
        served.until_idle()
        assert served.words[REQUESTS] == 5


def test_a_head_waits_for_its_first_body_and_leaves_with_it(
    app: App, monkeypatch: pytest.MonkeyPatch, implementation: str
) -> None:
    writes: list[bytes] = []
    writer: Any = asyncio.StreamWriter if implementation == "h11" else HttpConnection
    write = writer.write

    def noted(self: Any, data: bytes) -> None:
        writes.append(bytes(data))
        write(self, data)

    monkeypatch.setattr(writer, "write", noted)
    with Served(app) as served, served.connect() as sock:
        sock.sendall(GET)
        response = recv_response(sock)
        assert writes == [response]
        sock.sendall(b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert sock.recv(65536) == writes[1]
        sock.sendall(b"GET /head HTTP/1.1\r\nHost: test\r\n\r\n")
        assert app.arrived.acquire(timeout=DEADLINE)
        assert len(writes) == 2, "the head has left before there is a body"
        app.go.set()
        assert recv_response(sock).endswith(b"done")
        assert len(writes) == 3


def test_accepted_sockets_have_no_delay(app: App) -> None:
    with Served(app) as served, served.connect() as sock:
        sock.sendall(GET)
        recv_response(sock)

        async def no_delay() -> list[int]:
            return [
                connection.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                for connection in served.server.connections.members
            ]

        assert served.call(no_delay()) == [1]


def test_no_server_header_unless_asked_for(app: App) -> None:
    with Served(app) as served:
        assert "server" not in httpx.get(served.url(), timeout=DEADLINE).headers
        assert "server" not in httpx.get(served.url("/fail"), timeout=DEADLINE).headers
    with Served(app, server_header=True) as served:
        assert "server" in httpx.get(served.url(), timeout=DEADLINE).headers


def test_the_scope_knows_the_worker(app: App) -> None:
    with Served(app) as served:
        served.instrumented.extension = {"slot": 3}
        served.server.state["corepod"] = {"slot": 3}
        httpx.get(served.url("/?a=b"), timeout=DEADLINE)
    (scope,) = app.scopes
    assert scope["extensions"]["corepod"] == scope["state"]["corepod"] == {"slot": 3}
    assert (scope["raw_path"], scope["query_string"], scope["http_version"]) == (b"/", b"a=b", "1.1")
    assert scope["client"][0] == "127.0.0.1"


def test_an_exception_is_a_500_and_the_next_request_is_served(app: App) -> None:
    with Served(app) as served, httpx.Client(timeout=DEADLINE) as client:
        assert client.get(served.url("/fail")).status_code == 500
        assert client.get(served.url()).status_code == 200
        client.close()
        served.until_idle()
        assert (served.words[STATUS + 5], served.words[STATUS + 2]) == (1, 1)


def test_a_response_that_fails_in_the_middle_is_cut_not_completed(app: App) -> None:
    with Served(app) as served:
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(served.url("/half"), timeout=DEADLINE)
        served.until_idle()


def test_an_application_that_does_not_read_the_body_holds_up_nothing(app: App) -> None:
    """The answer arrives, the connection ends, the request leaves: in hypercorn all three wait for ever."""
    app.go.set()
    with Served(app) as served:
        with served.connect() as sock:
            sock.sendall(b"POST /wait HTTP/1.1\r\nHost: test\r\nContent-Length: 100000000\r\n\r\n")
            sock.settimeout(0.05)  # no more is taken, or not at the moment: enough has been sent in both cases
            with contextlib.suppress(OSError):  # until nobody reads any more
                while True:
                    sock.sendall(b"x" * 65536)
            until(lambda: served.words[STATUS + 2], "it is answered")
        served.until_idle()
        assert served.words[STATUS + 2] == 1


def test_a_client_that_goes_frees_its_connection_at_once(app: App) -> None:
    with Served(app, keep_alive=60.0) as served:
        with served.connect() as sock:
            sock.sendall(GET)
            recv_response(sock)
        served.until_idle()


def test_a_client_that_closes_its_half_still_gets_its_answer(app: App) -> None:
    with Served(app, keep_alive=60.0) as served, served.connect() as sock:
        sock.sendall(b"GET /wait HTTP/1.1\r\nHost: test\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        assert app.arrived.acquire(timeout=DEADLINE)
        app.go.set()
        assert read_all(sock).endswith(b"done")
        served.until_idle()


def test_the_application_learns_that_its_client_has_gone(app: App) -> None:
    with Served(app) as served:
        with served.connect() as sock:
            sock.sendall(b"GET /until_disconnect HTTP/1.1\r\nHost: test\r\n\r\n")
            assert app.arrived.acquire(timeout=DEADLINE)
        served.until_idle()
    assert [message["type"] for message in app.disconnects] == ["http.disconnect"]


def test_an_idle_connection_is_closed_after_keep_alive(app: App) -> None:
    with Served(app, keep_alive=0.5) as served, served.ask(GET) as sock:
        assert read_all(sock).endswith(b"done")


def test_a_silent_connection_is_closed_after_keep_alive(app: App) -> None:
    with Served(app, keep_alive=0.1) as served, served.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHos")  # and no more: a slow loris
        assert read_all(sock) == b""


def test_the_last_request_of_a_connection_says_so(app: App) -> None:
    with Served(app, connection_max_requests=2) as served, served.connect() as sock:
        answers = []
        sock.sendall(GET)
        answers.append(recv_response(sock).lower())
        sock.sendall(GET)
        answers.append(read_all(sock).lower())
    assert [b"connection: close" in answer for answer in answers] == [False, True]


def test_an_old_connection_is_asked_to_close(app: App) -> None:
    with Served(app, keep_alive=200.0, connection_max_age=100.0) as served, served.connect() as sock:
        for is_old in (False, False, True):
            sock.sendall(GET)
            answer = recv_response(sock)
            assert (b"connection: close" in answer.lower()) is is_old
            assert answer.endswith(b"done"), "asked, not cut"
            served.advance(60.0)


# Ends


def test_announcing_the_end_keeps_idle_connections_until_their_next_response(app: App) -> None:
    with Served(app, keep_alive=60.0) as served, served.connect() as sock:
        sock.sendall(GET)
        assert b"close" not in recv_response(sock)
        served.loop.call_soon_threadsafe(served.server.announce_close)
        sock.sendall(GET)
        answer = read_all(sock).lower()
        assert b"connection: close" in answer
        assert answer.endswith(b"done")


def test_closing_idle_connections_leaves_the_busy_one_its_response(app: App) -> None:
    with Served(app, keep_alive=60.0) as served, served.connect() as idle, served.connect() as busy:
        idle.sendall(GET)
        recv_response(idle)
        busy.sendall(b"GET /stream HTTP/1.1\r\nHost: test\r\n\r\n")
        assert app.arrived.acquire(timeout=DEADLINE)
        served.loop.call_soon_threadsafe(served.server.connections.close_idle)
        assert read_all(idle) == b""
        app.go.set()
        assert b"done" in read_all(busy)
        served.until_idle()


def test_a_connection_accepted_at_the_last_moment_brings_its_request(app: App) -> None:
    with Served(app, keep_alive=60.0) as served, served.connect() as idle, served.connect() as late:
        idle.sendall(GET)
        recv_response(idle)
        until(lambda: served.words[CONNECTIONS] == 2, "both are accepted")
        waiting = asyncio.run_coroutine_threadsafe(served.server.connections.until_asked(), served.loop)
        late.sendall(GET)
        assert recv_response(late).endswith(b"done")
        waiting.result(DEADLINE)
        served.loop.call_soon_threadsafe(served.server.connections.close_idle)
        assert read_all(late) == b""


def test_a_connection_in_use_may_ask_once_more(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its next request may be on its way already; the answer then asks it to close."""
    monkeypatch.setattr("corepod.worker.connections.NEXT_REQUEST", 1000.0)
    monkeypatch.setattr("corepod.worker.connections.IN_USE", 1000.0)
    with Served(app, keep_alive=60.0) as served, served.connect() as used:
        used.sendall(GET)
        assert b"close" not in recv_response(used)
        served.call(asyncio.sleep(0))
        served.loop.call_soon_threadsafe(served.server.announce_close)
        waiting = asyncio.run_coroutine_threadsafe(served.server.connections.until_asked(), served.loop)
        with pytest.raises(TimeoutError):
            waiting.result(0.1)
        used.sendall(GET)
        answer = read_all(used).lower()
        assert b"connection: close" in answer
        assert answer.endswith(b"done")
        waiting.result(DEADLINE)


def test_a_connection_that_is_not_in_use_holds_nothing_up(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corepod.worker.connections.NEXT_REQUEST", 1000.0)
    monkeypatch.setattr("corepod.worker.connections.IN_USE", 0.0)
    with Served(app, keep_alive=60.0) as served, served.connect() as idle:
        idle.sendall(GET)
        recv_response(idle)
        served.call(served.server.connections.until_asked())
        served.loop.call_soon_threadsafe(served.server.connections.close_idle)
        assert read_all(idle) == b""


def test_a_slow_reader_gets_the_end_of_its_response(app: App) -> None:
    with Served(app) as served, served.connect() as sock:
        sock.sendall(b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n")
        until(lambda: served.words[REQUESTS], "it has come")
        got = b""
        # It may still be in flight for a moment when all of it is here, and then nothing more comes.
        while served.words[IN_FLIGHT] and len(got) < 4 << 20:
            got += sock.recv(1 << 18)
        waiting = asyncio.run_coroutine_threadsafe(served.server.connections.flush(DEADLINE), served.loop)
        got += read_at_least(sock, (4 << 20) - len(got))
        waiting.result(DEADLINE)
        assert got.endswith(b"x" * 1000)


def read_at_least(sock: socket.socket, length: int) -> bytes:
    got = b""
    while len(got) < length:
        got += sock.recv(1 << 18)
    return got


# What is counted


def test_counters(app: App) -> None:
    with Served(app) as served:
        with httpx.Client(timeout=DEADLINE) as client:
            for path in ("/", "/", "/fail"):
                client.get(served.url(path))
        served.until_idle()
        words = served.words
        assert words[REQUESTS] == 3
        assert (words[STATUS + 2], words[STATUS + 5]) == (2, 1)
        assert words[ACCEPTED] == 1
        assert sum(words[LATENCY : LATENCY + len(LATENCY_BOUNDS) + 1]) == 3
        assert 0 < words[LATENCY_SUM] < DEADLINE * 1e9


def test_bytes_are_those_on_the_wire(app: App) -> None:
    with Served(app) as served:
        answer = served.raw(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        served.until_idle()
        assert served.words[BYTES_IN] == len(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        assert served.words[BYTES_OUT] == len(answer)


def test_what_is_in_flight_is_named(app: App) -> None:
    with Served(app) as served, served.connect() as sock:
        sock.sendall(b"GET /wait?secret=1 HTTP/1.1\r\nHost: test\r\n\r\n")
        assert app.arrived.acquire(timeout=DEADLINE)
        names = [text for text in entries(served) if text]
        app.go.set()
        recv_response(sock)
    assert names == [b"GET /wait"]


@pytest.mark.parametrize("method", ["A" * 119, "A" * 120, "A" * 121, "A" * 500, "A" * 3000])
def test_a_long_method_overwrites_nothing(method: str) -> None:
    """Every entry is written with it; the words after and before are as they were."""
    record = make_record()
    memory = memoryview(record._map)
    before = bytes(memory[ENTRY_OFFSET + ENTRIES * ENTRY_SIZE : 4096])
    taken = [record.begin(1, method, b"/x" * 400) for _ in range(ENTRIES)]
    assert -1 not in taken
    assert record.begin(1, "GET", b"/") == -1, "there are no more entries"
    assert bytes(memory[ENTRY_OFFSET + ENTRIES * ENTRY_SIZE : 4096]) == before
    for entry in range(ENTRIES):
        at = ENTRY_OFFSET + entry * ENTRY_SIZE
        text = bytes(memory[at + 8 : at + ENTRY_SIZE])
        assert text[-1] == 0
        assert text.rstrip(b"\0") == (method.encode() + b" " + b"/x" * 400)[:119]
    for entry in taken:
        record.end(entry)
    assert record.begin(1, "GET", b"/") >= 0
    memory.release()


def entries(served: Served) -> list[bytes]:
    memory = memoryview(served.record._map)
    found = []
    for entry in range(ENTRIES):
        at = ENTRY_OFFSET + entry * ENTRY_SIZE
        if int.from_bytes(memory[at : at + 8], "little"):
            found.append(bytes(memory[at + 8 : at + ENTRY_SIZE]).split(b"\0")[0])
    memory.release()
    return found


# HTTP/2


@pytest.fixture
def h2(app: App) -> Iterator[tuple[Served, Http2]]:
    with Served(app) as served, served.connect() as sock:
        yield served, Http2(sock)


def test_http2_by_prior_knowledge(app: App, h2: tuple[Served, Http2]) -> None:
    served, client = h2
    assert client.get("/?q=1") == (200, b"done")
    assert app.scopes[0]["http_version"] == "2"
    stream = client.request("/body", "POST", end=False)
    for _ in range(20):
        client.data(stream, b"x" * 1000)
    client.data(stream, b"", end=True)
    client.read_until(stream)
    assert client.bodies[stream] == b"20000"
    assert served.words[REQUESTS] == 2


def test_http2_an_upgrade_is_ignored(app: App) -> None:
    """A proxy that passes the Upgrade on and knows nothing of HTTP/2 would let the rest of the connection through."""
    with Served(app) as served:
        answer = served.raw(
            b"GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n"
            b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        )
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_client_that_has_reset_its_connection_is_counted_once_a_request(app: App) -> None:
    """Nothing is read while the second request waits: that its client has gone shows when the first one is answered."""
    with Served(app) as served:
        with served.connect() as sock:
            sock.sendall(GET.replace(b"/", b"/wait", 1) * 2)
            assert app.arrived.acquire(timeout=DEADLINE)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        app.go.set()
        served.until_idle()
        assert sum(served.words[STATUS : STATUS + 6]) == served.words[REQUESTS]


@pytest.mark.parametrize("sent", [b"POST /body HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nabc", GET[:-5]])
def test_a_client_that_leaves_in_the_middle_of_a_request_is_no_error(
    app: App, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with Served(app) as served:
        for _ in range(20):
            with served.connect() as sock:
                sock.sendall(sent)
                until(lambda: served.words[CONNECTIONS] == 1, "it is accepted")
        served.until_idle()
    # Not those of asyncio: they may be of what another test has left.
    assert [record.getMessage() for record in caplog.records if record.name == "corepod"] == []


def test_http2_an_early_answer_leaves_the_other_streams_alone(app: App, h2: tuple[Served, Http2]) -> None:
    _, client = h2
    early, other = client.request("/", "POST", end=False), client.request("/wait")
    client.read_until(early)
    for _ in range(5):
        client.data(early, b"x" * 1000)  # nobody wants it any more
    client.read_until(early)
    app.go.set()
    client.read_until(other)
    assert client.statuses == {early: 200, other: 200}
    assert client.get("/") == (200, b"done")
    assert not client.closed


def test_http2_a_client_is_told_to_stop_sending(h2: tuple[Served, Http2]) -> None:
    _, client = h2
    early = client.request("/", "POST", end=False)
    client.read_until(early)
    client.data(early, b"x")
    while early not in client.resets:
        client._read()
    assert client.resets[early] == 0, "no error: the answer is complete"


def test_http2_a_body_nobody_reads_holds_up_nothing(app: App, h2: tuple[Served, Http2]) -> None:
    served, client = h2
    stream = client.request("/wait", "POST", end=False)
    for _ in range(50):
        client.data(stream, b"x" * 1000)
    app.go.set()
    client.read_until(stream)
    assert client.get("/") == (200, b"done")
    until(lambda: not served.words[IN_FLIGHT], "nothing in flight")


@pytest.mark.parametrize("path", ["/wait", "/wait_and_send_much"])
def test_http2_an_answer_to_a_client_that_has_gone_holds_up_nothing(app: App, path: str) -> None:
    with Served(app) as served:
        with served.connect() as sock:
            Http2(sock).request(path)
            assert app.arrived.acquire(timeout=DEADLINE)
        until(lambda: all(one.gone for one in list(served.server.connections.members)), "the server has seen it go")
        app.go.set()
        served.until_idle()


def test_http2_a_response_that_fails_in_the_middle_is_reset(h2: tuple[Served, Http2]) -> None:
    _, client = h2
    stream = client.request("/half")
    client.read_until(stream)
    assert client.resets == {stream: 2}  # INTERNAL_ERROR
    assert client.get("/") == (200, b"done")


def test_http2_an_exception_is_a_500(h2: tuple[Served, Http2]) -> None:
    _, client = h2
    assert client.get("/fail")[0] == 500
    assert client.get("/")[0] == 200


def test_http2_the_end_is_announced_and_open_streams_finish(app: App, h2: tuple[Served, Http2]) -> None:
    served, client = h2
    open_stream = client.request("/wait")
    assert app.arrived.acquire(timeout=DEADLINE)
    served.loop.call_soon_threadsafe(served.server.announce_close)
    while client.goaway is None:
        client._read()
    assert (client.goaway.error_code, client.goaway.last_stream_id) == (0, 2**31 - 1)
    crossing = client.request("/")  # was on its way when the server said so
    app.go.set()
    client.read_until(open_stream, crossing)
    assert client.statuses == {open_stream: 200, crossing: 200}
    served.loop.call_soon_threadsafe(served.server.connections.close_idle)
    client.read_all()


def test_http2_a_connection_opened_while_leaving_serves_before_it_says_so(app: App, h2: tuple[Served, Http2]) -> None:
    """Were it told at once, a client would open connections for ever and never ask."""
    served, first = h2
    first.get("/")
    served.loop.call_soon_threadsafe(served.server.announce_close)
    with served.connect() as sock:
        client = Http2(sock)
        assert client.get("/") == (200, b"done")
        while client.goaway is None:
            client._read()


def test_http2_the_greatest_number_of_requests_loses_none(app: App) -> None:
    with Served(app, connection_max_requests=3) as served, served.connect() as sock:
        client = Http2(sock)
        streams = [client.request("/wait") for _ in range(5)]
        for _ in streams:
            assert app.arrived.acquire(timeout=DEADLINE)
        app.go.set()
        client.read_until(*streams)
        assert set(client.statuses.values()) == {200}
        assert client.goaway.error_code == 0


def test_http2_who_ignores_the_announcement_is_cut_off(app: App) -> None:
    with Served(app, connection_max_requests=3, http2_max_streams=2) as served, served.connect() as sock:
        client = Http2(sock)
        with contextlib.suppress(OSError):
            while client.goaway is None or client.goaway.error_code == 0:
                client.read_until(client.request("/"))
        client.read_all()
        assert len(client.ended) <= 3 + 2 + 1
        assert client.goaway.error_code == 11  # ENHANCE_YOUR_CALM
        served.until_idle()


# WebSocket


def ws(served: Served, **options: Any) -> Any:
    return connect(f"ws://127.0.0.1:{served.port}/ws", open_timeout=DEADLINE, close_timeout=DEADLINE, **options)


def test_websocket(app: App) -> None:
    with Served(app) as served:
        with ws(served) as socket:
            socket.send("text")
            assert socket.recv(DEADLINE) == "text"
            socket.send(b"bytes")
            assert socket.recv(DEADLINE) == b"bytes"
            assert served.words[IN_FLIGHT] == 1
        served.until_idle()
    assert app.disconnects == [{"type": "websocket.disconnect", "code": 1000, "reason": ""}]


def test_websocket_code_and_reason_of_the_client_reach_the_application(app: App) -> None:
    with Served(app) as served:
        with ws(served) as socket:
            socket.close(4001, "enough")
        served.until_idle()
        with served.connect() as sock:
            handshake(sock)  # and goes without a word
        served.until_idle()
    assert [(message["code"], message["reason"]) for message in app.disconnects] == [(4001, "enough"), (1006, "")]


def test_websocket_frees_its_connection_at_once(app: App) -> None:
    """hypercorn's pings sleep on for their whole interval, and the connection counts as open."""
    with Served(app, websocket_ping=60.0) as served:
        with ws(served):
            pass
        served.until_idle()


def test_websocket_pings(app: App) -> None:
    with Served(app, websocket_ping=0.02) as served, served.connect() as sock:
        handshake(sock)
        assert b"\x89\x00" in read_at_least(sock, 4)


def test_websocket_clients_are_asked_to_come_again(app: App) -> None:
    with Served(app) as served, ws(served) as socket:
        socket.send("hello")
        assert socket.recv(DEADLINE) == "hello"
        served.loop.call_soon_threadsafe(served.server.close_websockets)
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(DEADLINE)
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1012, "service restart")
        served.until_idle()
    assert [message["code"] for message in app.disconnects] == [1012]


def test_websocket_clients_that_come_while_leaving_are_asked_too(app: App) -> None:
    with Served(app) as served:
        served.loop.call_soon_threadsafe(served.server.close_websockets)
        with ws(served) as socket, pytest.raises(ConnectionClosed) as caught:
            socket.recv(DEADLINE)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1012
        served.until_idle()


def test_websocket_client_that_does_not_answer_is_left(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "FAREWELL", 0.1)
    with Served(app) as served, served.connect() as sock:
        handshake(sock)
        served.loop.call_soon_threadsafe(served.server.close_websockets)
        assert b"\x88" in read_all(sock)
        served.until_idle()
    assert [message["code"] for message in app.disconnects] == [1012]


SHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def handshake(sock: socket.socket) -> None:
    sock.sendall(SHAKE)
    got = b""
    while b"\r\n\r\n" not in got:
        got += sock.recv(1)
    assert got.startswith(b"HTTP/1.1 101")


def test_websocket_message_that_is_too_large(app: App) -> None:
    with Served(app, websocket_max_message=1000) as served, ws(served) as socket:
        socket.send("x" * 2000)
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(DEADLINE)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009


# TLS


def tls_client(certificate: tuple[Path, Path], *alpn: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificate[0]))
    context.set_alpn_protocols(list(alpn))
    return context


@pytest.fixture
def tls(app: App, certificate: tuple[Path, Path]) -> Iterator[Served]:
    with Served(app, tls_cert=str(certificate[0]), tls_key=str(certificate[1])) as served:
        yield served


def test_tls_with_http1_and_http2(app: App, tls: Served, certificate: tuple[Path, Path]) -> None:
    with tls_client(certificate, "http/1.1").wrap_socket(tls.connect(), server_hostname="localhost") as sock:
        sock.sendall(GET)
        assert recv_response(sock).endswith(b"done")
        assert sock.version() in ("TLSv1.2", "TLSv1.3")
    with tls_client(certificate, "h2").wrap_socket(tls.connect(), server_hostname="localhost") as sock:
        assert sock.selected_alpn_protocol() == "h2"
        assert Http2(sock).get("/") == (200, b"done")
    assert [scope["scheme"] for scope in app.scopes] == ["https", "https"]


@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
def test_tls_a_large_response_is_whole(tls: Served, certificate: tuple[Path, Path], protocol: str) -> None:
    """Writes end when the kernel has everything, and TLS has two buffers before it."""
    with tls_client(certificate, protocol).wrap_socket(tls.connect(), server_hostname="localhost") as sock:
        if protocol == "h2":
            assert Http2(sock).get("/large") == (200, b"x" * (4 << 20))
        else:
            sock.sendall(b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n")
            assert len(recv_response(sock)) > 4 << 20
        until(lambda: not tls.words[OWED] and not tls.words[IN_FLIGHT], "nothing owed")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_tls_a_websocket_asked_for_with_the_end_of_the_handshake(
    app: App, certificate: tuple[Path, Path], loop: str
) -> None:
    """The server's tickets may be unsent then, so that its transport is paused when another protocol takes over."""
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    cert, key = map(str, certificate)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = tls_client(certificate, "http/1.1").wrap_bio(incoming, outgoing, server_hostname="localhost")
    with Served(app, tls_cert=cert, tls_key=key, loop=loop) as served, served.connect() as sock:
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                incoming.write(sock.recv(1 << 16))
        session.write(SHAKE)
        sock.sendall(outgoing.read())
        answer = b""
        while b"\r\n\r\n" not in answer:
            try:
                answer += session.read()
            except ssl.SSLWantReadError:
                incoming.write(sock.recv(1 << 16))
        assert answer.startswith(b"HTTP/1.1 101")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_tls_what_a_slow_client_has_not_taken_is_owed_and_comes(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, loop: str, implementation: str
) -> None:
    """TLS has a limit for its end, which must not begin while the response is still on its way."""
    if implementation == "h11":
        loop = "asyncio"  # h11 writes all of a body at once, and uvloop hides what waits of it
    if loop == "asyncio":  # uvloop hides the last 64 KiB, which take their time
        monkeypatch.setattr(transport, "TLS_FAREWELL", 0.05)
    else:
        pytest.importorskip("uvloop")
    size, began = 20 << 20, asyncio.Event()

    async def large(scope: Any, receive: Any, send: Any) -> None:
        began.set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * size})

    with Served(large, tls_cert=str(certificate[0]), tls_key=str(certificate[1]), loop=loop) as served:
        with tls_client(certificate, "http/1.1").wrap_socket(served.connect(), server_hostname="localhost") as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            until(began.is_set, "it is being served")
            served.call(asyncio.sleep(0.2))
            assert served.words[OWED] == 1
            assert read_all(sock).rstrip(b"\r\n0").count(b"x") == size
        served.until_idle()


def test_tls_a_client_that_is_still_sending_gets_its_answer(
    tls: Served, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody reads the body, so the connection ends: but not before the client has had its answer."""
    # However long the client is kept waiting for a core.
    monkeypatch.setattr(hypercorn_connection, "TLS_FAREWELL", DEADLINE)
    for module in (http_connection, patience):
        monkeypatch.setattr(module, "LINGER", DEADLINE)
    with tls_client(certificate).wrap_socket(tls.connect(), server_hostname="localhost") as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3000000\r\n\r\n")
        for _ in range(150):
            sock.sendall(b"x" * 20_000)
        answer = recv_response(sock)
        assert b"connection: close" in answer.lower()
        assert answer.endswith(b"done")
    tls.until_idle()


def test_tls_with_certificate_and_key_in_one_file(app: App, certificate: tuple[Path, Path], tmp_path: Path) -> None:
    """Never in the clear where a certificate is given: hypercorn would, without a key."""
    both = tmp_path / "both.pem"
    both.write_bytes(certificate[1].read_bytes() + certificate[0].read_bytes())
    with Served(app, tls_cert=str(both)) as served:
        with tls_client(certificate).wrap_socket(served.connect(), server_hostname="localhost") as sock:
            sock.sendall(GET)
            assert recv_response(sock).endswith(b"done")
        assert b"HTTP" not in served.raw(GET)


def test_tls_whoever_speaks_none_is_dropped_and_nobody_notices(tls: Served, certificate: tuple[Path, Path]) -> None:
    assert b"200" not in tls.raw(GET)
    with tls.connect():
        pass  # gone before the handshake
    tls.until_idle()
    with tls_client(certificate).wrap_socket(tls.connect(), server_hostname="localhost") as sock:
        sock.sendall(GET)
        assert recv_response(sock).endswith(b"done")


def test_tls_a_silent_client_counts_as_a_connection(app: App, certificate: tuple[Path, Path]) -> None:
    """Or limit_connections would be no limit: the handshake takes as long as the client wants, up to a bound."""
    with (
        Served(app, tls_cert=str(certificate[0]), tls_key=str(certificate[1]), limit_connections=2) as served,
        served.connect(),
        served.connect(),
        served.connect(),
    ):
        until(lambda: served.words[CONNECTIONS] == 2, "two are held")
        assert served.words[ACCEPTED] == 2


def test_tls_begins_at_1_2(tls: Served) -> None:
    context = tls.server.ssl
    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_tls_client_certificates(app: App, certificate: tuple[Path, Path]) -> None:
    cert, key = map(str, certificate)
    with Served(app, tls_cert=cert, tls_key=key, tls_client_ca=cert) as served:
        context = tls_client(certificate)
        with contextlib.suppress(OSError), context.wrap_socket(served.connect(), server_hostname="localhost") as sock:
            sock.sendall(GET)
            assert read_all(sock) == b""
        context.load_cert_chain(cert, key)
        with context.wrap_socket(served.connect(), server_hostname="localhost") as sock:
            sock.sendall(GET)
            assert recv_response(sock).endswith(b"done")
