"""Facts from the API's JSON: what a pod requests, what made it, and what an object without its form leads to."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from corepod.operator.api import decode
from corepod.operator.api.decode import Malformed
from corepod.operator.model.facts import Key, Match, Spread, Taint
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.operator.world import deployment, node, spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.operator.world import Json

MI = 2**20
GPUS: dict[str, Any] = {"nvidia.com/gpu": "2"}


def container(name: str = "a", limits: Any = None, **requests: str) -> Json:
    return {"name": name, "resources": {"requests": requests, "limits": limits or {}}}


def sidecar(**requests: str) -> Json:
    return container("sidecar", **requests) | {"restartPolicy": "Always"}


def pod(pod_spec: Json, owner: tuple[str, str] = ("ReplicaSet", "web-5d"), **status: Any) -> Json:
    meta = {"namespace": "shop", "name": "web-5d-x", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}
    owners = [{"apiVersion": "apps/v1", "kind": owner[0], "name": owner[1], "controller": True}]
    labels = {"app": "web", "pod-template-hash": "5d"}
    return {"metadata": meta | {"ownerReferences": owners, "labels": labels}, "spec": pod_spec, "status": status}


@pytest.mark.parametrize(
    ("pod_spec", "wanted"),
    [
        pytest.param({"containers": [container(cpu="1", memory="1Mi")]}, {"cpu": 1000, "memory": MI}, id="one"),
        pytest.param({"containers": [container(cpu="1"), container(cpu="50m")]}, {"cpu": 1050}, id="sum"),
        pytest.param({"containers": [container(limits={"cpu": "2"})]}, {"cpu": 2000}, id="limits-stand-for-requests"),
        pytest.param({"containers": [container(limits={"cpu": "2"}, cpu="1")]}, {"cpu": 1000}, id="requests-win"),
        pytest.param(
            {"containers": [container(cpu="1")], "initContainers": [container(cpu="3"), container(cpu="2")]},
            {"cpu": 3000},
            id="greatest-init-container",
        ),
        pytest.param(
            {"containers": [container(cpu="1")], "initContainers": [container(memory="5Mi")]},
            {"cpu": 1000, "memory": 5 * MI},
            id="init-container-of-another-resource",
        ),
        pytest.param(
            {"containers": [container(cpu="1")], "initContainers": [sidecar(cpu="100m")]},
            {"cpu": 1100},
            id="sidecar-stays",
        ),
        pytest.param(
            {"containers": [container(cpu="1")], "initContainers": [sidecar(cpu="300m"), container(cpu="900m")]},
            {"cpu": 1300},
            id="init-container-beside-an-earlier-sidecar",
        ),
        pytest.param(
            {"containers": [container(cpu="1")], "initContainers": [container(cpu="1100m"), sidecar(cpu="50m")]},
            {"cpu": 1100},
            id="init-container-before-its-sidecar",
        ),
        pytest.param(
            {"containers": [container(cpu="1")], "overhead": {"cpu": "250m", "memory": "1Mi"}},
            {"cpu": 1250, "memory": MI},
            id="overhead-of-a-sandbox",
        ),
        pytest.param(
            {"containers": [container(cpu="1"), container(memory="1Mi")], "resources": {"requests": {"cpu": "3"}}},
            {"cpu": 3000, "memory": MI},
            id="pod-level",
        ),
        pytest.param(
            {"containers": [container()], "resources": {"limits": {"cpu": "3"}}, "overhead": {"cpu": "1"}},
            {"cpu": 4000},
            id="pod-level-limits",
        ),
        pytest.param({"containers": [container(**GPUS)]}, {"nvidia.com/gpu": 2}, id="extended-resource"),
        pytest.param({"containers": [container(cpu="100u")]}, {"cpu": 1}, id="rounded-up"),
    ],
)
def test_requests_are_those_the_scheduler_counts(pod_spec: Json, wanted: dict[str, int]) -> None:
    assert dict(decode.pod(pod(pod_spec)).requests) == wanted | {"pods": 1}


@pytest.mark.parametrize(
    ("status", "cpu"),
    [
        pytest.param({}, 1000, id="no-status-yet"),
        pytest.param({"allocatedResources": {"cpu": "2"}}, 2000, id="shrinks"),
        pytest.param({"resources": {"requests": {"cpu": "500m"}}}, 1000, id="grows"),
    ],
)
def test_a_pod_that_is_resized_in_place_counts_with_the_greater_size(status: Json, cpu: int) -> None:
    found = pod({"containers": [container(cpu="1")]}, containerStatuses=[{"name": "a", **status}])
    assert dict(decode.pod(found).requests)["cpu"] == cpu


def test_a_pod_that_was_resized_does_not_show_what_the_next_one_demands() -> None:
    created = pod({"containers": [container(cpu="50m")]})
    resized = pod({"containers": [container(cpu="900m")]})
    created["metadata"]["generation"], resized["metadata"]["generation"] = 1, 2
    assert decode.pod(created).demand
    assert decode.pod(resized).demand is None
    assert dict(decode.pod(resized).requests)["cpu"] == 900


def test_a_resize_that_the_node_cannot_do_does_not_count() -> None:
    pending = [{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}]
    statuses = [{"name": "a", "resources": {"requests": {"cpu": "1"}}}]
    found = pod({"containers": [container(cpu="9")]}, containerStatuses=statuses, conditions=pending)
    assert dict(decode.pod(found).requests)["cpu"] == 1000


@pytest.mark.parametrize(
    ("owner", "key"),
    [
        (("ReplicaSet", "web-5d"), Key("Deployment", "shop", "web")),
        (("ReplicaSet", "web-a-5d"), Key("Deployment", "shop", "web-a")),
        (("ReplicaSet", "web"), None),
        (("StatefulSet", "web"), Key("StatefulSet", "shop", "web")),
        (("DaemonSet", "web"), None),
    ],
)
def test_what_made_a_pod(owner: tuple[str, str], key: Key | None) -> None:
    found = decode.pod(pod(spec(), owner))
    assert found.workload == key
    assert bool(found.demand) == bool(key)


def test_a_pod_of_nobody_is_one_that_takes_room() -> None:
    bare = pod(spec())
    del bare["metadata"]["ownerReferences"]
    assert decode.pod(bare).workload is None
    bare["metadata"]["ownerReferences"] = [
        {"apiVersion": "batch/v1", "kind": "StatefulSet", "name": "a", "controller": True}
    ]
    assert decode.pod(bare).workload is None


def test_states_of_a_pod() -> None:
    refused = decode.pod(pod(spec(), phase="Failed", reason="SMTAlignmentError", message="not a multiple"))
    assert refused.finished
    assert refused.refused
    assert not decode.pod(pod(spec(), phase="Failed", reason="Evicted")).refused
    lost = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    waits = decode.pod(pod(spec(), phase="Pending", conditions=[lost]))
    assert (waits.node, waits.reason, waits.message) == ("", "Unschedulable", "0/3 nodes")
    runs = decode.pod(pod(spec(nodeName="a"), phase="Running", conditions=[{"type": "Ready", "status": "True"}]))
    assert runs.ready
    assert not runs.deleting
    assert not runs.reason


def test_equal_parts_are_one_object() -> None:
    one, other = decode.pod(pod(spec())), decode.pod(copy.deepcopy(pod(spec())))
    assert one.demand is other.demand
    assert one.requests is other.requests
    assert one.workload is other.workload
    assert decode.pod(pod(spec(nodeName="a"))).demand is one.demand, "where it is says nothing of where it may be"


def test_a_node() -> None:
    taint = {"key": "gpu", "effect": "NoSchedule"}
    found = decode.node(node("a", 3920, taints=[taint], cordoned=True, labels={"zone": "x"}, nvidia_com__gpu="2"))
    assert found.of("cpu") == 3920
    assert found.of("memory") == 64 * 2**30
    assert found.of("nothing") == 0
    assert found.taints == (Taint("gpu", "", "NoSchedule"),)
    assert found.ready
    assert found.unschedulable
    assert found.labels["zone"] == "x"
    assert not decode.node(node("a", ready=False)).ready


def test_where_a_pod_may_go() -> None:
    terms = [
        {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["x", "y"]}]},
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]},
    ]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    found = decode.workload(
        deployment(pod=spec(nodeSelector={"disk": "ssd"}, os={"name": "linux"}, affinity={"nodeAffinity": required})),
        "Deployment",
    ).demand
    assert found.selector == (("disk", "ssd"), ("kubernetes.io/os", "linux"))
    assert found.terms == (
        (Match("zone", "In", ("x", "y")),),
        (Match("metadata.name", "In", ("a",), field=True),),
    )


def self_term(**labels: str) -> Json:
    return {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels}}


REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


@pytest.mark.parametrize(
    ("more", "apart", "unclear"),
    [
        ({}, (), ()),
        ({"affinity": {"podAntiAffinity": {REQUIRED: [self_term(app="web")]}}}, ("kubernetes.io/hostname",), ()),
        (
            {"affinity": {"podAntiAffinity": {REQUIRED: [self_term(app="db")]}}},
            (),
            ("a required pod anti-affinity to other pods",),
        ),
        ({"affinity": {"podAffinity": {REQUIRED: [self_term(app="db")]}}}, (), ("a required pod affinity",)),
        ({"containers": [container() | {"ports": [{"hostPort": 80}]}]}, ("kubernetes.io/hostname",), ()),
        ({"containers": [container() | {"ports": [{"containerPort": 80}]}]}, (), ()),
        (
            {"hostNetwork": True, "containers": [container() | {"ports": [{"containerPort": 80}]}]},
            ("kubernetes.io/hostname",),
            (),
        ),
        ({"resourceClaims": [{"name": "gpu"}]}, (), ("resource claims",)),
    ],
)
def test_pods_that_keep_each_other_out(more: Json, apart: tuple[str, ...], unclear: tuple[str, ...]) -> None:
    found = decode.workload(deployment(pod=spec() | more), "Deployment").demand
    assert (found.apart, found.unclear) == (apart, unclear)


def named(*names: str, operator: str = "In", key: str = "metadata.name") -> Json:
    return {"matchFields": [{"key": key, "operator": operator, "values": list(names)}]}


@pytest.mark.parametrize(
    ("terms", "wanted"),
    [
        pytest.param([named("n1")], "n1", id="as-the-daemonset-controller-writes-it"),
        pytest.param([named("n1") | {"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}], "n1", id="and-more"),
        pytest.param([named("n1"), named("n1")], "n1", id="twice-the-same"),
        pytest.param([named("n1"), named("n2")], "", id="a-choice"),
        pytest.param([named("n1", "n2")], "", id="a-choice-in-one-term"),
        pytest.param([named("n1", operator="NotIn")], "", id="all-but-one"),
        pytest.param([{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["n1"]}]}], "", id="a-label"),
        pytest.param([named("n1"), {}], "", id="an-empty-term"),
        pytest.param([], "", id="none"),
    ],
)
def test_a_pod_that_can_go_to_one_node_only_counts_there(terms: list[Json], wanted: str) -> None:
    affinity = {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}}
    waits = pod(spec(affinity=affinity), ("DaemonSet", "agent"), phase="Pending")
    assert decode.pod(waits).node == wanted
    assert decode.pod(pod(spec(affinity=affinity), phase="Pending")).node == "", "a sized workload's own pods wait"
    assert decode.pod(pod(spec(affinity=affinity, nodeName="n7"), ("DaemonSet", "agent"))).node == "n7"


def test_why_pods_cannot_be_created() -> None:
    refused = 'pods "web-5d-{}" is forbidden: exceeded quota: team, requested: cpu=1, used: cpu=4, limited: cpu=4'
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}

    def read(**more: str) -> str:
        return decode.workload(deployment() | {"status": {"conditions": [condition | more]}}, "Deployment").refusal

    assert read(message=refused.format("abcde")) == read(message=refused.format("fghij")), "one Event for all"
    assert read(message=refused.format("abcde")).startswith("pods is forbidden: exceeded quota: team")
    assert read(message="admission webhook denied it") == "admission webhook denied it"
    assert read(message="old", status="False") == ""
    assert read() == "its controller doesn't say why"
    assert len(read(message="x" * 30_000)) == 500
    assert decode.workload(deployment(), "Deployment").refusal == ""


@pytest.mark.parametrize(
    ("status", "missing"),
    [
        ({}, 0),
        ({"observedGeneration": 1, "replicas": 3, "availableReplicas": 3}, 4),
        ({"observedGeneration": 1, "replicas": 3, "availableReplicas": 2}, 0),
        ({"observedGeneration": 1, "replicas": 0}, 7),
        ({"observedGeneration": 1, "replicas": 9, "availableReplicas": 9}, 0),
    ],
)
def test_pods_that_a_statefulset_does_not_create(status: Json, missing: int) -> None:
    work = deployment(replicas=7) | {"status": status}
    assert decode.workload(work, "StatefulSet").missing == missing
    assert decode.workload(work, "Deployment").missing == 0


@pytest.mark.parametrize(
    ("selector", "counts"),
    [
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "db"}}, False),
        ({}, True),
        (None, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_spread_constraints_that_count_these_pods(selector: Json | None, counts: bool) -> None:
    constraint = {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector}
    soft = constraint | {"whenUnsatisfiable": "ScheduleAnyway"}
    found = decode.workload(deployment(pod=spec(topologySpreadConstraints=[constraint, soft])), "Deployment").demand
    wanted = Spread("zone", 1, 0, honors_affinity=True, honors_taints=False)
    assert found.spread == ((wanted,) if counts else ())


def test_a_workload() -> None:
    work = deployment(replicas=7, min="2")
    fields: Json = {"f:spec": {"f:replicas": {}}}
    work["metadata"]["managedFields"] = [
        {"manager": "helm", "time": "2026-01-01T00:00:00Z", "fieldsV1": fields},
        {"manager": "argocd", "time": "2026-01-02T00:00:00Z", "fieldsV1": fields},
        {"manager": "kubectl", "time": "2026-01-03T00:00:00Z", "fieldsV1": {"f:metadata": {}}},
    ]
    found = decode.workload(work, "Deployment")
    assert (found.key, found.replicas, found.sized) == (Key("Deployment", "shop", "web"), 7, True)
    assert found.annotations == {"corepod.dev/min": "2"}
    assert found.replicas_by == "argocd"
    del work["spec"]["replicas"]
    assert decode.workload(work, "Deployment").replicas == 1


@pytest.mark.parametrize(
    ("reader", "thing"),
    [
        (decode.node, node("a")),
        (decode.pod, pod(spec())),
        (lambda obj: decode.workload(obj, "Deployment"), deployment()),
    ],
)
@settings(deadline=None)
@given(st.data())
def test_an_object_without_its_form_is_an_error_that_names_it(
    reader: Callable[[Any], object], thing: Json, data: st.DataObject
) -> None:
    broken = copy.deepcopy(thing)
    place: Any = broken
    while True:
        key = data.draw(st.sampled_from(sorted(place))) if isinstance(place, dict) else 0
        inner = place[key]
        if not (isinstance(inner, dict | list) and inner) or data.draw(st.booleans()):
            break
        place = inner
    place[key] = data.draw(st.sampled_from([None, 7, "x", [], {}, [7], {"x": 7}, "1" * 200, -1, 1e400]))
    with suppress(Malformed):
        reader(broken)


def test_the_error_says_which_object_and_what() -> None:
    broken = node("a-17")
    broken["status"]["allocatable"]["cpu"] = "many"
    with pytest.raises(Malformed, match="Node a-17: QuantityError: 'many' isn't a quantity"):
        decode.node(broken)
    nonsense: Any
    for nonsense in ({}, [], None, "x", {"metadata": None}):
        with pytest.raises(Malformed, match="Pod without a name"):
            decode.pod(nonsense)
