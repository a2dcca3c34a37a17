"""What the fake API server says there is: clients that find their way by themselves ask first."""

from __future__ import annotations

from typing import Any

JSON = dict[str, Any]

GROUPS: dict[str, list[tuple[str, str, bool]]] = {
    "v1": [
        ("namespaces", "Namespace", False),
        ("configmaps", "ConfigMap", True),
        ("nodes", "Node", False),
        ("pods", "Pod", True),
        ("resourcequotas", "ResourceQuota", True),
        ("events", "Event", True),
    ],
    "apps/v1": [("deployments", "Deployment", True), ("statefulsets", "StatefulSet", True)],
    "autoscaling/v2": [("horizontalpodautoscalers", "HorizontalPodAutoscaler", True)],
    "apiextensions.k8s.io/v1": [("customresourcedefinitions", "CustomResourceDefinition", False)],
    "coordination.k8s.io/v1": [("leases", "Lease", True)],
}
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


def kind(plural: str) -> tuple[str, str]:
    """The kind of objects and the version of their API."""
    return next((name, version) for version, rows in GROUPS.items() for each, name, _ in rows if each == plural)


def answer(path: str) -> JSON | None:
    """The document at this path, None where there is no such document."""
    if path == "/version":
        return {"major": "1", "minor": "33", "gitVersion": "v1.33.0"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        return {"kind": "APIGroupList", "groups": [_group(name) for name in GROUPS if "/" in name]}
    version = path.removeprefix("/apis/").removeprefix("/api/")
    return _resources(version) if version in GROUPS else None


def _group(name: str) -> JSON:
    version = {"groupVersion": name, "version": name.partition("/")[2]}
    return {"name": name.partition("/")[0], "versions": [version], "preferredVersion": version}


def _resources(name: str) -> JSON:
    resources = [
        {"name": plural, "singularName": kind.lower(), "kind": kind, "namespaced": namespaced, "verbs": VERBS}
        for plural, kind, namespaced in GROUPS[name]
    ]
    return {"kind": "APIResourceList", "groupVersion": name, "resources": resources}
