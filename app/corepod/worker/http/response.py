"""The head of a response as bytes: RFC 9112, sections 4 (status line), 6 (how its body ends) and 9 (whether the
connection ends). What it may say is in `corepod.worker.response_head`."""

from __future__ import annotations

from typing import Any

from corepod.worker.response_head import PHRASES, REASON, check_headers, check_status, reason_phrase

# How a body ends that has no length.
CHUNKED = -1
BY_CLOSING = -2
ABSENT = -3  # there is none, whatever the application sends

_NO_CONTENT, _NOT_MODIFIED = 204, 304
_MANAGED = frozenset((b"content-length", b"transfer-encoding", b"connection", b"date", b"server"))
_KNOWN_NAMES = 1000  # an application that makes up names must not fill the memory
_names: dict[bytes, bytes] = {}  # the names of headers that have been checked, and how they are sent


def response_head(
    message: dict[str, Any], method: bytes, version: str, keep: bool, date: bytes, server: bytes
) -> tuple[bytes, int, bool]:
    """The head for a message http.response.start that answers a request of this method and version; bytes of the body
    that are still to come, or how it ends; and whether the connection goes on. `keep`: whether it may go on. `date` and
    `server` are lines, and the second one may be empty.

    Raises TypeError or ValueError where the message can't become a head, or would become more than one.
    """
    status, headers = message.get("status"), message.get("headers") or ()
    lines = [_status_line(status, message)]
    values: list[bytes] = []
    length: int | None = None
    try:
        for name, value in headers:
            name = _names.get(name) or _checked(name)
            value = value.strip()
            values.append(value)
            if name not in _MANAGED:
                lines.append(b"%b: %b\r\n" % (name, value))
            elif name == b"content-length":
                length = _length(value, length)
            elif name == b"connection":
                keep = keep and b"close" not in value.lower()
            elif name != b"transfer-encoding":  # chunks are made here
                lines.append(b"%b: %b\r\n" % (name, value))
                date, server = (b"", server) if name == b"date" else (date, b"")
        said = b"".join(values)
    except (AttributeError, TypeError, ValueError):
        check_headers(check_status(status), headers)  # says what is wrong
        raise
    left = _framing(method, version, check_status(status), length)
    if left == CHUNKED:
        lines.append(b"transfer-encoding: chunked\r\n")
    if length is not None and status != _NO_CONTENT:
        lines.append(b"content-length: %d\r\n" % length)
    if date:
        lines.append(date)
    if server:
        lines.append(server)
    keep = keep and left != BY_CLOSING
    if not keep:
        lines.append(b"connection: close\r\n")
    lines.append(b"\r\n")
    # A line break in a value would end the head, or begin another response. Names have been checked.
    if b"\n" in said or b"\r" in said or b"\0" in said:
        check_headers(check_status(status), headers)
    return b"".join(lines), left, keep


def _framing(method: bytes, version: str, status: int, length: int | None) -> int:
    if method == b"HEAD" or status in (_NO_CONTENT, _NOT_MODIFIED):
        return ABSENT
    if length is not None:
        return length
    return CHUNKED if version == "1.1" else BY_CLOSING


def _length(value: bytes, before: int | None) -> int:
    """Raises ValueError for a length that can't be, or isn't the one that was given before."""
    if not value.isdigit() or before not in (None, int(value)):
        raise ValueError(value)
    return int(value)


def _checked(name: bytes) -> bytes:
    """The name as it is sent. Raises what `check_headers` does."""
    ((checked, _),) = check_headers(200, [(name, b"0")]) or [(name.lower(), b"")]
    if len(_names) < _KNOWN_NAMES:
        _names[name] = checked
    return checked


def _status_line(status: Any, message: Any) -> bytes:
    if REASON not in message and (line := _LINES.get(status)):
        return line
    return b"HTTP/1.1 %d %b\r\n" % (check_status(status), reason_phrase(message))


_LINES = {status: b"HTTP/1.1 %d %b\r\n" % (status, phrase) for status, phrase in PHRASES.items() if status >= 200}


def refusal(status: int, date: bytes, server: bytes, text: bytes = b"") -> bytes:
    """A whole response to a request that isn't one, or isn't served."""
    kind = b"content-type: text/plain; charset=utf-8\r\n" if text else b""
    head = b"%bcontent-length: %d\r\n%bconnection: close\r\n" % (_LINES[status], len(text), kind)
    return b"%b%b%b\r\n%b" % (head, date, server, text)
