"""What the operator knows of a cluster: small frozen values, made from the API's JSON in read.py.

5 000 nodes and 20 000 pods of them live in memory, so they hold only what a decision needs, and parts that many
have alike (requests, demands, taints) are one object that all share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

# How much of each resource, by name: CPU in thousandths of a core, others in their own unit. Sorted by name.
Amounts = tuple[tuple[str, int], ...]


class Key(NamedTuple):
    """What names a workload."""

    kind: str  # Deployment or StatefulSet
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class Taint(NamedTuple):
    key: str
    value: str
    effect: str


class Toleration(NamedTuple):
    key: str  # empty with the operator Exists: every taint
    operator: str
    value: str
    effect: str  # empty: every effect


class Match(NamedTuple):
    """One requirement on a node's labels."""

    key: str
    operator: str  # In, NotIn, Exists, DoesNotExist, Gt, Lt
    values: tuple[str, ...]
    field: bool = False  # on the node's field of that name (metadata.name) instead


class Spread(NamedTuple):
    """A topology spread constraint that keeps pods unplaced (DoNotSchedule) and counts this workload's own pods."""

    key: str
    skew: int
    domains: int  # least number of domains, 0 for none
    honors_affinity: bool
    honors_taints: bool


@dataclass(frozen=True, slots=True)
class Demand:
    """What one pod asks of the cluster and of a node. Alike for all pods of a revision, and then one object."""

    requests: Amounts  # as the scheduler counts them, `pods` 1 among them
    limits: Amounts  # only quotas look at these
    selector: tuple[tuple[str, str], ...]
    terms: tuple[tuple[Match, ...], ...] | None  # of the required node affinity: one has to hold; None for no affinity
    tolerations: tuple[Toleration, ...]
    apart: tuple[str, ...]  # topology keys: a domain holds only one of these pods (anti-affinity, host ports)
    spread: tuple[Spread, ...]
    priority_class: str
    unclear: tuple[str, ...]  # what restricts these pods further and isn't looked at, as phrases

    def of(self, resource: str) -> int:
        """The request for one resource, 0 where there is none."""
        return next((much for name, much in self.requests if name == resource), 0)


@dataclass(frozen=True, slots=True)
class Node:
    name: str
    allocatable: Amounts
    labels: dict[str, str]  # read only
    taints: tuple[Taint, ...]
    ready: bool
    unschedulable: bool  # cordoned
    autoscaler: str  # what makes and removes such nodes (a label or annotation of it), empty for nobody

    def of(self, resource: str) -> int:
        return next((much for name, much in self.allocatable if name == resource), 0)


@dataclass(frozen=True, slots=True)
class Pod:
    namespace: str
    name: str
    uid: str
    node: str  # empty: the scheduler has found no place yet
    phase: str
    deleting: bool
    created: str  # as the API writes it: sorts by time
    requests: Amounts
    workload: Key | None  # the Deployment or StatefulSet that made it
    demand: Demand | None  # only where there is a workload
    reason: str  # why the kubelet refused it (phase Failed) or the scheduler finds no place (Pending), else empty
    message: str  # the same in the other's own words
    ready: bool
    ip: str
    restarts: str  # the label that shows in-pod restarts, as it is now

    @property
    def over(self) -> bool:
        """Whether it needs nothing of its node any more."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def refused(self) -> bool:
        """Whether a kubelet refused it: its controller has made another one already, which may fare alike."""
        return self.phase == "Failed" and self.reason in REFUSALS


# Reasons of kubelets for refusing a pod that the scheduler gave them. SMTAlignmentError (full-pcpus-only) is about the
# pod's own size: no other node of the kind takes it either.
SMT_ALIGNMENT = "SMTAlignmentError"
REFUSALS = frozenset(
    (
        SMT_ALIGNMENT,
        "UnexpectedAdmissionError",
        "TopologyAffinityError",
        "OutOfcpu",
        "OutOfmemory",
        "OutOfpods",
        "OutOfephemeral-storage",
        "OutOfextended-resources",
        "InsufficientResourceError",
        "NodeAffinity",
        "NodeAffinityError",
        "NodeName",
        "NodePorts",
        "PodOSNotSupported",
        "PodOSSelectorNodeLabelDoesNotMatch",
        "InvalidNodeInfo",
    )
)


@dataclass(frozen=True, slots=True)
class Workload:
    key: Key
    uid: str
    generation: int
    replicas: int
    sized: bool  # carries the label
    deleting: bool
    annotations: dict[str, str]  # those under corepod.dev/ only; read only
    demand: Demand  # of its template
    replicas_by: str  # the manager that the API server notes for spec.replicas, empty where it doesn't say


@dataclass(frozen=True, slots=True)
class Scaler:
    """A HorizontalPodAutoscaler."""

    namespace: str
    name: str
    uid: str
    target: Key
    least: int
    most: int
    owner: str  # the object that made it (KEDA's ScaledObject), empty for a person


@dataclass(frozen=True, slots=True)
class Quota:
    """A ResourceQuota; its amounts in the units of Amounts, by the quota's own names (requests.cpu, pods …)."""

    namespace: str
    name: str
    hard: Amounts
    used: Amounts
    scopes: tuple[Match, ...]  # all have to hold; scope names as keys
