"""What the operator knows about a cluster: small frozen values, made from the API's JSON by api/decode.py.

5 000 nodes and 20 000 pods are kept in memory, so a fact holds only what a decision needs, and equal parts (requests,
demands, taints) are one shared object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

# Quantities of resources, sorted by name: CPU in thousandths of a core, others in their own unit.
Amounts = tuple[tuple[str, int], ...]


class Key(NamedTuple):
    """Identifies a workload."""

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
    """One requirement on the labels of a node."""

    key: str
    operator: str  # In, NotIn, Exists, DoesNotExist, Gt, Lt
    values: tuple[str, ...]
    field: bool = False  # about the node's field of that name (metadata.name) instead


class Spread(NamedTuple):
    """A topology spread constraint that can keep pods pending (DoNotSchedule) and counts the workload's own pods."""

    key: str
    skew: int
    domains: int  # minDomains, 0 if not set
    honors_affinity: bool
    honors_taints: bool


@dataclass(frozen=True, slots=True)
class Demand:
    """What one pod demands of the cluster and of its node. The pods of a revision share one object."""

    requests: Amounts  # as the scheduler counts them, including one of `pods`
    limits: Amounts  # only needed for quotas
    selector: tuple[tuple[str, str], ...]
    terms: (
        tuple[tuple[Match, ...], ...] | None
    )  # of the required node affinity, one of which must hold; None for no affinity
    tolerations: tuple[Toleration, ...]
    apart: tuple[str, ...]  # topology keys in whose domains only one of these pods may run (anti-affinity, host ports)
    spread: tuple[Spread, ...]
    priority_class: str
    unclear: tuple[str, ...]  # further restrictions that sizing ignores, as phrases

    def of(self, resource: str) -> int:
        """The request for one resource, 0 if there is none."""
        return next((much for name, much in self.requests if name == resource), 0)


@dataclass(frozen=True, slots=True)
class Node:
    name: str
    allocatable: Amounts
    labels: dict[str, str]  # read only
    taints: tuple[Taint, ...]
    ready: bool
    unschedulable: bool  # cordoned
    autoscaler: str  # what shows that an autoscaler adds and removes it (model/autoscalers.py), empty if nothing does

    def of(self, resource: str) -> int:
        return next((much for name, much in self.allocatable if name == resource), 0)


@dataclass(frozen=True, slots=True)
class Pod:
    namespace: str
    name: str
    uid: str
    node: str  # empty: not scheduled yet; of a DaemonSet's pod that waits, the only node that it may go to
    phase: str
    deleting: bool
    created: str  # as the API writes it, which sorts by time
    requests: Amounts
    workload: Key | None  # the Deployment or StatefulSet that owns it
    demand: Demand | None  # what such a pod demands; None without a workload, or if it was resized in place
    reason: str  # why the kubelet refused it (phase Failed) or it can't be scheduled (Pending), else empty
    message: str  # the same as a sentence, by the kubelet or scheduler
    ready: bool
    ip: str  # the primary one, which the kubelet's probes ask, too
    other_ips: tuple[str, ...] = ()  # of the other family, in a cluster with both: a pod may report a death from it

    @property
    def finished(self) -> bool:
        """Whether it has released the resources of its node."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def refused(self) -> bool:
        """Whether a kubelet refused it. Its controller has already created another one, which may be refused, too."""
        return self.phase == "Failed" and self.reason in REFUSALS


# Reasons for which kubelets refuse a pod that was scheduled to their node. SMTAlignmentError (full-pcpus-only) is about
# the size of the pod: other nodes of the kind refuse it, too.
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
    sized: bool  # has the label SIZED
    deleting: bool
    annotations: dict[str, str]  # only those under corepod.dev/; read only
    demand: Demand  # of its pod template
    replicas_by: str  # the field manager of spec.replicas, empty if unknown
    refusal: str  # why its controller can't create pods, empty if it can or doesn't say
    missing: int  # pods that a StatefulSet doesn't create although all others are available


@dataclass(frozen=True, slots=True)
class HorizontalAutoscaler:
    """A HorizontalPodAutoscaler."""

    namespace: str
    name: str
    uid: str
    target: Key
    least: int
    most: int
    owner: str  # the object that controls it (KEDA's ScaledObject), empty if none does


@dataclass(frozen=True, slots=True)
class Quota:
    """A ResourceQuota. Units are those of Amounts, names the quota's own (requests.cpu, pods …)."""

    namespace: str
    name: str
    hard: Amounts
    used: Amounts
    scopes: tuple[Match, ...]  # all must hold; the keys are names of scopes
