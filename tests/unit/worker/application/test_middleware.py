"""Limits, and what is believed of a proxy: a table of chains, ports and families, and clients that lie."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from corepod.contract.scoreboard import IN_FLIGHT, SHED, STATUS
from corepod.worker.application.middleware import wrap
from corepod.worker.application.proxy_headers import ProxyHeaders, parse_address
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route
from websockets.sync.client import connect

from tests.unit.h2client import Http2
from tests.unit.served import DEADLINE, Served, answer, get, make_record, read_all, settings, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.usefixtures("implementation")

# Proxies

PEER = "10.0.0.1"


def seen(peer: str | None, headers: list[tuple[str, str]], *trusted: str, kind: str = "http") -> dict[str, Any]:
    """The scope as the application sees it."""
    found: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.update(scope)

    scope = {
        "type": kind,
        "scheme": "http" if kind == "http" else "ws",
        "client": (peer, 40000) if peer is not None else None,
        "headers": [(b"host", b"inside"), *((name.encode(), value.encode("latin-1")) for name, value in headers)],
    }

    async def serve() -> None:
        await ProxyHeaders(app, list(trusted))(scope, None, None)

    asyncio.run(serve())
    return found


CHAINS = [
    # peer, X-Forwarded-For, trusted, the client
    ("10.0.0.1", "203.0.113.7", ["10.0.0.1"], "203.0.113.7"),
    ("10.0.0.1", "203.0.113.7", ["10.0.0.0/8"], "203.0.113.7"),
    ("10.0.0.1", "203.0.113.7", ["*"], "203.0.113.7"),
    ("192.0.2.1", "203.0.113.7", ["10.0.0.0/8"], "192.0.2.1"),  # not from a proxy of ours
    # The client wrote 1.1.1.1 itself; the proxy appended what it saw.
    ("10.0.0.1", "1.1.1.1, 203.0.113.7", ["10.0.0.0/8"], "203.0.113.7"),
    ("10.0.0.1", "127.0.0.1, 203.0.113.7", ["10.0.0.0/8"], "203.0.113.7"),
    # It even wrote the address of a proxy of ours.
    ("10.0.0.1", "1.1.1.1, 10.0.0.9, 203.0.113.7", ["10.0.0.0/8"], "203.0.113.7"),
    ("10.0.0.1", "203.0.113.7, 10.0.0.2, 10.0.0.3", ["10.0.0.0/8"], "203.0.113.7"),
    ("10.0.0.1", "10.0.0.3, 10.0.0.2", ["10.0.0.0/8"], "10.0.0.3"),  # from inside
    ("10.0.0.1", "1.1.1.1, 203.0.113.7, 10.0.0.2", ["10.0.0.1", "10.0.0.2"], "203.0.113.7"),
    ("10.0.0.1", "1.1.1.1, 203.0.113.7", ["*"], "1.1.1.1"),  # what * asks for
    # Ports and families
    ("10.0.0.1", "203.0.113.7:5123", ["10.0.0.0/8"], "203.0.113.7"),
    ("10.0.0.1", "[2001:db8::1]:5123", ["10.0.0.0/8"], "2001:db8::1"),
    ("10.0.0.1", "[2001:db8::1]", ["10.0.0.0/8"], "2001:db8::1"),
    ("10.0.0.1", "2001:db8::1", ["10.0.0.0/8"], "2001:db8::1"),
    ("fd00::1", "203.0.113.7, fd00::2", ["fd00::/8"], "203.0.113.7"),
    ("::ffff:10.0.0.1", "203.0.113.7", ["10.0.0.0/8"], "203.0.113.7"),  # a socket for both families
    ("10.0.0.1", "::ffff:203.0.113.7", ["10.0.0.0/8"], "203.0.113.7"),
    ("10.0.0.1", "203.0.113.7, ::ffff:10.0.0.2", ["10.0.0.0/8"], "203.0.113.7"),
    ("10.0.0.1", "203.0.113.7 ,  10.0.0.2 ", ["10.0.0.0/8"], "203.0.113.7"),
    # What isn't an address ends the chain, and never becomes the client.
    ("10.0.0.1", "unknown", ["10.0.0.0/8"], "10.0.0.1"),
    ("10.0.0.1", "203.0.113.7, unknown", ["10.0.0.0/8"], "10.0.0.1"),
    ("10.0.0.1", "203.0.113.7, unknown, 10.0.0.2", ["10.0.0.0/8"], "10.0.0.2"),
    ("10.0.0.1", "<script>, 203.0.113.7", ["10.0.0.0/8"], "203.0.113.7"),
    ("10.0.0.1", "<script>", ["*"], "10.0.0.1"),
    ("10.0.0.1", "", ["10.0.0.0/8"], "10.0.0.1"),
    ("10.0.0.1", ",,,", ["10.0.0.0/8"], "10.0.0.1"),
    ("10.0.0.1", "203.0.113.7,", ["10.0.0.0/8"], "10.0.0.1"),
    ("10.0.0.1", "999.0.0.1", ["10.0.0.0/8"], "10.0.0.1"),
    ("10.0.0.1", "[::1", ["10.0.0.0/8"], "::1"),
    ("10.0.0.1", "203.0.113.7\xff", ["10.0.0.0/8"], "10.0.0.1"),
    (None, "203.0.113.7", ["10.0.0.0/8"], "203.0.113.7"),  # a Unix socket
    # The default: a proxy on this machine
    ("127.0.0.1", "203.0.113.7", ["loopback"], "203.0.113.7"),
    ("127.8.9.1", "203.0.113.7", ["loopback"], "203.0.113.7"),
    ("::1", "203.0.113.7", ["loopback"], "203.0.113.7"),
    ("::ffff:127.0.0.1", "203.0.113.7", ["loopback"], "203.0.113.7"),  # a socket for both families
    (None, "203.0.113.7", ["loopback"], "203.0.113.7"),
    ("192.0.2.1", "203.0.113.7", ["loopback"], "192.0.2.1"),
    ("::ffff:192.0.2.1", "203.0.113.7", ["loopback"], "::ffff:192.0.2.1"),
    ("10.0.0.1", "203.0.113.7", ["loopback"], "10.0.0.1"),
    ("localhost", "203.0.113.7", ["loopback"], "localhost"),  # a name isn't an address
    ("127.0.0.1", "1.1.1.1, 127.0.0.1, 203.0.113.7", ["loopback"], "203.0.113.7"),  # the client wrote a loopback one
    ("127.0.0.1", "1.1.1.1, 203.0.113.7, ::1", ["loopback"], "203.0.113.7"),  # two proxies on this machine
    ("127.0.0.1", "203.0.113.7, 10.0.0.2", ["loopback"], "10.0.0.2"),  # the next one isn't ours
    ("127.0.0.1", "203.0.113.7, 10.0.0.2", ["loopback", "10.0.0.0/8"], "203.0.113.7"),
    ("127.0.0.1", "203.0.113.7", ["10.0.0.0/8"], "127.0.0.1"),
    # Whoever connects is a proxy, and says whom it has seen.
    ("192.0.2.1", "203.0.113.7", ["peer"], "203.0.113.7"),
    ("192.0.2.1", "1.1.1.1, 203.0.113.7", ["peer"], "203.0.113.7"),
    ("192.0.2.1", "1.1.1.1, 192.0.2.2", ["peer"], "192.0.2.2"),  # nobody else is believed
    ("192.0.2.1", "1.1.1.1, 203.0.113.7, 10.0.0.2", ["peer", "10.0.0.0/8"], "203.0.113.7"),
    ("localhost", "203.0.113.7", ["peer"], "203.0.113.7"),
    (None, "203.0.113.7", ["peer"], "203.0.113.7"),
]


@pytest.mark.parametrize(("peer", "chain", "trusted", "client"), CHAINS)
def test_client(peer: str | None, chain: str, trusted: list[str], client: str) -> None:
    scope = seen(peer, [("x-forwarded-for", chain)], *trusted)
    expected = (client, 40000) if client == peer else (client, 0)
    assert scope["client"] == expected


def test_chain_in_several_lines() -> None:
    headers = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.7, 10.0.0.2")]
    assert seen(PEER, headers, "10.0.0.0/8")["client"] == ("203.0.113.7", 0)


@pytest.mark.parametrize(
    ("value", "kind", "scheme"),
    [
        ("https", "http", "https"),
        ("HTTPS", "http", "https"),
        ("http", "http", "http"),
        ("http, https", "http", "https"),  # the last one is the nearest proxy's
        ("https", "websocket", "wss"),
        ("wss", "websocket", "wss"),
        ("wss", "http", "https"),
        ("javascript", "http", "http"),
        ("", "websocket", "ws"),
    ],
)
def test_scheme(value: str, kind: str, scheme: str) -> None:
    assert seen(PEER, [("x-forwarded-proto", value)], PEER, kind=kind)["scheme"] == scheme


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("shop.example", b"shop.example"),
        ("shop.example:8443", b"shop.example:8443"),
        ("[2001:db8::1]:443", b"[2001:db8::1]:443"),
        ("evil, shop.example", b"shop.example"),
        ("shop.example/admin?", b"inside"),
        ("a b", b"inside"),
        ("a@b", b"inside"),
        ("", b"inside"),
        ("shop.example\xff", b"inside"),
        ("shop.example:999999", b"inside"),
    ],
)
def test_host(value: str, host: bytes) -> None:
    scope = seen(PEER, [("x-forwarded-host", value)], PEER)
    assert [v for name, v in scope["headers"] if name == b"host"] == [host]


@pytest.mark.parametrize(
    ("peer", "trusted", "host"),
    [
        ("127.0.0.1", ["loopback"], b"inside"),
        (None, ["loopback"], b"inside"),
        ("127.0.0.1", ["loopback", "10.0.0.0/8"], b"inside"),
        ("10.0.0.1", ["loopback", "10.0.0.0/8"], b"shop.example"),
        ("127.0.0.1", ["127.0.0.1"], b"shop.example"),
        (None, ["127.0.0.1"], b"shop.example"),
        ("127.0.0.1", ["loopback", "*"], b"shop.example"),
        (None, ["*"], b"shop.example"),
        ("10.0.0.1", ["peer"], b"shop.example"),
        (None, ["peer"], b"shop.example"),
    ],
)
def test_the_host_comes_only_from_proxies_that_are_named(peer: str | None, trusted: list[str], host: bytes) -> None:
    """Most proxies pass on a client's own X-Forwarded-Host: it could choose where links in mails lead."""
    scope = seen(peer, [("x-forwarded-host", "shop.example"), ("x-forwarded-proto", "https")], *trusted)
    assert [v for name, v in scope["headers"] if name == b"host"] == [host]
    assert scope["scheme"] == "https"


