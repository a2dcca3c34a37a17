"""The tables of the benchmark of shared state, and the Redis that it starts."""

from __future__ import annotations

import os
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from loadtest.bench.shared import ALONE, IPC, OPERATIONS, REDIS, WAYS, redis_server, tables_of
from tests.plugins.needs import program
from tests.procfs import alive, descendants


def results(redis: float = 1.0, lost: int = 0) -> list[dict[str, Any]]:
    """Everything takes 1 s, but `redis` with corepod.shared on a Redis."""
    one: dict[str, Any] = {}
    for name in WAYS:
        seconds = [redis if name == REDIS else 1.0] * 10
        one[name] = {"broadcast": {"latencies": seconds, "lost": lost if name == REDIS else 0}}
        if name in OPERATIONS:
            one[name]["operations"] = {"set": seconds, "get": seconds, "increment": seconds}
    return [one, one]


@pytest.mark.parametrize(
    ("redis", "lost", "reached"),
    [(1.2, 0, [True] * 5), (1.2, 1, [False, True, True, True, True]), (2.0, 0, [True, False, False, False, False])],
)
def test_ratios_and_goals(redis: float, lost: int, reached: list[bool]) -> None:
    broadcasts, operations = tables_of(results(redis, lost))
    assert [goal.reached for goal in broadcasts.goals + operations.goals] == reached
    rows = {row[0]: row[1:] for row in broadcasts.rows}
    assert rows[REDIS] == [f"{redis:.2f} ({redis:.2f}-{redis:.2f})"] * 2 + [str(2 * lost), f"{1000 * redis:.2f}"]
    assert rows[ALONE][0] == "1.000 (1.000-1.000)"
    assert [row[0] for row in operations.rows] == [*OPERATIONS]
    assert IPC in rows


def test_the_redis_ends_with_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_SERVER", program("redis-server"))
    before = set(descendants(os.getpid()))
    with redis_server() as url:
        started = set(descendants(os.getpid())) - before
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        with socket.create_connection((parts.hostname, parts.port), timeout=30) as sock:
            sock.sendall(b"PING\r\n")
            assert sock.recv(100) == b"+PONG\r\n"
    assert started
    assert not any(map(alive, started))


def test_a_redis_that_does_not_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_SERVER", "/bin/false")
    with pytest.raises(RuntimeError, match="redis-server"), redis_server():
        pass
    monkeypatch.delenv("REDIS_SERVER")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match="apt-get install redis-server"), redis_server():
        pass
