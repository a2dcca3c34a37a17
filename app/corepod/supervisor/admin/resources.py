"""The admin port's resources: from the head of a request to the bytes of its response."""

from __future__ import annotations

import json
import sys
import time

from corepod.contract import access, exposition
from corepod.supervisor.admin import metrics, page

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.admin.status import PoolStatus

HEAD_MOST = 8192  # bytes of request line and headers
WHY_MOST = 300  # characters of a probe's line: the application's own reason may be of any length

OPEN = ("/livez", "/readyz", "/startupz", "/metrics")  # for every address
RESTRICTED = ("/status", "/")  # see contract.access
END = b"\r\n\r\n"
PLAIN, JSON, HTML = "text/plain; charset=utf-8", "application/json", "text/html; charset=utf-8"
REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
NOT_FOUND = f"not found; there are {' '.join(OPEN)}, and for this machine {' '.join(RESTRICTED)} (a page)\n"

_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TEXT = bytes(byte for byte in range(256) if (byte >= 32 and byte != 127) or byte == 9)


class RequestRefused(Exception):
    """A request gets an error: its status, a line for people, and a header line that some statuses need."""

    def __init__(self, status: int, text: str, header: str = "") -> None:
        super().__init__(text)
        self.status, self.text, self.header = status, text, header


class Reply:
    """The bytes of a complete response, and whether the client may still be sending bytes behind its request."""

    __slots__ = ("data", "more")

    def __init__(self, data: bytes, more: bool) -> None:
        self.data, self.more = data, more


class Request:
    """A parsed head. Names of headers are lower case.

    Raises RequestRefused for everything that isn't exactly HTTP/1.0 or 1.1: no client of this port needs leniency.
    """

    def __init__(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        method, _, rest = first.decode("latin-1").partition(" ")
        target, _, version = rest.partition(" ")
        if version not in ("HTTP/1.0", "HTTP/1.1"):
            raise RequestRefused(400, "this isn't HTTP/1.1\n")
        self.headers: dict[str, str] = {}
        for line in lines:
            self._add(line)
        if version == "HTTP/1.1" and "host" not in self.headers:
            raise RequestRefused(400, "no Host header\n")
        if method not in ("GET", "HEAD"):
            raise RequestRefused(405, "only GET and HEAD\n", "Allow: GET, HEAD\r\n")
        if not target.startswith("/"):
            raise RequestRefused(400, "the request's target must begin with /\n")
        if "transfer-encoding" in self.headers or self.headers.get("content-length", "0") != "0":
            raise RequestRefused(400, "requests to the admin port have no body\n")
        self.head_only = method == "HEAD"
        self.path = target.partition("?")[0]

    def _add(self, line: bytes) -> None:
        # Strict about names: access depends on headers of proxies, so none that another parser would see may be missed.
        raw, colon, value = line.partition(b":")
        name = raw.decode("latin-1").lower()
        if not raw or not colon or raw.translate(None, _TOKEN) or (name == "host" and name in self.headers):
            raise RequestRefused(400, "a malformed header\n")
        self.headers[name] = value.decode("latin-1").strip(" \t")


class Resources:
    """Answers requests. No method raises, whatever the client sends."""

    def __init__(self, status: PoolStatus, *, status_public: bool) -> None:
        self._status, self._public = status, status_public
        self._probes = {"/livez": status.live, "/readyz": status.ready, "/startupz": status.started}
        self._metrics: bytes | None = None
        self._logged = False

    def forget(self) -> None:
        """Call between two wake-ups. Within one, all clients share one text of the metrics, so that many of them at a
        time, or slow readers, cost the time and memory of one."""
        self._metrics = None

    def reply(self, received: bytes, *, local: bool, trusted: bool) -> Reply | None:
        """The response to the received bytes, None while the head isn't complete.

        `local`: the peer is on this machine; `trusted`: it uses the socket that only the pool's owner can open.
        """
        head_only, more = False, True
        try:
            head = _head(received)
            if head is None:
                return None
            request = Request(head)
            head_only, more = request.head_only, len(received) > len(head) + len(END)
            self._check(request, local, trusted)
            status, kind, body, header = self._answer(request.path)
        except RequestRefused as refused:
            status, kind, body, header = refused.status, PLAIN, refused.text.encode(), refused.header
        except Exception as error:
            status, kind, body, header = 500, PLAIN, f"{type(error).__name__}, see the log\n".encode(), ""
            self._log_once()
        return Reply(_response(status, kind, body, header, head_only), more)

    def _check(self, request: Request, local: bool, trusted: bool) -> None:
        """Raise RequestRefused unless the path exists and the peer may see it."""
        if request.path not in OPEN and request.path not in RESTRICTED:
            raise RequestRefused(404, NOT_FOUND)
        why = access.why_not_allowed(
            request.headers, everybody=request.path in OPEN, local=local, public=self._public, trusted=trusted
        )
        if why:
            raise RequestRefused(403, f"{why}\n")

    def _answer(self, path: str) -> tuple[int, str, bytes, str]:
        """Status, content type, body and further header lines of the resource at `path`."""
        if path in self._probes:
            good, why = self._probes[path]()
            line = " ".join(why.split())[:WHY_MOST] + "\n"
            return 200 if good else 503, PLAIN, _encode(line), ""
        if path == "/metrics":
            if self._metrics is None:
                self._metrics = _encode(metrics.render(self._status.document()))
            return 200, exposition.CONTENT_TYPE, self._metrics, ""
        if path == "/status":
            return 200, JSON, json.dumps(self._status.document(), indent=1).encode() + b"\n", ""
        return 200, HTML, _encode(page.render(self._status.document(), time.time())), page.HEADER

    def _log_once(self) -> None:
        # Only once, because it would be repeated with every probe.
        if not self._logged:
            sys.excepthook(*sys.exc_info())
        self._logged = True


def _head(received: bytes) -> bytes | None:
    """The bytes before the empty line, None while that hasn't arrived.

    Raises RequestRefused as soon as they can't become a head any more: too many, or some that no head contains (a bare
    line feed, NUL, a TLS handshake).
    """
    head, found, _ = received.partition(END)
    lines = head if found else head.removesuffix(b"\r")
    if lines.replace(b"\r\n", b"").translate(None, _TEXT):
        raise RequestRefused(400, "this isn't HTTP/1.1\n")
    if not found and len(received) >= HEAD_MOST:
        raise RequestRefused(431, f"the head of a request must not exceed {HEAD_MOST} bytes\n")
    return head if found else None


def _response(status: int, kind: str, body: bytes, header: str, head_only: bool) -> bytes:
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
    head = (
        f"HTTP/1.1 {status} {REASONS[status]}\r\nDate: {date}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\nCache-Control: no-store\r\n"
        f"X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\n{header}\r\n"
    )
    return head.encode("ascii") + (b"" if head_only else body)


def _encode(text: str) -> bytes:
    # An application's reason may contain half of a surrogate pair, which UTF-8 can't encode.
    return text.encode("utf-8", "replace")
