"""Nodes as the providers label them: which of them show that an autoscaler adds and removes them."""

from __future__ import annotations

import pytest
from corepod.operator.api import decode
from corepod.operator.sizing.autoscaled import autoscaled_nodes
from corepod.operator.sizing.decision import Outcome
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.operator.world import FULL, Json, World, deployment, node

GKE = {
    "cloud.google.com/gke-nodepool": "default-pool",
    "cloud.google.com/gke-provisioning": "standard",
    "cloud.google.com/gke-os-distribution": "cos",
    "cloud.google.com/machine-family": "n2",
}
EKS = {"eks.amazonaws.com/nodegroup": "workers", "eks.amazonaws.com/capacityType": "ON_DEMAND"}
AKS = {"kubernetes.azure.com/agentpool": "pool1", "kubernetes.azure.com/mode": "system"}
SCALE_DOWN = "cluster-autoscaler.kubernetes.io/scale-down-disabled"
TAINT = {"key": "DeletionCandidateOfClusterAutoscaler", "value": "1", "effect": "PreferNoSchedule"}

# Name of the node, what else it has, and what shows that an autoscaler owns it.
NODES: dict[str, tuple[str, Json, str]] = {
    "a bare one": ("a", {}, ""),
    "GKE, a pool": ("gke-c-default-pool-1", {"labels": GKE}, ""),
    "GKE, a spot pool": ("gke-c-spot-1", {"labels": GKE | {"cloud.google.com/gke-provisioning": "spot"}}, ""),
    "GKE, node auto-provisioning": (
        "gke-c-nap-1",
        {"labels": GKE | {"cloud.google.com/gke-nodepool": "nap-1roqiaf4"}},
        "cloud.google.com/gke-nodepool=nap-1roqiaf4",
    ),
    "GKE Autopilot": ("gk3-c-pool-2-1", {"labels": GKE}, "a name that begins with gk3-"),
    "EKS, a managed node group": ("ip-1", {"labels": EKS}, ""),
    "EKS Hybrid Nodes": ("mi-1", {"labels": {"eks.amazonaws.com/compute-type": "hybrid"}}, ""),
    "EKS, named ec2": ("ip-1", {"labels": {"eks.amazonaws.com/compute-type": "ec2"}}, ""),
    "EKS Auto Mode": (
        "i-1",
        {"labels": {"eks.amazonaws.com/compute-type": "auto"}},
        "eks.amazonaws.com/compute-type=auto",
    ),
    "Fargate": (
        "fargate-1",
        {"labels": {"eks.amazonaws.com/compute-type": "fargate"}},
        "eks.amazonaws.com/compute-type=fargate",
    ),
    "Karpenter": ("ip-2", {"labels": {"karpenter.sh/nodepool": "default"}}, "karpenter.sh/nodepool=default"),
    "Karpenter 0.31": (
        "ip-2",
        {"labels": {"karpenter.sh/provisioner-name": "default"}},
        "karpenter.sh/provisioner-name=default",
    ),
    "AKS node auto-provisioning": (
        "aks-default-1",
        {"labels": {"karpenter.sh/nodepool": "default", "karpenter.azure.com/sku-cpu": "2"}},
        "karpenter.sh/nodepool=default",
    ),
    # terraform-aws-eks and its blueprints label the group that Karpenter itself runs on.
    "where Karpenter runs": ("ip-3", {"labels": EKS | {"karpenter.sh/controller": "true"}}, ""),
    "AKS, a pool": ("aks-pool1-1", {"labels": AKS}, ""),
    "one that must stay": ("a", {"annotations": {SCALE_DOWN: "true"}}, ""),
    "one that may go": ("a", {"annotations": {SCALE_DOWN: "false"}}, ""),
    "one that is about to go": ("a", {"taints": [TAINT]}, "DeletionCandidateOfClusterAutoscaler"),
    "by hand": ("a", {"labels": {"corepod.dev/autoscaled": "true"}}, "corepod.dev/autoscaled"),
    "by hand, not": ("a", {"labels": {"corepod.dev/autoscaled": "false", "karpenter.sh/nodepool": "x"}}, ""),
}


@pytest.mark.parametrize(("name", "more", "shown"), NODES.values(), ids=NODES)
def test_what_a_node_shows(name: str, more: Json, shown: str) -> None:
    assert decode.node(node(name, **_copied(more))).autoscaler == shown


@pytest.mark.parametrize(("name", "more", "shown"), NODES.values(), ids=NODES)
def test_the_annotation_decides(name: str, more: Json, shown: str) -> None:
    found = decode.node(node(name, **_copied(more)))
    assert autoscaled_nodes("auto").mark(found) == shown
    assert autoscaled_nodes("never").mark(found) == ""
    by_label = "karpenter.sh/nodepool=default"
    assert autoscaled_nodes(by_label).mark(found) == (by_label if shown == by_label else "")


def test_a_pool_under_cluster_autoscaler_is_named() -> None:
    """Nothing on these nodes shows it, so they count until the annotation names them."""
    world = World(*(node(f"{pool}{index}", labels=EKS | {"pool": pool}) for pool in "ab" for index in range(2)))
    world.deploy(deployment(**FULL))
    assert world.operate()["web"].number == 16
    world.works["web"]["metadata"]["annotations"]["corepod.dev/autoscaled-nodes"] = "auto,pool=b"
    decision = world.decide()["web"]
    assert decision.number == 16, "pods that run are not deleted for it"
    assert "8 pods run on nodes of an autoscaler, which are not counted" in decision.notes
    world.works["web"]["metadata"]["annotations"]["corepod.dev/autoscaled-nodes"] = "eks.amazonaws.com/nodegroup"
    assert world.decide()["web"].outcome is Outcome.ONLY_AUTOSCALED_NODES


def test_two_workloads_may_judge_the_same_nodes_differently() -> None:
    world = World(node("a", labels=AKS), node("b", labels=AKS | {"corepod.dev/autoscaled": "false"}))
    world.deploy(
        deployment("one", **FULL), deployment("two", autoscaled_nodes="kubernetes.azure.com/agentpool", **FULL)
    )
    decisions = world.decide()
    marks = {name: decisions[name].capacity for name in ("one", "two")}
    assert marks["one"] is not None
    assert marks["two"] is not None
    nodes = [decode.node(each) for each in world.nodes.values()]
    mark = "kubernetes.azure.com/agentpool=pool1"
    assert [marks["two"].why_not_usable(each) for each in nodes] == [f"belongs to an autoscaler ({mark})", ""]
    assert [marks["one"].why_not_usable(each) for each in nodes] == ["", ""]


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_with_a_phrase(text: str) -> None:
    said = ""
    try:
        found = autoscaled_nodes(text)
    except ValueError as error:
        said = str(error)
    assert "write auto, never, LABEL or LABEL=VALUE" in said or found.known or found.labels or text.strip() == "never"


def _copied(more: Json) -> Json:
    return {key: dict(value) if isinstance(value, dict) else list(value) for key, value in more.items()}
