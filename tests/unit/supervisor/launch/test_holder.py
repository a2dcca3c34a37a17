"""Who listens at an address that is taken: read from the kernel's tables and the processes' descriptors."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
from corepod.supervisor.launch import holder

from tests.procfs import comm

LISTENS = """
import socket
server = socket.create_server(("{host}", 0), family={family})
print(server.getsockname()[1], flush=True)
input()
"""


@pytest.mark.parametrize(
    ("host", "family"), [("127.0.0.1", socket.AF_INET), ("0.0.0.0", socket.AF_INET), ("::1", socket.AF_INET6)]
)
def test_another_process_is_named(host: str, family: socket.AddressFamily) -> None:
    program = LISTENS.format(host=host, family=int(family))
    words = [sys.executable, "-c", program]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        assert holder.describe(port) == f"pid {process.pid}, {comm(process.pid)}"
        process.communicate(b"\n")


def test_a_connection_is_no_listener() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert holder.describe(client.getsockname()[1]) == ""
        assert holder.describe(server.getsockname()[1]) == f"pid {os.getpid()}, {comm(os.getpid())}"


def test_a_port_that_is_free() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # without listening: nobody else gets it meanwhile
        assert holder.describe(sock.getsockname()[1]) == ""


def test_a_name_cannot_speak_to_a_terminal() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        before = comm(os.getpid())
        with open("/proc/self/comm", "w") as mine:
            mine.write("a\x1b[2Jb")
        try:
            assert holder.describe(server.getsockname()[1]) == f"pid {os.getpid()}, a?[2Jb"
        finally:
            with open("/proc/self/comm", "w") as mine:
                mine.write(before)
