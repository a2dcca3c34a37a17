"""The operator as a process: the number follows the nodes at once, with one write, and never on implausible facts."""

from __future__ import annotations

import json
import signal
import time
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest
from corepod.operator.sizing.pacing import PAUSE

from tests.process.harness import until
from tests.process.operator.harness import (
    Operator,
    controllers,
    events,
    once,
    replicas,
    scalings,
    until_replicas,
)
from tools.fakeapi import FakeApi, faults
from tools.fakeapi.objects import autoscaler, deployment, node, pod, quota, statefulset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Operate = Callable[..., Operator]

CPA_PERIOD = 10.0  # seconds between two polls of cluster-proportional-autoscaler, by default


@pytest.fixture
def web(api: FakeApi) -> FakeApi:
    """Three nodes with 3.92 cores each, and a Deployment of pods with one."""
    for name in ("a", "b", "c"):
        api.store.put("nodes", node(name, "3920m"))
    api.store.put("deployments", deployment("web", full="true"))
    return api


@pytest.fixture
def live(web: FakeApi) -> Iterator[FakeApi]:
    """The same, with controllers that make pods of replicas."""
    with controllers(web):
        yield web


def running(api: FakeApi) -> int:
    return sum("nodeName" in p["spec"] for p in api.store.all("pods"))


def until_known(api: FakeApi, operator: Operator, count: int) -> None:
    """Wait until so many pods run, and the operator knows where: a node may be known to be lost before its pods are."""
    until(lambda: running(api) == count, f"{count} pods")
    until(
        lambda: sum(row["running"] for row in operator.status()["workloads"][0]["nodes"]) == count,
        f"{count} pods that the operator knows",
    )


# What it is for


def test_whole_pods_a_node_and_one_write(web: FakeApi, operate: Operate) -> None:
    operate()
    until_replicas(web, "web", 9)
    until(lambda: events(web, "Sized"), "an event")
    assert len(scalings(web)) == 1
    assert "replicas 1 -> 9" in events(web, "Sized")[0]["message"]
    assert events(web, "Sized")[0]["involvedObject"]["kind"] == "Deployment"


def test_nothing_is_written_when_nothing_changes(live: FakeApi, operate: Operate) -> None:
    operator = operate()
    until_replicas(live, "web", 9)
    until(lambda: running(live) == 9, "nine pods")
    until(lambda: events(live, "Sized"), "the event about it, which is a write, too")
    turns, count = operator.metric("decisions_total"), len(live.writes())
    for _ in range(20):
        live.store.put("nodes", node("a", "3920m", annotations={"heartbeat": str(time.monotonic())}))
    live.store.put("nodes", node("a", "3920m", labels={"new": "label"}))
    until(lambda: operator.metric("decisions_total") > turns, "another decision")
    assert len(live.writes()) == count
    assert len(scalings(live)) == 1


@pytest.mark.serial
def test_more_cores_are_used_at_once(web: FakeApi, operate: Operate) -> None:
    """Ratio to the anchor's poll: the mean of its reaction is half a period."""
    operate().ready()
    until_replicas(web, "web", 9)
    times = []
    for number in range(10):
        began = time.monotonic()
        web.store.put("nodes", node(f"new{number}", "4"))
        until_replicas(web, "web", 13 + 4 * number)
        times.append(scalings(web)[-1].at - began)
    assert len(scalings(web)) == 11
    assert median(times) < 0.1 * CPA_PERIOD / 2


def test_more_pods_of_others_take_cores_and_give_them_back(live: FakeApi, operate: Operate) -> None:
    operate()
    until(lambda: running(live) == 9, "nine pods")
    live.store.put("nodes", node("d", "2"))
    until_replicas(live, "web", 11)
    until(lambda: running(live) == 11, "eleven pods")
    live.store.put("nodes", node("e", "2"))
    live.store.put("pods", pod("other", "e", cpu="1500m"))
    until_replicas(live, "web", 11)
    live.store.delete("pods", "default", "other")
    until_replicas(live, "web", 13)


def test_a_node_that_goes_takes_its_pods_along_after_a_while(live: FakeApi, operate: Operate) -> None:
    until_known(live, operate(), 9)
    live.store.delete("nodes", "", "c")
    until_replicas(live, "web", 6)
    assert len(scalings(live)) == 2


