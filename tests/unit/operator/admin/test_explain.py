"""Rows that show how a number came about."""

from __future__ import annotations

from corepod.operator.admin.explain import NodeRow, hints, rows
from corepod.operator.sizing.engine import Sizing

from tests.unit.operator.world import CORE, World, deployment, node, spec


def table(world: World, name: str = "web") -> dict[str, NodeRow]:
    snapshot = world.snapshot()
    decisions = {each.key.name: each for each in Sizing().decide(snapshot, silence=0.0, now=0.0)}
    capacity = decisions[name].capacity
    assert capacity
    found = {row.node: row for row in rows(snapshot, capacity)}
    assert list(found) == sorted(world.nodes)
    assert sum(row.fits for row in found.values()) == capacity.total
    return found


def test_each_node_says_what_it_has_less_what_and_what_is_lost() -> None:
    world = World(node("a", 3920), node("b", 4000), node("c", cordoned=True))
    world.foreign("b", 700)
    world.deploy(deployment(full="true", reserve_cores_per_node="100m"))
    found = table(world)
    assert found["a"] == NodeRow("a", 3920, 0, 100, running=1, free=2, lost=820, short_of="cpu", excluded="")
    assert found["b"] == NodeRow("b", 4000, 700, 100, running=0, free=3, lost=200, short_of="cpu", excluded="")
    assert found["c"] == NodeRow("c", 4000, 0, 0, running=0, free=0, lost=0, short_of="", excluded="cordoned")
    for row in (found["a"], found["b"]):
        assert row.allocatable == row.others + row.reserve + row.fits * CORE + row.lost


def test_the_resource_that_is_short_is_named() -> None:
    world = World(node("a", memory="2Gi")).deploy(deployment(pod=spec(1000, "1024Mi"), full="true"))
    assert table(world)["a"] == NodeRow("a", 4000, 0, 0, running=1, free=1, lost=2000, short_of="memory", excluded="")


def test_what_others_are_dealt_is_theirs() -> None:
    world = World(node("a")).deploy(deployment(full="true"), deployment("other", full="true"))
    found = table(world)["a"]
    assert (found.fits, found.others, found.lost) == (2, 2000, 0)


def test_room_that_max_leaves_is_not_lost() -> None:
    world = World(node("a", 4500)).deploy(deployment(max="1", full="true"))
    found = table(world)["a"]
    assert (found.fits, found.lost, found.short_of) == (1, 500, "")


def test_pods_on_a_cordoned_node_are_shown() -> None:
    world = World(node("a"), node("b")).deploy(deployment(replicas=6, full="true"))
    world.nodes["a"]["spec"]["unschedulable"] = True
    found = table(world)
    assert (found["a"].running, found["a"].free, found["a"].excluded) == (4, 0, "cordoned")
    assert (found["b"].running, found["b"].free) == (2, 2)


EKS = "eks.amazonaws.com/nodegroup"


def advice(world: World) -> list[str]:
    snapshot = world.snapshot()
    (decision,) = Sizing().decide(snapshot, silence=0.0, now=0.0)
    assert decision.capacity
    return list(hints(snapshot, decision.capacity))


def test_pools_that_an_autoscaler_may_resize_are_named_until_somebody_decides() -> None:
    labels = {"a": {EKS: "web"}, "b": {EKS: "web"}, "c": {EKS: "jobs"}, "d": {}}
    world = World(*(node(name, labels=each) for name, each in labels.items())).deploy(deployment())
    (hint,) = advice(world)
    assert f"{EKS}=jobs (1), {EKS}=web (2); name those" in hint
    world.nodes["c"]["metadata"]["labels"]["corepod.dev/autoscaled"] = "false"
    assert "jobs" not in advice(world)[0]
    for answer in ("never", f"{EKS}=jobs", f"auto,{EKS}"):
        world.works["web"]["metadata"]["annotations"]["corepod.dev/autoscaled-nodes"] = answer
        assert advice(world) == []


def test_nodes_that_say_it_all_need_no_advice() -> None:
    assert advice(World(node("a"), node("b", labels={"karpenter.sh/nodepool": "x"})).deploy(deployment())) == []


def test_of_many_pools_some_are_named() -> None:
    world = World(*(node(f"n{number}", labels={EKS: f"g{number}"}) for number in range(8))).deploy(deployment())
    assert f"{EKS}=g4 (1) and 3 more; name those" in advice(world)[0]
