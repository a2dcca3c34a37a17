"""Writes for which only other pods are the reason have a pause between them. All time is the test's own."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from corepod.operator.sizing.pacing import PAUSE

from tests.unit.operator.world import CORE, FULL, World, deployment, node, nodes

if TYPE_CHECKING:
    from collections.abc import Iterator


class Full(World):
    """A cluster in which no pod of the workload gets a place any more, as where a quota refuses them."""

    stopped = False

    def control(self) -> None:
        if not self.stopped:
            super().control()


def full(count: int = 10) -> Full:
    world = Full(*nodes(count))
    world.deploy(deployment(**FULL))
    world.stopped = True
    world.operate()
    world.writes.clear()
    return world


def churned(world: World, seconds: float, chance: random.Random) -> Iterator[None]:
    """Pods of somebody else come and go, ten times a second."""
    others: list[str] = []
    for _ in range(int(seconds * 10)):
        if others and chance.random() < 0.5:
            del world.pods[others.pop(chance.randrange(len(others)))]
        else:
            others.append(world.foreign(chance.choice(sorted(world.nodes)), CORE // 2))
        yield


@pytest.mark.parametrize("seed", range(5))
def test_others_that_come_and_go_are_few_writes(seed: int) -> None:
    world = full()
    for _ in churned(world, 60, random.Random(seed)):
        world.operate(0.1)
    assert 2 <= len(world.writes) <= 60 / PAUSE + 1
    world.rest(60)
    assert world.replicas() == world.decide()["web"].number, "and the last one is right"


def test_without_the_pause_they_would_be_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control."""
    monkeypatch.setattr("corepod.operator.sizing.pacing.PAUSE", 0.0)
    world = full()
    for _ in churned(world, 60, random.Random(1)):
        world.operate(0.1)
    assert len(world.writes) > 100


def test_it_decides_again_when_the_pause_is_over() -> None:
    world = full(2)
    world.foreign("n0", CORE)
    assert world.operate(0.1)["web"].due is not None
    assert world.writes == []
    decision = world.decide()["web"]
    assert decision.due is not None
    assert decision.due - world.now <= PAUSE
    world.operate(decision.due - world.now)
    assert world.writes == [("web", 7)]


def test_a_pause_that_nothing_waits_for_any_more_is_no_reason_to_decide() -> None:
    world = full(2)
    world.foreign("n0", CORE)
    assert world.operate(0.1)["web"].due is not None
    world.works["web"]["metadata"]["annotations"]["corepod.dev/paused"] = "true"
    world.operate(2 * PAUSE)
    due = world.decide()["web"].due
    assert due is None or due > world.now, "an end in the past would have the loop decide without a pause"


def test_a_node_that_comes_is_used_at_once() -> None:
    world = full(2)
    for number in range(5):
        world.nodes[f"new{number}"] = node(f"new{number}")
        world.operate(0.1)
    assert [number for _, number in world.writes] == [12, 16, 20, 24, 28]


def test_a_change_by_a_person_is_answered_at_once() -> None:
    world = full(2)
    world.works["web"]["metadata"]["annotations"]["corepod.dev/max"] = "5"
    world.operate(0.1)
    assert world.writes == [("web", 5)]
    world.scale("web", 7)
    world.operate(0.1)
    assert world.writes[1:] == [("web", 5)]


def test_a_pod_that_is_evicted_is_followed_at_once() -> None:
    """A drain waits for nothing else."""
    world = World(*nodes(3)).deploy(deployment(**FULL))
    world.operate()
    world.nodes["n1"]["spec"]["unschedulable"] = True
    world.operate(0.1)
    world.writes.clear()
    for uid in world.on("n1"):
        world.delete_pod(uid)
        world.end_deleted()
        world.settle()
        world.operate(0.1)
        assert not world.waiting()
    assert [number for _, number in world.writes] == [11, 10, 9, 8]
