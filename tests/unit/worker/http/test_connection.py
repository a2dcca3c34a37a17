"""Clients that send in every order, cut and amount, and clients that leave at every moment."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import struct
import threading
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.scoreboard import CONNECTIONS, IN_FLIGHT, OWED, REQUESTS
from corepod.worker.http import connection, patience
from corepod.worker.http.connection import HttpConnection
from corepod.worker.http.exchange import Exchange
from corepod.worker.http.reader import PIECE, RequestReader

from tests import garbage
from tests.unit.served import DEADLINE, Served, read_all, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class App:
    """Says what it was sent. `/held` waits until the test lets it go."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.go = asyncio.Event()

    def let_go(self, served: Served) -> None:
        served.loop.call_soon_threadsafe(self.go.set)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.paths.append(scope["path"])
        if scope["path"] == "/held":
            await self.go.wait()
        size = 0
        while scope["path"] != "/first-bytes" or not size:
            message = await receive()
            if message["type"] != "http.request":
                return
            size += len(message["body"])
            if not message["more_body"]:
                break
        text = f"{scope['method']} {scope['path']} {size};".encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
        await send({"type": "http.response.body", "body": text})


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def served(app: App) -> Iterator[Served]:
    with Served(app, keep_alive=DEADLINE, connection_max_requests=20_000) as server:
        yield server
        app.let_go(server)
        server.until_idle()
        assert not server.words[OWED]


def get(path: str = "/", *headers: bytes) -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"GET %b HTTP/1.1\r\nHost: test\r\n%b\r\n" % (path.encode(), lines)


def post(path: str, body: bytes, *headers: bytes) -> bytes:
    return get(path, b"Content-Length: %d" % len(body), *headers).replace(b"GET", b"POST", 1) + body


PROPFIND = get("/post", b"Connection: close").replace(b"GET", b"PROPFIND", 1)
HELD, LAST = get("/held"), get("/last", b"Connection: close")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)  # and empty settings


def bodies(answer: bytes) -> list[str]:
    return [part.partition(b"\r\n\r\n")[2].decode() for part in answer.split(b"HTTP/1.1 ")[1:]]