def test_lines_of_one_header_are_one_list() -> None:
    lines = [("x-forwarded-proto", "https"), ("x-forwarded-for", "203.0.113.7"), ("x-forwarded-proto", "http")]
    scope = seen("::1", [*lines, ("x-forwarded-for", "::1")], "loopback")
    assert (scope["scheme"], scope["client"]) == ("http", ("203.0.113.7", 0))


def test_a_stranger_is_not_believed() -> None:
    headers = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "evil")]
    scope = seen("192.0.2.1", headers, "10.0.0.0/8")
    assert (scope["client"], scope["scheme"]) == (("192.0.2.1", 40000), "http")
    assert (b"host", b"inside") in scope["headers"]


def test_without_proxies_nothing_is_wrapped() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    assert wrap(app, settings(trusted_proxies=[]), make_record()) is app


def test_a_proxy_on_this_machine_is_trusted_by_default() -> None:
    async def show(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, f"{scope['scheme']} {scope['client'][0]}".encode())

    headers = {"x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https"}
    with Served(show) as served:
        assert httpx.get(served.url(), headers=headers, timeout=DEADLINE).text == "https 203.0.113.7"
    with Served(show, trusted_proxies=[]) as served:
        assert httpx.get(served.url(), headers=headers, timeout=DEADLINE).text == "http 127.0.0.1"


