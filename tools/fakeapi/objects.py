"""Objects as an API server has them, with only what a test says."""

from __future__ import annotations

import itertools
from typing import Any

JSON = dict[str, Any]
HASH = "5d8f"  # of the only revision
_numbers = itertools.count(1)


def node(name: str, cpu: str = "4", *, memory: str = "16Gi", ready: bool = True, **spec: Any) -> JSON:
    """A node; `labels` and `annotations` go where they belong, the rest into its spec."""
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux"}
    meta = {"name": name, "labels": {**labels, **spec.pop("labels", {})}, "annotations": spec.pop("annotations", {})}
    have = {"cpu": cpu, "memory": memory, "pods": "110", "ephemeral-storage": "100Gi"}
    condition = {"type": "Ready", "status": "True" if ready else "Unknown"}
    return {
        "metadata": meta,
        "spec": spec,
        "status": {"allocatable": have, "capacity": have, "conditions": [condition]},
    }


def template(cpu: str = "1", memory: str = "256Mi", **labels: str) -> JSON:
    """A pod's template: one container with equal requests and limits."""
    amounts = {"cpu": cpu, "memory": memory}
    container = {"name": "worker", "image": "x", "resources": {"requests": amounts, "limits": amounts}}
    return {"metadata": {"labels": labels}, "spec": {"containers": [container], "tolerations": []}}


def deployment(
    name: str, replicas: int = 1, *, namespace: str = "default", cpu: str = "1", sized: bool = True, **annotations: str
) -> JSON:
    """A Deployment; annotations are those of corepod.dev, with _ for -."""
    labels = {"app": name}
    meta = {
        "name": name,
        "namespace": namespace,
        "labels": {**labels, **({"corepod.dev/sized": "true"} if sized else {})},
        "annotations": {f"corepod.dev/{key.replace('_', '-')}": value for key, value in annotations.items()},
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template(cpu, **labels)}
    return {"metadata": meta, "spec": spec, "status": {}}


def statefulset(name: str, replicas: int = 1, **annotations: Any) -> JSON:
    """Like `deployment`."""
    made = deployment(name, replicas, **annotations)
    made["spec"]["serviceName"] = name
    return made


def autoscaler(name: str, target: str, least: int, most: int) -> JSON:
    """A HorizontalPodAutoscaler of a Deployment."""
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    spec = {"scaleTargetRef": reference, "minReplicas": least, "maxReplicas": most}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec, "status": {}}


def quota(name: str, hard: dict[str, str], used: dict[str, str]) -> JSON:
    meta = {"name": name, "namespace": "default"}
    return {"metadata": meta, "spec": {"hard": hard}, "status": {"hard": hard, "used": used}}


def pod(
    name: str,
    node: str = "",
    *,
    namespace: str = "default",
    owner: str = "",
    cpu: str = "1",
    ip: str = "",
    phase: str = "Running",
) -> JSON:
    """A pod, of the Deployment `owner` where there is one."""
    labels = {"app": owner, "pod-template-hash": HASH} if owner else {}
    meta: JSON = {"name": name, "namespace": namespace, "labels": labels}
    if owner:
        reference = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": f"{owner}-{HASH}",
            "uid": "1",
            "controller": True,
        }
        meta["ownerReferences"] = [reference]
    spec = {**template(cpu)["spec"], **({"nodeName": node} if node else {})}
    placed = {"type": "PodScheduled", "status": "True" if node else "False"}
    ready = {"type": "Ready", "status": "True" if node and phase == "Running" else "False"}
    status = {"phase": phase if node or phase != "Running" else "Pending", "podIP": ip, "conditions": [placed, ready]}
    return {"metadata": meta, "spec": spec, "status": status}


def heavy_node(name: str, **options: Any) -> JSON:
    """A node as big as real ones are: 50 images, and who manages which field."""
    made = node(name, **options)
    made["status"]["images"] = [
        {
            "names": [f"registry.example/team/{n}@sha256:{n:064x}", f"registry.example/team/image-{n}:1.{n}"],
            "sizeBytes": 10**8 + n,
        }
        for n in range(50)
    ]
    made["metadata"]["managedFields"] = _managed(40)
    return made


def heavy_pod(name: str, node: str, **options: Any) -> JSON:
    """A pod as big as real ones are."""
    made = pod(name, node, **options)
    made["metadata"]["managedFields"] = _managed(20)
    made["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    made["spec"]["volumes"] = [
        {"name": f"v{n}", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}} for n in range(3)
    ]
    for container in made["spec"]["containers"]:
        container["env"] = [{"name": f"VARIABLE_{n}", "value": f"value {n}" * 3} for n in range(20)]
        container["volumeMounts"] = [
            {"name": f"v{n}", "mountPath": f"/var/run/{n}", "readOnly": True} for n in range(3)
        ]
    made["status"]["containerStatuses"] = [
        {
            "name": "worker",
            "ready": True,
            "restartCount": 0,
            "image": "registry.example/team/image:1",
            "imageID": "registry.example/team/image@sha256:1",
            "containerID": "c" * 64,
        }
    ]
    return made


def _managed(fields: int) -> list[JSON]:
    number = next(_numbers)
    return [
        {
            "manager": f"manager-{number % 3}-{part}",
            "operation": "Update",
            "time": "2026-01-01T00:00:00Z",
            "fieldsV1": {
                "f:status": {
                    f'k:{{"type":"Condition{n}"}}': {".": {}, "f:status": {}, "f:message": {}} for n in range(fields)
                }
            },
        }
        for part in range(2)
    ]
