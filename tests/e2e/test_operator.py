"""The operator on a real cluster: the number of pods follows what the nodes hold, and none waits for a place."""

from __future__ import annotations

import contextlib
import json
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.conftest import IMAGE
from tests.e2e.fleet import OPERATOR_IMAGE, Fleet, container, fake_nodes, kill, metric
from tests.e2e.kube import DEADLINE, TOOL, Refused, apply, get, items, kubectl, run, until, until_everywhere
from tests.e2e.test_helm import left_in
from tests.e2e.watched import AVAILABLE, course, texts, watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.release import Pod

FAKES, MOST = 300, 20
SIZES = ["1500m", "1"]


@pytest.fixture(scope="module")
def raised(namespace: str) -> Iterator[Fleet]:
    if [node["status"]["allocatable"]["cpu"] for node in items("nodes")] != SIZES:
        pytest.skip("these tests count on two nodes with 1.5 cores and 1")
    until_everywhere(OPERATOR_IMAGE)
    fleet = Fleet(namespace)
    try:
        yield fleet.rise()
    finally:
        fleet.uninstall()


@pytest.fixture
def fleet(raised: Fleet) -> Fleet:
    """As it is when nothing is going on: two pods on the first node, one on the second."""
    raised.settled(3)
    return raised


@pytest.fixture
def lone(fleet: Fleet) -> str:
    """The node with one pod."""
    return str(items("nodes")[1]["metadata"]["name"])


def names(pods: list[Pod], node: str = "") -> set[str]:
    return {pod.name for pod in pods if node in ("", pod.node)}


@contextlib.contextmanager
def cordoned(node: str) -> Iterator[None]:
    kubectl("cordon", node)
    try:
        yield
    finally:
        kubectl("uncordon", node)


@contextlib.contextmanager
def tainted(node: str, effect: str) -> Iterator[None]:
    kubectl("taint", "node", node, f"e2e=operator:{effect}")
    try:
        yield
    finally:
        kubectl("taint", "node", node, f"e2e=operator:{effect}-")


def drain(node: str, seconds: float) -> None:
    """Raises Refused where it doesn't end in time."""
    options = ("--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={seconds:g}s")
    kubectl("drain", node, *options, deadline=seconds + 10)


def test_whole_pods_and_one_write(fleet: Fleet) -> None:
    """2.4 cores for pods of 0.6: four by the sum, three by what fits into each node."""
    assert sorted(len(names(fleet.pods(), node["metadata"]["name"])) for node in items("nodes")) == [1, 2]
    # Each change of what a Deployment asks for counts: it was made, and its number written.
    assert fleet.deployment()["metadata"]["generation"] == 2
    sized = [event["message"] for event in until(lambda: fleet.events("Sized"), "an Event")]
    assert len(sized) == 1
    assert "replicas 1 -> 3" in sized[0]


def test_a_rollout_changes_no_number(fleet: Fleet) -> None:
    with watched(fleet.namespace, fleet.full_name) as seen:
        fleet.restart()
    assert course(seen) == [3]


def test_a_cordon_deletes_nothing_and_what_leaves_is_not_asked_for_again(fleet: Fleet, lone: str) -> None:
    before = names(fleet.pods())
    with watched(fleet.namespace, fleet.full_name) as seen:
        with cordoned(lone):
            fleet.stays(lambda: names(fleet.pods()) == before and fleet.replicas == 3, "as it was")
            [pod] = names(fleet.pods(), lone)
            kubectl("delete", "pod", pod, "-n", fleet.namespace, "--wait=false")
            fleet.settled(2)
        fleet.settled(3)
    assert course(seen) == [3, 2, 3]


def test_a_drain_ends_with_one_pod_down_at_most(fleet: Fleet) -> None:
    """The node with two pods, under a PodDisruptionBudget of one, and with the operators on it."""
    crowded = items("nodes")[0]["metadata"]["name"]
    with watched(fleet.namespace, fleet.full_name) as seen, watched(fleet.namespace, fleet.full_name, AVAILABLE) as up:
        try:
            drain(crowded, 2 * DEADLINE)  # both operators leave with it, and one has to start and lead first
            fleet.settled(1)
        finally:
            kubectl("uncordon", crowded)
        fleet.settled(3)
    assert course(seen) == [3, 2, 1, 3]
    assert min(up) == 1


