"""Probes, metrics and status over HTTP."""

from __future__ import annotations

import http.server
import ipaddress
import socket
import threading
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from corepod.operator.admin import metrics, status

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.operator.admin.status import Parts

TIMEOUT = 5.0  # seconds that a client may take
MOST = 32  # connections at a time; who wants more is a fault or a stranger
TEXT = "text/plain; charset=utf-8"
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


class OperatorServer(http.server.ThreadingHTTPServer):
    """Answers in threads, a few at a time."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], parts: Parts, *, public: bool) -> None:
        """`public`: everybody may see the status, not only who is on this machine. Raises OSError."""
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.parts, self.public = parts, public
        self._room = threading.BoundedSemaphore(MOST)
        super().__init__(address, RequestHandler)

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
        pass  # a client that has gone


class RequestHandler(http.server.BaseHTTPRequestHandler):
    """One request; the connection ends with it."""

    timeout = TIMEOUT
    server: OperatorServer
    server_version, sys_version = "corepod-operator", ""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        page = self.PAGES.get(url.path)
        if page is None:
            self._answer(404, f"there are {', '.join(self.PAGES)}\n")
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
        self._answer(200, metrics.render(self.server.parts), metrics.CONTENT_TYPE)

    def _status(self, query: str) -> None:
        if not self.server.public and not self._from_here():
            self._answer(403, "only from this machine: kubectl port-forward, or --admin-status all\n")
            return
        only = parse_qs(query).get("workload", [""])[0]
        self._answer(200, status.dump(status.status(self.server.parts, only)), "application/json")

    def _from_here(self) -> bool:
        """A proxy on this machine passes strangers on, and a web page may name this address as its own."""
        if any(name.lower() == "forwarded" or name.lower().startswith("x-forwarded-") for name in self.headers):
            return False
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        peer = str(self.client_address[0]).removeprefix("::ffff:")
        return ipaddress.ip_address(peer).is_loopback and host in LOCAL_NAMES

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
