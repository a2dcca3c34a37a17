"""The setting `write_timeout`: who reads nothing is given up, and nobody else is."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.scoreboard import BYTES_OUT, CONNECTIONS, IN_FLIGHT, REQUESTS
from corepod.worker.hypercorn.http2_buffer import MOST, PIECE
from corepod.worker.hypercorn.write_progress import LOOKS, Unmoved
from corepod.worker.transport import on_the_way

from tests.unit.h2client import Http2
from tests.unit.served import DEADLINE, Served, read_all, until

if TYPE_CHECKING:
    from pathlib import Path

SHORT = 0.4  # seconds of write_timeout
LONG = 60.0  # seconds of write_timeout that pass when a test says so
LARGE = 8 << 20  # bytes: more than the kernel's buffers of a connection hold
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class App:
    """Sends much, or without end, or once in a while."""

    def __init__(self) -> None:
        self.sends = 0
        self.disconnects: list[str] = []
        self.go = threading.Event()
        self.ended = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await self._websocket(receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await getattr(self, scope["path"].strip("/"))(receive, send)
        self.ended += 1

    async def _body(self, send: Any, body: bytes, *, more: bool = False) -> None:
        await send({"type": "http.response.body", "body": body, "more_body": more})
        self.sends += 1

    async def large(self, receive: Any, send: Any) -> None:
        await self._body(send, b"x" * LARGE)

    async def medium(self, receive: Any, send: Any) -> None:
        await self._body(send, b"x" * 300_000)

    async def endless(self, receive: Any, send: Any) -> None:
        """As frameworks stream: one task sends, another one waits for the disconnect."""
        sender = asyncio.create_task(self._send_without_end(send))
        while (message := await receive())["type"] == "http.request":
            pass
        self.disconnects.append(message["type"])
        sender.cancel()

    async def _send_without_end(self, send: Any) -> None:
        while True:
            await self._body(send, b"x" * 65536, more=True)

    async def events(self, receive: Any, send: Any) -> None:
        await self._body(send, b"first\n", more=True)
        await asyncio.get_running_loop().run_in_executor(None, self.go.wait, DEADLINE)
        await self._body(send, b"last\n")

    async def _websocket(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "bytes": b"x" * LARGE})
        while (message := await receive())["type"] == "websocket.receive":
            pass
        self.disconnects.append(f"{message['code']}")


@pytest.fixture
def app() -> App:
    return App()


def ask(sock: Any, path: str) -> None:
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())


def stays(served: Served, seconds: float) -> None:
    """The control: for as long, and longer, the connection is there."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert served.words[CONNECTIONS]
        assert served.words[IN_FLIGHT]
        time.sleep(0.01)


def until_more_is_sent(served: Served, before: int) -> None:
    until(lambda: served.words[BYTES_OUT] > before, "more is sent")


# HTTP/1.1 and WebSocket


@pytest.mark.parametrize("path", ["/large", "/endless"])
def test_who_reads_nothing_is_given_up(app: App, path: str) -> None:
    with Served(app, write_timeout=SHORT) as served, served.connect() as sock:
        ask(sock, path)
        until(lambda: served.words[REQUESTS], "it has come")
        served.until_idle()
        assert len(read_all(sock)) < LARGE


def test_who_reads_nothing_and_has_asked_for_more_is_given_up(app: App) -> None:
    with Served(app, write_timeout=SHORT) as served, served.connect() as sock:
        sock.sendall(b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n" * 3)
        until(lambda: served.words[REQUESTS], "it has come")
        served.until_idle()


def test_without_a_limit_who_reads_nothing_may_stay(app: App) -> None:
    with Served(app, write_timeout=0.0) as served, served.connect() as sock:
        ask(sock, "/large")
        until(lambda: served.words[IN_FLIGHT], "it is in flight")
        stays(served, 3 * SHORT)


def test_who_reads_slowly_gets_everything(app: App) -> None:
    """Longer than write_timeout altogether, and in steps by which the server's kernel takes nothing for a while."""
    with Served(app, write_timeout=LONG) as served, served.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)  # it doesn't grow with what is read
        ask(sock, "/large")
        until(lambda: served.words[REQUESTS], "it has come")
        (member,) = served.server.connections.members
        until(member.unsent, "the kernel takes no more")
        got = 0
        for _ in range(2 * LOOKS):
            waits = sum(on_the_way(member.transport))
            while sum(on_the_way(member.transport)) == waits:
                got += len(sock.recv(4096))
            served.advance(LONG / LOOKS)
        assert served.words[IN_FLIGHT], "there is something left to read"
        while data := sock.recv(65536):
            got += len(data)
        assert got > LARGE
        served.until_idle()


