"""Several workloads, quotas, topologies: what is free is given once."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.unit.operator.world import CORE, FULL, SPACE, Json, World, deployment, node, nodes, spec

ZONE = "topology.kubernetes.io/zone"
HOST = "kubernetes.io/hostname"


def sizes(world: World) -> dict[str, int]:
    return {name: world.replicas(name) for name in world.works}


def quota(name: str = "q", used: Json | None = None, scopes: Any = (), **hard: Any) -> Json:
    hard = {key.replace("__", "."): str(much) for key, much in hard.items()}
    limits = {"hard": hard, "scopes": list(scopes)}
    return {"metadata": {"namespace": SPACE, "name": name}, "spec": limits, "status": {"used": used or {}}}


@pytest.mark.parametrize("order", list(itertools.permutations("abc")))
def test_the_same_cores_are_never_counted_twice(order: tuple[str, ...]) -> None:
    """Whatever order they come in, and in one round."""
    world = World(*nodes(3)).deploy(*(deployment(name, replicas=0, **FULL) for name in order))
    for name in order:
        world.works[name]["spec"]["replicas"] = 1
    world.operate()
    assert sizes(world) == {"a": 4, "b": 4, "c": 4}
    assert not any(world.waiting(name) for name in order)
    world.rest()
    assert len(world.writes) == 3


def test_free_cores_go_by_weight() -> None:
    world = World(*nodes(4)).deploy(deployment("a", weight="3", **FULL), deployment("b", **FULL))
    world.operate()
    assert sizes(world) == {"a": 12, "b": 4}


def test_an_odd_one_goes_by_name() -> None:
    world = World(*nodes(1, 5 * CORE)).deploy(deployment("b", **FULL), deployment("a", **FULL))
    world.operate()
    assert sizes(world) == {"a": 3, "b": 2}


def test_what_one_keeps_free_is_not_for_the_other() -> None:
    """Else the first had too many pods as soon as those of the second ran, and would remove one."""
    first = deployment("a", reserve_cores_per_node="500m", **FULL)
    world = World(*nodes(2)).deploy(first, deployment("b", **FULL))
    world.rest()
    assert sizes(world) == {"a": 3, "b": 3}
    assert len(world.writes) == 2


def test_what_one_may_not_use_goes_to_the_other() -> None:
    world = World(*nodes(3)).deploy(deployment("a", max="2", **FULL), deployment("b", **FULL))
    world.operate()
    assert sizes(world) == {"a": 2, "b": 10}


def test_one_that_can_go_anywhere_leaves_the_few_nodes_to_the_one_that_needs_them() -> None:
    few = node("gpu", labels={"gpu": "yes"})
    world = World(few, *nodes(2), rank=lambda name: (name == "gpu", name)).deploy(
        deployment("a", **FULL), deployment("b", pod=spec(nodeSelector={"gpu": "yes"}), **FULL)
    )
    world.operate()
    assert sizes(world) == {"a": 8, "b": 4}


def test_each_keeps_its_own_headroom_and_none_is_pushed_out_by_the_other() -> None:
    world = World(*nodes(3)).deploy(deployment("a"), deployment("b"))
    world.rest()
    assert sizes(world) == {"a": 5, "b": 5}
    assert len(world.writes) == 2


def test_one_that_comes_later_gets_what_is_free_and_running_pods_are_nobodys_to_give() -> None:
    world = World(*nodes(3)).deploy(deployment("a", **FULL))
    world.operate()
    world.deploy(deployment("b", **FULL))
    world.rest()
    assert sizes(world) == {"a": 12, "b": 1}
    world.nodes["n3"] = node("n3")
    world.operate()
    assert sizes(world) == {"a": 12, "b": 4}, "it has less"


def test_one_that_comes_later_makes_room_for_its_headroom_and_for_nothing_else() -> None:
    """Running pods don't move from one workload to the other by way of the headroom."""
    world = World(*nodes(3)).deploy(deployment("a"))
    world.operate()
    world.deploy(deployment("b"))
    world.rest(1800)
    assert sizes(world) == {"a": 9, "b": 1}, "and 2 are free"


def test_pods_of_different_sizes_share_nodes() -> None:
    world = World(*nodes(2)).deploy(deployment("big", pod=spec(3000), **FULL), deployment("small", **FULL))
    world.rest()
    assert not world.waiting("big")
    assert not world.waiting("small")
    assert 3 * world.replicas("big") + world.replicas("small") == 8


@pytest.mark.parametrize(
    ("limits", "replicas"),
    [
        pytest.param([quota(pods=5)], 5, id="pods"),
        pytest.param([quota(requests__cpu="6500m")], 6, id="cpu"),
        pytest.param([quota(cpu=7)], 7, id="cpu-by-its-other-name"),
        pytest.param([quota(requests__memory="512Mi")], 4, id="memory"),
        pytest.param([quota(pods=9), quota("r", requests__cpu=3)], 3, id="the-least-of-two"),
        pytest.param([quota(pods=5, used={"pods": "2"})], 4, id="others-use-it-too"),
        pytest.param([quota(limits__cpu=1)], 12, id="limits-that-it-does-not-have"),
        pytest.param([quota(services=1)], 12, id="not-about-pods"),
        pytest.param([quota(pods=2, scopes=["Terminating"])], 12, id="of-jobs-only"),
        pytest.param([quota(pods=2, scopes=["BestEffort"])], 12, id="of-best-effort-only"),
        pytest.param([quota(pods=2, scopes=["NotTerminating", "NotBestEffort"])], 2, id="of-such-pods"),
        pytest.param([quota(pods=2, scopes=["PriorityClass"])], 12, id="of-priorities-only"),
    ],
)
def test_a_quota_is_respected(limits: list[Json], replicas: int) -> None:
    """One pod is there already, and counted in `used` where a quota says what is used."""
    world = World(*nodes(3))
    world.quotas = limits
    for each in limits:
        used = each["status"]["used"] or {"pods": "1", "requests.cpu": "1", "cpu": "1", "requests.memory": "128Mi"}
        each["status"]["used"] = used
    world.deploy(deployment(**FULL))
    world.operate()
    assert world.replicas() == replicas


