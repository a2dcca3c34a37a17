"""WSGI (PEP 3333) served by threads, on real sockets and judged by the standard library's own validator."""

from __future__ import annotations

import asyncio
import contextvars
import json
import sys
import threading
from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

import httpx
import pytest
from corepod.contract.scoreboard import IN_FLIGHT
from corepod.worker.application import wsgi
from corepod.worker.application.lifespan import Lifespan

from tests.unit.h2client import Http2
from tests.unit.served import DEADLINE, Served, get, read_all, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

pytestmark = pytest.mark.usefixtures("implementation")


LARGE = 2 * wsgi.KEPT_BODY


def serve(app: Any, threads: int = 4, **changed: Any) -> Served:
    return Served(wsgi.as_asgi(app, threads), **changed)


def respond(start_response: Any, body: bytes, status: str = "200 OK") -> list[bytes]:
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def show_environ(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    texts = {key: value for key, value in environ.items() if isinstance(value, str | bool)}
    return respond(start_response, json.dumps(texts).encode())


def length_of_body(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    return respond(start_response, str(len(environ["wsgi.input"].read())).encode())


def environ_of(served: Served, target: str, **options: Any) -> dict[str, Any]:
    environ: dict[str, Any] = httpx.get(served.url(target), timeout=DEADLINE, **options).json()
    return environ


def test_the_standard_librarys_validator_is_content() -> None:
    """It checks the environ, the input, the calls and their order; what it finds is an exception and so a 500."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"written,")
        source = environ["wsgi.input"]
        yield b"yielded," + source.read(3) + source.readline(10)
        yield b",".join(source)

    with serve(validator(app)) as served:
        answer = httpx.post(served.url("/path?query=1"), content=b"abcd\nefg\nhij", timeout=DEADLINE)
        assert answer.status_code == 200
        assert answer.content == b"written,yielded,abcd\nefg\n,hij"
        # The same body in pieces that come late.
        answer = httpx.post(served.url(), content=(piece for piece in (b"ab", b"cd\nef", b"g\nhij")), timeout=DEADLINE)
        assert answer.content == b"written,yielded,abcd\nefg\n,hij"
        served.until_idle()


def test_environ() -> None:
    with serve(show_environ) as served:
        environ = environ_of(served, "/caf%C3%A9/%ff?q=%20&r=1", headers={"X-One": "1", "Cookie": "a=b"})
        port = str(served.port)
    expected = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/caf\xc3\xa9/\xff",  # bytes as latin-1
        "QUERY_STRING": "q=%20&r=1",
        "REQUEST_URI": "/caf%C3%A9/%ff?q=%20&r=1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": port,
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": f"127.0.0.1:{port}",
        "HTTP_X_ONE": "1",
        "HTTP_COOKIE": "a=b",
        "wsgi.url_scheme": "http",
        "wsgi.multithread": True,
    }
    assert {key: environ[key] for key in expected} == expected
    assert "CONTENT_LENGTH" not in environ


@pytest.mark.parametrize(
    ("target", "script", "path"),
    [
        ("/api/users", "/api", "/users"),
        ("/api", "/api", ""),
        ("/users", "/api", "/users"),
        ("/apiary", "/api", "/apiary"),
    ],
)
def test_root_path(target: str, script: str, path: str) -> None:
    with serve(show_environ, root_path="/api") as served:
        environ = environ_of(served, target)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == (script, path)


def test_headers_in_several_lines_and_headers_that_lie() -> None:
    request = (
        b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nX-Many: 1\r\nX-Many: 2\r\nCookie: a=1\r\nCookie: b=2\r\n"
        b"X_Forwarded_For: 1.1.1.1\r\nX-Forwarded-For: 203.0.113.7\r\nContent_Length: 5\r\n\r\n"
    )
    with serve(show_environ) as served:
        environ = json.loads(served.raw(request).partition(b"\r\n\r\n")[2])
    assert environ["HTTP_X_MANY"] == "1,2"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert environ["HTTP_X_FORWARDED_FOR"] == "203.0.113.7"
    assert "CONTENT_LENGTH" not in environ


@pytest.mark.parametrize("size", [0, 1, 10_000, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies(size: int, chunked: bool) -> None:
    with serve(length_of_body) as served:
        content: Any = (b"x" * min(70_000, size - at) for at in range(0, size, 70_000)) if chunked else b"x" * size
        assert httpx.post(served.url(), content=content, timeout=DEADLINE).text == str(size)
        served.until_idle()


def test_a_body_nobody_reads() -> None:
    with serve(lambda environ, start_response: respond(start_response, b"no thanks", "413 No")) as served:
        with served.connect() as sock:
            sock.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 100_000)
            assert read_all(sock).startswith(b"HTTP/1.1 413")
        served.until_idle()


def test_a_large_body_that_ends_too_early_is_an_error() -> None:
    """Not a shorter body: half an upload must not be taken for all of it."""
    happened: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            happened.append(environ["wsgi.input"].read())
        except OSError as error:
            happened.append(error)
        return respond(start_response, b"")

    with serve(app) as served:
        with served.connect() as sock:
            sock.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\nhalf" % LARGE)
            until(lambda: served.words[IN_FLIGHT], "it is being read")
        served.until_idle()
    assert len(happened) == 1
    assert isinstance(happened[0], ConnectionResetError)


def test_a_small_body_that_ends_too_early_reaches_no_application() -> None:
    begun = list[str]()

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        begun.append(environ["PATH_INFO"])
        return respond(start_response, b"")

    with serve(app, threads=1) as served:
        with served.connect() as sock:
            sock.sendall(b"POST /cut HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nhalf")
            until(lambda: served.words[IN_FLIGHT], "it is being read")
        served.until_idle()
        get(served, "/next")
    assert begun == ["/next"]


@pytest.mark.parametrize(
    "head", [b"Content-Length: 1000", b"Content-Length: %d" % wsgi.KEPT_BODY, b"Transfer-Encoding: chunked"]
)
def test_clients_that_stop_in_the_middle_of_a_small_body_take_no_threads(head: bytes) -> None:
    with serve(length_of_body, threads=1) as served:
        socks = [served.connect() for _ in range(8)]
        for sock in socks:
            sock.sendall(b"POST / HTTP/1.1\r\nHost: test\r\n" + head + b"\r\n\r\n3\r\nabc\r\n")
        until(lambda: served.words[IN_FLIGHT] == len(socks), "all of them are in flight")
        assert httpx.post(served.url(), content=b"whole", timeout=DEADLINE).text == "5"
        for sock in socks:
            sock.close()
        served.until_idle()


def test_bodies_that_wait_for_their_rest_take_a_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above it they get their threads at once, as large ones do."""
    monkeypatch.setattr(wsgi, "KEPT_BODIES", 100)
    arrived = threading.Semaphore(0)

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        arrived.release()
        return length_of_body(environ, start_response)

    adapter = wsgi.as_asgi(app, 4)
    with Served(adapter) as served, served.connect() as first, served.connect() as second:
        for sock in (first, second):
            sock.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\n" + b"x" * 60)
        assert arrived.acquire(timeout=DEADLINE), "the second one is at a thread"
        until(lambda: adapter.kept == 120, "both are counted")
        for sock in (first, second):
            sock.sendall(b"x" * 40)
        for sock in (first, second):
            got = b""
            while not got.endswith(b"\r\n\r\n100"):  # head and body may come one after the other
                more = sock.recv(65536)
                assert more, got
                got += more
        until(lambda: adapter.kept == 0, "nothing is kept")


def test_an_application_may_refuse_a_large_body_before_it_has_arrived() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        return respond(start_response, b"no", "401 No")

    with serve(app, body_timeout=0.0) as served, served.connect() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % LARGE)
        assert sock.recv(65536).startswith(b"HTTP/1.1 401")


def test_http2() -> None:
    with serve(length_of_body) as served, served.connect() as sock:
        client = Http2(sock)
        stream = client.request("/", "POST", end=False)
        for _ in range(30):
            client.data(stream, b"x" * 1000)
        client.data(stream, b"", end=True)
        client.read_until(stream)
        assert client.bodies[stream] == b"30000"


# Responses


def test_streaming_passes_on_each_chunk_at_once() -> None:
    go = threading.Event()

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"first"
        assert go.wait(DEADLINE)
        yield b"second"

    with serve(app) as served, httpx.stream("GET", served.url(), timeout=DEADLINE) as answer:
        chunks = answer.iter_raw()
        assert next(chunks) == b"first"
        go.set()
        assert list(chunks) == [b"second"]


@pytest.mark.parametrize("chunks", [[], [b""], [b"a"], (b"a",), [b"", b"a", b"", b"b"]])
def test_a_body_that_is_there_as_a_whole(chunks: Sequence[bytes]) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Sequence[bytes]:
        start_response("200 OK", [("X-There", "yes")])
        return chunks

    with serve(app) as served:
        answer = get(served)
        assert (answer.status_code, answer.content, answer.headers["x-there"]) == (200, b"".join(chunks), "yes")


def test_head_and_no_content() -> None:
    with serve(lambda environ, start_response: respond(start_response, b"", "204 No Content")) as served:
        assert get(served).status_code == 204
    with serve(lambda environ, start_response: respond(start_response, b"body")) as served:
        answer = httpx.head(served.url(), timeout=DEADLINE)
        assert (answer.headers["content-length"], answer.content) == ("4", b"")


def test_what_was_written_comes_before_what_is_returned() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [])
        write(b"one,")
        write(b"two,")
        return [b"three"]

    with serve(app) as served:
        assert get(served).text == "one,two,three"


