"""What the head of an application's response may say, whichever implementation sends it.

A head that can't be sent is an error of the application: its call of `send` raises, before anything of the response has
left, so that the client gets a 500.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

# The key of the message http.response.start for a WSGI application's reason phrase, as bytes: ASGI has none. It is
# written by `corepod.worker.application.wsgi`, and read by both implementations of HTTP/1.1; HTTP/2 has no phrases.
REASON = "corepod.reason"

PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}

_is_name = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_line_end = re.compile(rb"[\0\r\n]").search


def reason_phrase(message: Any) -> bytes:
    """The reason phrase of a response: the application's own, or the standard's, or an empty one.

    Raises ValueError where it would end the line.
    """
    phrase = message.get(REASON) or PHRASES.get(message["status"], b"")
    if _line_end(phrase):
        raise ValueError(f"the reason phrase {phrase!r} of the response contains a line break or NUL")
    return bytes(phrase)


def check_status(status: Any) -> int:
    """Raises TypeError or ValueError where this is no status of a response that an application may make."""
    if not isinstance(status, int):
        raise TypeError(f"the response's status {status!r} is {type(status).__name__}; it has to be a number")
    if not 200 <= status <= 999:
        raise ValueError(
            f"the response's status {status:d} isn't between 200 and 999: one below 200 answers no request"
        )
    return int(status)


def check_headers(status: int, headers: Any) -> list[tuple[bytes, bytes]]:
    """The headers as they are sent, with names in lower case.

    The server says how a body is framed: an application's Transfer-Encoding is dropped, as is the length of a 204,
    which has no body (RFC 9110, 8.6). Raises TypeError or ValueError where they can't be sent.
    """
    checked, length = [], None
    for name, value in headers:
        if not isinstance(name, bytes) or not isinstance(value, bytes):
            raise TypeError(f"the response's header {name!r}: {value!r} has to consist of bytes")
        if not _is_name(name):
            raise ValueError(f"the response's header {name!r} has a name that isn't a token (RFC 9110, 5.1)")
        if _line_end(value):
            raise ValueError(f"the value of the response's header {name!r} contains a line break or NUL: {value!r}")
        name, value = name.lower(), value.strip(b" \t")
        if name == b"content-length":
            if not value.isdigit() or length not in (None, value):
                raise ValueError(
                    f"the response's content-length {value!r} is no number, or another one was given before"
                )
            if length is not None or status == 204:
                continue
            length = value
        elif name == b"transfer-encoding":
            continue
        checked.append((name, value))
    return checked