def test_a_cordon_deletes_nothing_and_its_end_brings_nothing(live: FakeApi, operate: Operate) -> None:
    operator = operate()
    until_known(live, operator, 9)
    turns = operator.metric("decisions_total")
    live.store.put("nodes", node("c", "3920m", unschedulable=True))
    until(lambda: operator.metric("decisions_total") > turns, "a decision")
    turns = operator.metric("decisions_total")
    live.store.put("nodes", node("c", "3920m"))
    until(lambda: operator.metric("decisions_total") > turns, "a decision")
    assert replicas(live, "web") == 9
    assert len(scalings(live)) == 1


def test_a_flapping_node_costs_one_write_each_way(live: FakeApi, operate: Operate) -> None:
    until_known(live, operate("--scale-down-wait", "5"), 9)
    for _ in range(20):
        live.store.put("nodes", node("c", "3920m", ready=False))
        time.sleep(0.02)  # the flapping itself, not a wait
        live.store.put("nodes", node("c", "3920m"))
    assert len(scalings(live)) == 1


def test_a_workload_comes_and_goes_by_its_label(web: FakeApi, operate: Operate) -> None:
    operator = operate().ready()
    until_replicas(web, "web", 9)
    web.store.put("deployments", deployment("late", sized=False, namespace="other"))
    web.store.put("deployments", deployment("web", 2, sized=False))
    until(lambda: not operator.status()["workloads"], "nothing to look after")
    web.store.put("deployments", deployment("late", namespace="other"))
    until(lambda: replicas(web, "late", "other") == 8, "the other one's number")
    assert replicas(web, "web") == 2


def test_one_namespace_only(web: FakeApi, operate: Operate) -> None:
    web.store.put("deployments", deployment("there", namespace="there"))
    operate("--namespace", "there")
    until(lambda: replicas(web, "there", "there") == 8, "its number")
    until(lambda: web.watches("deployments"), "a watch, which isn't needed for it")
    assert replicas(web, "web") == 1
    assert {call.namespace for call in web.watches("deployments")} == {"there"}


def test_several_namespaces_and_no_others(web: FakeApi, operate: Operate) -> None:
    """Those that aren't named are left alone, also when they change later."""
    for namespace in ("here", "there"):
        web.store.put("deployments", deployment("app", namespace=namespace, max="3"))
    operator = operate("--namespace", "here,there").ready()
    until(lambda: [replicas(web, "app", namespace) for namespace in ("here", "there")] == [3, 3], "their numbers")
    web.store.put("deployments", deployment("web", full="true", max="2"))
    web.store.put("deployments", deployment("app", namespace="here", max="2"))
    until(lambda: replicas(web, "app", "here") == 2, "its new number")
    assert replicas(web, "web") == 1
    assert {workload["namespace"] for workload in operator.status()["workloads"]} == {"here", "there"}
    assert "for namespace here, there" in operator.log


# Implausible states of the cluster change no number


def test_a_statefulset_is_scaled_too(web: FakeApi, operate: Operate) -> None:
    web.store.delete("deployments", "default", "web")
    web.store.put("statefulsets", statefulset("ordered", full="true"))
    operate()
    until(lambda: _spec(web, "statefulsets", "ordered")["replicas"] == 9, "9 replicas")
    assert [(call.plural, call.method) for call in scalings(web)] == [("statefulsets", "PATCH")]


def test_limits_of_an_autoscaler_are_set_instead_of_replicas(web: FakeApi, operate: Operate) -> None:
    web.store.put("deployments", deployment("web", 3, full="true", mode="hpa-bounds", min="2"))
    web.store.put("horizontalpodautoscalers", autoscaler("scaler", "web", 1, 4))
    operator = operate()
    until(lambda: _limits(web) == (2, 9), "both limits")
    until(lambda: operator.status()["workloads"][0]["current"] == 9, "their echo")
    web.store.put("nodes", node("d", "4"))
    until(lambda: _limits(web) == (2, 13), "the new one")
    assert len(web.writes("horizontalpodautoscalers")) == 2
    assert not scalings(web)
    assert replicas(web, "web") == 3


def _limits(api: FakeApi) -> tuple[int, int]:
    spec = _spec(api, "horizontalpodautoscalers", "scaler")
    return spec["minReplicas"], spec["maxReplicas"]


def _spec(api: FakeApi, plural: str, name: str) -> dict[str, Any]:
    found = api.store.get(plural, "default", name)
    assert found is not None
    spec: dict[str, Any] = found["spec"]
    return spec


