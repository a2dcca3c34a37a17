"""grpc with a channel made and used at import: its core has threads and sockets of its own."""

from __future__ import annotations

import os

import grpc
from ok import answer

channel = grpc.insecure_channel("127.0.0.1:9")  # nobody listens there
state = channel._channel.check_connectivity_state(True)


async def app(scope, receive, send):
    assert scope["type"] == "http"
    await answer(send, {"pid": os.getpid(), "state": channel._channel.check_connectivity_state(False)})