class Chunks:
    """An iterable that counts its closings."""

    def __init__(self, *chunks: bytes, then: Callable[[], Any] | None = None) -> None:
        self.chunks, self.then, self.closed = chunks, then, 0

    def __iter__(self) -> Iterator[bytes]:
        yield from self.chunks
        while self.then is not None:
            yield self.then()

    def close(self) -> None:
        self.closed += 1


def _fail() -> None:
    raise RuntimeError("asked to fail")


def test_the_iterable_is_closed_in_any_case() -> None:
    for then in (None, _fail):
        chunks = Chunks(b"a", then=then)

        def app(environ: dict[str, Any], start_response: Any, chunks: Chunks = chunks) -> Chunks:
            start_response("200 OK", [])
            return chunks

        with serve(app) as served:
            if then is None:
                assert get(served).text == "a"
            else:
                with pytest.raises(httpx.RemoteProtocolError):
                    get(served)
            served.until_idle()
        assert chunks.closed == 1


def test_an_exception_is_a_500_and_the_threads_go_on() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/fail":
            raise LookupError("asked to fail")
        return respond(start_response, b"ok")

    with serve(app, threads=1) as served:
        for _ in range(3):
            assert get(served, "/fail").status_code == 500
            assert get(served).text == "ok"


def test_start_response_again_with_an_error() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("X-First", "1")])
        try:
            _fail()
        except RuntimeError:
            start_response("503 Sorry", [("X-Second", "2")], sys.exc_info())
        return [b"sorry"]

    def late(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"begun"
        try:
            _fail()
        except RuntimeError:
            start_response("503 Sorry", [], sys.exc_info())
        yield b"never"

    with serve(app) as served:
        answer = get(served)
        assert (answer.status_code, answer.text) == (503, "sorry")
        assert "x-first" not in answer.headers
    with serve(late) as served, pytest.raises(httpx.RemoteProtocolError):
        get(served)


@pytest.mark.parametrize("body", ["text", ["text"], [1]])
def test_a_body_of_anything_but_bytes_is_a_500(body: Any) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        return body

    with serve(app) as served:
        assert get(served).status_code == 500


@pytest.mark.parametrize("status", ["", "two hundred", "20"])
def test_a_status_that_is_none_is_a_500(status: str) -> None:
    with serve(lambda environ, start_response: respond(start_response, b"", status)) as served:
        assert get(served).status_code == 500


@pytest.mark.parametrize("calls", [0, 2])
def test_start_response_has_to_be_called_once(calls: int) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        for _ in range(calls):
            start_response("200 OK", [])
        return [b"body"]

    with serve(app) as served:
        assert get(served).status_code == 500


# Threads and time


def test_as_many_threads_as_allowed() -> None:
    arrived, go = threading.Semaphore(0), threading.Event()

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        arrived.release()
        assert go.wait(DEADLINE)
        return respond(start_response, threading.current_thread().name.encode())

    with serve(app, threads=2) as served:
        socks = [served.connect() for _ in range(3)]
        for sock in socks:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        assert arrived.acquire(timeout=DEADLINE)
        assert arrived.acquire(timeout=DEADLINE)
        until(lambda: served.words[IN_FLIGHT] == 3, "the third one waits")
        assert not arrived.acquire(timeout=0.02)
        go.set()
        names = {read_all(sock).rpartition(b"\r\n")[2] for sock in socks}
        assert names <= {b"wsgi_0", b"wsgi_1"}
        for sock in socks:
            sock.close()


def test_a_stream_ends_when_its_client_has_gone() -> None:
    """Or every client of an endless stream would take a thread with it."""
    pause = threading.Event()
    chunks = Chunks(then=lambda: b"again" if not pause.wait(0.005) else b"")

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/endless":
            start_response("200 OK", [])
            return chunks
        return respond(start_response, b"ok")

    with serve(app, threads=1) as served:
        with served.connect() as sock:
            sock.sendall(b"GET /endless HTTP/1.1\r\nHost: test\r\n\r\n")
            assert sock.recv(100)
        until(lambda: chunks.closed, "the iterable is closed")
        assert get(served).text == "ok", "the only thread is free"
        served.until_idle()


def test_a_timeout_frees_the_thread() -> None:
    """A thread can't be cancelled; but what it still sends must not block it, and what nobody waits for isn't begun."""
    go, begun = threading.Event(), list[str]()

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        begun.append(environ["PATH_INFO"])
        if environ["PATH_INFO"] != "/slow":
            return respond(start_response, b"ok")
        assert go.wait(DEADLINE)
        start_response("200 OK", [])
        return (b"x" * 1000 for _ in range(1000))

    with serve(app, threads=1, request_timeout=0.1) as served:

        def taken() -> bool:
            # One whose time is over before a thread has begun with it takes none.
            assert get(served, "/slow").status_code == 504
            return "/slow" in begun

        until(taken, "the only thread is taken")
        assert get(served, "/queued").status_code == 504
        go.set()

        def answered() -> bool:
            return get(served, "/next").status_code == 200

        until(answered, "the thread is free")
        served.until_idle()
    assert "/queued" not in begun


def test_a_response_that_has_begun_is_cut_off_when_its_thread_is_given_up() -> None:
    """wsgi_timeout: no 504 in the middle of it, and nothing that looks like its end."""
    go = threading.Event()

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"first"
        assert go.wait(DEADLINE)
        yield b"second"

    adapter = wsgi.as_asgi(app, 1)
    with Served(adapter) as served, served.ask(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n") as sock:
        answer = b""
        while b"first" not in answer:
            answer += sock.recv(1000)
        until(adapter.threads.inside, "the thread is in the application again")
        (request,) = adapter.threads.inside()
        served.loop.call_soon_threadsafe(request.expire, 2.0)
        answer += read_all(sock)
        go.set()
        served.until_idle()
    assert answer.endswith(b"first\r\n")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_context_variables_reach_the_thread() -> None:
    variable = contextvars.ContextVar[str]("variable")

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        return respond(start_response, variable.get().encode())

    inner = wsgi.as_asgi(app, 1)

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        variable.set("set outside")
        await inner(scope, receive, send)

    with Served(outer) as served:
        assert get(served).text == "set outside"


# Other protocols


def test_no_websocket_and_no_lifespan() -> None:
    app = wsgi.as_asgi(show_environ, 1)
    sent: list[Any] = []

    async def main() -> None:
        lifespan = Lifespan(app, {})
        await lifespan.startup()
        assert await lifespan.shutdown() == ""

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await app({"type": "websocket"}, None, send)

    asyncio.run(main())
    assert sent == ["websocket.close"]
