"""A burst of ten times what the pool can do, whose clients give up: what comes behind it isn't served after a queue
that nobody waits for any more."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.process.traffic import stopped
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

ONE = ("--workers", "1", "--lame-duck", "0")
BURST, EACH, PATIENCE = 30, 0.1, 0.5  # requests, seconds of the loop for each, and what queue_timeout is


def burst(pool: Pool) -> None:
    """Clients that ask together, and are gone before they could have their answers. Until all of them have asked the
    worker is held still: else this machine might make two bursts of them."""
    request = f"GET /block?s={EACH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    socks = [socket.create_connection(("127.0.0.1", pool.port), timeout=DEADLINE) for _ in range(BURST)]
    with stopped(pool.slot()["pid"]):
        for sock in socks:
            sock.sendall(request)
        for sock in socks:
            sock.close()


def served(pool: Pool) -> int:
    slot = pool.slot()
    return int(slot["requests"] - slot["shed"])


def until_answered(pool: Pool) -> None:
    """Ask until there is an answer, and wait until each request so far is counted."""
    asked = 0

    def is_answered() -> bool:
        nonlocal asked
        with suppress(httpx.HTTPError):
            status = pool.get("/pid").status_code
            asked += 1
            return status == 200
        return False

    until(is_answered, "an answer behind the burst")
    until(lambda: pool.slot()["requests"] >= BURST + asked, "all of the burst served or shed")


@pytest.mark.parametrize("http", ["httptools", "h11"])
def test_who_comes_after_a_burst_is_not_behind_its_dead_queue(start: Start, http: str) -> None:
    pool = start("ok:app", *ONE, "--queue-timeout", str(PATIENCE), "--http", http).ready()
    burst(pool)
    until_answered(pool)
    # Each takes EACH seconds at least, so that no more can have begun before all of the burst had waited too long.
    assert served(pool) <= PATIENCE / EACH + 4
    slot = pool.slot()
    assert slot["shed"] == slot["shed_late"] >= BURST - (PATIENCE / EACH + 4)
    metrics = pool.admin("/metrics").text
    assert f'corepod_requests_shed_total{{slot="0",reason="queue_timeout"}} {slot["shed"]}' in metrics
    assert pool.admin("/readyz").status_code == 200


def test_without_the_limit_all_of_the_burst_is_served_first(start: Start) -> None:
    """The control: each of those requests is computed for nobody, and whoever comes later waits for all of it."""
    pool = start("ok:app", *ONE).ready()
    burst(pool)
    assert pool.get("/pid").status_code == 200
    assert served(pool) >= BURST + 1
    assert pool.slot()["shed"] == 0
