"""With a cluster autoscaler: a pod that waits makes a node, an empty node goes. Nothing here may feed that."""

from __future__ import annotations

from typing import Any

import pytest
from corepod.operator.sizing.decision import Outcome

from tests.unit.operator.world import CORE, FULL, SPACE, Autoscaler, Json, World, deployment, node


def hpa(name: str = "web", most: int = 3, **meta: Any) -> Json:
    target = {"kind": "Deployment", "name": name}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": most}
    return {"metadata": {"namespace": SPACE, "name": f"{name}-hpa", "uid": "h", **meta}, "spec": spec}


class Load:
    """A HorizontalPodAutoscaler at work."""

    def __init__(self, world: World, pods: int) -> None:
        self.world, self.pods = world, pods

    def act(self) -> None:
        limits = self.world.hpas["web"]["spec"]
        number = max(limits["minReplicas"], min(self.pods, limits["maxReplicas"]))
        self.world.works["web"]["spec"]["replicas"] = number
        self.world.settle()


def rounds(world: World, *actors: Any, count: int = 60) -> list[tuple[int, int]]:
    """Nodes and pods after each round."""
    found = []
    for _ in range(count):
        world.operate(10)
        for applier in actors:
            applier.act()
        found.append((len(world.nodes), len(world.own())))
    return found


def bounded(nodes: int = 1, **notes: Any) -> World:
    world = World(*(node(f"n{index}") for index in range(nodes)))
    world.hpas["web"] = hpa()
    return world.deploy(deployment(mode="hpa-bounds", **notes))


def test_bounds_follow_what_fits() -> None:
    world = bounded(3, min="2")
    decision = world.operate()["web"]
    limits = world.hpas["web"]["spec"]
    assert (limits["minReplicas"], limits["maxReplicas"]) == (2, 11)
    assert decision.hpa
    assert world.replicas() == 1, "replicas are the HorizontalPodAutoscaler's"
    world.nodes["n3"] = node("n3")
    world.operate()
    assert limits["maxReplicas"] == 15
    world.rest()
    assert len(world.writes) == 2


@pytest.mark.parametrize("told", [True, False], ids=["told", "seen"])
def test_bounds_reach_a_fixed_point_and_shrink_back(told: bool) -> None:
    """Where one of its nodes is always there, nobody has to say that there is an autoscaler."""
    world = bounded(1, **({"autoscaled_nodes": "karpenter.sh/nodepool"} if told else {}))
    if not told:
        world.nodes["n0"]["metadata"]["labels"] |= {"karpenter.sh/registered": "true"}
    cluster, load = Autoscaler(world, most=10), Load(world, 20)
    found = rounds(world, cluster, load)
    assert found[-1] == found[-10], "nothing moves any more"
    assert found[-1] == (5, 20), "what the load needs, no node more"
    load.pods = 2
    found = rounds(world, cluster, load)
    assert found[-1] == found[-10]
    assert found[-1][1] == 2
    assert all(world.on(name) for name in cluster.nodes()), "and nodes go with the load"
    assert len(world.nodes) <= 3
    capacity = 4 * len(world.nodes)
    assert world.hpas["web"]["spec"]["maxReplicas"] == capacity + 1, "one more than fits makes the next one come"


def test_bounds_stop_at_max() -> None:
    world = bounded(1, max="7", autoscaled_nodes="karpenter.sh/nodepool")
    assert rounds(world, Autoscaler(world, most=10), Load(world, 100))[-1] == (2, 7)


@pytest.mark.parametrize("notes", [{}, FULL], ids=["headroom", "full"])
def test_fit_does_not_feed_an_autoscaler(notes: Json) -> None:
    """Even with a pod of somebody else that makes a node come, and rollouts that put pods there."""
    world = World(node("n0"), node("n1")).deploy(deployment(**notes))
    cluster = Autoscaler(world, most=10)
    first = rounds(world, cluster)[-1]
    assert first == (2, 7 if not notes else 8)
    for _ in range(10):
        world.works["web"]["spec"]["replicas"] += 1  # a rollout's pod comes first
        world.settle()
        cluster.act()
        world.works["web"]["spec"]["replicas"] -= 1
        oldest = next(uid for uid in world.own() if uid not in world.on("auto-1"))
        del world.pods[oldest]
        found = rounds(world, cluster, count=20)
        assert found[-1][1] <= first[1] + 1
    assert found[-1][0] <= 3
    assert world.replicas() <= first[1] + (not notes)


