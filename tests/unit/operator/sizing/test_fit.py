"""The mode fit: one workload, node by node whole pods. Each case is a cluster and the number it leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from corepod.operator.sizing.decision import Outcome
from corepod.operator.sizing.pacing import PAUSE

from tests.unit.operator.world import CORE, FULL, World, deployment, node, nodes, spec

if TYPE_CHECKING:
    from tests.unit.operator.world import Json

TAINT = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}
TOLERATES = [{"key": "dedicated", "operator": "Exists"}]


@pytest.mark.parametrize(
    ("machines", "pod", "notes", "replicas"),
    [
        pytest.param(nodes(3, 3920), {}, FULL, 9, id="3-nodes-of-3.92-cores-are-9-not-12"),
        pytest.param(nodes(3, 3920), {}, {}, 8, id="one-place-is-left-for-rollouts"),
        pytest.param(nodes(3, 3920), {}, {"headroom": "3"}, 6, id="more-headroom"),
        pytest.param(nodes(3, 3920), {}, {"headroom": "20"}, 1, id="more-headroom-than-room"),
        pytest.param(nodes(1, 1900), {}, {}, 1, id="room-for-one-has-no-headroom"),
        pytest.param(nodes(1, 2000), {}, {}, 1, id="room-for-two-keeps-one-free"),
        pytest.param(nodes(2, 900), {}, {}, 1, id="room-for-none-still-asks-for-one"),
        pytest.param(nodes(2, 4000), {"cpu": 1500}, FULL, 4, id="pods-of-a-core-and-a-half"),
        pytest.param(nodes(2, 4000), {"cpu": 1334}, FULL, 4, id="not-3-by-a-thousandth"),
        pytest.param(nodes(2, 4000), {"cpu": 1333}, FULL, 6, id="3-by-a-thousandth"),
        pytest.param(nodes(2, memory="2Gi"), {"memory": "1024Mi"}, FULL, 4, id="memory-is-less-than-cpu"),
        pytest.param(nodes(2, pods="3"), {}, FULL, 6, id="pods-are-less-than-cpu"),
        pytest.param(nodes(2, cpu=0), {}, FULL, 1, id="nodes-without-cpu"),
        pytest.param(nodes(3), {}, {"max": "5"}, 5, id="max"),
        pytest.param(nodes(3), {}, {"max": "100"}, 11, id="max-is-no-aim"),
        pytest.param(nodes(1), {}, {"min": "7"}, 7, id="min-is-asked-for-even-without-room"),
        pytest.param(nodes(3), {}, {"reserve_cores_per_node": "0.5", **FULL}, 9, id="half-a-core-costs-a-pod-a-node"),
        pytest.param(
            nodes(3, 4500), {}, {"reserve_cores_per_node": "500m", **FULL}, 12, id="a-reserve-that-costs-nothing"
        ),
        pytest.param(nodes(3), {}, {"reserve_cores_per_node": "9", **FULL}, 1, id="a-reserve-of-more-than-a-node"),
        pytest.param([*nodes(2), node("t", taints=[TAINT])], {}, FULL, 8, id="taint"),
        pytest.param(
            [*nodes(2), node("t", taints=[TAINT])], {"tolerations": TOLERATES}, FULL, 12, id="taint-tolerated"
        ),
        pytest.param([*nodes(2), node("c", cordoned=True)], {}, FULL, 8, id="cordoned"),
        pytest.param([*nodes(2), node("c", ready=False)], {}, FULL, 8, id="not-ready"),
        pytest.param(
            [*nodes(2), node("a", labels={"arch": "arm64"})],
            {"nodeSelector": {"arch": "arm64"}},
            FULL,
            4,
            id="selector",
        ),
        pytest.param(nodes(2), {"nodeSelector": {"arch": "arm64"}}, FULL, 1, id="no-node-at-all"),
    ],
)
def test_an_empty_cluster(machines: list[Json], pod: Json, notes: Json, replicas: int) -> None:
    world = World(*machines).deploy(deployment(pod=spec(**pod), **notes))
    world.operate()
    assert world.replicas() == replicas
    world.rest()
    assert len(world.writes) <= 1, "what follows from a write changes nothing"


def test_extended_resources_and_disk_are_counted() -> None:
    pod = spec()
    pod["containers"][0]["resources"]["requests"] |= {"example.com/fpga": "1", "ephemeral-storage": "1Gi"}
    world = World(node("a", example_com__fpga="2"), node("b")).deploy(deployment(pod=pod, **FULL))
    assert world.decide()["web"].number == 1, "b has none"
    world.nodes["a"]["status"]["allocatable"]["example.com/fpga"] = "3"
    assert world.decide()["web"].number == 3
    world.nodes["a"]["status"]["allocatable"]["ephemeral-storage"] = "2Gi"
    assert world.decide()["web"].number == 2


def test_other_pods_take_their_share_node_by_node() -> None:
    world = World(*nodes(3))
    for name in world.nodes:
        world.foreign(name, 100)
    world.deploy(deployment(**FULL))
    world.operate()
    assert world.replicas() == 9, "a tenth of a core on each node costs each a pod"


def test_pods_that_are_over_take_nothing_and_those_that_end_do() -> None:
    world = World(*nodes(1))
    done, ends = world.foreign("n0", 2000), world.foreign("n0", 1000)
    world.pods[done]["status"]["phase"] = "Succeeded"
    world.delete_pod(ends)
    world.deploy(deployment(**FULL))
    assert world.decide()["web"].number == 3
    world.end_deleted()
    assert world.decide()["web"].number == 4


def test_new_nodes_are_used_at_once_and_their_loss_after_a_while() -> None:
    world = World(*nodes(2)).deploy(deployment(**FULL))
    world.operate()
    world.nodes["new"] = node("new", 2 * CORE)
    world.operate()
    assert world.replicas() == 10
    world.nodes["n0"]["status"]["allocatable"]["cpu"] = "3000m"  # its kubelet keeps more for itself
    assert world.operate()["web"].outcome is Outcome.STABILIZING
    assert world.replicas() == 10
    world.rest(120)
    assert world.replicas() == 9
    assert [number for _, number in world.writes] == [8, 10, 9]


def test_a_removed_node_takes_its_pods_number_with_it() -> None:
    world = World(*nodes(3)).deploy(deployment(**FULL))
    world.operate()
    world.remove_node("n1")
    world.rest()
    assert world.replicas() == 8
    assert not world.waiting()
    assert [number for _, number in world.writes] == [12, 8]


def test_pods_of_a_removed_node_count_until_they_are_collected() -> None:
    """The Deployment counts them, too: asked for less, it would delete others."""
    world = World(*nodes(3)).deploy(deployment(**FULL))
    world.operate()
    gone = world.nodes.pop("n1")
    world.rest()
    assert world.replicas() == 12
    world.nodes["n1"] = gone
    world.remove_node("n1")  # with its pods
    world.operate()
    assert world.replicas() == 8
    assert [number for _, number in world.writes] == [12, 8]


@pytest.mark.parametrize("notes", [{}, FULL], ids=["headroom", "full"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_cordon_deletes_nothing(count: int, notes: Json) -> None:
    """Not even where the place that was left free is on the node."""
    world = World(*nodes(count), rank=lambda name: (name == "n1", name)).deploy(deployment(**notes))
    world.operate()
    before, name = world.own(), "n1" if count > 1 else "n0"
    world.nodes[name]["spec"]["unschedulable"] = True
    world.rest()
    assert world.own() == before
    world.nodes[name]["spec"]["unschedulable"] = False
    world.rest()
    assert world.own() == before
    assert len(world.writes) == 1


@pytest.mark.parametrize("notes", [{}, FULL], ids=["headroom", "full"])
def test_a_drain_moves_on_as_pods_leave(notes: Json) -> None:
    world = World(*nodes(3)).deploy(deployment(**notes))
    world.operate()
    start = world.replicas()
    world.nodes["n1"]["spec"]["unschedulable"] = True
    for uid in world.on("n1"):
        assert not world.waiting(), "with a disruption budget the next eviction waits for this"
        working = set(world.own()) - {uid}
        world.delete_pod(uid)
        world.operate()
        assert working <= set(world.own()), "only what left is gone"
        world.end_deleted()
        world.operate()
    assert world.replicas() == 8
    assert not world.waiting()
    world.rest()
    assert world.replicas() == 8 - (start == 11), "a place is left free again when the drain is over"


def test_a_node_that_is_not_ready_keeps_its_pods_in_the_number_until_they_are_evicted() -> None:
    world = World(*nodes(3)).deploy(deployment(**FULL))
    world.operate()
    world.nodes["n1"]["status"]["conditions"][0]["status"] = "Unknown"
    world.rest(100)
    assert world.replicas() == 12
    for uid in world.on("n1"):
        world.delete_pod(uid)  # nobody is there to end them
    world.rest(100)
    assert world.replicas() == 8


def test_a_taint_that_evicts_moves_the_number_down_and_back() -> None:
    world = World(*nodes(3)).deploy(deployment(**FULL))
    world.operate()
    world.nodes["n2"]["spec"]["taints"] = [TAINT | {"effect": "NoExecute"}]
    for uid in world.on("n2"):
        world.delete_pod(uid)
    world.end_deleted()
    world.rest()
    assert world.replicas() == 8
    world.nodes["n2"]["spec"]["taints"] = []
    world.operate()
    assert world.replicas() == 12


def test_cores_that_others_take_are_given_up_and_come_back() -> None:
    world = World(*nodes(2)).deploy(deployment())
    world.operate()
    assert world.replicas() == 7
    other = world.foreign("n1", 1000)
    world.rest()
    assert world.replicas() == 6, "a place is left free again"
    world.delete_pod(other)
    world.end_deleted()
    world.operate()
    assert world.replicas() == 7


def test_a_rollout_of_a_full_cluster_changes_no_number() -> None:
    """One pod goes first (maxSurge 0): its place belongs to the one that follows it."""
    world = World(*nodes(2)).deploy(deployment(**FULL))
    world.operate()
    for uid in world.own():
        world.delete_pod(uid)
        world.settle()
        assert world.waiting() == 1
        world.operate(20)
        world.end_deleted()
        world.operate(20)
    assert [number for _, number in world.writes] == [8]


def test_a_rollout_with_headroom_changes_no_number() -> None:
    """One pod comes first, which is all that there is room for."""
    world = World(*nodes(2)).deploy(deployment())
    world.operate()
    for uid in world.own():
        world.works["web"]["spec"]["replicas"] += 1
        world.settle()
        world.works["web"]["spec"]["replicas"] -= 1
        assert world.decide()["web"].number == 7
        del world.pods[uid]
        world.now += 20
    assert [number for _, number in world.writes] == [7]


def test_pods_that_wait_in_a_rollout_change_no_number() -> None:
    """A quarter is to come first (maxSurge 25%), and there is room for one: the other one waits for a pod that goes."""
    world = World(*nodes(2)).deploy(deployment())
    world.operate()
    old, waited = world.own(), 0
    number, surge = len(old), 2
    assert number == 7
    while old:
        world.works["web"]["spec"]["replicas"] = min(len(old), surge) + number
        world.settle()
        world.works["web"]["spec"]["replicas"] = number
        waited = max(waited, world.waiting())
        for _ in range(4):  # longer than a pod may wait for a place that seems to be there
            world.now += 20
            found = world.decide()["web"]
            assert (found.number, found.writes) == (number, False), found
        ready = len(world.own()) - world.waiting()
        assert ready > number, "the rollout goes on"
        for uid in old[: ready - number]:
            del world.pods[uid]
        old = old[ready - number :]
    assert waited == 1
    assert world.waiting() == 0
    assert len(world.writes) == 1


def test_the_newest_pod_says_what_a_pod_needs() -> None:
    """Something adds a sidecar of half a core to each pod on its way."""
    world = World(*nodes(2)).deploy(deployment(**FULL))
    world.operate()
    for uid in world.own():
        world.pods[uid]["spec"] = {**spec(1500), "nodeName": world.pods[uid]["spec"]["nodeName"]}
    found = world.decide()["web"]
    assert found.capacity
    assert found.capacity.total == 4, "two pods of 1.5 cores on each node of 4"


def test_a_pod_that_is_on_its_way_out_says_nothing_of_the_next() -> None:
    """A rollout to pods of two cores was taken back."""
    world = World(*nodes(2)).deploy(deployment(replicas=3, **FULL))
    newest = world.own()[-1]
    world.pods[newest]["spec"] = {**spec(2000), "nodeName": "n0"}
    world.delete_pod(newest)
    found = world.decide()["web"].capacity
    assert found
    assert found.request.demand.of("cpu") == 1000


def test_a_rollout_that_changes_the_size_asks_for_nothing_without_a_place() -> None:
    world = World(*nodes(2)).deploy(deployment(pod=spec(2000), **FULL))
    world.operate()
    assert world.replicas() == 4
    world.works["web"]["spec"]["template"]["spec"] = spec(1000)
    assert world.decide()["web"].number == 4, "the old pods still take all there is"
    for uid in world.own():
        world.delete_pod(uid)
        world.end_deleted()
        world.operate()
        assert not world.waiting()
    world.operate(PAUSE)
    assert world.replicas() == 8


def test_a_rollout_that_makes_pods_greater_asks_for_what_fits_in_the_end() -> None:
    world = World(*nodes(1)).deploy(deployment(replicas=3, pod=spec(500)))
    world.works["web"] = deployment(replicas=4, pod=spec(1000), **FULL)
    world.settle()
    assert world.decide()["web"].number == 4, "3 of half a core and 1 of one, but 2.5 cores free are no 2 more"


@pytest.mark.parametrize(
    ("work", "outcome", "words"),
    [
        (deployment(replicas=3, paused="true"), Outcome.PAUSED, "corepod.dev/paused is true"),
        (deployment(replicas=0), Outcome.SCALED_TO_ZERO, "it is scaled to 0"),
        (deployment(replicas=3, min="x", max="y"), Outcome.INVALID_ANNOTATIONS, "corepod.dev/min: 'x'"),
        (
            deployment(
                replicas=3,
                pod={"containers": [{"name": "a", "resources": {"requests": {"cpu": "0m", "memory": "1Mi"}}}]},
            ),
            Outcome.MISSING_CPU_REQUEST,
            "its pods request no CPU",
        ),
        (deployment(replicas=3, mode="hpa-bounds"), Outcome.HPA_MISMATCH, "needs a HorizontalPodAutoscaler"),
    ],
)
def test_what_is_left_as_it_is_and_the_others_go_on(work: Json, outcome: Outcome, words: str) -> None:
    work["metadata"]["name"] = "odd"
    world = World(*nodes(3)).deploy(work, deployment(pod=spec(2000)))
    decisions = world.operate()
    assert decisions["odd"].outcome is outcome
    assert decisions["odd"].message.startswith(words) or words in decisions["odd"].message
    assert not decisions["odd"].writes
    assert decisions["web"].writes


def test_a_workload_without_the_label_is_nobodys_business() -> None:
    world = World(*nodes(3)).deploy(deployment())
    world.works["web"]["metadata"]["labels"] = {}
    assert not world.decide()


@pytest.mark.parametrize(("generation", "replicas"), [(2, 16), (1, 8)], ids=["resized", "created-so"])
def test_pods_are_not_sized_by_one_that_was_resized_in_place(generation: int, replicas: int) -> None:
    world = World(*nodes(2)).deploy(deployment(pod=spec(500), **FULL))
    world.operate()
    assert world.replicas() == 16
    newest = world.pods[world.own()[-1]]
    bigger = spec(1000) | {"nodeName": newest["spec"]["nodeName"]}
    newest["spec"] = bigger
    newest["metadata"]["generation"] = generation
    world.rest()
    assert world.replicas() == replicas


def daemon_pod(world: World, node_name: str, cpu: int) -> str:
    """A pod of a DaemonSet that waits for its node, as the DaemonSet controller creates it."""
    names = [{"key": "metadata.name", "operator": "In", "values": [node_name]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": names}]}}
    uid = world.foreign(node_name, cpu, affinity={"nodeAffinity": required})
    del world.pods[uid]["spec"]["nodeName"]
    world.pods[uid]["status"] = {"phase": "Pending"}
    return uid


def test_a_daemonsets_pod_that_waits_for_its_node_keeps_its_room() -> None:
    world = World(*nodes(2)).deploy(deployment(**FULL))
    world.operate()
    assert world.replicas() == 8
    world.nodes["new"] = node("new", 4000)
    uid = daemon_pod(world, "new", 200)
    world.operate()
    assert world.replicas() == 11, "not 12: the fourth would take the room that it waits for"
    world.pods[uid]["spec"]["nodeName"] = "new"
    world.rest()
    assert world.replicas() == 11


def test_a_daemonset_that_comes_late_gets_its_room_after_the_wait() -> None:
    world = World(*nodes(2)).deploy(deployment(**FULL))
    world.operate()
    for name in ("n0", "n1"):
        daemon_pod(world, name, 200)
    world.rest(30)
    assert world.replicas() == 8, "no working pod goes for something that may pass"
    world.rest(120)
    assert world.replicas() == 6


def test_linear_counts_cores_as_its_model_does() -> None:
    """Rounded up over all nodes, whatever fits, and whatever taints say."""
    world = World(*nodes(3, 3920), node("t", 3920, taints=[TAINT]), node("c", 3920, cordoned=True))
    world.deploy(deployment(mode="linear", linear='{"coresPerReplica": 1}'))
    world.operate()
    assert world.replicas() == 16
    world.works["web"]["metadata"]["annotations"]["corepod.dev/linear"] = (
        '{"coresPerReplica": 1, "includeUnschedulableNodes": true}'
    )
    world.operate()
    assert world.replicas() == 20


def test_a_ladder_may_lead_to_0_and_back() -> None:
    steps = '{"nodesToReplicas": [[1, 0], [3, 3]]}'
    world = World(*nodes(2)).deploy(deployment(mode="ladder", ladder=steps))
    world.rest(100)
    assert world.replicas() == 0
    world.nodes["n2"] = node("n2")
    world.operate()
    assert world.replicas() == 3


def test_what_is_worth_knowing_is_noted() -> None:
    pod = spec(affinity={"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]}})
    world = World(*nodes(1)).deploy(deployment(pod=pod, min="9", maximum="3"))
    assert world.decide()["web"].notes == (
        "corepod.dev/maximum: unknown annotation; did you mean corepod.dev/max?",
        "sizing ignores a required pod affinity",
        "corepod.dev/min requires 9 pods, but there is room for 4",
    )
    nowhere = World(*nodes(1)).deploy(deployment(pod=spec(nodeSelector={"a": "b"})))
    assert (
        "no node accepts its pods: check node selector, affinity, taints and cordons" in nowhere.decide()["web"].notes
    )
