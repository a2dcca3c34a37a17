"""Opens a socket while it is imported: two processes would share the connection."""

from __future__ import annotations

import socket

from ok import app

connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

__all__ = ["app"]
