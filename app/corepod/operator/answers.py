"""Answers of the API server: a body in time, lines as they come, JSON, or an error."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import urllib3

from corepod.operator.errors import Nonsense, Unreachable, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from corepod.operator.errors import ClusterError

JSON = dict[str, Any]

LONGEST_PAUSE = 120.0  # seconds of a Retry-After that are believed
CHUNK = 1 << 16
# A line of a watch is one object; etcd takes at most 1.5 MB, written as JSON a few times that.
LONGEST_LINE = 16 << 20


def whole(response: urllib3.BaseHTTPResponse, deadline: float) -> bytearray:
    """The body, which has to be there by `deadline` (time.monotonic). Raises Unreachable."""
    body = bytearray()  # and no list of parts: a page of a list would be in memory twice
    try:
        # Piece by piece: the timeout of the socket counts anew with each byte of a server that drips.
        while part := response.read1(CHUNK):
            body += part
            if time.monotonic() > deadline:
                response.close()
                raise Unreachable("the answer didn't end in time")
    except (urllib3.exceptions.HTTPError, OSError) as error:
        response.close()
        raise Unreachable(f"cut off while it answered: {words(error)}") from error
    return body


def lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Line by line, as they arrive. Raises Unreachable or Nonsense."""
    rest = b""
    try:
        for part in response.stream(CHUNK, decode_content=True):
            *whole, rest = (rest + part).split(b"\n")
            yield from whole
            if len(rest) > LONGEST_LINE:
                raise Nonsense(f"a line of more than {LONGEST_LINE} bytes")
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Unreachable(words(error)) from error
    if rest:
        raise Nonsense("the watch ended in the middle of a line")


def parsed(body: bytes | bytearray, hook: Callable[[JSON], Any] | None) -> JSON:
    """The object that an answer is; `hook` sees each object in it. Raises Nonsense."""
    try:
        found = json.loads(body, object_hook=hook)
    except ValueError as error:
        raise Nonsense(f"the answer is not JSON: {bytes(body[:60])!r}") from error
    if not isinstance(found, dict):
        raise Nonsense(f"the answer is not an object: {bytes(body[:60])!r}")
    return found


def refusal(response: urllib3.BaseHTTPResponse, body: bytes | bytearray) -> ClusterError:
    """The error that an answer with a status of 300 or more is."""
    try:
        status = json.loads(body)
        reason, message = str(status.get("reason") or response.reason), str(status.get("message") or "")
    except (ValueError, AttributeError):
        reason, message = str(response.reason), body[:60].decode(errors="replace").strip()
    return refused(response.status, reason, message, _pause(response.headers.get("Retry-After")))


def _pause(text: str | None) -> float | None:
    try:
        return None if text is None else max(0.0, min(float(text), LONGEST_PAUSE))
    except ValueError:
        return None  # a date: the clocks of the two machines needn't agree


def words(error: BaseException) -> str:
    """One line, without the object addresses that urllib3 puts in front."""
    return (str(error).rpartition(">: ")[2] or type(error).__name__).replace("\n", " ")
