"""Reads the metrics of one pod. Whatever listens there may be slow, huge or hostile, so every part has a limit.

The connection goes to the pod's address itself, past all proxies that the environment names. The response is collected
as bytes before anything in it is interpreted: a socket's timeout counts from one byte to the next, and would let a
response of one byte a second last for hours.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import socket
import time

DEADLINE = 2.0  # seconds from the attempt to connect to the last byte
LARGEST = 1 << 20  # bytes of a response with its headers
PIECE = 1 << 16  # bytes to receive at a time
PIECES = 1000  # a response in more pieces costs more CPU than it is worth
HEADERS = 1 << 14  # bytes of the headers: http.client parses them with code that takes a second for a megabyte
REQUEST = "GET /metrics HTTP/1.1\r\nHost: {host}\r\nUser-Agent: corepod-operator\r\nConnection: close\r\n\r\n"

# Why a read failed, as values of a metric's label.
UNREACHABLE, TIMEOUT, TOO_LARGE, NOT_COREPOD = "unreachable", "timeout", "too_large", "not_corepod"
FAILURES = (UNREACHABLE, TIMEOUT, TOO_LARGE, NOT_COREPOD)


class ReadError(Exception):
    """The metrics of a pod can't be read. `failure` is one of FAILURES, the text describes it."""

    def __init__(self, failure: str, text: str) -> None:
        super().__init__(text)
        self.failure = failure


def read(address: str, port: int, within: float = DEADLINE) -> str:
    """The metrics of the pod with this IP address. Raises ReadError, within `within` seconds and little more."""
    try:
        return _body(_received(str(ipaddress.ip_address(address)), port, time.monotonic() + within))
    except TimeoutError as error:
        raise ReadError(TIMEOUT, f"no complete response within {within:g} s") from error
    # HTTPException may be an OSError, too. OverflowError: the size of the body or of a chunk exceeds 64 bits.
    except (http.client.HTTPException, ValueError, OverflowError) as error:
        raise ReadError(NOT_COREPOD, f"not a supervisor's response: {type(error).__name__}") from error
    except OSError as error:
        raise ReadError(UNREACHABLE, str(error)) from error


def _received(address: str, port: int, deadline: float) -> bytes:
    """All that the server sends until it closes the connection."""
    found = bytearray()
    with socket.create_connection((address, port), timeout=_left(deadline)) as connection:
        host = f"[{address}]" if ":" in address else address
        connection.sendall(REQUEST.format(host=f"{host}:{port}").encode())
        for _ in range(PIECES):
            connection.settimeout(_left(deadline))
            piece = connection.recv(PIECE)
            if not piece:
                return bytes(found)
            found += piece
            if len(found) > LARGEST:
                raise ReadError(TOO_LARGE, f"a response of more than {LARGEST} bytes")
    raise ReadError(TOO_LARGE, f"a response in more than {PIECES} pieces")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:  # a timeout of 0 would mean a socket that doesn't block
        raise TimeoutError
    return left


def _body(received: bytes) -> str:
    """The body of a response. A redirect isn't followed, and a compressed body isn't one of a supervisor."""
    if b"\r\n\r\n" not in received[:HEADERS]:
        raise ValueError(f"headers of more than {HEADERS} bytes, or without an end")
    response = http.client.HTTPResponse(_Received(received))  # type: ignore[arg-type]
    response.begin()
    if response.status != http.client.OK:
        raise ValueError(f"status {response.status}")
    if response.getheader("Content-Encoding", "identity") != "identity":
        raise ValueError("an encoded body")
    return response.read().decode(errors="replace")


class _Received:
    """What HTTPResponse needs of a socket."""

    def __init__(self, received: bytes) -> None:
        self._received = received

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._received)