def test_an_autoscaler_that_is_in_the_way_is_said(web: FakeApi, operate: Operate) -> None:
    web.store.put("horizontalpodautoscalers", autoscaler("scaler", "web", 1, 4))
    operate()
    until(lambda: events(web, "HPAMismatch"), "an event")
    assert not web.writes(part="scale")
    web.store.delete("horizontalpodautoscalers", "default", "scaler")
    until_replicas(web, "web", 9)


def test_a_quota_that_grows_is_used(web: FakeApi, operate: Operate) -> None:
    web.store.put("resourcequotas", quota("team", {"requests.cpu": "4"}, {"requests.cpu": "0"}))
    operate()
    until_replicas(web, "web", 4)
    web.store.put("resourcequotas", quota("team", {"requests.cpu": "6"}, {"requests.cpu": "0"}))
    until_replicas(web, "web", 6)


def test_pods_that_cannot_be_created_are_said(web: FakeApi, operate: Operate, tmp_path: Path) -> None:
    why = "exceeded quota: team, requested: limits.cpu=1, used: limits.cpu=4, limited: limits.cpu=4"
    operator = operate()
    until_replicas(web, "web", 9)
    for attempt in ("abcde", "fghij"):  # each has another name
        refused = web.store.get("deployments", "default", "web")
        assert refused is not None
        failure = {
            "type": "ReplicaFailure",
            "status": "True",
            "message": f'pods "web-5d8f-{attempt}" is forbidden: {why}',
        }
        refused["status"] = {"conditions": [failure]}
        web.store.put("deployments", refused)
        until(lambda: events(web, "PodsNotCreated"), "an event")
    (event,) = events(web, "PodsNotCreated")
    assert (event["type"], event["message"]) == ("Warning", f"pods is forbidden: {why}")
    assert operator.log.count("its pods can't be created: pods is forbidden: exceeded quota: team") == 1
    assert operator.status()["workloads"][0]["not_created"] == f"pods is forbidden: {why}"
    assert f"pods can't be created: pods is forbidden: {why}" in once(web, "--dry-run", folder=tmp_path).stdout.replace(
        "\n", " "
    )
    web.store.put("deployments", deployment("web", 9, full="true"))
    until(lambda: "its pods can be created again" in operator.log, "that they can")


def test_a_daemonsets_pod_that_waits_is_left_its_room(web: FakeApi, operate: Operate) -> None:
    """A node without such a pod comes first, as the negative control: it has room for one pod more."""
    operator = operate()
    until_replicas(web, "web", 9)
    web.store.put("nodes", node("d", "4"))
    until_replicas(web, "web", 13)
    waits = pod("agent-x", cpu="200m", namespace="kube-system")
    named = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["e"]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [named]}}
    waits["spec"]["affinity"] = {"nodeAffinity": required}
    web.store.put("pods", waits)
    until(
        lambda: operator.status()["kinds"]["pods"]["objects"] == 1, "the pod is known, as it is before a node is ready"
    )
    web.store.put("nodes", node("e", "4"))
    until_replicas(web, "web", 16)
    assert [call.body[1]["value"] for call in scalings(web)] == [9, 13, 16]


def test_others_that_come_and_go_while_there_are_no_pods_are_few_writes(web: FakeApi, operate: Operate) -> None:
    """A write and a pause, however many there are: 40 changes are made, and each would change the number."""
    operator = operate()
    until_replicas(web, "web", 9)
    until(lambda: operator.status()["workloads"][0]["current"] == 9, "its echo")
    began, count = time.monotonic(), len(scalings(web))
    for number in range(40):
        turns = operator.metric("decisions_total")
        if number % 2:
            web.store.delete("pods", "default", "other")
        else:
            web.store.put("pods", pod("other", "a", cpu="1500m"))
        until(lambda turns=turns: operator.metric("decisions_total") > turns, "a decision")  # type: ignore[misc]
    took = time.monotonic() - began
    assert len(scalings(web)) - count <= took / PAUSE + 1
    until_replicas(web, "web", 9)


def test_no_nodes_at_once_is_not_believed(live: FakeApi, operate: Operate) -> None:
    operator = operate()
    until_known(live, operator, 9)
    for name in ("a", "b", "c"):
        live.store.put("nodes", node(name, "3920m", ready=False))
    until(lambda: operator.status()["workloads"][0]["outcome"] == "cluster_implausible", "that it is implausible")
    until(lambda: events(live, "ClusterImplausible"), "an event")
    assert replicas(live, "web") == 9