@hypothesis_settings(deadline=None)
@given(st.text(max_size=60), st.text(alphabet="0123456789abcdef.:[], ", max_size=60))
def test_no_chain_breaks_it(anything: str, likely: str) -> None:
    for chain in (anything, likely):
        value = chain.encode("latin-1", "replace").decode("latin-1")
        client = seen(PEER, [("x-forwarded-for", value)], "10.0.0.0/8")["client"][0]
        assert parse_address(client) is not None


# Limits


async def echo_length(scope: Any, receive: Any, send: Any) -> None:
    length = 0
    while (message := await receive())["type"] == "http.request":
        length += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    await answer(send, str(length).encode())


def chunks(size: int, count: int) -> Any:
    return (b"x" * size for _ in range(count))


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize(("size", "status"), [(0, 200), (999, 200), (1000, 200), (1001, 413), (300_000, 413)])
def test_body(size: int, status: int, announced: bool) -> None:
    with Served(echo_length, limit_body=1000) as served:
        content = b"x" * size if announced else chunks(1, size) if size < 2000 else chunks(1000, size // 1000)
        reply = httpx.post(served.url(), content=content, timeout=DEADLINE)
        assert reply.status_code == status
        assert reply.text == (str(size) if status == 200 else "the request's body is too large\n")
        served.until_idle()


def test_body_the_client_sees_the_answer_though_it_goes_on_sending() -> None:
    """Closing with data unread would reset the connection, and the answer with it."""
    with Served(echo_length, limit_body=1000) as served:
        for _ in range(5):
            with served.connect() as sock:
                sock.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3000000\r\n\r\n")
                sock.sendall(b"x" * 3_000_000)
                assert read_all(sock).startswith(b"HTTP/1.1 413")
        served.until_idle()


def test_body_of_an_application_that_answers_an_exception_itself() -> None:
    """Starlette makes a 500 of whatever happens while the body is read; the client still gets the 413."""

    async def read(request: Any) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    with Served(Starlette(routes=[Route("/", read, methods=["POST"])]), limit_body=1000) as served:
        assert httpx.post(served.url(), content=chunks(500, 2), timeout=DEADLINE).text == "1000"
        assert httpx.post(served.url(), content=chunks(500, 3), timeout=DEADLINE).status_code == 413
        served.until_idle()


def test_body_that_grows_when_the_answer_has_begun_is_cut_off() -> None:
    async def eager(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await echo_length(scope, receive, send)

    with Served(eager, limit_body=1000) as served:
        with pytest.raises(httpx.HTTPError):
            httpx.post(served.url(), content=chunks(500, 5), timeout=DEADLINE)
        served.until_idle()


@pytest.mark.parametrize("length", ["5", "2000", None])
def test_body_on_http2(length: str | None) -> None:
    with Served(echo_length, limit_body=1000) as served, served.connect() as sock:
        client = Http2(sock)
        extra = [("content-length", length)] if length else []
        stream = client.request("/", "POST", *extra, end=False)
        size = int(length) if length else 2000
        for _ in range(size // 5):
            if stream in client.ended:
                break
            client.data(stream, b"x" * 5)
        with contextlib.suppress(Exception):
            client.data(stream, b"", end=True)
        client.read_until(stream)
        assert client.statuses[stream] == (200 if length == "5" else 413)
        assert client.get("/")[0] == 200, "the connection lives"


class Gate:
    """Requests that wait until they are let go."""

    def __init__(self) -> None:
        self.arrived, self.go = threading.Semaphore(0), threading.Event()
        self.cancelled = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await receive()
            return
        self.arrived.release()
        try:
            await asyncio.get_running_loop().run_in_executor(None, self.go.wait, DEADLINE)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        await answer(send, b"done")


def test_requests_above_the_limit_are_shed() -> None:
    gate = Gate()
    with Served(gate, limit_requests=2) as served:
        socks = [served.connect() for _ in range(3)]
        for sock in socks[:2]:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            assert gate.arrived.acquire(timeout=DEADLINE)
        socks[2].sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        shed = read_all(socks[2]).lower()
        assert shed.startswith(b"http/1.1 503")
        assert b"retry-after: 1" in shed
        gate.go.set()
        assert all(read_all(sock).endswith(b"done") for sock in socks[:2])
        assert get(served).text == "done", "there is room again"
        served.until_idle()
        assert served.words[SHED] == 1
        assert served.words[STATUS + 5] == 1
        for sock in socks:
            sock.close()


def test_websockets_take_no_room_from_requests() -> None:
    gate = Gate()
    gate.go.set()
    with Served(gate, limit_requests=1) as served:
        options: Any = {"open_timeout": DEADLINE, "close_timeout": DEADLINE}
        with connect(f"ws://127.0.0.1:{served.port}/", **options), connect(f"ws://127.0.0.1:{served.port}/", **options):
            until(lambda: served.words[IN_FLIGHT] == 2, "both are open")
            assert get(served).text == "done"
        served.until_idle()


def test_a_request_that_takes_too_long_is_a_504() -> None:
    gate = Gate()
    with Served(gate, request_timeout=0.1) as served:
        reply = get(served)
        assert (reply.status_code, reply.headers["connection"]) == (504, "close")
        served.until_idle()
        gate.go.set()
        assert gate.cancelled == 1
        assert served.words[STATUS + 5] == 1


def test_a_response_that_takes_too_long_is_cut_off() -> None:
    async def slow(request: Any) -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            while True:
                yield "line\n"
                await asyncio.sleep(0.01)

        return StreamingResponse(lines())

    with Served(Starlette(routes=[Route("/", slow)]), request_timeout=0.2) as served:
        # Where the time is over before the response has begun, it is a 504.
        def cut_off() -> bool:
            try:
                assert get(served).status_code == 504
            except httpx.RemoteProtocolError:
                return True
            return False

        def reset() -> bool:
            with served.connect() as sock:
                client = Http2(sock)
                stream = client.request("/")
                client.read_until(stream)
            assert client.resets == {stream: 2} or client.statuses[stream] == 504
            return bool(client.resets)

        until(cut_off, "it has begun, and is cut off")
        until(reset, "it has begun, and is reset")
        served.until_idle()


def test_a_timeout_of_the_applications_own_is_its_fault() -> None:
    async def impatient(scope: Any, receive: Any, send: Any) -> None:
        raise TimeoutError("the database is slow")

    with Served(impatient, request_timeout=60.0) as served:
        assert get(served).status_code == 500


def test_no_timeout_with_a_debugger() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    assert wrap(app, settings(request_timeout=1.0, debug=True, trusted_proxies=[]), make_record()) is app


def test_a_connection_limit_lets_the_rest_wait() -> None:
    with Served(echo_length, limit_connections=1, keep_alive=60.0) as served:
        with served.connect() as first:
            first.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            assert first.recv(65536).startswith(b"HTTP/1.1 200")
            second = served.connect()  # the kernel takes it
            second.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            assert served.server.connections.open == 1
        assert read_all(second).startswith(b"HTTP/1.1 200"), "its turn has come"
        second.close()
        served.until_idle()


def test_all_limits_together() -> None:
    async def show(request: Any) -> JSONResponse:
        return JSONResponse({"client": request.client.host, "scheme": request.url.scheme, "host": request.url.hostname})

    limits: dict[str, Any] = {"limit_body": 10, "request_timeout": 30.0, "limit_requests": 9}
    with Served(Starlette(routes=[Route("/", show)]), trusted_proxies=["127.0.0.1"], **limits) as served:
        headers = {
            "x-forwarded-for": "203.0.113.7",
            "x-forwarded-proto": "https",
            "x-forwarded-host": "shop.example",
        }
        reply = httpx.get(served.url(), headers=headers, timeout=DEADLINE)
        assert reply.json() == {"client": "203.0.113.7", "scheme": "https", "host": "shop.example"}
