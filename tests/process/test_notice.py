"""The operator is told of a death by a datagram, and the pool doesn't care what becomes of it."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from tests.process.traffic import until_reaped, zombies
from tests.procfs import descendants
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.process.harness import Pool

PATIENT = ("--workers", "1", "--crash-budget", "1000/60")


@pytest.fixture
def operator() -> Iterator[socket.socket]:
    """What an operator has: a UDP socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(30.0)
        yield sock


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_death_is_told_when_the_next_worker_serves(
    start: Callable[..., Pool], operator: socket.socket, host: str
) -> None:
    pool = start("ok:app", *PATIENT, "--notify", f"{host}:{operator.getsockname()[1]}").ready()
    operator.setblocking(False)
    with pytest.raises(BlockingIOError):
        operator.recv(64)
    operator.settimeout(30.0)
    for _ in range(2):
        pool.kill_worker()
        word, sender = operator.recvfrom(64)
        assert word == b"look at me"
        assert sender[0] == "127.0.0.1"


@pytest.mark.serial
def test_deaths_in_a_row_are_told_together(start: Callable[..., Pool], operator: socket.socket) -> None:
    pool = start("ok:app", *PATIENT, "--notify", f"127.0.0.1:{operator.getsockname()[1]}").ready()
    for _ in range(10):
        pool.kill_worker()
    operator.recv(64)
    operator.settimeout(3.0)
    more = 0
    with contextlib.suppress(TimeoutError):
        while operator.recv(64):
            more += 1
    assert more < 9


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
    pool = start("ok:app", *PATIENT, "--notify", f"localhost:{operator.getsockname()[1]}").ready()
    until_reaped(pool)
    family = len(pool.family())
    pool.kill_worker()
    operator.recv(64)
    pool.ready()  # with its standby: until then somebody else may be in its place
    until(lambda: len(descendants(pool.supervisor)) + 1 == family, "the family as it was")
    assert zombies(pool) == []


def test_only_an_address_is_one(start: Callable[..., Pool]) -> None:
    pool = start("ok:app", "--notify", "unix:/tmp/x")
    assert pool.wait() == 2
    assert "--notify" in pool.log
