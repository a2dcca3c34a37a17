"""The worker's end of the control socket: what is said arrives whole, however long it is."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.messages import PACKET, Failed, Fork, Readiness, decode, encode
from corepod.worker.control import Control

from tests.waiting import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ends() -> Iterator[tuple[Control, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(20)
    control = Control(theirs.detach())
    yield control, ours
    control.close()
    ours.close()


@pytest.mark.parametrize("letter", ["x", "\n", '"', "ß", "語", "😀", "\x1b", "\udcff"])
@pytest.mark.parametrize("length", [10, 30_000, 1_000_000])
def test_a_failure_fits_into_a_packet(ends: tuple[Control, socket.socket], letter: str, length: int) -> None:
    """The end of a traceback says most, so that is what is kept."""
    control, sock = ends
    control.failed("exception", letter * length, "Traceback\n" + letter * length + "ValueError: the end")
    message = decode(sock.recv(PACKET))
    assert isinstance(message, Failed)
    assert message.traceback.endswith("ValueError: the end")
    assert message.message.startswith(letter * 10)
    assert length > 10 or message.traceback.startswith("Traceback")


def test_descriptors_come_with_a_message_and_stay_here(ends: tuple[Control, socket.socket]) -> None:
    control, sock = ends
    read, write = os.pipe()
    socket.send_fds(sock, [encode(Fork(warm=True, live=False))], [write])
    message, (received,) = control.receive()
    assert message == Fork(warm=True, live=False)
    assert not os.get_inheritable(received)
    os.write(received, b"through")
    assert os.read(read, 7) == b"through"
    for fd in (read, write, received):
        os.close(fd)


def test_a_supervisor_that_is_gone(ends: tuple[Control, socket.socket]) -> None:
    control, sock = ends
    sock.close()
    control.send(Readiness(True, ""))  # nobody hears it, and that is no fault of the worker's
    nothing: tuple[Any, Any] = (None, [])
    assert control.receive() == nothing


STARTS = """
import os, socket, sys
from corepod.worker.control import Control
from corepod.worker.process import prepare_process
supervisor, worker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
supervisor.send(b"load")
if sys.argv[1] == "dead":
    supervisor.close()
prepare_process(Control(worker.detach()), os.dup(2))
print("goes on")
"""


@pytest.mark.parametrize(("supervisor", "code", "said"), [("dead", 1, ""), ("alive", 0, "goes on\n")])
def test_who_is_started_by_a_supervisor_that_is_dead_by_then_ends(supervisor: str, code: int, said: str) -> None:
    """What it was told before may still be there to read; no signal tells it of a death that was before it asked."""
    command = [sys.executable, "-c", STARTS, supervisor]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert (ended.returncode, ended.stdout) == (code, said), ended.stderr
