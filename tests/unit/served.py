"""The worker's real server on a loopback port, in a loop of its own thread: tests speak to it over real sockets."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import httpx
from corepod.config.spec import SETTINGS
from corepod.contract.scoreboard import CONNECTIONS, IN_FLIGHT, SIZE
from corepod.worker.accept import Acceptor
from corepod.worker.application.guard import guard
from corepod.worker.application.instrumented import Instrumented
from corepod.worker.application.middleware import wrap
from corepod.worker.application.overload import Overload
from corepod.worker.implementation import create_server, tls_context
from corepod.worker.run import loop_factory
from corepod.worker.scoreboard import ScoreboardRecord
from corepod.worker.settings import WorkerSettings

from tests.waiting import DEADLINE as DEADLINE
from tests.waiting import until as until

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

HTTP = "auto"  # the implementation under test; tests/unit/worker/server runs with each


def settings(**changed: Any) -> WorkerSettings:
    """Every setting at its default but these."""
    defaults = {setting.name: setting.default for setting in SETTINGS}
    beside = {"http": HTTP, "profile": "run", "cwd": ".", "env_names": [], "terminal": 0}
    beside |= {"prefixed": ["stdout", "stderr"]}
    return replace(WorkerSettings.from_values({**defaults, **beside}), **changed)


def make_record() -> ScoreboardRecord:
    return make_records(1)[0]


def make_records(count: int) -> list[ScoreboardRecord]:
    """Those of the workers of one pool."""
    fd = os.memfd_create("scoreboard")
    os.ftruncate(fd, SIZE)
    records = [ScoreboardRecord(fd) for _ in range(count)]
    os.close(fd)
    for number, record in enumerate(records):
        record.attach(number)
    return records


class Served:
    """An application, served for the length of a with block."""

    def __init__(self, app: Any, *, strategy: str = "one", **changed: Any) -> None:
        self.record, self.sibling = make_records(2)  # `sibling`: of another worker of its pool
        self.words = self.record.words
        self.notes: list[str] = []
        self.errors: list[dict[str, Any]] = []  # what reached the loop's exception handler
        self._app, self._strategy, self._settings = app, strategy, settings(**changed)
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(128)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._all_closed = False
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="served")

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=loop_factory(self._settings)) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(lambda loop, context: self.errors.append(context))
        guarded = guard(self._app)
        Overload(self._settings, self.record).limit_threads(self._app)
        self.instrumented = Instrumented(wrap(guarded, self._settings, self.record), self.record)
        self.server: Any = create_server(self.instrumented, self._settings, self.record, tls_context(self._settings))
        self.acceptor = Acceptor(
            self.loop,
            [self._listener],
            self.instrumented,
            self.server.connect,
            self._strategy,
            self.notes.append,
        )
        self.server.connections.on_waiting = self.acceptor.brings_nothing
        if limit := self._settings.limit_connections:
            self.server.connections.on_count = lambda count: self.acceptor.pause(count >= limit)
        self.acceptor.start()
        self._ready.set()
        await self._stop.wait()
        self.acceptor.take_all()
        self.acceptor.stop()
        self.server.connections.close_idle()
        # A loop that ends before its connections leaves sockets to the collector, which warns in another test.
        self._all_closed = await self.server.connections.wait_closed(DEADLINE)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(DEADLINE)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(2 * DEADLINE)
        assert not self._thread.is_alive(), "the server's loop doesn't end"
        if kind is None:
            assert not self.errors, self.errors
            assert self._all_closed, "connections are still open"

    def call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run it in the server's loop and return its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(DEADLINE)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Meanwhile the server's loop does nothing. What a client does is one step for it, and none of the server's
        limits passes in the middle, however long this thread waits for a core."""
        here, go = threading.Event(), threading.Event()

        def hold() -> None:
            here.set()
            go.wait(DEADLINE)

        self.loop.call_soon_threadsafe(hold)
        assert here.wait(DEADLINE)
        try:
            yield
        finally:
            go.set()

    def advance(self, seconds: float) -> None:
        """Let the clock of the server's loop jump ahead, and the loop do what is due. With limits that no test waits
        for, their time passes when the test says so, and no pause of the machine adds to it. Not for uvloop's clock."""

        async def jump() -> None:
            now = self.loop.time
            self.loop.time = lambda: now() + seconds  # type: ignore[method-assign]
            for _ in range(10):  # timers are looked at in the next turn, and tasks that they wake go on in those behind
                await asyncio.sleep(0)

        self.call(jump())

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)

    def slow_reader(self, room: int) -> socket.socket:
        """A new connection whose client's kernel has room for little of what isn't read. The server's takes `room`."""
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(DEADLINE)
        sock.connect(("127.0.0.1", self.port))
        return sock

    def ask(self, data: bytes) -> socket.socket:
        """A new connection, whose first bytes are there when the server accepts it."""
        with self.held():
            sock = self.connect()
            sent = sock.send(data)
        sock.sendall(data[sent:])
        return sock

    def raw(self, data: bytes) -> bytes:
        """Everything that is answered to these bytes before the server closes the connection."""
        with self.ask(data) as sock:
            return read_all(sock)

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def until_idle(self) -> None:
        """Wait until nothing is in flight and no connection is open."""
        self.call(asyncio.sleep(0))  # what waits to be accepted counts as well
        until(lambda: not self.words[IN_FLIGHT] and not self.words[CONNECTIONS], "nothing in flight, nothing open")
        self.call(asyncio.sleep(0))  # the loop has also done what comes behind the count


async def answer(send: Any, body: bytes = b"ok", status: int = 200) -> None:
    """A whole response of an ASGI application."""
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def get(served: Served, path: str = "/") -> httpx.Response:
    """The answer to one request, on a connection of its own."""
    return httpx.get(served.url(path), timeout=DEADLINE)


def read_all(sock: socket.socket) -> bytes:
    """What comes until the peer closes; a reset counts as closing."""
    got = bytearray()  # bytes would be copied for each piece, and much that comes slowly would take its time
    try:
        while data := sock.recv(1 << 16):
            got += data
    except ConnectionError:
        pass
    return bytes(got)