def test_without_the_operator_that_drain_does_not_end(fleet: Fleet) -> None:
    """The control: the pod that can't be placed uses up the budget."""
    crowded = items("nodes")[0]["metadata"]["name"]
    fleet.annotate(paused="true")
    try:
        until(lambda: 'outcome="paused"' in fleet.leads().admin("/metrics"), "that the operator knows")
        with pytest.raises(Refused, match="disruption budget"):
            drain(crowded, 12)
    finally:
        kubectl("uncordon", crowded)
        fleet.annotate(paused=None)


def test_a_taint(fleet: Fleet, lone: str) -> None:
    before = names(fleet.pods())
    with watched(fleet.namespace, fleet.full_name) as seen:
        with tainted(lone, "NoSchedule"):  # as a cordon
            fleet.stays(lambda: names(fleet.pods()) == before and fleet.replicas == 3, "as it was")
        with tainted(lone, "NoExecute"):
            fleet.settled(2)
        fleet.settled(3)
    assert course(seen) == [3, 2, 3]


def test_other_pods_take_a_core_and_give_it_back(fleet: Fleet, lone: str) -> None:
    other: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "other"},
        # It comes first: the scheduler removes a pod of ours for it.
        "spec": {**container("other", IMAGE, "600m"), "priorityClassName": "system-cluster-critical"},
    }
    other["spec"]["nodeSelector"] = {"kubernetes.io/hostname": lone}
    with watched(fleet.namespace, fleet.full_name) as seen:
        apply(fleet.namespace, other)
        try:
            fleet.settled(2)
        finally:
            kubectl("delete", "pod", "other", "-n", fleet.namespace, "--now")
        fleet.settled(3)
    assert course(seen) == [3, 2, 3]


def test_a_death_of_a_worker_is_seen_by_kubectl(fleet: Fleet) -> None:
    pod = fleet.pods()[0]
    shown = ("get", "pod", pod.name, "-n", fleet.namespace, "-L", "corepod.dev/worker-restarts", "--no-headers")
    assert kubectl(*shown).split()[-1] == "0"
    pod.sh(f"kill -9 {pod.worker().pid}")
    until(lambda: kubectl(*shown).split()[-1] == "1", lambda: f"the column; {fleet.say()}")
    meta = pod.again().document["metadata"]
    assert meta["annotations"]["corepod.dev/worker-restarts-total"] == "1"
    assert "SIGKILL" in meta["annotations"]["corepod.dev/last-worker-restart"]
    told = until(lambda: fleet.events("WorkerRestarted"), "an Event")
    assert told[0]["involvedObject"]["name"] == pod.name
    assert "SIGKILL" in told[0]["message"]
    # It was told, and did not come across it by itself.
    assert metric(fleet.leads(), "datagrams_total") >= 1
    assert pod.again().restarts == 0


def test_both_operators_restarted_change_nothing_and_go_on(fleet: Fleet) -> None:
    with watched(fleet.namespace, fleet.full_name) as seen:
        before = names(fleet.operators())
        kubectl("delete", "pod", *before, "-n", fleet.namespace)
        until(lambda: all(pod.ready for pod in fleet.operators()), "operators")
        until(lambda: metric(fleet.leads(), "decisions_total") >= 1, lambda: f"a decision; {fleet.say()}")
        fleet.stays(lambda: fleet.replicas == 3, "as it was")
        fleet.annotate(max="2")
        fleet.settled(2)
        fleet.annotate(max=str(MOST))
        fleet.settled(3)
    assert not before & names(fleet.operators())
    assert course(seen) == [3, 2, 3]


def test_an_operator_that_is_asked_to_stop_hands_over(fleet: Fleet) -> None:
    first, before = fleet.leads(), fleet.holder()
    with texts(fleet.namespace, "lease", "corepod-operator", "{.spec.holderIdentity}") as holders:
        kubectl("delete", "pod", first.name, "-n", fleet.namespace, "--wait=false")
        until(lambda: fleet.holder() not in ("", before), "another leader")
    # Nobody's for a moment: one that isn't given up stays its holder's, until another one takes it after its time.
    assert [holder for holder, _ in groupby(holders)][:2] == [before, ""]
    assert works(fleet)


