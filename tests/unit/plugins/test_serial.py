"""Tests that need the machine to themselves have it, and get their turn."""

from __future__ import annotations

import fcntl
import os
import threading
from typing import TYPE_CHECKING

import pytest

from tests.plugins.serial import Turns
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path


@pytest.fixture
def turns(tmp_path: Path) -> Iterator[Callable[[], Turns]]:
    """Each is that of a process of its own: a lock belongs to an opened file, not to who opened it."""
    made: list[Turns] = []
    for name in ("lock", "gate"):
        (tmp_path / name).mkdir()

    def make() -> Turns:
        made.append(Turns(tmp_path / "lock", tmp_path / "gate"))
        return made[-1]

    yield make
    for each in made:
        each.close()


class Test:
    """Holds its turn, in a thread, until it is told to end."""

    __test__ = False

    def __init__(self, turn: AbstractContextManager[None]) -> None:
        self._turn, self.runs, self._over = turn, threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._turn:
            self.runs.set()
            self._over.wait(DEADLINE)

    def end(self) -> None:
        self._over.set()
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()


def test_ordinary_ones_run_side_by_side(turns: Callable[[], Turns]) -> None:
    first, second = Test(turns().shared()), Test(turns().shared())
    until(lambda: first.runs.is_set() and second.runs.is_set(), "both at once")
    first.end()
    second.end()


def closed(gate: Path) -> bool:
    """Whether a serial one has it."""
    fd = os.open(gate, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def test_a_serial_one_waits_for_those_that_run_and_is_before_those_that_come(
    turns: Callable[[], Turns], tmp_path: Path
) -> None:
    running = Test(turns().shared())
    assert running.runs.wait(DEADLINE)
    serial = Test(turns().alone())
    until(lambda: closed(tmp_path / "gate"), "it is the next one")
    assert not serial.runs.wait(0.2)
    late = Test(turns().shared())
    assert not late.runs.wait(0.2), "it is behind the serial one, which would wait for ever otherwise"
    running.end()
    assert serial.runs.wait(DEADLINE)
    assert not late.runs.wait(0.2)
    serial.end()
    assert late.runs.wait(DEADLINE)
    late.end()


def test_two_serial_ones_take_turns(turns: Callable[[], Turns]) -> None:
    first = Test(turns().alone())
    assert first.runs.wait(DEADLINE)
    second = Test(turns().alone())
    assert not second.runs.wait(0.2)
    first.end()
    assert second.runs.wait(DEADLINE)
    second.end()