def test_a_quota_of_a_priority_class() -> None:
    world = World(*nodes(3)).deploy(deployment(pod=spec(priorityClassName="high"), **FULL))
    limit = quota(pods=4, used={"pods": "1"})
    match: Json = {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}
    limit["spec"] = {"hard": {"pods": "4"}, "scopeSelector": {"matchExpressions": [match]}}
    world.quotas = [limit]
    assert world.decide()["web"].number == 4
    match["values"] = ["low"]
    assert world.decide()["web"].number == 12
    match["operator"] = "NotIn"
    assert world.decide()["web"].number == 4


def test_a_quota_is_shared_and_pods_that_wait_have_paid_already() -> None:
    world = World(*nodes(3)).deploy(deployment("a", replicas=2, **FULL), deployment("b", replicas=1, **FULL))
    world.quotas = [quota(pods=7, used={"pods": "3"})]
    decisions = world.decide()
    assert decisions["a"].number + decisions["b"].number == 7
    for pod in world.pods.values():
        pod["spec"].pop("nodeName", None)
    decisions = world.decide()
    assert decisions["a"].number + decisions["b"].number == 7


def test_a_quota_of_another_namespace_is_none_of_ours() -> None:
    world = World(*nodes(3)).deploy(deployment(**FULL))
    other = quota(pods=1)
    other["metadata"]["namespace"] = "other"
    world.quotas = [other]
    assert world.decide()["web"].number == 12


def anti_affinity(key: str) -> Json:
    term = {"topologyKey": key, "labelSelector": {"matchLabels": {"app": "web"}}}
    return {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


def spread(key: str, skew: int = 1, **more: Any) -> Json:
    selector = {"matchLabels": {"app": "web"}}
    rule = {"topologyKey": key, "maxSkew": skew, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector}
    return {"topologySpreadConstraints": [rule | more]}


def zoned(**zones: int) -> list[Json]:
    """Nodes of one core each."""
    found = []
    for zone, count in zones.items():
        found += [node(f"{zone}{index}", CORE, labels={ZONE: zone}) for index in range(count)]
    return found


@pytest.mark.parametrize(
    ("machines", "rule", "total"),
    [
        pytest.param(nodes(3), anti_affinity(HOST), 3, id="one-a-host"),
        pytest.param(zoned(x=3, y=2), anti_affinity(ZONE), 2, id="one-a-zone"),
        pytest.param(zoned(x=5, y=2), spread(ZONE), 5, id="skew-1"),
        pytest.param(zoned(x=5, y=2), spread(ZONE, 2), 6, id="skew-2"),
        pytest.param(zoned(x=5, y=2), spread(ZONE, 9), 7, id="skew-that-never-matters"),
        pytest.param([*zoned(x=5, y=2), node("z-lost", CORE)], spread(ZONE), 5, id="a-node-without-the-key"),
        pytest.param(zoned(x=3, y=3), spread(ZONE, minDomains=3), 2, id="too-few-domains"),
        pytest.param(zoned(x=3, y=3), spread(ZONE, minDomains=2), 6, id="enough-domains"),
        pytest.param(
            [*zoned(x=3), node("y0", cordoned=True, labels={ZONE: "y"})], spread(ZONE), 1, id="a-closed-zone-counts"
        ),
        pytest.param(
            [*zoned(x=3), node("y0", cordoned=True, labels={ZONE: "y"})],
            spread(ZONE, nodeTaintsPolicy="Honor"),
            3,
            id="a-closed-zone-that-does-not-count",
        ),
        pytest.param(
            [*zoned(x=3), node("y0", CORE, labels={ZONE: "y", "old": "yes"})],
            spread(ZONE) | {"nodeSelector": {ZONE: "x"}},
            3,
            id="zones-it-may-not-use",
        ),
        pytest.param(nodes(2), spread(HOST, 2), 8, id="hosts"),
    ],
)
def test_topologies_limit_what_fits(machines: list[Json], rule: Json, total: int) -> None:
    world = World(*machines).deploy(deployment(replicas=1, pod=spec(**rule), **FULL))
    found = world.decide()["web"].capacity
    assert found
    assert found.total == total


def test_a_topology_leaves_to_others_what_it_cannot_use() -> None:
    world = World(*zoned(x=6, y=2)).deploy(
        deployment(pod=spec(**spread(ZONE)), weight="1000", **FULL), deployment("other", **FULL)
    )
    world.operate()
    assert sizes(world) == {"web": 5, "other": 3}


def test_pods_that_run_are_not_counted_out_by_their_topology() -> None:
    world = World(*zoned(x=4, y=4)).deploy(deployment(replicas=8, pod=spec(**spread(ZONE)), **FULL))
    for name in ("y0", "y1", "y2"):
        world.remove_node(name)
    assert len(world.own()) == 5
    assert world.decide()["web"].number in (5, 8), "4 in x and 1 in y: 3 more than the skew allows, and all of them run"
    world.rest()
    assert world.replicas() == 5