def test_who_has_nothing_to_read_is_left_alone(app: App) -> None:
    with Served(app, write_timeout=SHORT / 4) as served, served.connect() as sock:
        ask(sock, "/events")
        until(lambda: app.sends, "the first event is sent")
        stays(served, SHORT)
        app.go.set()
        assert b"last" in read_all(sock)


def test_websocket_who_reads_nothing_is_given_up(app: App) -> None:
    with Served(app, write_timeout=SHORT, websocket_ping=0.0) as served, served.connect() as sock:
        sock.sendall(UPGRADE)
        until(lambda: served.words[REQUESTS], "it has come")
        served.until_idle()
    assert app.disconnects == ["1006"]


def test_websocket_without_a_limit_who_reads_nothing_may_stay(app: App) -> None:
    with Served(app, write_timeout=0.0, websocket_ping=0.0) as served, served.connect() as sock:
        sock.sendall(UPGRADE)
        until(lambda: served.words[IN_FLIGHT], "it is in flight")
        stays(served, 3 * SHORT)


@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
def test_tls_who_reads_nothing_is_given_up(app: App, tmp_path: Path, protocol: str) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run([*command.split(), "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    context = ssl.create_default_context(cafile=str(cert))
    context.check_hostname = False
    context.set_alpn_protocols([protocol])
    with (
        Served(app, write_timeout=SHORT, tls_cert=str(cert), tls_key=str(key)) as served,
        context.wrap_socket(served.connect()) as sock,
    ):
        if protocol == "h2":
            client = Http2(sock)
            open_windows(client)
            client.request("/large")
        else:
            ask(sock, "/large")
        until(lambda: served.words[REQUESTS], "it has come")
        served.until_idle()


# HTTP/2


def open_windows(client: Http2) -> None:
    """Let flow control hold nothing back: what nobody reads fills the transport."""
    client.h2.update_settings({4: 2**31 - 1})
    client.h2.increment_flow_control_window(2**31 - 1 - 65535)
    client.flush()


def test_http2_who_reads_nothing_is_given_up(app: App) -> None:
    with Served(app, write_timeout=SHORT) as served, served.connect() as sock:
        client = Http2(sock)
        open_windows(client)
        for _ in range(3):
            client.request("/large")
        until(lambda: served.words[REQUESTS], "the first one has come")
        served.until_idle()


@pytest.mark.parametrize("path", ["/medium", "/endless"])
def test_http2_a_stream_whose_window_stays_closed_is_reset_and_the_others_go_on(app: App, path: str) -> None:
    with Served(app, write_timeout=SHORT) as served, served.connect() as sock:
        client = Closed(sock, window=1000)
        stalled = [client.request(path) for _ in range(10)]
        other = client.request("/events")
        client.read_until(*stalled)
        assert client.resets == dict.fromkeys(stalled, 8)  # CANCEL
        until(lambda: served.words[IN_FLIGHT] == 1, "the application has ended them")
        app.go.set()
        client.read_until(other)
        assert client.bodies[other] == b"first\nlast\n"


def test_http2_streams_behind_the_window_of_the_connection_are_reset(app: App) -> None:
    """It holds 65 535 bytes, and the settings open the streams' own."""
    with Served(app, write_timeout=SHORT) as served, served.connect() as sock:
        client = Closed(sock, window=2**31 - 1)
        streams = [client.request("/medium") for _ in range(10)]
        client.read_until(*streams)
        assert client.resets == dict.fromkeys(streams, 8)
        until(lambda: not served.words[IN_FLIGHT], "nothing in flight")


def test_http2_a_connection_whose_streams_are_all_reset_is_idle(app: App) -> None:
    with Served(app, write_timeout=SHORT, keep_alive=SHORT) as served:
        with served.held():
            sock = served.connect()
            Closed(sock, window=0).request("/medium")
        with sock:
            until(lambda: served.words[REQUESTS], "it has come")
            served.until_idle()


def test_http2_without_a_limit_closed_windows_may_stay(app: App) -> None:
    with Served(app, write_timeout=0.0) as served, served.connect() as sock:
        client = Closed(sock, window=0)
        for _ in range(10):
            client.request("/medium")
        until(lambda: served.words[IN_FLIGHT] == 10, "they are in flight")
        stays(served, 3 * SHORT)
        assert not client.resets


@pytest.mark.parametrize("window", [0, 2**31 - 1], ids=["of the streams", "of the connection"])
def test_http2_small_updates_of_a_window_are_progress(app: App, window: int) -> None:
    with Served(app, write_timeout=LONG) as served, served.connect() as sock:
        client = Closed(sock, window=window)
        streams = [client.request("/medium") for _ in range(3)]
        until(lambda: served.words[IN_FLIGHT] == 3, "they are in flight")
        (connection,) = served.server.connections.members
        until(lambda: len(connection._http.blocked_streams()) == 3, "their windows are closed")
        for _ in range(2 * LOOKS):
            before = served.words[BYTES_OUT]
            client.h2.increment_flow_control_window(1)
            for stream in streams if not window else ():
                client.h2.increment_flow_control_window(1, stream)
            client.flush()
            until_more_is_sent(served, before)
            served.advance(LONG / LOOKS)
        assert served.words[IN_FLIGHT] == 3
        client.obliging = True
        client.h2.increment_flow_control_window(2_000_000)
        for stream in streams if not window else ():
            client.h2.increment_flow_control_window(1_000_000, stream)
        client.flush()
        client.read_until(*streams)
        assert not client.resets
        assert [len(client.bodies[stream]) for stream in streams] == [300_000] * 3


def test_http2_a_client_that_resets_a_stream_behind_a_closed_window_frees_it(app: App) -> None:
    """In hypercorn, the application's `send` waits on until the connection ends, and the body with it."""
    with Served(app, write_timeout=0.0) as served, served.connect() as sock:
        client = Closed(sock, window=0)
        streams = [client.request("/medium") for _ in range(10)]
        until(lambda: served.words[IN_FLIGHT] == 10, "they are in flight")
        for stream in streams:
            client.h2.reset_stream(stream)
        client.flush()
        until(lambda: not served.words[IN_FLIGHT], "nothing in flight")
        (connection,) = served.server.connections.members
        until(lambda: not connection._http.stream_buffers, "nothing is kept")


def test_http2_a_stream_holds_no_more_than_its_bound(app: App) -> None:
    with Served(app, write_timeout=0.0) as served, served.connect() as sock:
        client = Closed(sock, window=0)
        for path in ("/large", "/medium", "/endless"):
            client.request(path)
        until(lambda: served.words[IN_FLIGHT] == 3, "they are in flight")
        (connection,) = served.server.connections.members
        buffers = connection._http.stream_buffers
        until(lambda: all(len(one.buffer) >= MOST for one in buffers.values()), "they are full")
        stays(served, SHORT)
        assert all(len(one.buffer) < MOST + PIECE for one in buffers.values())
        assert app.sends == 0, "the application waits"


class Closed(Http2):
    """Opens its windows by no more than it is told to, until it is obliging."""

    obliging = False

    def __init__(self, sock: socket.socket, window: int) -> None:
        super().__init__(sock)
        self.h2.update_settings({4: window})
        self.flush()

    def _note(self, event: Any) -> None:
        acknowledge = self.h2.acknowledge_received_data
        if not self.obliging:
            self.h2.acknowledge_received_data = lambda *_: None  # type: ignore[method-assign]
        try:
            super()._note(event)
        finally:
            self.h2.acknowledge_received_data = acknowledge  # type: ignore[method-assign]


# The decision


def test_what_changes_between_two_looks_has_moved() -> None:
    unmoved = Unmoved()
    assert [unmoved.look({1: "a", 2: n}) for n in range(LOOKS + 1)] == [[]] * LOOKS + [[1]]
    assert unmoved.look({1: "b", 2: LOOKS}) == []
    for _ in range(LOOKS - 2):
        assert unmoved.look({1: "b", 2: LOOKS}) == []
    assert unmoved.look({1: "b", 2: LOOKS}) == [2]


def test_what_has_stopped_waiting_begins_anew() -> None:
    unmoved = Unmoved()
    for _ in range(LOOKS):
        assert unmoved.look({1: "a"}) == []
    assert unmoved.look({}) == []
    assert [unmoved.look({1: "a"}) for _ in range(LOOKS + 1)] == [[]] * LOOKS + [[1]]
