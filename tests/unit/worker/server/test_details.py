"""The details of HTTP/1.1: what of a request is refused, what an application is told of it, and what of its response
reaches the client. Where the specifications leave freedom, this is what both implementations do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.scoreboard import IN_FLIGHT, REQUESTS
from corepod.worker.application.wsgi import as_asgi
from corepod.worker.http import connection as http_connection
from corepod.worker.http import patience
from corepod.worker.hypercorn import connection as hypercorn_connection

from tests.unit.served import DEADLINE, Served, read_all, until
from tests.unit.worker.test_request_head import HOSTS, NO_HOSTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

HOST = b"Host: test\r\n"
CLOSE = b"Connection: close\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
SMALL = 64 << 10  # bytes of an unread body for which a connection is kept


class App:
    """Does what a script says, and notes what it was told and what its calls have raised."""

    def __init__(self, script: Callable[..., Awaitable[None]] | None = None) -> None:
        self.script = script or echo
        self.scopes: list[dict[str, Any]] = []
        self.errors: list[Exception] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        try:
            await (answer(send) if scope["path"] == "/last" else self.script(scope, receive, send))
        except Exception as error:
            self.errors.append(error)
            raise


async def answer(send: Any, body: bytes = b"done", status: int = 200, **more: Any) -> None:
    headers = [*more.pop("headers", []), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers, **more})
    await send({"type": "http.response.body", "body": body})


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the target as the application sees it, and the length of the body."""
    length = await read_body(receive)
    host = b",".join(value for name, value in scope["headers"] if name == b"host")
    await answer(send, b"|".join([scope["raw_path"], scope["query_string"], host, b"%d" % length]))


async def read_body(receive: Any) -> int:
    length = 0
    while (message := await receive())["type"] == "http.request":
        length += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    return length


async def ignore(scope: Any, receive: Any, send: Any) -> None:
    await answer(send)


