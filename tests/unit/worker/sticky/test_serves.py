"""Whether a slot is served is a lock, which the kernel takes from a worker however it ends."""

from __future__ import annotations

import os

from corepod.supervisor.health.scoreboard import SharedScoreboard
from corepod.worker.scoreboard import ScoreboardRecord

from tests.unit.worker.locks import other_worker


def test_another_worker_sees_which_slots_are_served() -> None:
    board = SharedScoreboard()
    record = ScoreboardRecord(board.fd)
    assert not other_worker(board, "is_served", 3)
    record.serve(3)
    assert other_worker(board, "is_served", 3)
    assert not other_worker(board, "is_served", 2)
    assert not record.is_served(3)  # by another one
    record.serve_no_more(3)
    assert not other_worker(board, "is_served", 3)


def test_both_workers_of_a_reload_serve_and_the_end_of_one_changes_nothing() -> None:
    board = SharedScoreboard()
    record = ScoreboardRecord(board.fd)
    record.serve(3)
    assert other_worker(board, "is_served", 3)
    assert not other_worker(board, "take_turn", 3) or other_worker(board, "is_served", 3)  # the inbox's is another lock
    record.lead()
    record.serve_no_more(3)
    assert not other_worker(board, "is_served", 3)


def test_a_look_at_the_descriptors_takes_the_lock_and_the_next_round_brings_it_back() -> None:
    """The kernel drops all locks of a process that closes any descriptor of the file."""
    board = SharedScoreboard()
    record = ScoreboardRecord(board.fd)
    record.serve(3)
    with open(f"/proc/self/fd/{board.fd}", "rb"):
        pass
    assert not other_worker(board, "is_served", 3)
    record.serve(3)
    assert other_worker(board, "is_served", 3)


def test_the_end_of_a_worker_whose_descriptor_is_closed_is_no_error() -> None:
    board = SharedScoreboard()
    record = ScoreboardRecord(board.fd)
    record.serve(3)
    os.close(board.fd)
    try:
        record.serve_no_more(3)
        assert not record.is_served(3)
    finally:
        assert os.open(os.devnull, os.O_RDONLY) == board.fd  # its owner closes it