def test_a_list_that_is_empty_by_mistake_is_not_believed(live: FakeApi, operate: Operate) -> None:
    operator = operate("--watch-seconds", "2")
    until(lambda: running(live) == 9, "nine pods")
    version = live.store.version
    empty = json.dumps({"metadata": {"resourceVersion": str(version)}, "items": []}).encode()
    live.fail(faults.body(empty), times=100, match=lambda call: call.list and call.plural == "nodes")
    with live.store.changed:  # a bookmark in between would have the next watch begin where nothing is forgotten
        live.store.compact()
        live.inject("nodes", b"", end=True)
    until(lambda: operator.status()["workloads"][0]["outcome"] == "cluster_implausible", "that it is implausible")
    assert replicas(live, "web") == 9


def test_before_everything_is_known_nothing_is_done(web: FakeApi, operate: Operate) -> None:
    web.fail(faults.status(500), times=1000, match=lambda call: call.plural == "pods")
    operator = operate()
    until(lambda: operator.status()["kinds"]["nodes"]["synced"], "the nodes")
    until(lambda: "pods: 500" in operator.get("/readyz").text, "why it isn't ready")
    assert operator.get("/readyz").status_code == 503
    assert not scalings(web)
    web.heal()
    until_replicas(web, "web", 9)
    operator.ready()


# Bad input: the others go on


BAD: dict[str, tuple[dict[str, str], str]] = {
    "min above max": ({"min": "5", "max": "2"}, "min"),
    "not a number": ({"max": "many"}, "many"),
    "no such mode": ({"mode": "fitt"}, "fitt"),
    "no parameters": ({"mode": "linear"}, "parameters"),
}


@pytest.mark.parametrize(("annotations", "word"), BAD.values(), ids=BAD)
def test_bad_annotations_are_said_and_the_others_go_on(
    web: FakeApi, operate: Operate, annotations: dict[str, str], word: str
) -> None:
    web.store.put("deployments", deployment("bad", 3, **annotations))  # type: ignore[arg-type]
    operator = operate()
    until_replicas(web, "web", 9)
    until(lambda: events(web, "InvalidAnnotations"), "an event")
    (event,) = events(web, "InvalidAnnotations")
    assert event["involvedObject"]["name"] == "bad"
    assert event["type"] == "Warning"
    assert word in event["message"]
    assert word in operator.log
    assert 'name="bad",outcome="invalid_annotations"' in operator.get("/metrics").text
    assert replicas(web, "bad") == 3


def test_a_workload_without_a_request(web: FakeApi, operate: Operate) -> None:
    free = deployment("free", 3)
    free["spec"]["template"]["spec"]["containers"][0]["resources"] = {}
    web.store.put("deployments", free)
    operate()
    until_replicas(web, "web", 9)
    until(lambda: events(web, "MissingCPURequest"), "an event")
    assert "request no CPU" in events(web, "MissingCPURequest")[0]["message"]
    assert replicas(web, "free") == 3


def test_an_object_without_its_form(web: FakeApi, operate: Operate) -> None:
    web.store.put(
        "deployments", {"metadata": {"name": "odd", "namespace": "default", "labels": {"corepod.dev/sized": "true"}}}
    )
    web.store.put("nodes", {"metadata": {"name": "odd"}, "status": {"allocatable": {"cpu": "four"}}})
    operator = operate()
    until_replicas(web, "web", 9)
    kinds = operator.status()["kinds"]
    assert "default/odd" in kinds["deployments"]["not_understood"]
    assert "odd" in kinds["nodes"]["not_understood"]


def test_a_workload_that_may_not_be_scaled(web: FakeApi, operate: Operate) -> None:
    web.store.put("deployments", deployment("secret"))
    fault = web.fail(
        faults.status(403, "Forbidden"), times=1000, match=lambda call: call.name == "secret" and call.write
    )
    operator = operate()
    until(lambda: replicas(web, "web") > 1, "the other one's number")
    until(lambda: events(web, "SizingForbidden"), "an event")
    until(lambda: len(fault.seen) >= 2, "another try")
    assert fault.seen[1].at - fault.seen[0].at > 1.0
    assert len(events(web, "SizingForbidden")) == 1
    until(lambda: operator.metric("writes_failed_total") >= 2, "its answer counted")
    assert "403 Forbidden" in operator.status()["workloads"][0]["error"]


