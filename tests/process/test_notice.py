"""The operator is told of a death by a datagram, and the pool doesn't care what becomes of it."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest
from corepod.supervisor.io.notify import SPACING

from tests.process.inplace import in_place_of_supervisor
from tests.process.traffic import zombies
from tests.procfs import descendants
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.process.harness import Pool

PATIENT = ("--workers", "1", "--crash-budget", "1000/60")
# The process that tells it has the lowest priority: on a busy machine it may not even begin within its few seconds.
HAS_TIME = in_place_of_supervisor(
    f"""
from corepod.supervisor.io import notify
notify.PATIENCE = {int(2 * DEADLINE)}
from corepod.supervisor.main import main
sys.exit(main())
"""
)


@pytest.fixture
def operator() -> Iterator[socket.socket]:
    """What an operator has: a UDP socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(2 * DEADLINE)
        yield sock


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_death_is_told_when_the_next_worker_serves(
    start: Callable[..., Pool], operator: socket.socket, host: str
) -> None:
    pool = start("ok:app", *PATIENT, "--notify", f"{host}:{operator.getsockname()[1]}", prefix=HAS_TIME).ready()
    operator.setblocking(False)
    with pytest.raises(BlockingIOError):
        operator.recv(64)
    operator.settimeout(2 * DEADLINE)
    for _ in range(2):
        pool.kill_worker()
        word, sender = operator.recvfrom(64)
        assert word == b"look at me"
        assert sender[0] == "127.0.0.1"


@pytest.mark.serial
def test_deaths_in_a_row_are_told_together(start: Callable[..., Pool], operator: socket.socket) -> None:
    """However slow the machine is: no more often than once in that time."""
    pool = start("ok:app", *PATIENT, "--notify", f"127.0.0.1:{operator.getsockname()[1]}", prefix=HAS_TIME).ready()
    began, told = time.monotonic(), []
    for _ in range(10):
        pool.kill_worker()
    try:
        while operator.recv(64):
            told.append(time.monotonic() - began)
            operator.settimeout(3.0)
    except TimeoutError:
        pass
    assert told
    assert len(told) <= 1 + told[-1] / SPACING


@pytest.mark.parametrize("target", ["127.0.0.1:9", "nobody.invalid:9001", "300.1.1.1:9001", "[::1]:9001"])
def test_nobody_to_tell_is_nobodys_trouble(start: Callable[..., Pool], target: str) -> None:
    pool = start("ok:app", *PATIENT, "--notify", target).ready()
    for _ in range(3):
        pool.kill_worker()
        assert pool.get().status_code == 200
    log = pool.log
    assert "Traceback" not in log
    assert pool.stop() == 0
    assert "left behind" not in pool.log


def test_whoever_tells_it_ends_and_is_reaped(start: Callable[..., Pool], operator: socket.socket) -> None:
    pool = start("ok:app", *PATIENT, "--notify", f"localhost:{operator.getsockname()[1]}", prefix=HAS_TIME).ready()
    pool.kill_worker()
    operator.recv(64)
    pool.ready()  # with its standby: until then somebody else may be in its place
    until(lambda: len(descendants(pool.supervisor)) == 3, "template, worker and standby alone")
    assert zombies(pool) == []


def test_only_an_address_is_one(start: Callable[..., Pool]) -> None:
    pool = start("ok:app", "--notify", "unix:/tmp/x")
    assert pool.wait() == 2
    assert "--notify" in pool.log