def send_slowly(sock: socket.socket, data: bytes) -> None:
    """Each byte is a packet, as far as the kernel lets it."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in data:
        sock.send(bytes([byte]))


# Pipelining


def test_ten_thousand_requests_in_one_write_wait_as_bytes(app: App, served: Served) -> None:
    one = [get(f"/{n}") for n in range(10_000)]
    with served.connect() as sock:
        sender = threading.Thread(target=sock.sendall, args=(HELD + b"".join(one) + LAST,))
        sender.start()
        until(lambda: app.paths == ["/held"], "the first one is being served")
        (member,) = served.server.connections.members
        until(lambda: member.waiting, "others wait")
        assert len(member.waiting) <= PIECE // len(get())
        app.let_go(served)
        answer = read_all(sock)
        sender.join()
    assert bodies(answer) == ["GET /held 0;", *(f"GET /{n} 0;" for n in range(10_000)), "GET /last 0;"]


@pytest.mark.parametrize("size", [10, PIECE, 5 * PIECE, 20 * PIECE])
@pytest.mark.parametrize("before", [1, 3])
def test_the_body_of_a_request_that_waited_arrives(app: App, served: Served, size: int, before: int) -> None:
    with served.connect() as sock:
        requests = HELD * before + post("/post", bytes(size)) + post("/post", bytes(size)) + LAST
        sender = threading.Thread(target=sock.sendall, args=(requests,))
        sender.start()
        until(lambda: app.paths, "the first one is being served")
        app.let_go(served)
        answer = read_all(sock)
        sender.join()
    assert bodies(answer) == ["GET /held 0;"] * before + [f"POST /post {size};"] * 2 + ["GET /last 0;"]


def test_a_client_that_says_everything_and_closes_its_half_gets_every_answer(app: App, served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(HELD + get("/b") + post("/c", b"abc"))
        sock.shutdown(socket.SHUT_WR)
        app.let_go(served)
        assert bodies(read_all(sock)) == ["GET /held 0;", "GET /b 0;", "POST /c 3;"][: len(app.paths)]
    assert app.paths[:2] == ["/held", "/b"]


def test_a_request_that_is_cut_has_no_answer_and_those_before_it_have(app: App, served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(HELD + get("/b") + post("/cut", b"abc")[:-1])
        sock.shutdown(socket.SHUT_WR)
        until(lambda: app.paths, "the first one is being served")
        app.let_go(served)
        assert bodies(read_all(sock)) == ["GET /held 0;", "GET /b 0;"]


def test_what_is_no_request_is_refused_when_it_has_its_turn(app: App, served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(HELD + get("/b") + b"\0\r\n\r\n")
        until(lambda: app.paths, "the first one is being served")
        app.let_go(served)
        answer = read_all(sock)
    assert bodies(answer) == ["GET /held 0;", "GET /b 0;", ""]
    assert answer.count(b"HTTP/1.1 200") == 2


def test_a_connection_that_is_to_be_closed_says_so_and_drops_what_waits(app: App, served: Served) -> None:
    async def close_idle() -> None:
        served.server.connections.close_idle()

    with served.connect() as sock:
        sock.sendall(HELD + get("/never") * 3)
        until(lambda: app.paths, "the first one is being served")
        served.call(close_idle())
        app.let_go(served)
        answer = read_all(sock)
    assert bodies(answer) == ["GET /held 0;"]
    assert b"connection: close" in answer
    assert "/never" not in app.paths


def test_what_follows_a_body_that_is_too_long_to_be_read_for_nothing_is_no_request(app: App, served: Served) -> None:
    size = 70_000
    with served.connect() as sock:
        sock.sendall(post("/first-bytes", bytes(size))[: -size + 10])
        while b"/first-bytes" not in sock.recv(65536):
            pass
        sock.sendall(bytes(size - 10) + get("/smuggled") * 3)
        assert read_all(sock) == b""
    assert app.paths == ["/first-bytes"]


# Pieces


def test_a_packet_within_a_head_is_no_preface(served: Served) -> None:
    with served.connect() as sock:
        for piece in (b"GET /", b"P", b"PRI", b" HTT", b"P", b"/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"):
            send_slowly(sock, piece)
            served.call(asyncio.sleep(0))
        assert bodies(read_all(sock)) == ["GET /PPRI 0;"]


@pytest.mark.parametrize("request_", [post("/post", b"PRI *", b"Connection: close"), PROPFIND])
def test_who_begins_like_the_preface_is_served_here(app: App, served: Served, request_: bytes) -> None:
    with served.connect() as sock:
        send_slowly(sock, request_)
        assert read_all(sock).startswith(b"HTTP/1.1 ")
    assert app.paths == ["/post"]


def test_the_preface_may_come_in_pieces(served: Served) -> None:
    with served.connect() as sock:
        for byte in PREFACE:
            sock.send(bytes([byte]))
            served.call(asyncio.sleep(0))
        frame = sock.recv(9)
        assert frame[3] == 4, "settings"


# Other protocols

UPGRADE = (b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABkAAQAAP__")


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.0", b"a, b"])
@pytest.mark.parametrize("size", [0, 3, 5 * PIECE])
def test_a_body_behind_an_ignored_upgrade_is_no_request(app: App, served: Served, protocol: bytes, size: int) -> None:
    body = (get("/smuggled") * (size // 30 + 1))[:size]
    plain = post("/post", body, b"Upgrade: " + protocol, *UPGRADE)
    head = get("/post", b"Transfer-Encoding: chunked", b"Upgrade: " + protocol, *UPGRADE).replace(b"GET", b"POST")
    chunked = head + b"%x\r\n%b\r\n" % (size, body) * (size > 0) + b"0\r\n\r\n"
    assert bodies(served.raw(plain + chunked + plain + LAST)) == [f"POST /post {size};"] * 3 + ["GET /last 0;"]
    assert set(app.paths) == {"/post", "/last"}


@pytest.mark.parametrize(
    "request_",
    [
        get("/", b"Upgrade: websocket"),
        get("/", b"Upgrade: websocket", b"Connection: Upgrade, close").replace(b"1.1", b"1.0"),
        get("/", b"Upgrade: h2c", *UPGRADE),
        get("/", b"Upgrade:", b"Connection: Upgrade"),
    ],
)
def test_who_asks_for_another_protocol_and_can_not_have_it_is_answered(served: Served, request_: bytes) -> None:
    assert bodies(served.raw(request_ + LAST))[0] == "GET / 0;"


def test_many_upgrades_in_one_write(served: Served) -> None:
    one = get("/", b"Upgrade: a", b"Connection: Upgrade")
    assert served.raw(one * 2000 + LAST).count(b"HTTP/1.1 200") == 2001


# The end


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


MOMENTS = {
    "nothing": b"",
    "half a head": b"GET / HTTP/1.1\r\nHo",
    "half a body": post("/", bytes(50))[:-10],
    "half a body of which much has come": post("/", bytes(500_000))[:-10],
    "the preface": PREFACE,
    "half the preface": PREFACE[:9],
    "waiting for its answer": HELD,
    "others behind it": HELD + get("/b") * 1000,
    "half a body behind it": HELD + post("/cut", bytes(100_000))[:-10],
    "no request": b"\0\0\0\r\n",
    "no request behind it": HELD + b"\0\0\0\r\n",
    "answers unread": get("/") * 100,
    "a body that nobody reads": post("/first-bytes", bytes(60_000))[:-10],
}


@pytest.mark.parametrize("end", [socket.socket.close, reset], ids=["FIN", "RST"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_whoever_leaves_leaves_nothing_behind(
    others: list[Any], app: App, served: Served, moment: str, end: Any
) -> None:
    """Neither a count nor an object: the collector is for others."""
    for _ in range(3):
        leave(app, served, served.connect(), moment, end)
    with garbage.kept():
        until(lambda: len(leftovers()) == len(others), "everything is freed")


@pytest.mark.parametrize("end", [socket.socket.close, reset], ids=["FIN", "RST"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_tls_whoever_leaves_leaves_nothing_behind(
    others: list[Any], app: App, certificate: tuple[Path, Path], moment: str, end: Any
) -> None:
    """asyncio's TLS refers to itself, and is freed when the collector comes."""
    context = ssl.create_default_context(cafile=str(certificate[0]))
    with Served(app, keep_alive=DEADLINE, tls_cert=str(certificate[0]), tls_key=str(certificate[1])) as served:
        for _ in range(3):
            leave(app, served, context.wrap_socket(served.connect(), server_hostname="localhost"), moment, end)
    until(lambda: gc.collect() >= 0 and len(leftovers()) == len(others), "everything is freed")