@pytest.mark.skipif(not TOOL, reason="the nodes of kind are containers: their processes can't be killed from here")
def test_an_operator_that_is_killed_is_followed(fleet: Fleet) -> None:
    first, before = fleet.leads(), fleet.holder()
    kill(first)
    until(lambda: fleet.holder() not in ("", before), "another leader")
    assert works(fleet)


def works(fleet: Fleet) -> bool:
    """One write for each change, with whoever acts now."""
    with watched(fleet.namespace, fleet.full_name) as seen:
        fleet.annotate(max="2")
        fleet.settled(2)
        fleet.annotate(max=str(MOST))
        fleet.settled(3)
    return course(seen) == [3, 2, 3]


@pytest.mark.skipif(not TOOL, reason="kind can't add a node: COREPOD_E2E_CLUSTER names a tool that can")
def test_a_node_comes_and_goes(fleet: Fleet) -> None:
    before = names(fleet.pods())
    with watched(fleet.namespace, fleet.full_name) as seen:
        new = run(TOOL, "add-node", deadline=DEADLINE).split()[-1]
        try:
            run(TOOL, "load", IMAGE, new.removeprefix("node-"), deadline=DEADLINE)
            # What came before the image has the kubelet wait, longer each time, before it looks again.
            pods = fleet.settled(4, 2 * DEADLINE)
            assert len(names(pods, new)) == 1
        finally:
            run(TOOL, "remove-node", new)
            kubectl("delete", "node", new)
        until(lambda: fleet.replicas == 3, lambda: f"replicas 3; {fleet.say()}")
        # The cluster by itself takes a minute to collect the pod of a node that is gone.
        options = ("--force", "--grace-period=0", "--ignore-not-found")
        kubectl("delete", "pod", *names(pods, new), "-n", fleet.namespace, *options)
        fleet.settled(3)
    assert course(seen) == [3, 4, 3]
    assert names(fleet.pods()) == before


def test_many_nodes_and_a_bound(fleet: Fleet) -> None:
    """Another workload, for 300 nodes of eight cores: `max` holds, and none of its pods waits for a place.

    The last but one: that most nodes go at once is believed after minutes, and nothing is changed until then.
    """
    spec = {
        **container("many", IMAGE, "1"),
        "tolerations": [{"key": "type", "value": "fake"}],
        "nodeSelector": {"type": "fake"},
    }
    many = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "many",
            "labels": {"corepod.dev/sized": "true"},
            "annotations": {"corepod.dev/max": str(MOST)},
        },
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "many"}},
            "template": {"metadata": {"labels": {"app": "many"}}, "spec": spec},
        },
    }
    apply(fleet.namespace, many)
    try:
        with watched(fleet.namespace, "many") as seen, watched(fleet.namespace, fleet.full_name) as mine:
            fake_nodes(FAKES)
            until(lambda: placed(fleet) == MOST, lambda: f"{MOST} placed pods; {fleet.say()}")
            fleet.stays(lambda: get("deployment", "many", "-n", fleet.namespace)["spec"]["replicas"] == MOST, "at max")
    finally:
        kubectl("delete", "deployment", "many", "-n", fleet.namespace, "--wait=false", "--cascade=orphan")
        kubectl("delete", "replicaset,pod", "-l", "app=many", "-n", fleet.namespace, "--force", "--grace-period=0")
        kubectl("delete", "node", "-l", "type=fake", "--wait=false")
    assert course(seen)[0] == 1
    assert course(seen)[-1] == MOST
    # Nodes come one by one: each may be a change, none a step back or beyond.
    assert course(seen) == sorted(set(seen))
    assert course(mine) == [3]


def placed(fleet: Fleet) -> int:
    return sum("nodeName" in pod["spec"] for pod in items("pods", "-n", fleet.namespace, "-l", "app=many"))


def test_an_uninstall_leaves_nothing(fleet: Fleet) -> None:
    leases = get("lease", "-n", fleet.namespace)["items"]
    assert [lease["metadata"]["name"] for lease in leases] == ["corepod-operator"]
    roles = f"{fleet.namespace}-{fleet.full_name}-operator"
    assert roles in json.dumps(items("clusterrole,clusterrolebinding"))
    fleet.uninstall()
    until(lambda: not left_in(fleet.namespace), "nothing left")
    assert roles not in json.dumps(items("clusterrole,clusterrolebinding"))
