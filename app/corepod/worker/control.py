"""The worker's end of the control socket."""

from __future__ import annotations

import json
import os
import select
import socket

from corepod.contract.messages import PACKET, Failed, Message, decode, encode

MOST_FDS = 64
LONGEST_LINE = 2_000  # characters of a message


class Control:
    """Blocking while the process has no event loop; the loop then reads it when it is readable."""

    def __init__(self, fd: int) -> None:
        os.set_inheritable(fd, False)
        self._socket = socket.socket(fileno=fd)

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def is_cut(self) -> bool:
        """Whether the supervisor's end is closed, whatever there may still be to read. The kernel closes it before it
        sends the signals that were asked for at the supervisor's death."""
        poll = select.poll()
        poll.register(self._socket, 0)
        return bool(poll.poll(0))

    def close(self) -> None:
        self._socket.close()

    def send(self, message: Message) -> None:
        """Send it to the supervisor. A supervisor that is gone shows on the next read, not here."""
        try:
            self._socket.send(encode(message))
        except OSError:
            pass

    def receive(self) -> tuple[Message | None, list[int]]:
        """The next message and its descriptors; None when the supervisor is gone."""
        try:
            data, fds, _, _ = socket.recv_fds(self._socket, PACKET, MOST_FDS)
        except ConnectionError:
            return None, []
        for fd in fds:
            os.set_inheritable(fd, False)
        return (decode(data) if data else None), fds

    def failed(self, kind: str, message: str, traceback: str = "") -> None:
        """The boot failed: `kind` is missing (there is no such application) or exception (it raised)."""
        message = message[:LONGEST_LINE]
        # JSON writes up to twelve bytes for a character, and a message that is longer than a packet would arrive cut.
        while len(json.dumps(traceback)) > PACKET - 13 * LONGEST_LINE:
            traceback = traceback[len(traceback) // 4 :]
        self.send(Failed(kind, message, traceback))