def leave(app: App, served: Served, sock: socket.socket, moment: str, end: Any) -> None:
    sock.sendall(MOMENTS[moment])
    if MOMENTS[moment].startswith(HELD):
        until(lambda: "/held" in app.paths, "it is being served")
    served.call(asyncio.sleep(0))
    end(sock)
    app.let_go(served)
    served.until_idle()
    assert not served.words[OWED]
    app.paths.clear()
    app.go = asyncio.Event()


@pytest.fixture
def others() -> list[Any]:
    """What other tests have left. It stays as long as this list does, so that a count shows what has been added."""
    gc.collect()
    return leftovers()


def leftovers() -> list[Any]:
    kinds = (HttpConnection, Exchange, RequestReader)
    return [thing for thing in gc.get_objects() if type(thing) in kinds]


@pytest.fixture
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (connection, patience):
        monkeypatch.setattr(module, "LINGER", 0.2)


@pytest.mark.usefixtures("_no_patience")
@pytest.mark.parametrize("limits", [{"body_timeout": 0.2}, {"keep_alive": 0.3}], ids=["408", "left unread"])
def test_a_client_that_never_closes_is_left(app: App, limits: Any) -> None:
    path = "/post" if "body_timeout" in limits else "/first-bytes"
    with Served(app, **{"keep_alive": 1.0, **limits}) as served, served.ask(post(path, bytes(50))[:-10]):
        until(lambda: served.words[REQUESTS], "it has come")
        until(lambda: not served.words[CONNECTIONS], "it is closed")
        assert not served.words[IN_FLIGHT]
