"""When the cluster looks implausible, every number stays. All time is the test's own."""

from __future__ import annotations

import pytest
from corepod.operator.sizing.decision import Outcome
from corepod.operator.sizing.engine import WAIT
from corepod.operator.sizing.plausibility import HOLD, STALE, Plausibility

from tests.unit.operator.world import node, sized


@pytest.mark.parametrize("count", [1, 3, 10])
def test_an_empty_node_list_changes_nothing(count: int) -> None:
    world = sized(count)
    world.nodes.clear()
    world.rest(3600)
    assert world.writes == []
    assert world.decide()["web"].outcome is Outcome.CLUSTER_IMPLAUSIBLE
    assert world.decide()["web"].message == "no node is ready"


@pytest.mark.parametrize("how", ["gone", "not ready"])
def test_most_nodes_lost_at_once_are_believed_after_a_while(how: str) -> None:
    world = sized(10)
    lost = list(world.nodes)[1:]
    for name in lost:
        if how == "gone":
            world.remove_node(name)
        else:
            world.nodes[name]["status"]["conditions"][0]["status"] = "Unknown"
            for uid in world.on(name):
                del world.pods[uid]
    end = world.now + HOLD - 10
    while world.now < end:
        decision = world.operate(10)["web"]
        assert decision.outcome is Outcome.CLUSTER_IMPLAUSIBLE
        assert "only 1 of 10 nodes are ready" in decision.message
    assert world.writes == []
    assert decision.due == pytest.approx(world.now, abs=12)
    world.rest(WAIT + 40)
    assert world.replicas() == 4


def test_half_of_the_nodes_may_go() -> None:
    world = sized(10)
    for name in list(world.nodes)[5:]:
        world.remove_node(name)
    world.rest(WAIT + 20)
    assert world.replicas() == 20


def test_old_facts_are_not_acted_on() -> None:
    world = sized(2)
    world.nodes["n2"] = node("n2")
    assert not world.decide(silence=STALE + 1)["web"].writes
    assert world.decide(silence=STALE + 1)["web"].message == "no contact to the API server for 121 s"
    assert world.decide(silence=STALE)["web"].number == 12


def test_after_a_silence_pods_are_not_removed_at_once() -> None:
    world = sized(4)
    world.remove_node("n0")
    for _ in range(100):
        world.now += 10
        world.decide(silence=STALE + 1)
    world.control()  # the pods are made anew, and wait for a place
    world.schedule()
    world.nodes["n1"]["status"]["allocatable"]["cpu"] = "2000m"
    found = world.decide()["web"]
    assert found.number == 12, "what has no place is given up, what runs is kept for a while"
    assert found.outcome is Outcome.STABILIZING


def test_it_is_plausible_again_when_the_nodes_are_back() -> None:
    plausibility = Plausibility()
    assert not plausibility.why_not_plausible(ready=10, silence=0, now=0)
    assert plausibility.why_not_plausible(ready=4, silence=0, now=1)
    assert not plausibility.why_not_plausible(ready=10, silence=0, now=2)
    assert plausibility.due is None
