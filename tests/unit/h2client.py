"""A small HTTP/2 client: `h2` on a socket, with what happened to each stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h2.config
import h2.connection
import h2.events

if TYPE_CHECKING:
    import socket


class Http2:
    """Speaks HTTP/2 by prior knowledge. Nothing is checked on the way out: tests send what they shouldn't."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        config = h2.config.H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.bodies: dict[int, bytes] = {}
        self.statuses: dict[int, int] = {}
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.goaway: Any = None
        self.closed = False
        self._unread = b""
        self.flush()

    def flush(self) -> None:
        if data := self.h2.data_to_send():
            self.sock.sendall(data)

    def request(self, path: str, method: str = "GET", *extra: tuple[str, str], end: bool = True) -> int:
        """Ask, and return the number of the stream."""
        stream = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":path", path), (":authority", "test"), (":scheme", "http"), *extra]
        self.h2.send_headers(stream, head, end_stream=end)
        self.flush()
        return stream

    def websocket(self) -> int:
        """Begin a session on a stream (RFC 8441), and return its number."""
        return self.request("/ws", "CONNECT", (":protocol", "websocket"), ("sec-websocket-version", "13"), end=False)

    def data(self, stream: int, data: bytes, *, end: bool = False) -> None:
        self.h2.send_data(stream, data, end_stream=end)
        self.flush()

    def read_status(self, stream: int) -> int:
        """Read until the response of this stream has begun."""
        while stream not in self.statuses:
            self._read()
        return self.statuses[stream]

    def read_until(self, *streams: int) -> None:
        """Read until these streams have ended or been reset, or the server has closed the connection."""
        while not self.closed and not all(stream in self.ended or stream in self.resets for stream in streams):
            self._read()

    def read_all(self) -> None:
        """Read until the server closes the connection."""
        while not self.closed:
            self._read()

    def get(self, path: str) -> tuple[int, bytes]:
        stream = self.request(path)
        self.read_until(stream)
        return self.statuses[stream], self.bodies.get(stream, b"")

    def _read(self) -> None:
        try:
            data = self.sock.recv(1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            self.closed = True
            return
        self._unread += data
        # Frame by frame: h2 takes nothing behind a GOAWAY, though that one only says "no new streams".
        while len(self._unread) >= 9 + (size := int.from_bytes(self._unread[:3], "big")):
            frame, self._unread = self._unread[: 9 + size], self._unread[9 + size :]
            for event in self.h2.receive_data(frame):
                self._note(event)
        try:
            self.flush()
        except ConnectionError:
            pass  # what the server still had to say is there to be read

    def _note(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ResponseReceived):
            self.statuses[event.stream_id] = int(dict(event.headers)[b":status"])
        elif isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended.add(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.resets[event.stream_id] = int(event.error_code)
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = event
            if event.error_code == 0 and event.last_stream_id == 2**31 - 1:
                self.h2.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
