"""A small cluster in memory: objects as the API sends them, controllers, a scheduler, a kubelet and an autoscaler.

The scheduler and the controllers are written from what Kubernetes does, not from what the operator thinks it does: they
use none of its code. They do only what these tests need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corepod.operator.api import decode
from corepod.operator.model.snapshot import Snapshot
from corepod.operator.sizing.engine import Sizing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from corepod.operator.sizing.decision import Decision

Json = dict[str, Any]
SPACE = "shop"
CORE = 1000
FULL: Json = {"full": "true"}  # annotations of a workload that takes every core


def node(name: str, cpu: int = 4 * CORE, **more: Any) -> Json:
    """`more`: labels, annotations, taints, ready, cordoned, and any other resource by its name."""
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"} | more.pop("labels", {})
    ready, cordoned = more.pop("ready", True), more.pop("cordoned", False)
    meta = {"name": name, "labels": labels, "annotations": more.pop("annotations", {})}
    spec = {"taints": more.pop("taints", []), "unschedulable": cordoned}
    given = {name.replace("_", "-"): str(much) for name, much in more.items()}
    allocatable = {"cpu": f"{cpu}m", "memory": "64Gi", "pods": "110", "ephemeral-storage": "100Gi"} | given
    conditions = [{"type": "Ready", "status": "True" if ready else "Unknown"}]
    return {"metadata": meta, "spec": spec, "status": {"allocatable": allocatable, "conditions": conditions}}


def nodes(count: int, cpu: int = 4 * CORE, **more: Any) -> list[Json]:
    return [node(f"n{index}", cpu, **more) for index in range(count)]


def spec(cpu: int = CORE, memory: str = "128Mi", **more: Any) -> Json:
    """Of a pod. `more` goes into it as it is."""
    requests = {"cpu": f"{cpu}m", "memory": memory}
    return {"containers": [{"name": "worker", "resources": {"requests": requests}}], **more}


def deployment(name: str = "web", replicas: int = 1, pod: Json | None = None, **notes: Any) -> Json:
    """`notes` are annotations under corepod.dev/."""
    annotations = {f"corepod.dev/{key.replace('_', '-')}": text for key, text in notes.items()}
    meta = {"name": name, "namespace": SPACE, "uid": f"uid-{name}", "annotations": annotations}
    template = {"metadata": {"labels": {"app": name}}, "spec": pod or spec()}
    labels = {"corepod.dev/sized": "true"}
    return {"metadata": meta | {"labels": labels}, "spec": {"replicas": replicas, "template": template}}


class World:
    """`rank` puts nodes in the order in which the scheduler tries them."""

    def __init__(self, *nodes: Json, rank: Callable[[str], Any] = lambda name: name) -> None:
        self.nodes = {each["metadata"]["name"]: each for each in nodes}
        self.pods: dict[str, Json] = {}
        self.works: dict[str, Json] = {}
        self.hpas: dict[str, Json] = {}
        self.quotas: list[Json] = []
        self.sizing = Sizing()
        self.rank = rank
        self.made = 0
        self.writes: list[tuple[str, int]] = []
        self.now = 0.0

    # What people and others do.

    def deploy(self, *works: Json) -> World:
        for each in works:
            self.works[each["metadata"]["name"]] = each
        self.settle()
        return self

    def foreign(self, node_name: str, cpu: int, **more: Any) -> str:
        """A pod that nobody here looks after."""
        return self._make({"namespace": "other"}, {**spec(cpu, **more), "nodeName": node_name}, "Running")

    def scale(self, name: str, replicas: int) -> None:
        work = self.works[name]
        work["spec"]["replicas"] = replicas
        work["metadata"]["generation"] = work["metadata"].get("generation", 1) + 1

    def delete_pod(self, uid: str) -> None:
        """With its grace period: it keeps its place until `end_deleted`."""
        self.pods[uid]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    def end_deleted(self) -> None:
        self.pods = {uid: pod for uid, pod in self.pods.items() if "deletionTimestamp" not in pod["metadata"]}

    def remove_node(self, name: str) -> None:
        """And the pods with it, as the garbage collector does after a while."""
        del self.nodes[name]
        self.pods = {uid: pod for uid, pod in self.pods.items() if pod["spec"].get("nodeName") != name}

    # What the cluster does.

    def settle(self) -> None:
        self.control()
        self.schedule()

    def control(self) -> None:
        """Deployments make and delete pods. Those without a place go first."""
        for name, work in self.works.items():
            alive = [uid for uid in self.own(name) if "deletionTimestamp" not in self.pods[uid]["metadata"]]
            wanted = work["spec"]["replicas"]
            for _ in range(len(alive), wanted):
                template = work["spec"]["template"]
                owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{name}-1", "controller": True}
                labels = template["metadata"]["labels"] | {"pod-template-hash": "1"}
                meta = {"namespace": SPACE, "ownerReferences": [owner], "labels": labels}
                self._make(meta, dict(template["spec"]), "Pending")
            alive.sort(key=lambda uid: ("nodeName" in self.pods[uid]["spec"], uid))
            for uid in alive[: max(0, len(alive) - wanted)]:
                del self.pods[uid]

    def schedule(self) -> None:
        for pod in self.pods.values():
            if "nodeName" in pod["spec"]:
                continue
            for name in sorted(self.nodes, key=self.rank):
                if self._takes(self.nodes[name], pod):
                    pod["spec"]["nodeName"], pod["status"] = name, {"phase": "Running"}
                    break
            else:
                lost = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room"}
                pod["status"]["conditions"] = [lost]

    def _takes(self, node: Json, pod: Json) -> bool:
        if node["status"]["conditions"][0]["status"] != "True":
            return False
        if (node["spec"]["taints"] or node["spec"]["unschedulable"]) and not pod["spec"].get("tolerations"):
            return False
        wanted = pod["spec"].get("nodeSelector", {})
        if any(node["metadata"]["labels"].get(key) != value for key, value in wanted.items()):
            return False
        if node["metadata"]["name"] not in _destinations(pod, node["metadata"]["name"]):
            return False
        here = [each for each in self.pods.values() if each["spec"].get("nodeName") == node["metadata"]["name"]]
        here = [each for each in here if each["status"]["phase"] not in ("Failed", "Succeeded")]
        free = node["status"]["allocatable"]
        cpu = sum(_cpu(each) for each in (*here, pod)) <= int(free["cpu"].removesuffix("m"))
        memory = sum(_memory(each) for each in (*here, pod)) <= int(free["memory"].removesuffix("Gi")) * 1024
        return cpu and memory and len(here) < int(free["pods"])

    # What the operator does.

    def snapshot(self) -> Snapshot:
        return Snapshot(
            [decode.node(each) for each in self.nodes.values()],
            [decode.pod(each) for each in self.pods.values()],
            [decode.workload(each, "Deployment") for each in self.works.values()],
            [decode.horizontal_autoscaler(each) for each in self.hpas.values()],
            [decode.quota(each) for each in self.quotas],
            hash(repr(self.nodes)),
        )

    def decide(self, silence: float = 0.0) -> dict[str, Decision]:
        found = self.sizing.decide(self.snapshot(), silence=silence, now=self.now)
        return {each.key.name: each for each in found}

    def operate(self, seconds: float = 1.0) -> dict[str, Decision]:
        """One round: decide, write, and let the cluster follow."""
        self.now += seconds
        decisions = self.decide()
        for name, decision in decisions.items():
            if not decision.writes:
                continue
            if decision.hpa:
                self.hpas[name]["spec"].update(minReplicas=decision.least, maxReplicas=decision.number)
            else:
                self.scale(name, decision.number)
            self.sizing.wrote(decision, self.now)
            self.writes.append((name, decision.number))
        self.settle()
        return decisions

    def rest(self, seconds: float = 600.0, step: float = 10.0) -> None:
        """Time passes."""
        end = self.now + seconds
        while self.now < end:
            self.operate(step)

    # What there is.

    def own(self, name: str = "web") -> list[str]:
        made = f"{name}-1"
        owners = {uid: pod["metadata"].get("ownerReferences") for uid, pod in self.pods.items()}
        return [uid for uid, owner in owners.items() if owner and owner[0]["name"] == made and self._alive(uid)]

    def waiting(self, name: str = "web") -> int:
        return sum("nodeName" not in self.pods[uid]["spec"] for uid in self.own(name))

    def on(self, node_name: str, name: str = "web") -> list[str]:
        return [uid for uid in self.own(name) if self.pods[uid]["spec"].get("nodeName") == node_name]

    def replicas(self, name: str = "web") -> int:
        return int(self.works[name]["spec"]["replicas"])

    def _alive(self, uid: str) -> bool:
        return self.pods[uid]["status"]["phase"] not in ("Failed", "Succeeded")

    def _make(self, meta: Json, pod_spec: Json, phase: str) -> str:
        self.made += 1
        uid = f"uid-{self.made:05}"
        created = f"2026-01-01T{self.made // 3600:02}:{self.made // 60 % 60:02}:{self.made % 60:02}Z"
        meta = {**meta, "name": f"pod-{self.made}", "uid": uid, "creationTimestamp": created}
        self.pods[uid] = {"metadata": meta, "spec": pod_spec, "status": {"phase": phase}}
        return uid


class Autoscaler:
    """A pod that waits makes a node; a node on which nobody's pod is goes."""

    LABELS = {"karpenter.sh/nodepool": "default"}  # noqa: RUF012

    def __init__(self, world: World, most: int, cpu: int = 4 * CORE) -> None:
        self.world, self.most, self.cpu = world, most, cpu
        self.made = 0

    def nodes(self) -> Iterator[str]:
        return (
            name for name, each in self.world.nodes.items() if "karpenter.sh/nodepool" in each["metadata"]["labels"]
        )

    def act(self) -> None:
        world, mine = self.world, list(self.nodes())
        waits = any("nodeName" not in pod["spec"] for pod in world.pods.values())
        busy = {pod["spec"].get("nodeName") for pod in world.pods.values()}
        if waits and len(mine) < self.most:
            self.made += 1
            world.nodes[f"auto-{self.made}"] = node(f"auto-{self.made}", self.cpu, labels=self.LABELS)
        elif not waits and (empty := [name for name in mine if name not in busy]):
            world.remove_node(empty[0])
        world.settle()


def _destinations(pod: Json, anywhere: str) -> list[str]:
    """The nodes that a pod of a DaemonSet may go to."""
    for required in pod["spec"].get("affinity", {}).get("nodeAffinity", {}).values():
        names: list[str] = required["nodeSelectorTerms"][0]["matchFields"][0]["values"]
        return names
    return [anywhere]


def _cpu(pod: Json) -> int:
    return sum(int(each["resources"]["requests"]["cpu"].removesuffix("m")) for each in pod["spec"]["containers"])


def _memory(pod: Json) -> int:
    requests = [each["resources"]["requests"]["memory"] for each in pod["spec"]["containers"]]
    return sum(int(text.removesuffix("Mi")) for text in requests)


def sized(count: int = 10, **notes: Any) -> World:
    """A cluster whose one workload has been sized, with nothing written since."""
    world = World(*nodes(count)).deploy(deployment(**(notes or FULL)))
    world.operate()
    world.writes.clear()
    return world
