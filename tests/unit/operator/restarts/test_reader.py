"""Whatever listens at a pod's address: a read ends in time, with the metrics or with a ReadError."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from corepod.operator.restarts import reader
from corepod.operator.restarts.reader import NOT_COREPOD, TIMEOUT, TOO_LARGE, UNREACHABLE, ReadError
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Answer = Callable[[socket.socket], None]

TEXT = "corepod_start_time_seconds 5\n"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 29\r\n\r\n" + TEXT.encode()
PATIENT = 60.0  # seconds: a limit that only a fault reaches
SHORT = 0.3


class Server:
    """Accepts connections and answers each as it is told."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.answer: Answer = lambda connection: connection.sendall(GOOD)
        self.connections = 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                with connection, contextlib.suppress(OSError):
                    connection.recv(4096)
                    self.answer(connection)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def sends(*pieces: bytes) -> Answer:
    def answer(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)

    return answer


def read(server: Server, answer: Answer, within: float = PATIENT) -> str:
    server.answer = answer
    return reader.read("127.0.0.1", server.port, within)


def failure(server: Server, answer: Answer, within: float = PATIENT) -> str:
    with pytest.raises(ReadError) as found:
        read(server, answer, within)
    return found.value.failure


def test_a_response(server: Server) -> None:
    assert read(server, sends(GOOD)) == TEXT


def test_a_response_in_pieces_and_chunks(server: Server) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ncorep\r\n3\r\nod_\r\n0\r\n\r\n"
    assert read(server, sends(chunked[:40], chunked[40:])) == "corepod_"


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_proxies_are_not_used(server: Server, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert read(server, sends(GOOD)) == TEXT


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999999999999\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 60_000 + b"\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\nx",
        b"HTTP/1.1 200 OK\r\n" + (b"a:b\r" * 15_000 + b"\n") * 10 + b"\r\nx",  # a second of CPU to parse
    ],
    ids=lambda text: str(text[:40]),
)
def test_what_no_supervisor_sends(server: Server, response: bytes) -> None:
    assert failure(server, sends(response)) == NOT_COREPOD


def test_a_redirect_is_not_followed(server: Server) -> None:
    before = server.connections
    where = f"http://127.0.0.1:{server.port}/other".encode()
    moved = b"HTTP/1.1 302 Found\r\nLocation: " + where + b"\r\nContent-Length: 0\r\n\r\n"
    assert failure(server, sends(moved)) == NOT_COREPOD
    assert server.connections == before + 1


def test_a_body_without_end(server: Server) -> None:
    def pour(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 100_000)

    assert failure(server, pour) == TOO_LARGE


def test_headers_without_end(server: Server) -> None:
    def pour(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"X: y\r\n" * 10_000)

    assert failure(server, pour) == TOO_LARGE


@pytest.mark.parametrize("at_once", [b"", GOOD[:10], GOOD[:45], GOOD], ids=["nothing", "status", "body", "open"])
def test_a_byte_now_and_then_does_not_prolong_the_deadline(server: Server, at_once: bytes) -> None:
    """With a timeout for each byte, only the server's end would end it."""
    left = threading.Event()

    def trickle(connection: socket.socket) -> None:
        connection.sendall(at_once)
        for _ in range(600):
            connection.sendall(b"x")  # raises an error as soon as the reader is gone
            time.sleep(SHORT / 3)
        left.set()

    assert failure(server, trickle, SHORT) == TIMEOUT
    assert not left.is_set()


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ReadError) as found:
        reader.read("127.0.0.1", port, PATIENT)
    assert found.value.failure == UNREACHABLE


@pytest.mark.parametrize("address", ["", "localhost", "169.254.169.254/latest", "127.1", "a@127.0.0.1"])
def test_only_addresses_are_connected_to(address: str) -> None:
    with pytest.raises(ReadError):
        reader.read(address, 1, PATIENT)


SIZES = st.integers(min_value=-(1 << 70), max_value=1 << 70) | st.integers(min_value=0, max_value=5000).map("9".__mul__)


@given(SIZES, st.sampled_from([b"Content-Length: %s\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n%s\r\n"]))
def test_any_size_of_a_body(server: Server, size: object, beginning: bytes) -> None:
    with contextlib.suppress(ReadError):
        read(server, sends(b"HTTP/1.1 200 OK\r\n" + beginning % str(size).encode() + TEXT.encode()))


@given(st.binary(max_size=300))
def test_arbitrary_bytes(server: Server, response: bytes) -> None:
    with contextlib.suppress(ReadError):
        read(server, sends(response))


@given(st.data())
@settings(max_examples=50)
def test_a_mutated_response(server: Server, data: st.DataObject) -> None:
    response = GOOD
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(response)))
        response = response[:at] + data.draw(st.binary(max_size=3)) + response[at + data.draw(st.integers(0, 2)) :]
    with contextlib.suppress(ReadError):
        read(server, sends(response))