def test_who_changed_it_meanwhile_has_the_last_word(web: FakeApi, operate: Operate) -> None:
    """The number changes between what is known and what is written: the write is refused, and nobody is undone."""

    def change(handler: Any) -> bool:
        web.store.put("deployments", deployment("web", 5, full="true"))
        return False

    web.fail(change, match=lambda call: call.part == "scale")
    operate()
    until_replicas(web, "web", 9)
    # Refused as long as the operator doesn't know of the change, which the watch is about to show.
    *refused, last = (call.body[0]["value"] for call in scalings(web))
    assert set(refused) == {1}
    assert last == 5
    assert not events(web, "SizingFailed")


def test_somebody_else_who_keeps_changing_it_is_left_alone(web: FakeApi, operate: Operate) -> None:
    operator = operate()
    for _ in range(3):
        until_replicas(web, "web", 9)
        until(lambda: operator.status()["workloads"][0]["current"] == 9, "its echo")
        web.store.put("deployments", deployment("web", 2, full="true"))
    until(lambda: events(web, "CompetingWriter"), "an event")
    assert replicas(web, "web") == 2
    assert len(scalings(web)) == 3


@pytest.mark.parametrize("plural", ["nodes", "pods", "deployments"])
def test_it_comes_through_trouble(web: FakeApi, operate: Operate, plural: str) -> None:
    operate("--watch-seconds", "2").ready()
    until_replicas(web, "web", 9)
    web.fail(faults.html(), match=lambda call: call.plural == plural)
    web.fail(faults.reset, match=lambda call: call.plural == plural)
    web.fail(faults.status(429, "TooManyRequests", Retry_After="1"), match=lambda call: call.plural == plural)
    web.fail(faults.hang, match=lambda call: call.plural == plural and call.watch)
    with web.store.changed:  # a watch or a bookmark in between would not be too old, and need no list
        web.store.compact()
        web.inject(plural, b'{"type":"MODIFIED","object":{"metadata":{"na', end=True)
    web.store.put("nodes", node("d", "4"))
    until(lambda: len(web.lists(plural)) == 2, "another list", 50.0)
    # The watch that hangs may be the one before this list or the one after it.
    until(lambda: replicas(web, "web") == 13, "13 replicas of web", 50.0)
    until(lambda: any(stream.call.plural == plural for stream in web.streams), "a watch")
    assert len(web.lists(plural)) == 2


def test_an_api_server_that_is_gone_for_a_while(web: FakeApi, operate: Operate) -> None:
    operator = operate("--watch-seconds", "1").ready()
    until_replicas(web, "web", 9)
    web.fail(faults.reset, times=1e9)
    web.inject("nodes", b"", end=True)
    web.freeze()
    until(lambda: operator.get("/readyz").status_code == 503, "not ready")
    assert operator.get("/livez").status_code == 200
    web.store.put("nodes", node("d", "4"))
    web.heal()
    until_replicas(web, "web", 13)
    operator.ready()


# What it says


def test_dry_run_writes_nothing(web: FakeApi, operate: Operate) -> None:
    operator = operate("--dry-run")
    until(lambda: "1 -> 9" in operator.log, "the decision")
    assert not web.writes()


