"""A slot's workers in two processes: which of them reads the slot's inbox."""

from __future__ import annotations

import os

import pytest
from corepod.supervisor.health.scoreboard import SharedScoreboard
from corepod.worker.scoreboard import ScoreboardRecord

from tests.unit.worker.locks import other_worker


@pytest.fixture
def board() -> SharedScoreboard:
    return SharedScoreboard()


def test_one_worker_of_a_slot_has_the_turn_until_it_ends_it(board: SharedScoreboard) -> None:
    assert other_worker(board, "take_turn", 0), "and has ended"
    worker = ScoreboardRecord(os.dup(board.fd))
    assert worker.take_turn(0)
    assert worker.take_turn(0)
    assert not other_worker(board, "take_turn", 0)
    assert other_worker(board, "take_turn", 1)
    worker.end_turn(0)
    assert other_worker(board, "take_turn", 0)


def test_the_lead_is_another_lock(board: SharedScoreboard) -> None:
    worker = ScoreboardRecord(os.dup(board.fd))
    assert worker.take_turn(0)
    assert board.leader() is None
    assert worker.lead()
    worker.end_turn(0)
    assert worker.lead()


def test_a_descriptor_that_the_application_has_closed_is_no_turn(board: SharedScoreboard) -> None:
    fd = os.dup(board.fd)
    worker = ScoreboardRecord(fd)
    os.close(fd)
    with open(os.devnull) as another:  # the number may be its now
        assert another.fileno() >= 0
        with pytest.raises(OSError, match="Bad file descriptor"):
            worker.take_turn(0)
        with pytest.raises(OSError, match="Bad file descriptor"):
            worker.end_turn(0)
