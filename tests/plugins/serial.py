"""Tests marked `serial` have the machine to themselves, also when pytest-xdist runs the others side by side.

A readers-writer lock between the processes of a run: every test holds it shared, a serial one exclusively. Waiting for
it counts for no test's time, because the wait is around pytest-timeout's clock. The lock is the folder of the tests
itself, so nothing is left behind, and two runs in one checkout respect each other, too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

HERE = Path(__file__).parent


class Turns:
    """`shared` for many at once, `alone` for one. A test that waits for `alone` closes the gate, because readers would
    otherwise hand the lock to each other for ever."""

    def __init__(self, lock: Path = HERE.parent, gate: Path = HERE) -> None:
        self._lock, self._gate = os.open(lock, os.O_RDONLY), os.open(gate, os.O_RDONLY)

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        with _held(self._gate, fcntl.LOCK_SH):
            fcntl.flock(self._lock, fcntl.LOCK_SH)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        with _held(self._gate, fcntl.LOCK_EX), _held(self._lock, fcntl.LOCK_EX):
            yield

    def close(self) -> None:
        os.close(self._lock)
        os.close(self._gate)


@contextlib.contextmanager
def _held(fd: int, how: int) -> Iterator[None]:
    fcntl.flock(fd, how)
    try:
        yield
    finally:
        # Said, not left to the close: a child that a test has forked shares the lock, and may outlive the test.
        fcntl.flock(fd, fcntl.LOCK_UN)


TURNS = pytest.StashKey[Turns]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "serial: measures, or needs the machine to itself; no other test runs meanwhile")
    config.stash[TURNS] = Turns()


def pytest_unconfigure(config: pytest.Config) -> None:
    if TURNS in config.stash:
        config.stash[TURNS].close()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    turns = item.config.stash[TURNS]
    with turns.alone() if item.get_closest_marker("serial") else turns.shared():
        return (yield)
