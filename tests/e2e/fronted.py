"""A release behind its front, and what HAProxy says of itself."""

from __future__ import annotations

import re
from typing import Any

from tests.e2e.kube import DEADLINE, get, items, kubectl, node_address
from tests.e2e.release import Pod, Release

# Small enough for many pods on a node: the front has to be right about many of them, not fast.
SMALL: dict[str, Any] = {
    "full": False,
    "cpu": {"preset": "shared", "request": "40m"},
    "memory": {"request": "160Mi"},
    "probes": {"startup": {"failureThreshold": 240}},
}


class Fronted(Release):
    """`url` is the front's."""

    def rise(self, count: int, front: dict[str, Any] | None = None, **values: Any) -> Fronted:
        """`count` pods and the front, all ready."""
        named = {"enabled": True, "cpu": "20m", "service": {"type": "NodePort"}, **(front or {})}
        settings = {"lame_duck": 5, **values.pop("settings", {})}
        self.install(**{**SMALL, "replicas": count, "front": named, "settings": settings, **values})
        self.ready(count)
        return self

    @property
    def front(self) -> str:
        return f"{self.full_name}-front"

    @property
    def url(self) -> str:
        ports = get("service", self.front, "-n", self.namespace)["spec"]["ports"]
        return f"http://{node_address()}:{ports[0]['nodePort']}"

    def fronts(self) -> list[Pod]:
        """Those that aren't told to stop."""
        selector = self.selector.replace("component=worker", "component=front")
        found = [Pod(document) for document in items("pods", "-n", self.namespace, "-l", selector)]
        return [pod for pod in found if "deletionTimestamp" not in pod.document["metadata"]]

    def fronts_rolled_out(self) -> None:
        target = (f"deployment/{self.front}", "-n", self.namespace)
        kubectl("rollout", "status", *target, f"--timeout={DEADLINE:g}s")

    def restart_fronts(self) -> None:
        kubectl("rollout", "restart", f"deployment/{self.front}", "-n", self.namespace)
        self.fronts_rolled_out()

    def say(self) -> str:
        """What the fronts have told of their servers: why they have sent nothing to one, or to a wrong one."""
        return "\n".join(kubectl("logs", pod.name, "-n", self.namespace, "--tail=60") for pod in self.fronts())

    def scale(self, count: int) -> None:
        kubectl("scale", f"deployment/{self.full_name}", "-n", self.namespace, f"--replicas={count}")
        self.ready(count)

    def figures(self, sample: str) -> list[float]:
        """A sample of HAProxy's exporter, such as `haproxy_backend_active_servers{proxy="pods"}`, of each front."""
        return [_figure(pod, sample) for pod in self.fronts()]


def _figure(pod: Pod, sample: str) -> float:
    path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}:8404/proxy/metrics"
    found = re.findall(rf"^{re.escape(sample)} (\S+)$", kubectl("get", "--raw", path), re.MULTILINE)
    assert found, f"no sample {sample}"
    return sum(map(float, found))
