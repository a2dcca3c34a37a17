"""Applications that do what they shouldn't, and clients that read late or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.scoreboard import ACCEPTED, BYTES_OUT, CONNECTIONS, IN_FLIGHT, OWED, STATUS
from corepod.worker.transport import on_the_way

from tests.unit.served import DEADLINE, Served, read_all, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 6\r\n\r\n"
START = {"type": "http.response.start", "status": 200, "headers": []}


async def answer(send: Any, body: Any = b"ok", *headers: tuple[bytes, bytes]) -> None:
    await send({**START, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextlib.contextmanager
def serving(app: Any, **changed: Any) -> Iterator[Served]:
    with Served(app, **changed) as served:
        yield served
        served.until_idle()
        assert not served.words[OWED]
        assert not served.server._running


# What is wrong


async def returns(scope: Any, receive: Any, send: Any) -> None:
    pass


async def returns_early(scope: Any, receive: Any, send: Any) -> None:
    await send(START)


async def misspells(scope: Any, receive: Any, send: Any) -> None:
    await send({**START, "type": "http.response.begin"})


async def raises(scope: Any, receive: Any, send: Any) -> None:
    raise ValueError("on purpose")


async def raises_after_start(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    raise ValueError("on purpose")


async def exits(scope: Any, receive: Any, send: Any) -> None:
    raise SystemExit(3)


async def is_cancelled(scope: Any, receive: Any, send: Any) -> None:
    raise asyncio.CancelledError


async def cancels_itself(scope: Any, receive: Any, send: Any) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(DEADLINE)


async def sends_a_text(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, "abc", (b"content-length", b"3"))


async def sends_a_number(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, 3)


async def sends_too_much(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, b"abcd", (b"content-length", b"3"))


async def begins_with_the_body(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.body", "body": b"abc"})


async def begins_twice(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send(START)


WRONG = [
    returns, returns_early, misspells, raises, raises_after_start, exits, is_cancelled, cancels_itself, sends_a_text,
    sends_a_number, sends_too_much, begins_with_the_body, begins_twice,
]  # fmt: skip


@pytest.mark.parametrize("app", WRONG)
def test_what_is_wrong_is_a_500_and_is_logged(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    with serving(app) as served:
        got = served.raw(GET + GET)
        assert got.startswith(b"HTTP/1.1 500 ")
        assert got.count(b"HTTP/1.1 ") == 1
        assert b"connection: close" in got
        assert served.words[STATUS + 5] == 1
    logged = [record.name for record in caplog.records]
    assert logged == [] if app is cancels_itself else ["corepod"]


async def cut_by_return(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": b"abc", "more_body": True})


async def cut_by_exception(scope: Any, receive: Any, send: Any) -> None:
    await cut_by_return(scope, receive, send)
    raise ValueError("on purpose")


async def cut_by_cancellation(scope: Any, receive: Any, send: Any) -> None:
    await cut_by_return(scope, receive, send)
    await cancels_itself(scope, receive, send)


@pytest.mark.parametrize("app", [cut_by_return, cut_by_exception, cut_by_cancellation])
def test_a_response_that_has_begun_is_cut(app: Any) -> None:
    with serving(app) as served:
        got = served.raw(GET + GET)
        assert got.endswith(b"3\r\nabc\r\n")
        assert got.count(b"HTTP/1.1 ") == 1
        assert served.words[STATUS] == 1


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("body", [bytearray(b"abcdef"), memoryview(b"abcdef"), memoryview(b"abcdef").cast("H")])
def test_bodies_may_be_whatever_has_bytes(body: Any, chunked: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, body, *[] if chunked else [(b"content-length", b"6")])

    with serving(app) as served:
        assert served.raw(LAST).endswith(b"\r\n6\r\nabcdef\r\n0\r\n\r\n" if chunked else b"\r\n\r\nabcdef")


# What is unusual


def test_a_task_that_sends_behind_the_end_hurts_itself_alone() -> None:
    errors: list[Exception] = []
    ended = asyncio.Event()

    async def late(send: Any) -> None:
        await ended.wait()
        for message in (START, {"type": "http.response.body", "body": b"more"}):
            try:
                await send(message)
            except RuntimeError as error:
                errors.append(error)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        task = asyncio.create_task(late(send))
        await answer(send)
        ended.set()
        await task

    with serving(app) as served:
        got = served.raw(GET + LAST)
        assert got.count(b"HTTP/1.1 200") == 2
        assert b"more" not in got
    assert len(errors) == 2, "the second connection has gone, and nobody waits for what comes"


def test_two_tasks_may_receive_and_one_of_them_gets_the_body() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        both = [asyncio.create_task(receive()) for _ in range(2)]
        first = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        await answer(send, first[0].pop().result()["body"])
        assert [message["type"] for message in await asyncio.gather(*both)].count("http.disconnect") == 1

    with serving(app) as served, served.connect() as sock:
        sock.sendall(POST)
        until(lambda: served.words[IN_FLIGHT], "it is being served")
        sock.sendall(b"abcdef")
        assert b"abcdef" in read_all(sock)


def test_a_receive_that_is_cancelled_loses_nothing() -> None:
    cancelled = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(3):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    await receive()
        cancelled.set()
        await answer(send, (await receive())["body"])

    with serving(app) as served, served.connect() as sock:
        sock.sendall(POST)
        until(cancelled.is_set, "it was cancelled")
        sock.sendall(b"abcdef")
        assert b"abcdef" in read_all(sock)


def test_work_behind_a_response_goes_on_beside_the_next_request() -> None:
    go, served_ = asyncio.Event(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        served_.append(scope["path"])
        await answer(send)
        if len(served_) == 1:
            await go.wait()

    with serving(app) as served, served.connect() as sock:
        sock.sendall(GET + GET)
        until(lambda: len(served_) == 2, "both are served")
        until(lambda: served.words[IN_FLIGHT] == 1, "the first one goes on")
        assert not served.words[OWED]
        served.loop.call_soon_threadsafe(go.set)
        until(lambda: not served.words[IN_FLIGHT], "it has ended")


def test_a_stream_to_nobody_is_quiet() -> None:
    """The application never gives way to the loop, which would tell it."""
    began = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        began.set()
        await receive()
        while (await receive())["type"] != "http.disconnect":
            pass
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        for _ in range(100_000):
            await send({"type": "http.response.body", "body": b"x" * 10, "more_body": True})

    for one in (app, endless):
        with serving(one) as served, served.connect() as sock:
            sock.sendall(GET)
            sock.recv(1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.close()  # _quiet looks at what asyncio says of it


# Clients that read late

SIZE = 20 << 20  # more than any kernel keeps


PIECE = {"type": "http.response.body", "more_body": True}


class Streaming:
    """A large body in one piece, or in many, and beside it another task's small ones."""

    def __init__(self, pieces: int = 1, beside: bool = False) -> None:
        self.pieces, self.beside = pieces, beside
        self.sent = 0
        self.pings: list[asyncio.Task[None]] = []
        self.told = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        pings = asyncio.create_task(self.ping(send)) if self.beside else None
        for _ in range(self.pieces):
            await send({"type": "http.response.body", "body": bytes(SIZE // self.pieces), "more_body": True})
            self.sent += SIZE // self.pieces
        while (await receive())["type"] != "http.disconnect":
            pass
        self.told = True
        if pings is not None:
            pings.cancel()

    async def ping(self, send: Any) -> None:
        while True:
            await asyncio.sleep(0.02)
            self.pings.append(asyncio.create_task(send({**PIECE, "body": b"x"})))


@pytest.mark.parametrize("pieces", [1, 1000])
def test_a_send_waits_until_the_client_has_read(pieces: int) -> None:
    app = Streaming(pieces)
    with serving(app) as served, served.connect() as sock:
        sock.sendall(GET)
        until(lambda: served.words[BYTES_OUT], "it has begun")
        (member,) = served.server.connections.members
        until(lambda: member.write_paused, "the client reads nothing")
        served.call(asyncio.sleep(0.1))
        assert app.sent < SIZE
        assert member.unsent() <= SIZE // pieces + 100
        assert served.words[OWED] == 1


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside others"])
def test_a_client_that_reads_nothing_is_left(beside: bool) -> None:
    app = Streaming(beside=beside)
    with serving(app, write_timeout=0.3) as served, served.connect() as sock:
        sock.sendall(GET)
        until(lambda: served.words[BYTES_OUT], "it has begun")
        until(lambda: not served.words[CONNECTIONS], "it is left")
        until(lambda: not served.words[IN_FLIGHT], "the application was told")
        assert app.told
        assert len(read_all(sock)) < SIZE, "it was cut"


@pytest.mark.parametrize("limits", [{"write_timeout": 100.0}, {"write_timeout": 0.0}])
def test_a_client_that_reads_slowly_or_may_take_its_time_is_not(limits: Any) -> None:
    app = Streaming()
    with serving(app, keep_alive=DEADLINE, **limits) as served, served.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)  # it doesn't grow with what is read
        sock.sendall(GET)
        until(lambda: served.words[BYTES_OUT], "it has begun")
        (member,) = served.server.connections.members
        until(member.unsent, "the kernel takes no more")
        for _ in range(6):
            waits = sum(on_the_way(member.transport))
            while sum(on_the_way(member.transport)) == waits:
                assert sock.recv(1 << 16)
            served.advance(40.0)
        assert served.words[CONNECTIONS] == 1


def test_an_application_with_nothing_to_send_is_not_a_client_that_does_not_read() -> None:
    async def events(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await asyncio.sleep(0.5)
        await send({"type": "http.response.body", "body": b"two"})

    with serving(events, write_timeout=0.1, keep_alive=0.1) as served:
        assert b"two" in served.raw(LAST)


# Limits of a connection


def numbers(served: Served, count: int) -> list[bytes]:
    """Answers to that many requests in one write."""
    return served.raw(GET * count).split(b"HTTP/1.1 ")[1:]


@pytest.mark.parametrize("limit", [{"connection_max_requests": 3}, {"connection_max_age": 0.0001}])
def test_the_last_answer_says_so_although_more_was_asked(limit: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.002)  # uvloop's clock has milliseconds
        await answer(send)

    with serving(app, **limit) as served:
        answers = numbers(served, 10)
        assert len(answers) == 3 if "connection_max_requests" in limit else len(answers) < 10
        assert [b"connection: close" in one for one in answers] == [False] * (len(answers) - 1) + [True]


def announce(served: Served) -> Any:
    async def call() -> None:
        served.server.announce_close()

    return call()


def close_idle(served: Served) -> Any:
    async def call() -> None:
        served.server.connections.close_idle()

    return call()


@pytest.mark.parametrize("end", [announce, close_idle])
def test_the_end_is_said_in_the_answer_that_is_being_made(end: Callable[[Served], Any]) -> None:
    go = asyncio.Event()
    served_ = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        served_.append(scope)
        await go.wait()
        await answer(send)

    with serving(app) as served, served.connect() as sock:
        sock.sendall(GET * 5)
        until(lambda: served_, "the first one is being served")
        served.call(end(served))
        served.loop.call_soon_threadsafe(go.set)
        got = read_all(sock)
        assert got.count(b"HTTP/1.1 200") == 1
        assert b"connection: close" in got
    assert len(served_) == 1


@pytest.mark.parametrize("piece", [b"X", b"\r\n"])
def test_a_head_that_comes_too_slowly_is_no_request(piece: bytes) -> None:
    with serving(returns, keep_alive=0.3) as served, served.connect() as sock:
        until(lambda: served.words[ACCEPTED], "it is accepted")
        with contextlib.suppress(ConnectionError):
            while served.words[CONNECTIONS]:
                sock.send(piece)
                served.call(asyncio.sleep(0.02))
        until(lambda: not served.words[CONNECTIONS], "it is left")


@pytest.mark.parametrize(
    "long", [b"GET /%b HTTP/1.1\r\nHost: test\r\n\r\n", b"GET / HTTP/1.1\r\nHost: test\r\nX: %b\r\n\r\n"]
)
def test_a_head_may_be_as_long_as_the_limit_says(long: bytes) -> None:
    """Also one that is shorter than what is parsed at a time."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send)

    with serving(app, limit_header=2000) as served:
        assert served.raw(long % (b"x" * 1900) + LAST).count(b"HTTP/1.1 200") == 2
        assert served.raw(long % (b"x" * 2000) + LAST).startswith(b"HTTP/1.1 431")
