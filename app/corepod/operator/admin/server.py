"""The admin port: probes, metrics and status over HTTP."""

from __future__ import annotations

import http.server
import socket
import threading
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from corepod.contract import access, exposition, listening
from corepod.operator.admin import metrics, status

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.operator.admin.status import Parts

TIMEOUT = 5.0  # seconds without progress after which a connection is closed
MOST = 32  # connections at a time; further ones are closed
TEXT = "text/plain; charset=utf-8"
EVERYBODY = ("/livez", "/readyz", "/metrics")  # paths open to every address


class OperatorServer(http.server.ThreadingHTTPServer):
    """Handles each connection in a thread, a limited number at a time."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], parts: Parts, *, public: bool) -> None:
        """`public`: every address may see the status, not only this machine. Raises OSError."""
        self.parts, self.public = parts, public
        self._room = threading.BoundedSemaphore(MOST)
        super().__init__(address, RequestHandler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening.bound(*address, socket.SOCK_STREAM)
        self.server_activate()

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, name="http", daemon=True).start()

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # the client is gone


class RequestHandler(http.server.BaseHTTPRequestHandler):
    """One request; the connection ends with it."""

    timeout = TIMEOUT
    server: OperatorServer
    server_version, sys_version = "corepod-operator", ""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        page = self.PAGES.get(url.path)
        if page is None:
            self._answer(404, f"not found; there are {' '.join(self.PAGES)}\n")
        elif self.headers.defects:
            # A malformed line ends the headers for this parser, and would hide those of a proxy behind it.
            self._answer(400, "a malformed header\n")
        elif why := self._why_not_allowed(url.path):
            self._answer(403, f"{why}\n")
        else:
            page(self, url.query)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass

    def _probe(self, why: str) -> None:
        self._answer(503 if why else 200, f"{why or 'ok'}\n")

    def _live(self, query: str) -> None:
        self._probe(status.why_not_alive(self.server.parts))

    def _ready(self, query: str) -> None:
        self._probe(status.why_not_ready(self.server.parts))

    def _metrics(self, query: str) -> None:
        self._answer(200, metrics.render(self.server.parts), exposition.CONTENT_TYPE)

    def _status(self, query: str) -> None:
        only = parse_qs(query).get("workload", [""])[0]
        self._answer(200, status.dump(status.status(self.server.parts, only)), "application/json")

    def _why_not_allowed(self, path: str) -> str:
        # Values of repeated headers are joined: with two of them a Host header isn't one that is allowed.
        headers = {name.lower(): ", ".join(self.headers.get_all(name, [])) for name in self.headers}
        return access.why_not_allowed(
            headers,
            everybody=path in EVERYBODY,
            local=access.is_local(str(self.client_address[0])),
            public=self.server.public,
        )

    def _answer(self, code: int, text: str, kind: str = TEXT) -> None:
        body = text.encode()
        self.send_response(code)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), ("Connection", "close")):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    PAGES: ClassVar[dict[str, Callable[[RequestHandler, str], None]]] = {
        "/livez": _live,
        "/readyz": _ready,
        "/metrics": _metrics,
        "/status": _status,
    }