def test_once_sizes_and_ends(web: FakeApi, tmp_path: Path) -> None:
    done = once(web, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert replicas(web, "web") == 9
    assert events(web, "Sized")
    assert not [call for call in web.calls if call.watch]


def test_once_dry_run_shows_how_the_number_came_about(web: FakeApi, tmp_path: Path) -> None:
    web.store.put("nodes", node("d", "4", unschedulable=True))
    web.store.put("pods", pod("other", "a", cpu="500m"))
    done = once(web, "--dry-run", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not web.writes()
    lines = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.strip()}
    assert lines["a"] == ["a", "3.92", "0.5", "-", "0", "3", "3", "0.42"]
    assert lines["d"][-1] == "cordoned"
    assert "1 -> 9" in done.stdout


CLUSTER_AUTOSCALER = """\
time: 2026-11-01 12:00:00 +0000 UTC
autoscalerStatus: Running
clusterWide:
  health:
    status: Healthy
nodeGroups:
- name: eks-web-1
  health:
    status: Healthy
    nodeCounts:
      registered:
        total: 2
    cloudProviderTarget: 2
    minSize: 1
    maxSize: 10
- name: eks-jobs-1
  health:
    minSize: 0
    maxSize: 3
"""
CLUSTER_AUTOSCALER_OF_OLD = """\
Cluster-wide:
  Health:      Healthy (ready=2 unready=0)
NodeGroups:
  Name:        eks-web-1
  Health:      Healthy (ready=2 unready=0 cloudProviderTarget=2 (minSize=1, maxSize=10))
  ScaleUp:     NoActivity
  Name:        eks-jobs-1
  Health:      Healthy (ready=0 cloudProviderTarget=0 (minSize=0, maxSize=3))
"""


@pytest.mark.parametrize("text", [CLUSTER_AUTOSCALER, CLUSTER_AUTOSCALER_OF_OLD], ids=["yaml", "text"])
def test_once_says_what_the_nodes_do_not_show(web: FakeApi, tmp_path: Path, text: str) -> None:
    web.store.put("nodes", node("a", "3920m", labels={"eks.amazonaws.com/nodegroup": "web"}))
    status = {"metadata": {"name": "cluster-autoscaler-status", "namespace": "kube-system"}, "data": {"status": text}}
    web.store.put("configmaps", status)
    said = once(web, "--dry-run", folder=tmp_path).stdout.replace("\n", " ")
    assert "don't show whether an autoscaler resizes the pool: eks.amazonaws.com/nodegroup=web (1)" in said
    assert "resizes the node groups eks-web-1 (1 to 10 nodes), eks-jobs-1 (0 to 3 nodes)" in said
    assert not events(web), "it is no Event"
    found = json.loads(once(web, "--dry-run", "--json", folder=tmp_path).stdout)
    assert found["autoscaler_node_groups"] == ["eks-web-1 (1 to 10 nodes)", "eks-jobs-1 (0 to 3 nodes)"]
    assert "nodegroup=web (1)" in found["workloads"][0]["hints"][0]


def test_once_as_json(web: FakeApi, tmp_path: Path) -> None:
    done = once(web, "--dry-run", "--json", folder=tmp_path)
    (workload,) = json.loads(done.stdout)["workloads"]
    assert (workload["name"], workload["current"], workload["number"]) == ("web", 1, 9)
    assert [row["fits"] for row in workload["nodes"]] == [3, 3, 3]


def test_once_with_an_api_server_that_refuses(web: FakeApi, tmp_path: Path) -> None:
    web.fail(faults.status(403, "Forbidden"), match=lambda call: call.plural == "nodes")
    done = once(web, folder=tmp_path)
    assert done.returncode == 1
    assert "403 Forbidden" in done.stderr
    assert "Traceback" not in done.stderr


def test_status_and_metrics(web: FakeApi, operate: Operate) -> None:
    operator = operate().ready()
    until_replicas(web, "web", 9)
    status = operator.status()
    assert status["ready"] == "yes"
    assert status["kinds"]["nodes"] == {"objects": 3, "synced": True, "error": "", "not_understood": {}}
    assert [row["node"] for row in status["workloads"][0]["nodes"]] == ["a", "b", "c"]
    text = operator.get("/metrics").text
    assert 'corepod_operator_objects{kind="nodes"} 3' in text
    assert 'corepod_operator_workload_wanted{kind="Deployment",namespace="default",name="web"} 9' in text
    assert operator.get("/livez").text == "ok\n"
    assert operator.get("/nothing").status_code == 404


# The command line


@pytest.mark.parametrize("words", [["--admin", "here"], ["--watch-seconds", "0"], ["--nonsense"], ["--notify", "x:y"]])
def test_what_is_wrong_is_said(api: FakeApi, tmp_path: Path, words: list[str]) -> None:
    done = once(api, *words, folder=tmp_path)
    assert done.returncode == 2
    assert words[0] in done.stderr


def test_no_cluster_is_said(api: FakeApi, tmp_path: Path) -> None:
    done = once(api, "--kubeconfig", "/nowhere", folder=tmp_path)
    assert done.returncode == 2
    assert "can't configure a connection to the cluster" in done.stderr


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_stops(web: FakeApi, operate: Operate, signum: int) -> None:
    operator = operate().ready()
    operator.signal(signum)
    assert operator.process.wait(30) == 0
    assert "Traceback" not in operator.log
