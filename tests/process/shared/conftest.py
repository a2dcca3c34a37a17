"""One suite for all backends: `url` is a fresh state for each test, of each of them in turn.

A backend is a context manager in `BACKENDS` that yields the URL of an empty state.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import redis

from tests.redisserver import redis_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path


@contextmanager
def embedded(folder: Path) -> Iterator[str]:
    yield f"sqlite://{folder / 'state.sqlite'}"


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """A Redis of the test's own. COREPOD_TEST_REDIS names another one for the suite, such as a Valkey; its database is
    emptied for each test."""
    if elsewhere := os.environ.get("COREPOD_TEST_REDIS"):
        with redis.Redis.from_url(elsewhere) as client:
            client.flushdb()
        yield elsewhere
        return
    with redis_server(folder / "redis") as running:
        yield running.url


BACKENDS: dict[str, Callable[[Path], AbstractContextManager[str]]] = {"embedded": embedded, "redis": server}


@pytest.fixture(params=list(BACKENDS))
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty state, which this process and its children use."""
    with BACKENDS[request.param](tmp_path) as found:
        monkeypatch.setenv("COREPOD_SHARED", found)
        monkeypatch.setenv("COREPOD_SHARED_TIMEOUT", "30")  # a busy machine may pause any process
        monkeypatch.delenv("COREPOD_SHARED_PREFIX", raising=False)
        yield found
