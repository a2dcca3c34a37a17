"""From the head of a request to the bytes of its answer: what the admin port has to say, and to whom."""

from __future__ import annotations

import json
import socket
import sys
import time

from corepod.supervisor import metrics, page

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.status import View

HEAD_MOST = 8192  # bytes of request line and headers
WHY_MOST = 300  # characters of a probe's line: the application's own word may be of any length

OPEN = ("/livez", "/readyz", "/startupz", "/metrics")  # to every address
OWN = ("/status", "/")  # to the pool's owner
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
NOTHING_HERE = f"nothing here; there are {' '.join(OPEN)}, and on this machine {' '.join(OWN)} (a page)\n"
ELSEWHERE = "only this machine may see this: use kubectl port-forward (or exec), or set admin_status=all\n"
PROXIED = "this isn't shown through a proxy: ask the admin port itself, for instance with kubectl port-forward\n"
NAMED = "the Host header has to be an IP address or localhost (open http://127.0.0.1:PORT), or set admin_status=all\n"

_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TEXT = bytes(byte for byte in range(256) if (byte >= 32 and byte != 127) or byte == 9)


class Refused(Exception):
    """Why there is no better answer: a status, a line for people, and a header line where one belongs to it."""

    def __init__(self, status: int, text: str, header: str = "") -> None:
        super().__init__(text)
        self.status, self.text, self.header = status, text, header


class Reply:
    """The bytes of a complete answer, and whether the client may still be sending what nobody asked for."""

    __slots__ = ("data", "more")

    def __init__(self, data: bytes, more: bool) -> None:
        self.data, self.more = data, more


class Request:
    """A parsed head. Names of headers are lower case.

    Raises Refused for what isn't exactly HTTP/1.0 or 1.1: nobody who asks this port needs our guesses.
    """

    def __init__(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        method, _, rest = first.decode("latin-1").partition(" ")
        target, _, version = rest.partition(" ")
        if version not in ("HTTP/1.0", "HTTP/1.1"):
            raise Refused(400, "this isn't HTTP/1.1\n")
        self.headers: dict[str, str] = {}
        for line in lines:
            self._add(line)
        if version == "HTTP/1.1" and "host" not in self.headers:
            raise Refused(400, "no Host header\n")
        if method not in ("GET", "HEAD"):
            raise Refused(405, "only GET and HEAD\n", "Allow: GET, HEAD\r\n")
        if not target.startswith("/"):
            raise Refused(400, "the request's target has to begin with /\n")
        if "transfer-encoding" in self.headers or self.headers.get("content-length", "0") != "0":
            raise Refused(400, "no request here has a body\n")
        self.head_only = method == "HEAD"
        self.path = target.partition("?")[0]

    def _add(self, line: bytes) -> None:
        # Strict about names, because a proxy's header that another parser would see decides who may see what.
        raw, colon, value = line.partition(b":")
        name = raw.decode("latin-1").lower()
        if not raw or not colon or raw.translate(None, _TOKEN) or (name == "host" and name in self.headers):
            raise Refused(400, "a malformed header\n")
        self.headers[name] = value.decode("latin-1").strip(" \t")


class Answers:
    """The admin port's resources. Nothing here raises, whatever comes."""

    def __init__(self, view: View, *, status_public: bool) -> None:
        self._view, self._public = view, status_public
        self._probes = {"/livez": view.live, "/readyz": view.ready, "/startupz": view.started}
        self._metrics: bytes | None = None
        self._told = False

    def forget(self) -> None:
        """Call between two wake-ups. Within one, all who ask share one text of the metrics, so that many clients that
        come together, or don't read, cost the time and the memory of one."""
        self._metrics = None

    def reply(self, received: bytes, *, local: bool, trusted: bool) -> Reply | None:
        """The answer to what has been received, None while its head isn't complete.

        `local`: the peer is on this machine; `trusted`: on the socket that only the pool's owner can open.
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
        except Refused as refused:
            status, kind, body, header = refused.status, PLAIN, refused.text.encode(), refused.header
        except Exception as error:
            status, kind, body, header = 500, PLAIN, f"{type(error).__name__}, see the log\n".encode(), ""
            self._tell_once()
        return Reply(_response(status, kind, body, header, head_only), more)

    def _check(self, request: Request, local: bool, trusted: bool) -> None:
        """Raise Refused unless there is something at this path and this peer may see it."""
        if request.path in OPEN or (trusted and request.path in OWN):
            return
        if request.path not in OWN:
            raise Refused(404, NOTHING_HERE)
        if any(name in ("forwarded", "via", "x-real-ip") or name.startswith("x-forwarded") for name in request.headers):
            # Behind a proxy on this machine everybody comes from loopback.
            raise Refused(403, PROXIED)
        if self._public:
            return
        if not local:
            raise Refused(403, ELSEWHERE)
        if not _literal(request.headers.get("host", "")):
            # DNS rebinding: a web page may let its own name point to 127.0.0.1, and the browser of whoever looks at it
            # then takes this port for the page's own server and shows it the answers. The name gives it away.
            raise Refused(403, NAMED)

    def _answer(self, path: str) -> tuple[int, str, bytes, str]:
        """Status, content type, body and further header lines of what there is at `path`."""
        if path in self._probes:
            good, why = self._probes[path]()
            line = " ".join(why.split())[:WHY_MOST] + "\n"
            return 200 if good else 503, PLAIN, _encode(line), ""
        if path == "/metrics":
            if self._metrics is None:
                self._metrics = _encode(metrics.render(self._view.status()))
            return 200, metrics.CONTENT_TYPE, self._metrics, ""
        if path == "/status":
            return 200, JSON, json.dumps(self._view.status(), indent=1).encode() + b"\n", ""
        return 200, HTML, _encode(page.render(self._view.status(), time.time())), page.HEADER

    def _tell_once(self) -> None:
        # Once: it would come again with every probe.
        if not self._told:
            sys.excepthook(*sys.exc_info())
        self._told = True


def _head(received: bytes) -> bytes | None:
    """What stands before the empty line, None while that hasn't come.

    Raises Refused as soon as it can't become a head any more: too long, or with bytes that no head has (a bare line
    feed, NUL, a TLS handshake).
    """
    head, found, _ = received.partition(END)
    lines = head if found else head.removesuffix(b"\r")
    if lines.replace(b"\r\n", b"").translate(None, _TEXT):
        raise Refused(400, "this isn't HTTP/1.1\n")
    if not found and len(received) >= HEAD_MOST:
        raise Refused(431, f"a request's head may have {HEAD_MOST} bytes\n")
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
    # An application's word may hold half of a surrogate pair, which UTF-8 can't.
    return text.encode("utf-8", "replace")


def _literal(host: str) -> bool:
    """Whether a Host header, with or without a port, is an IP address or localhost: nothing that DNS is asked for."""
    name, bracket, port = host.partition("]") if host.startswith("[") else host.partition(":")
    port = port.removeprefix(":") if bracket == "]" else port
    if port and not (port.isascii() and port.isdigit()):
        return False
    if name.lower() == "localhost":
        return True
    family, address = (socket.AF_INET6, name[1:]) if bracket == "]" else (socket.AF_INET, name)
    try:
        socket.inet_pton(family, address)
    except OSError:
        return False
    return True