def responding(status: Any, headers: Any, *bodies: Any) -> App:
    """An application that sends this head and these parts of a body, whatever it is asked."""

    async def script(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for number, body in enumerate(bodies, start=1):
            await send({"type": "http.response.body", "body": body, "more_body": number < len(bodies)})

    return App(script)


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def served(app: App) -> Iterator[Served]:
    with Served(app) as server:
        yield server
        server.until_idle()


def head(answer: bytes) -> tuple[bytes, dict[bytes, list[bytes]]]:
    """Status line and headers of the first response in this."""
    status, *lines = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")
    headers: dict[bytes, list[bytes]] = {}
    for line in lines:
        name, _, value = line.partition(b": ")
        headers.setdefault(name.lower(), []).append(value)
    return status, headers


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def request(target: bytes = b"/", *lines: bytes, method: bytes = b"GET", version: bytes = b"1.1") -> bytes:
    """A request, the last one of its connection."""
    return b"%s %s HTTP/%s\r\n" % (method, target, version) + b"".join(lines or (HOST,)) + CLOSE + b"\r\n"


def assert_refused(answer: bytes, status: int = 400) -> None:
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert head(answer)[1][b"connection"] == [b"close"]


# The target


TARGETS = {
    b"GET /a%20b?x=%20": b"/a%20b|x=%20|test|0",
    b"GET http://example.test/a/b?x=1": b"/a/b|x=1|example.test|0",
    b"GET HTTPS://EXAMPLE.test:8443/a": b"/a||EXAMPLE.test:8443|0",
    b"GET http://[::1]:80/": b"/||[::1]:80|0",
    b"GET http://example.test": b"/||example.test|0",
    b"GET http://example.test?x": b"/|x|example.test|0",
    b"GET http://example.test//a": b"//a||example.test|0",
    b"OPTIONS *": b"*||test|0",
    b"OPTIONS http://example.test": b"*||example.test|0",
    b"OPTIONS http://example.test/": b"/||example.test|0",
}


@pytest.mark.parametrize("line", TARGETS)
def test_targets(app: App, served: Served, line: bytes) -> None:
    method, _, target = line.partition(b" ")
    answer = served.raw(request(target, method=method))
    assert body_of(answer) == TARGETS[line]
    (scope,) = app.scopes
    assert scope["path"].encode() == scope["raw_path"].replace(b"%20", b" ")
    assert scope["scheme"] == "http", "that of the connection, whatever the client calls it"


def test_a_target_with_a_host_in_http_1_0_needs_no_other(served: Served) -> None:
    answer = served.raw(b"GET http://example.test/a HTTP/1.0\r\n\r\n")
    assert body_of(answer) == b"/a||example.test|0"


def test_a_target_with_a_host_needs_a_good_one_beside_it_in_http_1_1(served: Served) -> None:
    """RFC 9112, 3.2: without one, with two, or with a bad one, whatever the target."""
    for lines in (b"X: y\r\n", HOST + HOST, b"Host: a b/c\r\n"):
        assert_refused(served.raw(request(b"http://example.test/a", lines)))


@pytest.mark.parametrize(
    "line",
    [
        b"GET *", b"GET a", b"GET test:80", b"GET ?a", b"GET http:/a", b"GET http://", b"GET http:///a",
        b"GET http://:80/a", b"GET http://a@b/", b"GET http://a:b@c/", b"GET http://a:b/", b"GET http://[::1/",
        b"GET ftp://a/b", b"GET /a#b", b"GET http://a/#b", b"OPTIONS **", b"OPTIONS a:80",
    ],
)  # fmt: skip
def test_what_is_no_target_is_refused(served: Served, line: bytes) -> None:
    method, _, target = line.partition(b" ")
    assert_refused(served.raw(request(target, method=method) + LAST))
    assert served.words[REQUESTS] == 0


def test_a_wsgi_application_sees_an_absolute_target_as_any_other() -> None:
    def wsgi(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return ["|".join(environ[name] for name in ("PATH_INFO", "QUERY_STRING", "HTTP_HOST", "REQUEST_URI")).encode()]

    with Served(as_asgi(wsgi, 1)) as served:
        assert b"/a/b|x=1|example.test|/a/b?x=1" in served.raw(request(b"http://example.test/a/b?x=1"))


# The head


@pytest.mark.parametrize("value", HOSTS)
def test_hosts(served: Served, value: str) -> None:
    answer = served.raw(request(b"/", b"Host: " + value.encode() + b"\r\n"))
    assert body_of(answer) == b"/||%s|0" % value.encode()


@pytest.mark.parametrize("value", [value for value in NO_HOSTS if "\n" not in value])
def test_what_is_no_host_is_refused(served: Served, value: str) -> None:
    assert_refused(served.raw(request(b"/", b"Host: " + value.encode("latin-1") + b"\r\n") + LAST))
    assert served.words[REQUESTS] == 0


@pytest.mark.parametrize("byte", sorted({*range(1, 32), 127} - {9, 10, 13}))
def test_control_characters_in_a_value_are_refused(served: Served, byte: int) -> None:
    assert_refused(served.raw(request(b"/", HOST, b"X: a%cb\r\n" % byte) + LAST))


def test_tabs_and_bytes_in_a_value_are_passed_on(app: App, served: Served) -> None:
    served.raw(request(b"/", HOST, b"X: a\tb\xe4\r\n"))
    assert (b"x", b"a\tb\xe4") in app.scopes[0]["headers"]


@pytest.mark.parametrize("size", [b"3 ", b" 3", b"3\t", b"\t3", b"3 ;a=b", b""])
def test_spaces_around_the_size_of_a_chunk_are_refused(served: Served, size: bytes) -> None:
    chunked = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert_refused(served.raw(chunked + size + b"\r\nabc\r\n0\r\n\r\n" + LAST))
    second = b"3\r\nabc\r\n" + size + b"\r\nabc\r\n0\r\n\r\n"
    assert_refused(served.raw(chunked + second + LAST))


def test_empty_lines_before_a_request_are_ignored(served: Served) -> None:
    one = b"POST /a HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc"
    answer = served.raw(b"\r\n" + one + b"\r\n" + one + b"\r\n\r\n\r\n" + LAST)
    assert answer.count(b"HTTP/1.1 200 OK") == 3


def test_an_empty_line_in_pieces_is_ignored(served: Served) -> None:
    with served.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"\r\n\r\n" + request():
            sock.send(bytes([byte]))
        assert read_all(sock).startswith(b"HTTP/1.1 200 OK")


def test_empty_lines_without_end_are_refused(served: Served) -> None:
    with served.connect() as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(b"\r\n" * (1 << 20) + LAST)
        answer = read_all(sock)
    assert not answer or answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 "))
    assert served.words[REQUESTS] == 0


@pytest.mark.parametrize("behind", [LAST, b"garbage", b"\r\n\r\n", b"\0" * 100_000, b"G"])
def test_bytes_behind_the_last_request_change_nothing(app: App, served: Served, behind: bytes) -> None:
    answer = served.raw(request(b"/a") + behind)
    assert body_of(answer) == b"/a||test|0"
    answer = served.raw(b"POST /b HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc" + behind)
    assert body_of(answer) == b"/b||test|3"
    assert len(app.scopes) == 2


# What the application is told


def test_the_scope(app: App, served: Served) -> None:
    with served.connect() as sock:
        lines = b"Cookie: a=1\r\nX-MIXED: \t b c \t\r\nEmpty:\r\ncookie: b=2\r\nx-mixed: d\r\n"
        sock.sendall(b"GET /a HTTP/1.1\r\n" + HOST + lines + CLOSE + b"\r\n")
        read_all(sock)
        name = sock.getsockname()
    (scope,) = app.scopes
    assert scope["headers"] == [
        (b"host", b"test"), (b"cookie", b"a=1"), (b"x-mixed", b"b c"), (b"empty", b""), (b"cookie", b"b=2"),
        (b"x-mixed", b"d"), (b"connection", b"close"),
    ]  # fmt: skip
    assert all(type(part) is bytes for header in scope["headers"] for part in header)
    assert (scope["type"], scope["method"], scope["http_version"], scope["scheme"]) == ("http", "GET", "1.1", "http")
    assert (tuple(scope["client"]), tuple(scope["server"])) == (name, ("127.0.0.1", served.port))
    assert (scope["path"], scope["raw_path"], scope["query_string"], scope["root_path"]) == ("/a", b"/a", b"", "")
    assert type(scope["raw_path"]) is type(scope["query_string"]) is bytes


def test_the_scope_in_http_1_0(app: App, served: Served) -> None:
    served.raw(b"GET /%C3%A4?%C3%A4 HTTP/1.0\r\n\r\n")
    (scope,) = app.scopes
    assert (scope["http_version"], scope["headers"]) == ("1.0", [])
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/ä", b"/%C3%A4", b"%C3%A4")


def test_a_path_that_is_no_utf_8(app: App, served: Served) -> None:
    served.raw(request(b"/%ff%zz%"))
    assert (app.scopes[0]["path"], app.scopes[0]["raw_path"]) == ("/\ufffd%zz%", b"/%ff%zz%")


def connect_pair(served: Served, family: socket.AddressFamily) -> socket.socket:
    """A connection of this family, whose other end the server serves."""
    if family is socket.AF_UNIX:
        ours, theirs = socket.socketpair(family, socket.SOCK_STREAM)
    else:
        with socket.create_server(("::1", 0), family=family) as listener:
            ours = socket.create_connection(listener.getsockname()[:2], DEADLINE)
            theirs, _ = listener.accept()
    ours.settimeout(DEADLINE)
    theirs.setblocking(False)

    async def connect() -> None:
        served.server.connect(theirs)

    served.call(connect())
    return ours


def test_unix_sockets_have_no_addresses(app: App, served: Served) -> None:
    with connect_pair(served, socket.AF_UNIX) as sock:
        sock.sendall(request())
        assert body_of(read_all(sock)) == b"/||test|0"
    assert (app.scopes[0]["client"], app.scopes[0]["server"]) == (None, None)


def test_addresses_of_ipv6_are_pairs_too(app: App, served: Served) -> None:
    try:
        sock = connect_pair(served, socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with sock:
        name = sock.getsockname()
        sock.sendall(request())
        read_all(sock)
    assert tuple(app.scopes[0]["client"]) == name[:2]
    assert (app.scopes[0]["server"][0], len(app.scopes[0]["server"])) == ("::1", 2)


# 100-continue


CONTINUE = b"Expect: 100-continue\r\n"


def post(*lines: bytes, length: int = 3, version: bytes = b"1.1") -> bytes:
    return b"POST / HTTP/%s\r\n" % version + HOST + b"Content-Length: %d\r\n" % length + b"".join(lines) + b"\r\n"


def read_head(sock: socket.socket) -> bytes:
    """Exactly one head."""
    got = b""
    while not got.endswith(b"\r\n\r\n"):
        data = sock.recv(1)
        assert data, f"closed after {got!r}"
        got += data
    return got


def test_100_continue_is_sent_when_the_application_reads() -> None:
    arrived, go = threading.Event(), asyncio.Event()

    async def later(scope: Any, receive: Any, send: Any) -> None:
        arrived.set()
        await go.wait()
        await echo(scope, receive, send)

    with Served(App(later)) as served, served.connect() as sock:
        sock.sendall(post(CONTINUE, CLOSE))
        assert arrived.wait(DEADLINE)
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1)
        sock.settimeout(DEADLINE)
        served.loop.call_soon_threadsafe(go.set)
        assert read_head(sock).startswith(b"HTTP/1.1 100 Continue\r\n")
        sock.sendall(b"abc")
        answer = read_all(sock)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"|3")


def test_100_continue_is_sent_once_however_often_the_application_reads(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(post(CONTINUE, CLOSE))
        read_head(sock)
        for byte in (b"a", b"b", b"c"):
            sock.sendall(byte)
        answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"|3")


def test_no_100_continue_for_a_body_that_is_there(served: Served) -> None:
    assert served.raw(post(CONTINUE, CLOSE) + b"abc").startswith(b"HTTP/1.1 200 OK\r\n")
    assert served.raw(request(b"/", HOST, CONTINUE)).startswith(b"HTTP/1.1 200 OK\r\n")


def test_no_100_continue_for_http_1_0(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(post(CONTINUE, version=b"1.0"))
        sock.sendall(b"abc")
        answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"|3")


def test_no_100_continue_behind_a_response_and_the_connection_ends() -> None:
    """The client may send the body, or leave it: nobody can tell what the next bytes are (RFC 9110, 10.1.1)."""

    async def refuse_and_read(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"no", 413)
        await receive()

    with Served(App(refuse_and_read)) as served, served.connect() as sock:
        sock.sendall(post(CONTINUE))
        answered = read_all(sock)
        assert answered.startswith(b"HTTP/1.1 413 ")
        assert answered.count(b"HTTP/1.1 ") == 1
        assert head(answered)[1][b"connection"] == [b"close"]


def test_other_expectations_are_ignored(served: Served) -> None:
    assert served.raw(request(b"/", HOST, b"Expect: wonders\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")


# A body that the application doesn't read


def recv_done(sock: socket.socket) -> bytes:
    got = b""
    while not got.endswith(b"\r\n\r\ndone"):
        data = sock.recv(65536)
        assert data, f"closed after {got!r}"
        got += data
    return got


@pytest.fixture
def _lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client has the time of any wait of a test to send what nobody reads, however long it waits for a core."""
    for module in (http_connection, patience, hypercorn_connection):
        monkeypatch.setattr(module, "LINGER", DEADLINE)


@pytest.mark.parametrize("first", [0, 1, SMALL - 1, SMALL])
def test_a_small_body_that_is_not_read_costs_no_connection(first: int) -> None:
    with Served(App(ignore)) as served, served.connect() as sock:
        for _ in range(3):
            sock.sendall(post(length=SMALL) + b"x" * first)
            assert b"close" not in recv_done(sock).lower()
            sock.sendall(b"x" * (SMALL - first))
        sock.sendall(LAST)
        assert read_all(sock).endswith(b"done")
        assert served.words[REQUESTS] == 4


@pytest.mark.usefixtures("_lingering")
@pytest.mark.parametrize("size", [500_000, 3_000_000, 20_000_000])
def test_a_large_body_that_is_not_read_ends_the_connection_and_the_answer_says_so(size: int) -> None:
    """And the client gets it: closing a socket with bytes unread would reset it, and take the answer away."""
    with Served(App(ignore)) as served:
        for _ in range(3):
            with served.connect() as sock:
                sock.sendall(post(length=size))
                for _ in range(0, size, 20_000):
                    sock.sendall(b"x" * 20_000)
                answer = b""
                while data := sock.recv(65536):
                    answer += data
                assert head(answer)[1][b"connection"] == [b"close"]
                assert answer.endswith(b"done")
        served.until_idle()


def test_a_chunked_body_that_is_not_read_ends_the_connection_and_the_answer_says_so() -> None:
    with Served(App(ignore)) as served, served.connect() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
        answer = recv_done(sock)
        assert head(answer)[1][b"connection"] == [b"close"]
        sock.sendall(b"3\r\nabc\r\n0\r\n\r\n" + LAST)
        assert read_all(sock) == b""
        assert served.words[REQUESTS] == 1


def test_what_is_left_of_a_body_is_waited_for_as_long_as_for_a_request() -> None:
    with Served(App(ignore), keep_alive=0.2) as served:
        assert served.raw(post(length=100)).endswith(b"done")


@pytest.mark.usefixtures("_lingering")
def test_a_client_that_is_still_sending_when_the_worker_leaves_gets_its_answer() -> None:
    with Served(App(ignore)) as served, served.connect() as sock:
        sock.sendall(post(length=SMALL))
        until(lambda: served.words[REQUESTS] and not served.words[IN_FLIGHT], "it is answered")
        served.loop.call_soon_threadsafe(served.server.connections.close_idle)
        served.call(asyncio.sleep(0))
        until(lambda: sock.recv(65536, socket.MSG_PEEK).endswith(b"done"), "the answer is here")
        for _ in range(100):
            sock.sendall(b"x" * 100)
            served.call(asyncio.sleep(0))
        assert read_all(sock).endswith(b"done")


def test_a_client_that_never_stops_sending_is_left() -> None:
    with Served(App(ignore)) as served:
        with served.connect() as sock:
            sock.sendall(post(length=1 << 40))
            assert read_all(sock).endswith(b"done")

            def is_left() -> bool:
                try:
                    sock.sendall(b"x" * 1000)
                except OSError:
                    return True
                return False

            until(is_left, "the connection is cut off")
        served.until_idle()


@pytest.mark.usefixtures("_lingering")
def test_a_refusal_reaches_a_client_that_goes_on_sending(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n" + b"x" * 3_000_000)
        answer = b""
        while data := sock.recv(65536):
            answer += data
    assert_refused(answer)


# Reason phrases


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (200, b"HTTP/1.1 200 OK"),
        (404, b"HTTP/1.1 404 Not Found"),
        (503, b"HTTP/1.1 503 Service Unavailable"),
        (299, b"HTTP/1.1 299 "),
        (999, b"HTTP/1.1 999 "),
    ],
)
def test_reason_phrases_of_the_standard(status: int, line: bytes) -> None:
    with Served(responding(status, [(b"content-length", b"0")], b"")) as served:
        assert head(served.raw(request()))[0] == line


def test_responses_of_the_server_itself_have_reason_phrases() -> None:
    with Served(responding(200, [("x", "y")])) as served:
        assert served.raw(request()).startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        assert served.raw(b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert served.raw(request(version=b"1.2")).startswith(b"HTTP/1.1 505 HTTP Version Not Supported\r\n")


@pytest.mark.parametrize(
    ("status", "line"),
    [
        ("200 Fine", b"HTTP/1.1 200 Fine"),
        ("404 Nope", b"HTTP/1.1 404 Nope"),
        ("418 I'm a teapot, sh\xf6rt", b"HTTP/1.1 418 I'm a teapot, sh\xf6rt"),
        ("599 \tOwn\tone ", b"HTTP/1.1 599 Own\tone"),
        ("404 ", b"HTTP/1.1 404 Not Found"),
        ("404", b"HTTP/1.1 404 Not Found"),
        ("404 A\r\nX: y", b"HTTP/1.1 500 Internal Server Error"),
        ("404 A\nX: y", b"HTTP/1.1 500 Internal Server Error"),
        ("404 A\0", b"HTTP/1.1 500 Internal Server Error"),
        ("404 \N{EURO SIGN}", b"HTTP/1.1 500 Internal Server Error"),
    ],
)
def test_reason_phrases_of_wsgi_applications(status: str, line: bytes) -> None:
    def wsgi(environ: Any, start_response: Any) -> list[bytes]:
        start_response(status, [("Content-Length", "0")])
        return []

    with Served(as_asgi(wsgi, 1)) as served:
        answer = served.raw(request())
        assert head(answer)[0] == line
        assert b"x" not in head(answer)[1]


# The head of a response


def test_one_date(served: Served) -> None:
    assert len(head(served.raw(request()))[1][b"date"]) == 1
    own = [(b"Date", b"Thu, 01 Jan 1970 00:00:00 GMT"), (b"content-length", b"0")]
    with Served(responding(200, own, b"")) as other:
        assert head(other.raw(request()))[1][b"date"] == [own[0][1]]


def test_one_server() -> None:
    with Served(responding(200, [(b"Server", b"own"), (b"content-length", b"0")], b""), server_header=True) as served:
        assert head(served.raw(request()))[1][b"server"] == [b"own"]
    with Served(responding(200, [(b"Server", b"own"), (b"content-length", b"0")], b"")) as served:
        assert head(served.raw(request()))[1][b"server"] == [b"own"]


def test_names_of_headers_may_have_capitals() -> None:
    headers = [(b"Content-Length", b"2"), (b"X-Mixed", b"a"), (b"CONNECTION", b"close"), (b"Set-Cookie", b"a=1")]
    with Served(responding(200, [*headers, (b"set-cookie", b"b=2")], b"ab")) as served:
        answer = served.raw(request().replace(CLOSE, b""))
    _, found = head(answer)
    assert (found[b"content-length"], found[b"x-mixed"], found[b"connection"]) == ([b"2"], [b"a"], [b"close"])
    assert found[b"set-cookie"] == [b"a=1", b"b=2"]
    assert b"transfer-encoding" not in found
    assert body_of(answer) == b"ab"


def test_values_are_stripped_and_may_be_empty() -> None:
    with Served(responding(200, [(b"content-length", b"0"), (b"a", b" \tb c\t "), (b"d", b"")], b"")) as served:
        _, found = head(served.raw(request()))
    assert (found[b"a"], found[b"d"]) == ([b"b c"], [b""])


BAD_HEADS: dict[str, tuple[Any, Any]] = {
    "informational": (103, []),
    "a switch of protocols": (101, []),
    "below 100": (99, []),
    "zero": (0, []),
    "negative": (-200, []),
    "four digits": (1000, []),
    "a status that is text": ("200", []),
    "no status": (None, []),
    "a name that is text": (200, [("x", b"y")]),
    "a value that is text": (200, [(b"x", "y")]),
    "a value that is a number": (200, [(b"content-length", 5)]),
    "no value": (200, [(b"x", None)]),
    "no name": (200, [(b"", b"y")]),
    "a name with a space": (200, [(b"x y", b"z")]),
    "a name with a colon": (200, [(b"x:", b"z")]),
    "a pseudo header": (200, [(b":status", b"200")]),
    "a name with a line break": (200, [(b"x\r\ny", b"z")]),
    "a name beyond ASCII": (200, [(b"\xe4", b"z")]),
    "a line break in a value": (200, [(b"x", b"a\r\nSet-Cookie: b")]),
    "LF in a value": (200, [(b"x", b"a\nSet-Cookie: b")]),
    "CR in a value": (200, [(b"x", b"a\rb")]),
    "NUL in a value": (200, [(b"x", b"a\0b")]),
    "two lengths": (200, [(b"content-length", b"1"), (b"Content-Length", b"2")]),
    "two lengths on a line": (200, [(b"content-length", b"1, 2")]),
    "a length that is no number": (200, [(b"content-length", b"abc")]),
    "a negative length": (200, [(b"content-length", b"-1")]),
    "an empty length": (200, [(b"content-length", b"")]),
}


@pytest.mark.parametrize("name", BAD_HEADS)
def test_a_head_that_can_not_be_sent_is_an_error_of_the_application(name: str) -> None:
    app = responding(*BAD_HEADS[name], b"x")
    with Served(app) as served:
        answer = served.raw(request())
        served.until_idle()
    assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"set-cookie" not in answer.lower()
    assert answer.count(b"HTTP/1.1 ") == 1
    assert [type(error) for error in app.errors] in ([TypeError], [ValueError])


def test_the_same_length_twice_is_sent_once() -> None:
    with Served(responding(200, [(b"content-length", b"2"), (b"content-length", b"2")], b"ab")) as served:
        answer = served.raw(request())
    assert head(answer)[1][b"content-length"] == [b"2"]
    assert body_of(answer) == b"ab"


# The body of a response


def test_head_has_the_length_and_no_body() -> None:
    for headers, bodies in (([(b"content-length", b"5")], (b"hello",)), ([], (b"he", b"llo"))):
        with Served(responding(200, headers, *bodies)) as served:
            answer = served.raw(request(method=b"HEAD").replace(CLOSE, b"") + LAST)
            first, _, second = answer.partition(b"\r\n\r\n")
            assert second.startswith(b"HTTP/1.1 200 OK\r\n"), "nothing is between the two"
            assert b"transfer-encoding" not in head(first)[1]
            assert head(first)[1].get(b"content-length", []) == [value for _, value in headers]


@pytest.mark.parametrize(
    ("status", "headers", "lengths"),
    [
        (204, [], []),
        (204, [(b"content-length", b"0")], []),
        (204, [(b"content-length", b"4"), (b"transfer-encoding", b"chunked")], []),
        (304, [], []),
        (304, [(b"content-length", b"500")], [b"500"]),
        (304, [(b"transfer-encoding", b"chunked")], []),
    ],
)
@pytest.mark.parametrize("bodies", [(b"",), (b"nope",), (b"no", b"pe")])
def test_204_and_304_have_no_body(status: int, headers: Any, lengths: list[bytes], bodies: Any) -> None:
    with Served(responding(status, headers, *bodies)) as served:
        answer = served.raw(request().replace(CLOSE, b"") + LAST)
        first, _, second = answer.partition(b"\r\n\r\n")
        assert second.startswith(b"HTTP/1.1 200 OK\r\n"), "nothing is between the two"
        assert first.startswith(b"HTTP/1.1 %d " % status)
        assert b"transfer-encoding" not in head(first)[1]
        assert head(first)[1].get(b"content-length", []) == lengths


@pytest.mark.parametrize("headers", [[], [(b"Transfer-Encoding", b"chunked")], [(b"transfer-encoding", b"gzip")]])
def test_the_server_frames_a_body_without_a_length(headers: Any) -> None:
    """What the application says of the transfer coding is ignored: it sends the body, not its frames."""
    with Served(responding(200, headers, b"he", b"", b"llo")) as served:
        answer = served.raw(request().replace(CLOSE, b"") + LAST)
        assert head(answer)[1][b"transfer-encoding"] == [b"chunked"]
        assert body_of(answer).startswith(b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_a_length_is_kept_beside_an_applications_own_transfer_encoding() -> None:
    with Served(responding(200, [(b"transfer-encoding", b"chunked"), (b"content-length", b"2")], b"ab")) as served:
        answer = served.raw(request())
    assert b"transfer-encoding" not in head(answer)[1]
    assert body_of(answer) == b"ab"


@pytest.mark.parametrize("bodies", [(b"short",), (b"sh", b"ort"), (b"",)])
def test_a_body_shorter_than_its_length_ends_the_connection(bodies: Any) -> None:
    app = responding(200, [(b"content-length", b"50")], *bodies)
    with Served(app) as served:
        answer = served.raw(request().replace(CLOSE, b"") + LAST)
        served.until_idle()
    assert answer.count(b"HTTP/1.1 ") <= 1, "no answer to the next request"
    assert len(body_of(answer)) < 50
    assert len(app.errors) == 1, "the application is told"


@pytest.mark.parametrize("bodies", [(b"toolong",), (b"to", b"olong"), (b"t", b"oolong")])
def test_nothing_leaves_of_a_body_beyond_its_length(bodies: Any) -> None:
    app = responding(200, [(b"content-length", b"2")], *bodies)
    with Served(app) as served:
        answer = served.raw(request().replace(CLOSE, b"") + LAST)
        served.until_idle()
    assert answer.count(b"HTTP/1.1 ") <= 1, "no answer to the next request"
    assert body_of(answer) in (b"", b"t", b"to")
    assert len(app.errors) == 1, "the application is told"


def test_connection_close_of_the_application_closes() -> None:
    with Served(responding(200, [(b"connection", b"close"), (b"content-length", b"1")], b"x")) as served:
        answer = served.raw(request().replace(CLOSE, b"") + LAST)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert head(answer)[1][b"connection"] == [b"close"]


# HTTP/1.0


def test_http_1_0_gets_a_body_without_a_length_until_the_connection_ends() -> None:
    with Served(responding(200, [(b"transfer-encoding", b"chunked")], b"he", b"llo")) as served:
        answer = served.raw(b"GET / HTTP/1.0\r\n\r\n")
    assert body_of(answer) == b"hello"
    _, headers = head(answer)
    assert b"transfer-encoding" not in headers
    assert headers[b"connection"] == [b"close"]


def test_http_1_0_connections_are_not_kept() -> None:
    """Also where the client asks for it: proxies of that time pass the wish on without keeping it (RFC 9112, C.2.2)."""
    with Served(App()) as served:
        for wish in (b"", b"Connection: keep-alive\r\n"):
            one = b"GET / HTTP/1.0\r\n" + wish + b"\r\n"
            answer = served.raw(one + one)
            assert answer.count(b"HTTP/1.1 200 OK") == 1
            assert head(answer)[1][b"connection"] == [b"close"]


def test_head_of_http_1_0() -> None:
    with Served(responding(200, [(b"content-length", b"5")], b"hello")) as served:
        answer = served.raw(b"HEAD / HTTP/1.0\r\n\r\n")
    assert head(answer)[1][b"content-length"] == [b"5"]
    assert body_of(answer) == b""


# The end of a response


def test_the_application_goes_on_after_its_response_and_is_told_of_the_end() -> None:
    """A body that was still coming is none of its business any more, and never holds its connection up."""
    messages: list[str] = []

    async def script(scope: Any, receive: Any, send: Any) -> None:
        await answer(send)
        while True:
            message = await receive()
            messages.append(message["type"])
            if message["type"] == "http.disconnect":
                return

    with Served(App(script)) as served, served.connect() as sock:
        sock.sendall(post(length=1000))
        recv_done(sock)
        until(lambda: messages[-1:] == ["http.disconnect"], "the application has been told")
        sock.sendall(b"x" * 1000 + LAST)
        assert read_all(sock).endswith(b"done")


@pytest.mark.parametrize("protocol", [b"h2c", b"other", b"websocket"])
@pytest.mark.parametrize(
    "body", [b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n"]
)
def test_an_upgrade_that_is_ignored_takes_no_body_away(protocol: bytes, body: bytes) -> None:
    """Java's client offers h2c with requests that have a body, too. If the body is skipped, it is the next request."""
    app = App()
    head = b"POST /a HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: %b\r\n" % protocol
    with Served(app) as served:
        assert served.raw(head + body + LAST).count(b"HTTP/1.1 200") == 2
        with served.connect() as client:
            for byte in head + body + LAST:
                client.sendall(bytes([byte]))
            answers = read_all(client)
        assert answers.count(b"HTTP/1.1 200") == 2
        assert b"/a||test|5" in answers
        alone = served.raw(head.replace(b"Upgrade\r\n", b"Upgrade, close\r\n", 1) + body + LAST)
        assert alone.count(b"HTTP/1.1 200") == 1
        assert b"/a||test|5" in alone
