"""One request over HTTP and its outcome. Nothing is retried: a retry would hide failures that have to be counted."""

from __future__ import annotations

import http.client
import json
import select
import socket
import ssl
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from corepod.contract.escaping import line

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT = 10.0  # seconds for a connection, and then for each part of a response

OK = "ok"
REFUSED = "refused"  # no process accepted the connection
RESET = "reset"  # the connection was made, and cut before the whole response had arrived
TIMED_OUT = "timed out"
SERVER_ERROR = "5xx"
WRONG = "wrong body"  # a response, but not the expected one
LOST_SESSION = "lost session"  # the state that the worker had kept for this user is gone
FAILURES = (REFUSED, RESET, TIMED_OUT, SERVER_ERROR, WRONG, LOST_SESSION)


class Responder(NamedTuple):
    """The worker that answered, as far as the response tells."""

    pod: str | None = None
    node: str | None = None
    slot: int | None = None
    core: int | None = None
    pid: int | None = None

    @property
    def place(self) -> str:
        """Its pod and slot, which outlive the process; the process itself where it has neither."""
        words = [self.pod or "", "" if self.slot is None else f"slot {self.slot}"]
        return " ".join(filter(None, words)) or ("nobody" if self.pid is None else f"pid {self.pid}")


NOBODY = Responder()


@dataclass
class Answer:
    """The outcome of a request. For a failed one `worker` is the one at the other end of its kept connection."""

    outcome: str
    seconds: float = 0.0
    status: int = 0
    body: bytes = b""
    worker: Responder = NOBODY
    detail: str = ""

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; empty where it isn't one."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


class Client:
    """Sends requests to one server. With `kept` they share a connection, without it each has one of its own.

    The name is resolved once, so that no request waits for a resolver. Raises OSError where that fails, and ValueError
    for a URL that isn't one of HTTP.
    """

    def __init__(self, url: str, *, kept: bool = False, timeout: float = TIMEOUT) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not a URL such as http://127.0.0.1:8000")
        self._host, self._tls = parts.netloc.rpartition("@")[2], _tls(parts.scheme)
        self._name, port = parts.hostname, parts.port or (443 if self._tls else 80)
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)[0]
        self._family, self._address = found[0], found[4]
        self._kept, self._timeout = kept, timeout
        self._open: http.client.HTTPConnection | None = None
        self.bound = NOBODY  # the worker at the other end of the kept connection

    def get(self, path: str, expect: Callable[[Answer], str] = lambda answer: "") -> Answer:
        """Request it. `expect` returns what is wrong with a response, an empty text where it is right."""
        begun = time.perf_counter()
        answer = self._ask(path)
        answer.seconds = time.perf_counter() - begun
        if answer.outcome == OK and (wrong := expect(answer)):
            answer.outcome, answer.detail = WRONG, wrong
        return answer

    def close(self) -> None:
        if self._open:
            self._open.close()
        self._open, self.bound = None, NOBODY

    def _ask(self, path: str) -> Answer:
        try:
            connection = self._connection()
        except TimeoutError:
            return Answer(TIMED_OUT, detail="no connection in time")
        except ConnectionResetError as error:
            return Answer(RESET, detail=error.strerror or str(error))
        except OSError as error:
            return Answer(REFUSED, detail=error.strerror or str(error))
        bound = self.bound
        done = False
        try:
            connection.request("GET", path, headers={"Host": self._host, **self._headers()})
            response = connection.getresponse()
            body = response.read()
            answer = judged(response.status, body, identity(dict(response.headers), body))
            done = self._kept and not response.will_close
        except TimeoutError:
            answer = Answer(TIMED_OUT, worker=bound)
        except (http.client.RemoteDisconnected, http.client.IncompleteRead, OSError) as error:
            answer = Answer(RESET, worker=bound, detail=str(error))
        except http.client.HTTPException as error:
            answer = Answer(WRONG, worker=bound, detail=repr(error))
        finally:
            # Also when a user is stopped in the middle of a response: the rest of it must not become the next one.
            if not done:
                self._drop(connection)
        if done:
            self.bound = answer.worker
        return answer

    def _headers(self) -> dict[str, str]:
        return {"Accept": "*/*"} if self._kept else {"Accept": "*/*", "Connection": "close"}

    def _connection(self) -> http.client.HTTPConnection:
        # A connection that the server has closed while it was idle is no failure: a client sees it before it sends.
        if self._open and self._open.sock and select.select([self._open.sock], [], [], 0)[0]:
            self.close()
        if self._open:
            return self._open
        connection = http.client.HTTPConnection(self._host, timeout=self._timeout)
        connection.sock = self._connect()
        if self._kept:
            self._open = connection
        return connection

    def _connect(self) -> socket.socket:
        sock = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            sock.settimeout(self._timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect(self._address)
            return self._tls.wrap_socket(sock, server_hostname=self._name) if self._tls else sock
        except BaseException:
            sock.close()
            raise

    def _drop(self, connection: http.client.HTTPConnection) -> None:
        connection.close()
        if connection is self._open:
            self.close()


@cache
def _tls(scheme: str) -> ssl.SSLContext | None:
    return ssl.create_default_context() if scheme == "https" else None  # it reads all certificates: once is enough


def judged(status: int, body: bytes, worker: Responder) -> Answer:
    outcome = SERVER_ERROR if status >= 500 else WRONG if status >= 400 else OK
    return Answer(outcome, status=status, body=body, worker=worker, detail="" if outcome == OK else f"status {status}")


def identity(headers: dict[str, str], body: bytes = b"") -> Responder:
    """The worker by the headers of a response; its pod and node by a JSON body, and with other servers all of it."""
    told: dict[str, Any] = {}
    if body[:1] == b"{" and b'"pid"' in body:
        told = Answer(OK, body=body).json()
    if not told.get("pinned"):
        told.pop("core", None)  # without pinning it is the core that this request happened to run on
    lower = {key.lower(): value for key, value in headers.items()}
    numbers = {key: _number(lower.get(f"x-corepod-{key}", told.get(key))) for key in ("slot", "core", "pid")}
    return Responder(pod=_text(told.get("pod")), node=_text(told.get("node")), **numbers)


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _text(value: Any) -> str | None:
    return line(value) if isinstance(value, str) else None
