"""When a worker may take the next connection: the decisions, at times that the tests choose."""

from __future__ import annotations

import threading
import time

import pytest
from corepod.worker.gate import DISTRUST, HOLD, SEVERAL, SHORT, STEP_BACK, WINDOW, Courtesy, Gate, ThreadShare

from tests.waiting import until

NOW = 1000.0
LIGHTER = (7, 0)  # a record, and how many connections its worker has accepted


def taken(gate: Gate, now: float, connections: int = 1) -> None:
    gate.most(now)
    for _ in range(connections):
        gate.close(now)


class TestGate:
    def test_it_is_closed_until_the_request_arrives(self) -> None:
        gate = Gate()
        assert gate.left(NOW) == 0.0
        gate.close(NOW)
        assert gate.left(NOW + HOLD / 2) == pytest.approx(HOLD / 2)
        gate.open(brought=True)
        assert gate.left(NOW + HOLD / 2) == 0.0

    def test_it_waits_for_each_of_several(self) -> None:
        gate = Gate()
        taken(gate, NOW, 2)
        gate.open(brought=True)
        assert not gate.is_open
        assert gate.left(NOW) > 0.0
        gate.open(brought=False)
        assert gate.is_open
        assert gate.left(NOW) == 0.0

    def test_requests_of_kept_connections_open_nothing_in_advance(self) -> None:
        gate = Gate()
        for _ in range(5):
            gate.open(brought=True)
        gate.close(NOW)
        assert gate.left(NOW) == pytest.approx(HOLD)

    def test_a_thousand_silent_connections_cost_no_more_than_two(self) -> None:
        gate, now = Gate(), NOW
        for _ in range(1000):
            gate.close(now)
            while left := gate.left(now):
                now += left
        assert now - NOW < 2.01 * HOLD

    def test_one_request_in_time_restores_the_patience(self) -> None:
        gate = Gate()
        for _ in range(10):
            gate.close(NOW)
            assert gate.left(NOW + HOLD) == 0.0
        gate.close(NOW)
        assert gate.left(NOW) < HOLD / 100
        gate.open(brought=True)
        gate.close(NOW)
        assert gate.left(NOW) == pytest.approx(HOLD)

    def test_short_requests_are_taken_together(self) -> None:
        gate, now, most = Gate(), NOW, []
        for _ in range(5):
            most.append(number := gate.most(now))
            for _ in range(number):
                gate.close(now)
            now += number * SHORT / 2
        assert most == [1, 2, 4, SEVERAL, SEVERAL]

    def test_long_ones_singly(self) -> None:
        """The negative control: a handler that blocks may hold nobody else."""
        gate, now = Gate(), NOW
        for _ in range(5):
            assert gate.most(now) == 1
            gate.close(now)
            now += 2 * SHORT

    def test_one_that_blocks_ends_it(self) -> None:
        gate = Gate()
        taken(gate, NOW)
        taken(gate, NOW + SHORT / 2)
        assert gate.most(NOW + 0.01) == 1

    def test_where_nothing_was_left_to_take_it_starts_anew(self) -> None:
        gate = Gate()
        taken(gate, NOW, 0)
        assert gate.most(NOW + SHORT / 10) == 1


class TestCourtesy:
    def test_only_for_somebody_who_has_less_to_do(self) -> None:
        courtesy = Courtesy()
        assert not courtesy.steps_back(None, NOW)
        assert courtesy.steps_back(LIGHTER, NOW)
        assert not courtesy.steps_back(None, NOW)

    def test_one_that_takes_nothing_is_left_nothing_for_a_while(self) -> None:
        """It is blocked, stopped or dead: the scoreboard can't say so."""
        courtesy, now = Courtesy(), NOW
        while courtesy.steps_back(LIGHTER, now):
            now += STEP_BACK / 4
        assert STEP_BACK <= now - NOW <= 1.5 * STEP_BACK
        assert not courtesy.steps_back(LIGHTER, now + DISTRUST / 2)
        assert courtesy.steps_back(LIGHTER, now + DISTRUST)

    def test_one_that_goes_on_accepting_is_trusted(self) -> None:
        courtesy = Courtesy()
        for number in range(100):
            assert courtesy.steps_back((7, number), NOW + number * STEP_BACK / 2)

    def test_another_connection_later_is_another_wait(self) -> None:
        courtesy = Courtesy()
        assert courtesy.steps_back(LIGHTER, NOW)
        assert courtesy.steps_back(LIGHTER, NOW + 10 * STEP_BACK)


def test_the_share_of_threads() -> None:
    share, stop = ThreadShare(), threading.Event()

    def burn() -> None:
        while not stop.is_set():
            pass

    time.sleep(WINDOW)
    idle = share.now()
    thread = threading.Thread(target=burn)
    thread.start()
    try:
        until(lambda: share.now() > idle + 0.2, "the thread's work shows")
    finally:
        stop.set()
        thread.join()
    until(lambda: share.now() < 0.2, "and ends")
