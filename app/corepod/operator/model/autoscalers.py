"""Which nodes show that an autoscaler adds and removes them.

Judged by values: GKE, for one, puts `cloud.google.com/gke-provisioning: standard` on the nodes of every pool, and EKS
`eks.amazonaws.com/compute-type: hybrid` on machines that their owner runs. docs/operator.md has the table with its
sources. Nodes of a pool that cluster-autoscaler resizes show nothing until it is about to remove one.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from corepod.operator.model.names import AUTOSCALED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Labels, and patterns of their values.
LABELS = {
    "karpenter.sh/nodepool": ("*",),
    "karpenter.sh/provisioner-name": ("*",),  # until Karpenter 0.31
    "karpenter.sh/registered": ("true",),
    "eks.amazonaws.com/compute-type": ("auto", "fargate"),
    "cloud.google.com/gke-nodepool": ("nap-*",),  # created by node auto-provisioning
}
AUTOPILOT = "gk3-"  # how the names of nodes of GKE Autopilot begin
# Of cluster-autoscaler, also where the provider runs it.
TAINTS = ("ToBeDeletedByClusterAutoscaler", "DeletionCandidateOfClusterAutoscaler")

# Labels with the name of a node's pool. Whether an autoscaler resizes that pool only the provider knows.
POOLS = ("cloud.google.com/gke-nodepool", "eks.amazonaws.com/nodegroup", "kubernetes.azure.com/agentpool")


def mark(name: str, labels: Mapping[str, str], taints: Iterable[str]) -> str:
    """What shows that an autoscaler adds and removes this node, empty if nothing does. The node's own label decides."""
    if by_hand := labels.get(AUTOSCALED):
        return AUTOSCALED if by_hand == "true" else ""
    for label, patterns in LABELS.items():
        value = labels.get(label)
        if value is not None and any(fnmatchcase(value, pattern) for pattern in patterns):
            return f"{label}={value}"
    if name.startswith(AUTOPILOT):
        return f"a name that begins with {AUTOPILOT}"
    return next((taint for taint in taints if taint in TAINTS), "")


def pool(labels: Mapping[str, str]) -> str:
    """The pool of a node as LABEL=VALUE, empty if it has no label that names one."""
    return next((f"{label}={labels[label]}" for label in POOLS if label in labels), "")