def test_without_the_rule_an_autoscaler_would_be_fed() -> None:
    """Whoever asks for one pod more than fits gets all the nodes there can be: what is tested does happen."""
    world = World(node("n0")).deploy(deployment(autoscaled_nodes="never", **FULL))
    cluster = Autoscaler(world, most=10)
    for _ in range(100):
        decision = world.decide()["web"]
        world.works["web"]["spec"]["replicas"] = decision.number + 1
        world.settle()
        cluster.act()
    assert len(world.nodes) == 11


@pytest.mark.parametrize("notes", [{}, FULL], ids=["headroom", "full"])
def test_opting_in_reaches_a_fixed_point(notes: Json) -> None:
    world = World(node("n0")).deploy(deployment(autoscaled_nodes="never", **notes))
    cluster = Autoscaler(world, most=10)
    world.foreign("n0", 2 * CORE)
    big = world.foreign("", 4 * CORE)  # waits, and makes a node
    del world.pods[big]["spec"]["nodeName"]
    found = rounds(world, cluster)
    assert found[-1] == found[-20]
    assert found[-1][0] <= 3


def test_a_cluster_that_is_all_an_autoscalers_is_left_as_it_is() -> None:
    world = World(*(node(f"k{index}", labels=Autoscaler.LABELS) for index in range(3)))
    world.deploy(deployment(replicas=5))
    world.rest()
    decision = world.decide()["web"]
    assert world.writes == []
    assert decision.outcome is Outcome.ONLY_AUTOSCALED_NODES
    assert "set corepod.dev/mode to hpa-bounds, or corepod.dev/autoscaled-nodes to never" in decision.message
    world.works["web"]["metadata"]["annotations"]["corepod.dev/autoscaled-nodes"] = "never"
    world.operate()
    assert world.replicas() == 11


def test_pods_on_an_autoscalers_nodes_are_not_deleted_for_being_there() -> None:
    world = World(node("n0"), node("k", labels=Autoscaler.LABELS)).deploy(deployment(replicas=7))
    world.rest()
    assert world.replicas() == 7
    assert "4 pods run on nodes of an autoscaler, which are not counted" in world.decide()["web"].notes
    world.remove_node("k")
    world.rest()
    assert world.replicas() == 3


@pytest.mark.parametrize("mode", ["linear", "ladder"])
def test_proportions_leave_an_autoscalers_nodes_out(mode: str) -> None:
    given = {"linear": '{"coresPerReplica": 1}', "ladder": '{"coresToReplicas": [[0, 0], [4, 4], [8, 8]]}'}
    world = World(node("n0"), node("k", labels=Autoscaler.LABELS))
    parameters: Json = {mode: given[mode]}
    world.deploy(deployment(mode=mode, **parameters))
    assert world.decide()["web"].number == 4
    world.works["web"]["metadata"]["annotations"]["corepod.dev/autoscaled-nodes"] = "never"
    assert world.decide()["web"].number == 8


def test_a_horizontal_pod_autoscaler_is_not_fought() -> None:
    world = World(node("n0")).deploy(deployment())
    world.hpas["web"] = hpa()
    decision = world.decide()["web"]
    assert decision.outcome is Outcome.HPA_MISMATCH
    assert "HorizontalPodAutoscaler web-hpa scales it" in decision.message
    assert not decision.writes


def test_limits_that_another_controller_sets_are_left_to_it() -> None:
    world = bounded(2)
    owner = {"kind": "ScaledObject", "name": "web", "controller": True}
    world.hpas["web"] = hpa(ownerReferences=[owner])
    decision = world.decide()["web"]
    assert decision.outcome is Outcome.HPA_MISMATCH
    assert decision.message == "HorizontalPodAutoscaler web-hpa belongs to ScaledObject web, which sets its limits"
