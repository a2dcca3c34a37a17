"""A client of a pool on this machine: HTTP over its control socket."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

from corepod.contract.escaping import everything

PATIENCE = 5.0  # seconds


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self._path)


def status(path: str) -> dict[str, Any] | None:
    """The pool's status document, None while it doesn't answer. Its texts are safe to show on a terminal."""
    connection = _UnixConnection(path)
    try:
        connection.request("GET", "/status")
        answer: dict[str, Any] = everything(json.loads(connection.getresponse().read()))
        return answer
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
