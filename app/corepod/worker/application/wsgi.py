"""A WSGI application (PEP 3333) as an ASGI one, in threads of its own.

A request gets a thread when its body has arrived, or if it is too large to be kept. A thread doesn't go on serving a
client that has gone or whose request has timed out (request_timeout); a body that ends too early is an error, not a
shorter body; a header with an underscore can't pass for one with a hyphen.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import io
from typing import TYPE_CHECKING, Any

from corepod.contract.shape import shape
from corepod.worker.application.environ import build_environ
from corepod.worker.application.guard import LeakedError
from corepod.worker.application.middleware import RequestTimeoutError, announced, answer
from corepod.worker.logs import log
from corepod.worker.response_head import REASON
from corepod.worker.threads import RequestThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from corepod.worker.application.overload import Overload

UNFIT = (StopIteration, concurrent.futures.CancelledError)  # no future passes these on
BYTES = (bytes, bytearray, memoryview)
KEPT_BODY = 1 << 20  # bytes of a body that are kept before a thread is given
KEPT_BODIES = 64 << 20  # bytes of all bodies that are kept; above it, requests get their threads at once


def as_asgi(app: Any, threads: int) -> Any:
    """The application served by at most this many threads; they are started when they are needed."""
    return Adapter(app, RequestThreads(threads))


class Adapter:
    """The ASGI application. `threads` says how the threads are doing."""

    def __init__(self, app: Any, threads: RequestThreads) -> None:
        self.app, self.threads = app, threads
        self.overload: Overload | None = None  # where a request may wait for a thread only so long
        self.kept = 0  # bytes of bodies of requests that are being served
        self._told_of_websocket = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await Exchange(self, scope, receive, send).run()
        elif scope["type"] == "websocket":
            if not self._told_of_websocket:
                self._told_of_websocket = True
                log.warning("WebSockets are refused: the application is a WSGI one, and WSGI has none")
            await send({"type": "websocket.close", "code": 1000})


class Exchange:
    """One request and its response, between the loop and a thread."""

    def __init__(self, adapter: Adapter, scope: Any, receive: Any, send: Any) -> None:
        self._late = False  # it was given up before it got a thread
        self._call_of_app: asyncio.Future[None] | None = None
        self._expired = 0.0  # seconds for which it has held its thread, where that is too long
        self._adapter, self._scope, self._receive, self._send = adapter, scope, receive, send
        self._loop = asyncio.get_running_loop()
        self._start: dict[str, Any] | None = None
        self._body, self._kept = io.BytesIO(), 0  # what has arrived before there is a thread, and its bytes
        self._begun = self._body_read = False
        self.over = False  # nobody waits for the response any more
        self._chunks, self._last = 0, b""
        self._watcher: asyncio.Task[None] | None = None

    async def run(self) -> None:
        try:
            if await self._keep_body():
                await self._call_in_thread()
        finally:
            self._adapter.kept -= self._kept

    async def _keep_body(self) -> bool:
        """Wait for the whole body, or for as much of a large one as may be kept; False where the client has gone.

        A client that sends slowly costs memory here; in a thread it would cost a thread.
        """
        if announced(self._scope["headers"]) > KEPT_BODY:
            return True  # the application may refuse it before it has arrived
        adapter = self._adapter
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return False
            if part := message.get("body"):
                self._body.write(part)  # not a list of parts: a client may send a byte at a time
                self._kept += len(part)
                adapter.kept += len(part)
            self._body_read = not message.get("more_body")
            if self._body_read or self._kept >= KEPT_BODY or adapter.kept >= KEPT_BODIES:
                return True

    async def _call_in_thread(self) -> None:
        body = self._body
        body.seek(0)
        source: Any = body if self._body_read else io.BufferedReader(_Input(body.read(), self._read))
        environ = build_environ(self._scope, source)
        threads = self._adapter.threads
        threads.ask(self)
        self._call_of_app = work = self._loop.run_in_executor(
            threads, contextvars.copy_context().run, self._work, environ
        )
        overload = self._adapter.overload
        timer = self._loop.call_later(overload.patience, self._give_up, work) if overload is not None else None
        try:
            await work
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            if self._expired:
                await self._answer_in_its_place()
            elif self._late and overload is not None:
                await overload.refuse_late(self._scope, self._send)
            else:
                raise
            return
        finally:
            if timer is not None:
                timer.cancel()
            self.over = True  # a thread can't be cancelled; it runs on to its next chunk, which isn't sent
            threads.end(self)
            if self._watcher is not None:
                self._watcher.cancel()
        await self._pass([] if self._begun else [self._head()], self._last, more=False)

    def _give_up(self, work: asyncio.Future[None]) -> None:
        if self._adapter.threads.take(self):
            self._late = True
            work.cancel()

    @property
    def name(self) -> str:
        """See `corepod.worker.threads.Request`."""
        return shape(f"{self._scope['method']} {self._scope['raw_path'].decode('latin-1')}")

    def expire(self, seconds: float) -> None:
        """Give up its thread, which can't be stopped, and answer 504."""
        if self._call_of_app is not None and not self.over:
            self._expired = seconds
            self._call_of_app.cancel()

    async def _answer_in_its_place(self) -> None:
        self.over = True  # whatever the thread still sends
        if self._begun:
            raise RequestTimeoutError(f"its thread was inside the application for {self._expired:g} s (wsgi_timeout)")
        await answer(self._send, 504, b"the application took too long\n", (b"connection", b"close"))

    def watch_client(self) -> None:
        """Notice from now on that the client has gone. Costs a task, which few requests live long enough to need."""
        if self._body_read and self._watcher is None and not self.over:
            self._watcher = self._loop.create_task(self._watch())

    # In the thread

    def _work(self, environ: dict[str, Any]) -> None:
        threads = self._adapter.threads
        if not threads.take(self):
            return  # its request ended while it waited for a thread
        threads.enter(self)
        try:
            self._call(environ)
        except BaseException as error:
            if isinstance(error, Exception) and not isinstance(error, UNFIT):
                raise
            raise LeakedError(error) from error  # as it is, it would lose its traceback on the way to the loop
        finally:
            threads.leave(self)

    def _call(self, environ: dict[str, Any]) -> None:
        chunks = self._adapter.app(environ, self._start_response)
        if type(chunks) is list and len(chunks) == 1:
            # Nothing more to wait for: it goes out together with the end, by one way to the loop instead of two.
            self._last = _checked(chunks[0]) if chunks[0] else b""
            return
        try:
            for chunk in chunks:
                if self.over:
                    break
                if chunk:
                    self._write(chunk)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()

    def _start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if exc_info is not None and self._begun:
            raise exc_info[1].with_traceback(exc_info[2])
        if exc_info is None and self._start is not None:
            raise RuntimeError("the application called start_response twice")
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        start = {"type": "http.response.start", "status": int(status[:3]), "headers": encoded}
        if phrase := status[3:].strip(" \t"):
            start[REASON] = phrase.encode("latin-1")
        self._start = start
        return self._write

    def _write(self, chunk: bytes) -> None:
        _checked(chunk)
        head = [] if self._begun else [self._head()]
        self._begun = True
        self._in_loop(self._pass(head, chunk, more=True))

    def _read(self) -> tuple[bytes, bool]:
        """More of the request's body, and whether that was the last of it."""
        message = self._in_loop(self._receive())
        if message["type"] == "http.disconnect":
            self.over = True
            raise ConnectionResetError("the client went away before its request was complete")
        self._body_read = not message.get("more_body")
        return message.get("body", b""), self._body_read

    def _in_loop(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        threads = self._adapter.threads
        threads.leave(self)  # it waits for its client, not for the application
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
        finally:
            threads.enter(self)

    # In the loop

    def _head(self) -> dict[str, Any]:
        if self._start is None:
            raise RuntimeError("the application returned without calling start_response")
        return self._start

    async def _pass(self, head: list[dict[str, Any]], chunk: bytes, *, more: bool) -> None:
        if self.over and more:
            return
        for message in head:
            await self._send(message)
        await self._send({"type": "http.response.body", "body": chunk, "more_body": more})
        self._chunks += more
        if self._chunks == 2:
            self.watch_client()  # the response streams, perhaps for ever: it has to end when its client has gone

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.over = True


def _checked(chunk: Any) -> bytes:
    if not isinstance(chunk, BYTES):
        raise TypeError(f"the application returned {type(chunk).__name__}; a response's body consists of bytes")
    return chunk  # type: ignore[return-value]


class _Input(io.RawIOBase):
    """A request's body that is still coming."""

    def __init__(self, first: bytes, more: Callable[[], tuple[bytes, bool]]) -> None:
        self._rest, self._more, self._last = first, more, False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest and not self._last:
            self._rest, self._last = self._more()
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size
