"""`/lose` closes a descriptor that isn't its own, as some programs close all from 3 on: the control socket."""

from __future__ import annotations

import os
import socket

import ok


def control():
    for fd in map(int, os.listdir("/proc/self/fd")):
        try:
            with socket.socket(fileno=os.dup(fd)) as copy:
                if copy.type == socket.SOCK_SEQPACKET:
                    return fd
        except OSError:
            continue
    raise LookupError("no control socket")


async def app(scope, receive, send):
    if scope["type"] == "http" and scope["path"] == "/lose":
        os.close(control())
    await ok.app(scope, receive, send)
