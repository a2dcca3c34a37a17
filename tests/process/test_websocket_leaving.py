"""WebSockets whose worker leaves: in a stop, in a reload, and where one worker is told to stop. A time that must not
pass is set so that it never does: a wait for it fails at the deadline of the test."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from tests.process.test_drain import ONE, patient
from tests.procfs import alive
from tests.unit.wsclient import BINARY, CLOSE, RawWebSocket, frame
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

NEVER = 1000.0  # seconds
RESTART = b"\x03\xf4service restart"
LARGE = 12 << 20  # bytes: more than the kernels take of what nobody reads


def stop(pool: Pool) -> None:
    pool.signal(signal.SIGTERM)


def reload(pool: Pool) -> None:
    pool.signal(signal.SIGHUP)


def one_worker(pool: Pool) -> None:
    os.kill(pool.slot()["pid"], signal.SIGTERM)


TOLD = pytest.mark.parametrize("leave", [stop, one_worker])


@pytest.fixture
def pool(start: Start, tmp_path: Path, request: pytest.FixtureRequest) -> Pool:
    """`silence` and `farewell` of its workers are the parameter."""
    silence, farewell = request.param
    changes = f"from corepod.worker.hypercorn import websocket\n{silence=}; {farewell=}\n"
    changes += "websocket.SILENCE, websocket.FAREWELL = silence, farewell"
    limits = ("--stop-timeout", "2000", "--keep-alive", "2000", "--write-timeout", "0", "--websocket-ping", "0")
    return patient(start, tmp_path, "ok:app", changes, *ONE, *limits).ready()


def talk(pool: Pool, room: int = 0) -> RawWebSocket:
    """A WebSocket whose kernel has so much room for what its peer doesn't read."""
    sock = socket.socket()
    if room:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    sock.settimeout(DEADLINE)
    sock.connect(("127.0.0.1", pool.port))
    return RawWebSocket(sock)


@pytest.mark.parametrize("leave", [stop, reload, one_worker])
@pytest.mark.parametrize("pool", [(0.5, NEVER)], indirect=True, ids=[""])
def test_a_silent_peer_does_not_hold_it_up(pool: Pool, leave: Callable[[Pool], None]) -> None:
    worker = pool.slot()["pid"]
    with talk(pool) as peer:
        leave(pool)
        assert peer.read() == (CLOSE, RESTART)
        assert peer.some(1) == b"", "closed, and not reset"
        until(lambda: not alive(worker), lambda: f"the worker has ended\n{pool.log}")
    if leave is stop:
        assert pool.wait() == 0


@TOLD
@pytest.mark.parametrize("pool", [(NEVER, NEVER)], indirect=True, ids=[""])
def test_a_peer_that_answers_ends_the_wait(pool: Pool, leave: Callable[[Pool], None]) -> None:
    """It is the wait that the test above has seen the end of: nothing else ends it."""
    worker = pool.slot()["pid"]
    with talk(pool) as peer:
        leave(pool)
        assert peer.read() == (CLOSE, RESTART)
        assert alive(worker)
        peer.send(frame(CLOSE, RESTART[:2]))
        assert peer.some(1) == b"", "closed, and not reset"
        until(lambda: not alive(worker), lambda: f"the worker has ended\n{pool.log}")
    if leave is stop:
        assert pool.wait() == 0


@TOLD
@pytest.mark.parametrize("pool", [(0.05, NEVER)], indirect=True, ids=[""])
def test_a_peer_that_reads_late_gets_what_was_sent_to_it(pool: Pool, leave: Callable[[Pool], None]) -> None:
    """It reads nothing before one beside it has been left, which has fallen silent a little later."""
    worker, message = pool.slot()["pid"], b"x" * LARGE
    with talk(pool, 65536) as peer, talk(pool) as other:
        peer.send(frame(BINARY, message, mask=b"\0\0\0\0"))
        until(lambda: pool.slot()["bytes_out"] > LARGE, "its echo is being sent")
        leave(pool)
        assert other.read() == (CLOSE, RESTART)
        other.send(frame(BINARY, b"x"))
        assert other.rest() == b""
        assert alive(worker)
        assert peer.read() == (BINARY, message)
        assert peer.read() == (CLOSE, RESTART)
        peer.send(frame(CLOSE, RESTART[:2]))
        assert peer.rest() == b""
        until(lambda: not alive(worker), lambda: f"the worker has ended\n{pool.log}")
    if leave is stop:
        assert pool.wait() == 0
