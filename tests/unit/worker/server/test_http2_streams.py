"""HTTP/2: streams that have ended, connections that are idle, and clients that begin and say nothing."""

from __future__ import annotations

import socket
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.scoreboard import CONNECTIONS, IN_FLIGHT

from tests.unit.h2client import Http2
from tests.unit.served import Served, read_all, until

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, EMPTY = 4, b""
STREAM_CLOSED = 5
SHORT = 0.3  # seconds


class App:
    """Answers `/`, reads bodies at `/body`, and waits for the end of its client at `/wait`."""

    def __init__(self) -> None:
        self.ends: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/wait":
            while (message := await receive())["type"] == "http.request":
                pass
            self.ends.append(message["type"])
            return
        while scope["path"] == "/body" and (message := await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


@pytest.fixture
def app() -> App:
    return App()


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def frames(sock: socket.socket) -> list[tuple[int, int, bytes]]:
    """Kind, stream and payload of everything that comes until the server closes the connection."""
    data, found = read_all(sock), []
    while data:
        size = 9 + int.from_bytes(data[:3], "big")
        found.append((data[3], int.from_bytes(data[5:9], "big"), data[9:size]))
        data = data[size:]
    return found


def test_data_on_a_stream_that_its_client_has_ended_is_an_error_of_the_stream(app: App) -> None:
    """RFC 9113, 5.1."""
    with Served(app) as served, served.connect() as sock:
        client = Http2(sock)
        stream = client.request("/")
        client.read_until(stream)
        sock.sendall(frame(0, 1, stream, b"late"))
        sock.shutdown(socket.SHUT_WR)
        assert (3, stream, struct.pack(">I", STREAM_CLOSED)) in frames(sock)


def test_data_for_a_stream_that_has_its_answer_already_is_no_error(app: App) -> None:
    with Served(app) as served, served.connect() as sock:
        client = Http2(sock)
        early = client.request("/", "POST", end=False)
        client.read_until(early)
        client.data(early, b"x")
        while early not in client.resets:
            client._read()
        assert client.resets[early] == 0
        assert client.get("/") == (200, b"done")


# Connections that are idle


@contextmanager
def asking(served: Served, *paths: str) -> Iterator[tuple[Any, ...]]:
    """A client, and its streams, one for each path: all of it is there when the server accepts the connection."""
    with served.held():
        sock = served.connect()
        client = Http2(sock)
        streams = [client.request(path) for path in paths]
    with sock:
        yield client, *streams


def test_an_idle_connection_is_closed(app: App) -> None:
    with Served(app, keep_alive=SHORT) as served, asking(served, "/") as (client, stream):
        client.read_until(stream)
        assert (client.statuses[stream], client.bodies[stream]) == (200, b"done")
        client.read_all()
        served.until_idle()


def test_a_connection_whose_last_stream_its_client_has_reset_is_closed(app: App) -> None:
    """hypercorn notices that it is idle when a response ends, and never otherwise."""
    with Served(app, keep_alive=SHORT) as served, asking(served, "/wait") as (client, stream):
        until(lambda: served.words[IN_FLIGHT], "it is in flight")
        client.h2.reset_stream(stream)
        client.flush()
        client.read_all()
        served.until_idle()
    assert app.ends == ["http.disconnect"]


def test_a_connection_with_a_stream_is_not_idle(app: App) -> None:
    with Served(app, keep_alive=SHORT) as served, asking(served, "/wait", "/wait") as (client, waiting, reset):
        until(lambda: served.words[IN_FLIGHT] == 2, "they are in flight")
        client.h2.reset_stream(reset)
        client.flush()
        until(lambda: served.words[IN_FLIGHT] == 1, "one has gone")
        client.sock.settimeout(3 * SHORT)
        with pytest.raises(TimeoutError):
            client.read_until(waiting)
        assert served.words[CONNECTIONS] == 1


@pytest.mark.parametrize(
    "begun",
    [
        PREFACE[:3],
        PREFACE[:18],
        PREFACE,
        PREFACE + frame(SETTINGS, 0, 0, EMPTY),
        PREFACE + frame(SETTINGS, 0, 0, EMPTY) + frame(1, 1, 1, b"\x82"),
        PREFACE + frame(SETTINGS, 0, 0, EMPTY) + b"\x00\x00",
    ],
    ids=["PRI", "half a preface", "a preface", "no acknowledgement", "half a head", "half a frame"],
)
def test_a_client_that_begins_and_says_no_more_is_closed(app: App, begun: bytes) -> None:
    with Served(app, keep_alive=SHORT) as served, served.ask(begun) as sock:
        read_all(sock)
        served.until_idle()


def test_a_body_that_stops_coming_is_answered_with_408(app: App) -> None:
    with Served(app, body_timeout=SHORT) as served, served.connect() as sock:
        client = Http2(sock)
        with served.held():  # the whole of the other one's body comes with its head
            stalled, other = client.request("/body", "POST", end=False), client.request("/body", "POST", end=False)
            client.data(stalled, b"x")
            client.data(other, b"x", end=True)
        client.read_until(stalled, other)
        assert client.statuses == {stalled: 408, other: 200}


def test_priorities_of_a_thousand_streams_that_never_come(app: App) -> None:
    """They take memory, and a frame is enough for one: more than a client has reason for ends the connection."""
    with Served(app) as served:
        with served.connect() as sock:
            sock.sendall(PREFACE + frame(SETTINGS, 0, 0, EMPTY))
            try:
                for stream in range(1, 4001, 2):
                    sock.sendall(frame(2, 0, stream, b"\0\0\0\0\x10"))
            except ConnectionError:
                pass
            assert (7, 0) in [(kind, stream) for kind, stream, _ in frames(sock)]
        served.until_idle()
