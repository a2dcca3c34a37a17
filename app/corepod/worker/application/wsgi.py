"""A WSGI application (PEP 3333) as an ASGI one, in threads of its own.

A thread doesn't go on serving a client that has gone or whose request has timed out (request_timeout); a body that ends
too early is an error, not a shorter body; a header with an underscore can't pass for one with a hyphen.
"""

from __future__ import annotations

import asyncio
import contextvars
import io
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def as_asgi(app: Any, threads: int) -> Any:
    """The application served by at most this many threads; they are started when they are needed."""
    executor = ThreadPoolExecutor(threads, thread_name_prefix="wsgi")

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await Exchange(app, scope, receive, send).run(executor)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})

    return asgi


class Exchange:
    """One request and its response, between the loop and a thread."""

    def __init__(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        self._app, self._scope, self._receive, self._send = app, scope, receive, send
        self._loop = asyncio.get_running_loop()
        self._start: dict[str, Any] | None = None
        self._begun = self._over = self._body_read = False
        self._chunks = 0
        self._watcher: asyncio.Task[None] | None = None

    async def run(self, executor: ThreadPoolExecutor) -> None:
        first = await self._receive()
        if first["type"] == "http.disconnect":
            return
        self._body_read = not first.get("more_body")
        body = first.get("body", b"")
        source: Any = io.BytesIO(body) if self._body_read else io.BufferedReader(_Input(body, self._read))
        environ = build_environ(self._scope, source)
        try:
            await self._loop.run_in_executor(executor, contextvars.copy_context().run, self._work, environ)
        finally:
            self._over = True  # a thread can't be cancelled; it runs on to its next chunk, which isn't sent
            if self._watcher is not None:
                self._watcher.cancel()
        await self._pass([] if self._begun else [self._head()], b"", more=False)

    # In the thread

    def _work(self, environ: dict[str, Any]) -> None:
        if self._over:
            return  # its request ended while it waited for a thread
        chunks = self._app(environ, self._start_response)
        try:
            for chunk in chunks:
                if self._over:
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
        self._start = {"type": "http.response.start", "status": int(status[:3]), "headers": encoded}
        return self._write

    def _write(self, chunk: bytes) -> None:
        head = [] if self._begun else [self._head()]
        self._begun = True
        self._in_loop(self._pass(head, chunk, more=True))

    def _read(self) -> tuple[bytes, bool]:
        """More of the request's body, and whether that was the last of it."""
        message = self._in_loop(self._receive())
        if message["type"] == "http.disconnect":
            self._over = True
            raise ConnectionResetError("the client went away before its request was complete")
        self._body_read = not message.get("more_body")
        return message.get("body", b""), self._body_read

    def _in_loop(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    # In the loop

    def _head(self) -> dict[str, Any]:
        if self._start is None:
            raise RuntimeError("the application returned without calling start_response")
        return self._start

    async def _pass(self, head: list[dict[str, Any]], chunk: bytes, *, more: bool) -> None:
        if self._over and more:
            return
        for message in head:
            await self._send(message)
        await self._send({"type": "http.response.body", "body": chunk, "more_body": more})
        self._chunks += more
        if self._chunks == 2 and self._body_read and self._watcher is None:
            # The response streams, perhaps for ever: it has to end when its client has gone.
            self._watcher = self._loop.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._over = True


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


def build_environ(scope: Any, source: Any) -> dict[str, Any]:
    """The environ of PEP 3333; text in it is bytes decoded as latin-1."""
    root = scope.get("root_path", "").encode().decode("latin-1")
    path = unquote_to_bytes(scope["raw_path"]).decode("latin-1")
    if root and (path == root or path.startswith(root + "/")):
        path = path[len(root) :]
    query = scope["query_string"].decode("latin-1")
    server = scope.get("server") or ("localhost", 80)
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": root,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REQUEST_URI": scope["raw_path"].decode("latin-1") + ("?" + query if query else ""),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or 80),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": source,
        "wsgi.input_terminated": True,  # it ends where the body ends, announced or not
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if scope.get("client"):
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = scope["client"][0], str(scope["client"][1])
    environ.update(_headers(scope["headers"]))
    return environ


def _headers(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        if b"_" in raw_name:
            continue  # x_forwarded_for and x-forwarded-for would be the same variable
        name, value = raw_name.decode("latin-1").upper().replace("-", "_"), raw_value.decode("latin-1")
        key = name if name in ("CONTENT_LENGTH", "CONTENT_TYPE") else "HTTP_" + name
        if key in found:
            value = found[key] + ("; " if key == "HTTP_COOKIE" else ",") + value
        found[key] = value
    return found
