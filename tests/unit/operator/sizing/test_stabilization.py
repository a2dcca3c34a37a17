"""When a lower target is acted on. All time is the test's own."""

from __future__ import annotations

import pytest
from corepod.operator.sizing.decision import Outcome
from corepod.operator.sizing.engine import WAIT
from corepod.operator.sizing.stabilization import Peak, Stabilization
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.operator.world import World, deployment, nodes, sized


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), min_size=1), st.integers(1, 60))
def test_a_peak_is_the_greatest_of_its_span(steps: list[tuple[int, int]], span: int) -> None:
    peak, now, seen = Peak(span), 0, []
    for pause, number in steps:
        now += pause
        seen.append((now, number))
        assert peak.add(number, now) == max(value for at, value in seen if now - at < span)
        assert now < peak.ends <= now + span


def test_more_at_once_and_less_when_it_stays_less() -> None:
    stabilization = Stabilization(5, 60.0, now=0.0)
    assert stabilization.stabilize(9, current=5, running=5, now=1.0) == 9
    assert stabilization.stabilize(7, current=9, running=9, now=10.0) == 9
    assert stabilization.due == 61.0
    assert stabilization.stabilize(8, current=9, running=9, now=62.0) == 8, "the least that was wished for all the time"
    assert stabilization.stabilize(7, current=8, running=8, now=121.0) == 8
    assert stabilization.stabilize(7, current=8, running=8, now=123.0) == 7
    assert stabilization.due is None


def test_pods_without_a_place_are_given_up_at_once() -> None:
    stabilization = Stabilization(9, 60.0, now=0.0)
    assert stabilization.stabilize(5, current=9, running=7, now=1.0) == 7
    assert stabilization.stabilize(5, current=7, running=7, now=2.0) == 7


def test_a_flapping_number_is_written_once() -> None:
    world = sized(2)
    for _ in range(60):
        for cpu in (3000, 4000):
            world.nodes["n1"]["status"]["allocatable"]["cpu"] = f"{cpu}m"
            world.operate(5)
    assert world.writes == []


def test_a_start_is_no_reason_to_remove_pods_at_once() -> None:
    world = World(*nodes(2)).deploy(deployment(replicas=8))
    assert world.operate()["web"].outcome is Outcome.STABILIZING
    assert world.replicas() == 8
    due = world.decide()["web"].due
    assert due
    assert due == pytest.approx(WAIT, abs=2)
    world.now = due - 0.1
    world.operate(0)
    assert world.replicas() == 8
    world.now = due
    world.operate(0)
    assert world.replicas() == 7
