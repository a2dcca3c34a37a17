"""The admin port's resources: from the head of a request to its response."""

from __future__ import annotations

import json
import sys
import time

from corepod.contract import access, exposition
from corepod.supervisor.admin import metrics, page
from corepod.supervisor.admin.responses import END, HTML, JSON, PLAIN, Making, Reply, as_json, encode, response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.admin.commands import Commands
    from corepod.supervisor.admin.status import PoolStatus

HEAD_MOST = 8192  # bytes of request line and headers
WHY_MOST = 300  # characters of a probe's line: the application's own reason may be of any length

OPEN = ("/livez", "/readyz", "/startupz", "/metrics")  # for every address
DRAINING = "draining=404"  # a query of /readyz
RESTRICTED = ("/status", "/")  # see contract.access
NOT_FOUND = f"not found; there are {' '.join(OPEN)}, and for this machine {' '.join(RESTRICTED)} (a page)\n"

_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TEXT = bytes(byte for byte in range(256) if (byte >= 32 and byte != 127) or byte == 9)


class RequestRefused(Exception):
    """A request gets an error: its status, a line for people, and a header line that some statuses need."""

    def __init__(self, status: int, text: str, header: str = "") -> None:
        super().__init__(text)
        self.status, self.text, self.header = status, text, header


class Request:
    """A parsed head. Names of headers are lower case.

    Raises RequestRefused for everything that isn't exactly HTTP/1.0 or 1.1: no client of this port needs leniency.
    """

    def __init__(self, head: bytes, *, posts: bool = False) -> None:
        """`posts`: its peer may use POST."""
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
        if method not in (("GET", "HEAD", "POST") if posts else ("GET", "HEAD")):
            raise RequestRefused(405, "only GET and HEAD\n", "Allow: GET, HEAD\r\n")
        if not target.startswith("/"):
            raise RequestRefused(400, "the request's target must begin with /\n")
        if "transfer-encoding" in self.headers or self.headers.get("content-length", "0") != "0":
            raise RequestRefused(400, "requests to the admin port have no body\n")
        self.method, self.head_only = method, method == "HEAD"
        self.path, _, self.query = target.partition("?")

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
        self._made: dict[tuple[str, int], Making] = {}  # by path, and by what had been done before
        self._done = 0  # commands
        self.commands: Commands | None = None  # of the pool's owner, where there is a control socket
        self._logged = False

    @property
    def making(self) -> bool:
        """Whether a response is being made: call `go_on` soon."""
        return any(not making.data for making in self._made.values())

    def go_on(self) -> None:
        """Make a piece more of each response that isn't complete. Call it between two wake-ups."""
        for making in self._made.values():
            try:
                making.go_on()
            except Exception as error:
                making.data = self._failure(error)

    def forget(self) -> None:
        """Call between two wake-ups. Within one, and while it is made, all clients share one response, so that many of
        them at a time, or slow readers, cost the time and memory of one."""
        self._made = {key: making for key, making in self._made.items() if not making.data}

    def reply(self, received: bytes, *, local: bool, trusted: bool) -> Reply | None:
        """The response to the received bytes, None while the head isn't complete.

        `local`: the peer is on this machine; `trusted`: it uses the socket that only the pool's owner can open.
        """
        head_only, more = False, True
        try:
            head = _head(received)
            if head is None:
                return None
            request = Request(head, posts=trusted)
            head_only, more = request.head_only, len(received) > len(head) + len(END)
            if trusted and self.commands is not None and (request.path in self.commands or request.method == "POST"):
                return Reply(self._command(self.commands, request), more, head_only=head_only)
            self._check(request, local, trusted)
            if request.path not in self._probes:
                return Reply(b"", more, making=self._make(request.path), head_only=head_only)
            good, why = self._probes[request.path]()
            line = " ".join(why.split())[:WHY_MOST] + "\n"
            data = response(200 if good else self._bad(request), PLAIN, encode(line))
        except RequestRefused as refused:
            data = response(refused.status, PLAIN, refused.text.encode(), refused.header)
        except Exception as error:
            data = self._failure(error)
        return Reply(data, more, head_only=head_only)

    def _bad(self, request: Request) -> int:
        """The status of a probe that isn't passed. A proxy that balances may ask to be told a drain, which lasts, from
        what may pass in milliseconds: HAProxy's `disable-on-404` acts on the one at once, and waits with the other."""
        told = request.path == "/readyz" and DRAINING in request.query.split("&")
        return 404 if told and self._status.draining() else 503

    def _command(self, commands: Commands, request: Request) -> bytes:
        if request.path not in commands:
            raise RequestRefused(404, f"there is no command {request.path}\n")
        if request.method == "POST":
            self._done += 1  # a status made before would say that nothing has come of it
        pairs = (part.partition("=") for part in request.query.split("&") if part)
        status, document = commands.answer(request.method, request.path, {name: value for name, _, value in pairs})
        return response(status, JSON, encode(json.dumps(document) + "\n"))

    def _check(self, request: Request, local: bool, trusted: bool) -> None:
        """Raise RequestRefused unless the path exists and the peer may see it."""
        if request.path not in OPEN and request.path not in RESTRICTED:
            raise RequestRefused(404, NOT_FOUND)
        why = access.why_not_allowed(
            request.headers, everybody=request.path in OPEN, local=local, public=self._public, trusted=trusted
        )
        if why:
            raise RequestRefused(403, f"{why}\n")

    def _make(self, path: str) -> Making:
        """The document at `path`, begun; that of a small pool is complete."""
        key = (path, self._done)
        if key not in self._made:
            making = self._begin(path)
            making.go_on()
            self._made[key] = making
        return self._made[key]

    def _begin(self, path: str) -> Making:
        status = self._status.document()
        if path == "/metrics":
            return Making(metrics.render(status), exposition.CONTENT_TYPE)
        if path == "/status":
            return Making(as_json(status), JSON)
        return Making(page.render(status, time.time()), HTML, page.HEADER)

    def _failure(self, error: Exception) -> bytes:
        # Only once, because it would be repeated with every probe.
        if not self._logged:
            sys.excepthook(*sys.exc_info())
        self._logged = True
        return response(500, PLAIN, f"{type(error).__name__}, see the log\n".encode())


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
