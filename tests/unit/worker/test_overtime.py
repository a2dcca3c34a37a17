"""When a request has held its thread for too long, and when it has only been looked at late."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from corepod.contract.scoreboard import HELD
from corepod.worker.overtime import MOST, Overtime
from corepod.worker.threads import RequestThreads

from tests.unit.served import make_record
from tests.unit.worker.test_threads import Asked

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pool() -> Iterator[RequestThreads]:
    """One thread."""
    made = RequestThreads(1)
    yield made
    made.shutdown()


def test_a_request_that_stays_is_given_up_once_and_another_thread_takes_over(pool: RequestThreads) -> None:
    words, request = make_record().words, Asked()
    overtime = Overtime(pool, 2.0, words)
    pool.enter(request)
    for look in range(5):
        assert (words[HELD], request.expired) == (max(0, look - 1) * 500_000_000, 0.0)
        overtime.look(10.0 + look / 2)
    assert (words[HELD], request.expired, pool.most) == (2_000_000_000, 2.0, 2)
    request.expired = 0.0
    overtime.look(12.5)
    assert (words[HELD], request.expired, pool.most) == (2_500_000_000, 0.0, 2)
    later = Asked()
    pool.enter(later)
    for look in range(5):
        overtime.look(13.0 + look / 2)
    assert (later.expired, pool.most) == (2.0, 2), "no more threads than were there at first take over"
    for one in (request, later):
        pool.leave(one)
    overtime.look(16.0)
    assert words[HELD] == 0


def test_a_request_that_sends_something_begins_anew(pool: RequestThreads) -> None:
    words, request = make_record().words, Asked()
    overtime = Overtime(pool, 2.0, words)
    pool.enter(request)
    for look in range(20):
        overtime.look(look / 2)
        if look % 3 == 0:
            pool.leave(request)
            pool.enter(request)
    assert not request.expired


def test_a_process_that_was_paused_accuses_nobody(pool: RequestThreads) -> None:
    words, request = make_record().words, Asked()
    overtime = Overtime(pool, 2.0, words)
    pool.enter(request)
    overtime.look(0.0)
    overtime.look(100.0)
    assert words[HELD] == int(MOST * 1e9)
    assert not request.expired


def test_an_end_waits_only_for_what_may_end(pool: RequestThreads) -> None:
    request, go = Asked(), threading.Event()
    overtime = Overtime(pool, 0.5, make_record().words)
    future = pool.submit(go.wait)
    (thread,) = pool._threads
    pool.enter(request)
    assert not overtime.all_hang([thread])
    for look in range(3):
        overtime.look(look / 2)
    assert request.expired
    assert overtime.all_hang([thread])
    other = threading.Thread(target=go.wait)
    assert not overtime.all_hang([other]), "one of the application's own"
    pool.enter(Asked())
    assert not overtime.all_hang([thread]), "a request that may still end"
    go.set()
    future.result()
