"""Responses of the API server: a body within a time limit, lines as they arrive, JSON, or an error."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import urllib3

from corepod.operator.api.errors import InvalidResponse, Unreachable, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from corepod.operator.api.errors import ClusterError

JSON = dict[str, Any]

LONGEST_PAUSE = 120.0  # seconds; a longer Retry-After is cut to this
CHUNK = 1 << 16
# A line of a watch is one object. etcd stores at most 1.5 MB, which becomes a few times that as JSON.
LONGEST_LINE = 16 << 20


def read_body(response: urllib3.BaseHTTPResponse, deadline: float, most: float = float("inf")) -> bytearray:
    """The body, which must be complete by `deadline` (time.monotonic) and have at most so many bytes.

    Raises Unreachable or InvalidResponse.
    """
    body = bytearray()  # not a list of parts: joining them would need the memory twice
    try:
        # Piece by piece: a server that sends a byte now and then never runs into the timeout of the socket.
        while part := response.read1(CHUNK):
            body += part
            if len(body) > most:
                response.close()
                raise InvalidResponse(f"the response exceeds {most:.0f} bytes")
            if time.monotonic() > deadline:
                response.close()
                raise Unreachable("the response wasn't complete in time")
    except (urllib3.exceptions.HTTPError, OSError) as error:
        response.close()
        raise Unreachable(f"the connection broke during the response: {describe(error)}") from error
    return body


def read_lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Lines as they arrive. Raises Unreachable or InvalidResponse."""
    rest = b""
    try:
        for part in response.stream(CHUNK, decode_content=True):
            *whole, rest = (rest + part).split(b"\n")
            yield from whole
            if len(rest) > LONGEST_LINE:
                raise InvalidResponse(f"a line of the watch exceeds {LONGEST_LINE} bytes")
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Unreachable(describe(error)) from error
    if rest:
        raise InvalidResponse("the watch ended in the middle of a line")


def parsed(body: bytes | bytearray, hook: Callable[[JSON], Any] | None) -> JSON:
    """The JSON object in a body; `hook` gets each nested object. Raises InvalidResponse."""
    try:
        found = json.loads(body, object_hook=hook)
    except ValueError as error:
        raise InvalidResponse(f"the response isn't JSON: {bytes(body[:60])!r}") from error
    if not isinstance(found, dict):
        raise InvalidResponse(f"the response isn't a JSON object: {bytes(body[:60])!r}")
    return found


def refusal(response: urllib3.BaseHTTPResponse, body: bytes | bytearray) -> ClusterError:
    """The error for a response whose status is 300 or more."""
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
        return None  # a date, which is useless where two clocks differ


def describe(error: BaseException) -> str:
    """An error as one line, without the object addresses that urllib3 puts in front."""
    return (str(error).rpartition(">: ")[2] or type(error).__name__).replace("\n", " ")
