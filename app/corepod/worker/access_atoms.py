"""The atoms of an access log's format, each computed for a request when the format asks for it."""

from __future__ import annotations

import base64
import os
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from corepod.worker.application.environ import build_environ

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Headers = Iterable[tuple[bytes, bytes]]

# Beginnings of the names of WSGI variables.
OF_REQUESTS = (
    *("CONTENT_", "HTTP_", "PATH_INFO", "QUERY_STRING", "RAW_URI", "REMOTE_", "REQUEST_", "SCRIPT_NAME", "SERVER_"),
    "WSGI.",
)
NO_ANSWER = 499  # status of a request that got none: nginx's, which the readers of access logs know
# strftime has them in the language that the application has set with setlocale.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PHRASES = {NO_ANSWER: "Client Closed Request", **{status.value: status.phrase for status in HTTPStatus}}

FIELDS = {
    "client": "h",
    "method": "m",
    "path": "U",
    "query": "q",
    "protocol": "H",
    "status": "s",
    "size": "b",
    "referer": "f",
    "user_agent": "a",
}


class Atoms(dict[str, Any]):
    """The atoms of a request by their names, safe to show between quotes: no value has a quote or breaks a line.

    They are `args` of the log record, so that a filter of the application's can look at them.
    """

    __slots__ = ("answer", "scope", "seconds", "size", "status")

    def __init__(self, scope: Any, status: int, answer: Headers, size: int, seconds: float) -> None:
        super().__init__(l="-")
        self.scope, self.status, self.answer = scope, status or NO_ANSWER, answer
        self.size, self.seconds = size, seconds

    def __missing__(self, name: str) -> Any:
        value = self.value(name)
        return _safe(value) if value.__class__ is str else value

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def value(self, name: str) -> Any:
        """The atom as the client sent it, "-" where there is none. Bytes that aren't UTF-8 are surrogates.

        Raises KeyError for a name that is no atom.
        """
        if name[:1] != "{":
            return _ATOMS[name](self)
        inner, kind = name[1:-2], name[-1]
        if kind == "e":
            return _variable(self.scope, inner)
        return _header(self.scope["headers"] if kind == "i" else self.answer, inner.lower().encode())

    def fields(self) -> dict[str, Any]:
        """The fields of a line of JSON by their names, without those that the request hasn't."""
        found = ((name, self.value(atom)) for name, atom in FIELDS.items())
        fields = {name: _unicode(value) for name, value in found if value not in ("", "-")}
        return {**fields, "duration": round(self.seconds, 6)}


def _unicode(value: Any) -> Any:
    if value.__class__ is str and not value.isascii():
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return value


def _safe(text: str) -> str:
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join(c if c.isprintable() and c not in '"\\' else _escape(c) for c in text)


def _escape(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00  # a byte that isn't UTF-8
    return f"\\x{code:02x}" if code <= 0xFF else ascii(char)[1:-1]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _header(headers: Headers, wanted: bytes) -> str:
    for name, value in headers:
        if name == wanted or name.lower() == wanted:
            return _text(value) or "-"
    return "-"


def _variable(scope: Any, name: str) -> str:
    """Of the request's WSGI environment, which is what gunicorn means, or else of the process."""
    upper = name.upper()
    if upper.startswith(OF_REQUESTS):
        environ = build_environ({"method": "GET", **scope}, None)
        environ["RAW_URI"] = environ["REQUEST_URI"]
        if found := environ.get(upper) or environ.get(name.lower()):
            return _text(str(found).encode("latin-1", "replace"))
    return os.environ.get(name) or os.environ.get(upper) or "-"


def _address(atoms: Atoms) -> str:
    client = atoms.scope.get("client")
    return str(client[0]) if client else "-"


def _user(atoms: Atoms) -> str:
    scheme, _, credentials = _header(atoms.scope["headers"], b"authorization").partition(" ")
    if scheme.lower() != "basic":
        return "-"
    try:
        user = _text(base64.b64decode(credentials).partition(b":")[0])
    except ValueError:
        return "-"
    # The field isn't between quotes: a space in it would pass for its end.
    return user.replace(" ", "%20") or "-"


def _time(atoms: Atoms) -> str:
    return clf_time(int(time.time()))


_last = (0, "")


def clf_time(second: int) -> str:
    """Local time with its offset, as [29/Nov/2026:13:05:09 +0100]."""
    global _last
    known, text = _last  # one assignment, one read: threads may log, too
    if known != second:
        local = time.localtime(second)
        month = _MONTHS[local.tm_mon - 1]
        text = time.strftime(f"[%d/{month}/%Y:%H:%M:%S %z]", local)
        _last = (second, text)
    return text


def _method(atoms: Atoms) -> str:
    return str(atoms.scope.get("method", "GET"))  # the scope of a WebSocket has none, and its handshake is a GET


def _target(atoms: Atoms, path: str) -> str:
    query = atoms.scope["query_string"]
    return f"{path}?{_text(query)}" if query else path


def _request_line(atoms: Atoms) -> str:
    # The path as it came: decoded it could hold spaces, and so another version of HTTP or another status.
    scope = atoms.scope
    raw = scope.get("raw_path")
    target = _target(atoms, _text(raw) if raw else quote(scope["path"]))
    if " " in target:
        target = target.replace(" ", "%20")
    return f"{_method(atoms)} {target} HTTP/{scope['http_version']}"


_ATOMS: dict[str, Callable[[Atoms], Any]] = {
    "h": _address,
    "l": lambda a: "-",
    "u": _user,
    "t": _time,
    "r": _request_line,
    "R": _request_line,
    "s": lambda a: a.status,
    "st": lambda a: _PHRASES.get(a.status, "-"),
    "S": lambda a: a.scope["scheme"],
    "m": _method,
    "U": lambda a: a.scope["path"],
    "Uq": lambda a: _target(a, a.scope["path"]),
    "q": lambda a: _text(a.scope["query_string"]),
    "H": lambda a: f"HTTP/{a.scope['http_version']}",
    "b": lambda a: a.size,
    "B": lambda a: a.size,
    "f": lambda a: _header(a.scope["headers"], b"referer"),
    "a": lambda a: _header(a.scope["headers"], b"user-agent"),
    "T": lambda a: int(a.seconds),
    "M": lambda a: int(a.seconds * 1_000),
    "D": lambda a: int(a.seconds * 1_000_000),
    "L": lambda a: f"{a.seconds:.6f}",
    "p": lambda a: f"<{os.getpid()}>",
}
