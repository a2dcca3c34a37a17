"""A node that is switched off, and another one that takes its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import IMAGE
from tests.e2e.kube import TOOL, get, items, kubectl, run, until
from tests.e2e.load import Load
from tests.e2e.recovery import answers

if TYPE_CHECKING:
    from tests.e2e.release import Release

NOTICED = 120.0  # seconds: the control plane calls a node lost after its grace period, 20 to 50 s


def node_ready(name: str) -> bool:
    conditions = get("node", name)["status"]["conditions"]
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


@pytest.mark.skipif(not TOOL, reason="kind can't switch a node off: COREPOD_E2E_CLUSTER names a tool that can")
def test_a_lost_node_costs_its_own_pod_only_and_a_new_one_brings_it_back(release: Release) -> None:
    release.install(replicas=2, nodeLossSeconds=5)
    by_node = {pod.node: pod for pod in release.ready(2)}
    stays, goes = by_node.pop(items("nodes")[0]["metadata"]["name"]), *by_node.values()
    run(TOOL, "remove-node", goes.node)
    until(lambda: not node_ready(goes.node), f"{goes.node} not ready", NOTICED)
    # From here on the Service knows, kube-proxy a moment later.
    until(lambda: goes.name not in [p.name for p in release.pods() if p.ready], "its pod not ready", NOTICED)
    until(lambda: all(answers(release.url) for _ in range(20)), "steady answers", NOTICED)
    with Load(release.url, 100) as load:
        # The pod is replaced by one that waits for a core; the other one serves meanwhile.
        until(lambda: waiting(release), "a pod that waits for a core", NOTICED)
        load.until_answered(300)
        kubectl("delete", "node", goes.node)
        new = run(TOOL, "add-node", deadline=NOTICED).split()[-1]
        run(TOOL, "load", IMAGE, new.removeprefix("node-"), deadline=NOTICED)
        pods = {pod.node: pod for pod in release.ready(2, NOTICED)}
        load.until_answered(300)
        outcome = load.stop()
    assert not outcome.failures, outcome
    assert pods.keys() == {stays.node, new}
    assert pods[stays.node].name == stays.name
    assert pods[stays.node].restarts == 0


def waiting(release: Release) -> bool:
    return any(pod.condition("PodScheduled").get("reason") == "Unschedulable" for pod in release.pods())
