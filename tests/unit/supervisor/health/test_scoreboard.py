"""The scoreboard: what a worker writes is what the supervisor reads."""

from __future__ import annotations

import os

import pytest
from corepod.contract import scoreboard
from corepod.contract.shape import shape
from corepod.supervisor.health.scoreboard import SharedScoreboard
from corepod.worker.scoreboard import ScoreboardRecord as Writer
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def board() -> SharedScoreboard:
    return SharedScoreboard()


def test_both_sides_agree(board: SharedScoreboard) -> None:
    record, other = board.acquire(), board.acquire()
    writer = Writer(board.fd)
    writer.attach(record)
    for word in range(scoreboard.WORDS):
        writer.words[word] = word + 1
    assert board.words(record) == list(range(1, scoreboard.WORDS + 1))
    assert board.word(record, scoreboard.REQUESTS) == scoreboard.REQUESTS + 1
    assert board.words(other) == [0] * scoreboard.WORDS


def test_a_writer_without_a_record_writes_nowhere(board: SharedScoreboard) -> None:
    record = board.acquire()
    writer = Writer(board.fd)
    writer.words[scoreboard.REQUESTS] += 1
    writer.begin(1, "GET", b"/rehearsal")
    assert not any(board.words(record))
    assert board.serving(record) == []


def test_a_record_comes_back_empty(board: SharedScoreboard) -> None:
    record = board.acquire()
    writer = Writer(board.fd)
    writer.attach(record)
    writer.words[scoreboard.REQUESTS] = 7
    writer.begin(1, "GET", b"/left")
    board.release(record)
    assert board.acquire() == record, "the last one returned is the first one given: few pages are touched"
    assert not any(board.words(record))
    assert board.serving(record) == []


def writers(board: SharedScoreboard, count: int) -> list[Writer]:
    made = [Writer(board.fd) for _ in range(count)]
    for writer in made:
        writer.attach(board.acquire())
    return made


def test_workers_see_who_is_idle(board: SharedScoreboard) -> None:
    one, two, three = writers(board, 3)
    assert one.idle_sibling() is None, "nobody accepts yet"
    for writer, presence in ((one, scoreboard.BUSY), (two, scoreboard.BUSY), (three, scoreboard.IDLE)):
        writer.show(presence)
    three.words[scoreboard.ACCEPTED] = 17
    assert one.idle_sibling() == (2, 17)
    two.show(scoreboard.IDLE)
    assert one.idle_sibling() == (1, 0), "the first one"
    two.show(scoreboard.BUSY)
    three.show(scoreboard.AWAY)
    assert one.idle_sibling() is None


def test_workers_see_nobody_who_is_gone(board: SharedScoreboard) -> None:
    """A worker that has died idle would be left connections for ever."""
    one, two = writers(board, 2)
    two.show(scoreboard.IDLE)
    assert one.idle_sibling()
    board.release(1)
    assert one.idle_sibling() is None


def test_a_writer_without_a_record_shows_nobody_anything(board: SharedScoreboard) -> None:
    (one,) = writers(board, 1)
    Writer(board.fd).show(scoreboard.IDLE)
    assert one.idle_sibling() is None


def test_the_last_record_shows_too(board: SharedScoreboard) -> None:
    made = writers(board, scoreboard.RECORDS)
    made[-1].show(scoreboard.IDLE)
    found = made[0].idle_sibling()
    assert found is not None
    assert board.word(found[0], scoreboard.ACCEPTED) == found[1]


@pytest.mark.parametrize("size", [0, 4096, 1 << 24])
def test_nobody_can_cut_it_or_make_it_longer(board: SharedScoreboard, size: int) -> None:
    """A worker has its descriptor, and what the supervisor reads behind its end would be a bus error."""
    with pytest.raises(PermissionError):
        os.ftruncate(board.fd, size)
    assert board.word(scoreboard.RECORDS - 1, 0) == 0


def test_no_record_is_given_twice_and_the_last_one_shows(board: SharedScoreboard) -> None:
    taken = [board.acquire() for _ in range(scoreboard.RECORDS)]
    assert sorted(taken) == list(range(scoreboard.RECORDS))
    assert board.free == 0
    with pytest.raises(IndexError):
        board.acquire()
    board.release(taken[0])
    assert board.free


def test_what_is_being_served_comes_oldest_first(board: SharedScoreboard) -> None:
    record = board.acquire()
    writer = Writer(board.fd)
    writer.attach(record)
    first = writer.begin(2_000_000_000, "GET", b"/orders/17")
    writer.begin(1_000_000_000, "POST", b"/orders")
    gone = writer.begin(3, "GET", b"/gone")
    writer.end(gone)
    assert board.serving(record) == [(1.0, "POST /orders"), (2.0, "GET /orders/*")]
    writer.end(first)
    assert board.serving(record) == [(1.0, "POST /orders")]


def test_more_than_there_are_entries_is_no_error(board: SharedScoreboard) -> None:
    record = board.acquire()
    writer = Writer(board.fd)
    writer.attach(record)
    entries = [writer.begin(number + 1, "GET", b"/") for number in range(scoreboard.ENTRIES + 3)]
    assert entries.count(-1) == 3
    assert len(board.serving(record)) == scoreboard.ENTRIES
    for entry in entries:
        writer.end(entry)
    assert board.serving(record) == []


@given(path=st.binary(max_size=300))
def test_any_path_can_be_noted(path: bytes) -> None:
    board = SharedScoreboard()
    record = board.acquire()
    writer = Writer(board.fd)
    writer.attach(record)
    writer.begin(1, "GET", path)
    writer.begin(2, "DELETE", b"/after")
    served = [text for _, text in board.serving(record)]
    assert len(served) == 2
    assert served[0].startswith("GET ")
    assert served[1] == "DELETE /after"
    assert all(text.isascii() or "�" in text for text in served)


@pytest.mark.parametrize(
    ("request_", "shown"),
    [
        ("GET /", "GET /"),
        ("GET /users/12345/orders", "GET /users/*/orders"),
        ("GET /users/anna@example.org", "GET /users/*"),
        ("GET /files/0b6b3c1e-7c1d-4a52-8d40-2f5f3b7a6d11", "GET /files/*"),
        ("GET /t/eyJhbGciOiJIUzI1", "GET /t/*"),
        ("GET /reset/abcdefghijklmnopqrstuvwxyzabcdef", "GET /reset/*"),
        ("GET /caf%C3%A9/menu", "GET /*/menu"),
        ("GET /search;jsessionid=x/a", "GET /*/a"),
        ("WEBSOCKET /chat", "WEBSOCKET /chat"),
        ("GET /api/v1/health", "GET /api/v1/health"),
        ("GET /v2024/v", "GET /*/v"),
    ],
)
def test_the_shape_of_a_request_names_nobody(request_: str, shown: str) -> None:
    assert shape(request_) == shown


def test_only_counters_are_kept_of_the_dead() -> None:
    totals = [0] * scoreboard.WORDS
    scoreboard.add_counters(totals, list(range(scoreboard.WORDS)))
    scoreboard.add_counters(totals, list(range(scoreboard.WORDS)))
    for word in range(scoreboard.WORDS):
        assert totals[word] == (2 * word if word in scoreboard.COUNTERS else 0)
    assert not {scoreboard.IN_FLIGHT, scoreboard.OWED} & set(scoreboard.COUNTERS)
