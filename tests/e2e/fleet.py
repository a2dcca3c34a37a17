"""A release with its operators, on the cluster of the tests."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corepod import __version__

from tests.e2e.kube import PAUSE, Refused, items, kubectl, until
from tests.e2e.release import Pod, Release

if TYPE_CHECKING:
    from collections.abc import Callable

OPERATOR_IMAGE = f"corepod-operator:{__version__}"
QUIET = 4.0  # seconds in which something that must not happen is looked for: several times SCALE_DOWN_WAIT
SCALE_DOWN_WAIT = 1
LEASE = 6  # seconds
FLAGS = [f"--scale-down-wait={SCALE_DOWN_WAIT}", f"--lease-seconds={LEASE}"]
CLOSED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


class Fleet(Release):
    """Sized by two operators. A pod takes 600m: a node with 1.5 cores holds two, one with a core holds one."""

    def rise(self) -> Fleet:
        operator = {"enabled": True, "replicas": 2, "extraArgs": FLAGS}
        self.install(cpu={"preset": "shared", "request": "600m"}, operator=operator)
        return self

    @property
    def replicas(self) -> int:
        return int(self.deployment()["spec"]["replicas"])

    def settled(self, count: int, deadline: float = 90.0) -> list[Pod]:
        """Wait for this number, so many ready pods, and none that waits for a place."""
        until(lambda: self.replicas == count, lambda: f"replicas {count}; {self.say()}", deadline)
        return self.ready(count, deadline)

    def stays(self, condition: Callable[[], bool], what: str) -> None:
        """Look for a while that nothing happens."""
        end = time.monotonic() + QUIET
        while time.monotonic() < end:
            assert condition(), f"not {what}; {self.say()}"
            time.sleep(PAUSE)

    def annotate(self, **values: str | None) -> None:
        """Annotations under corepod.dev/; None removes one."""
        words = [
            f"corepod.dev/{name}={value}" if value is not None else f"corepod.dev/{name}-"
            for name, value in values.items()
        ]
        kubectl("annotate", "deployment", self.full_name, "-n", self.namespace, "--overwrite", *words)

    # Operators

    def operators(self) -> list[Pod]:
        selector = self.selector.replace("component=worker", "component=operator")
        return [Pod(document) for document in items("pods", "-n", self.namespace, "-l", selector)]

    def holder(self) -> str:
        """The identity in the Lease, empty for none: of a process, so a container that was restarted has another."""
        leases = items("lease", "-n", self.namespace)
        return next((lease["spec"].get("holderIdentity") or "" for lease in leases), "")

    def leads(self) -> Pod:
        """The pod of the operator that acts."""

        def found() -> Pod | None:
            name = self.holder().rpartition("_")[0]
            return next((pod for pod in self.operators() if pod.name == name and pod.ready), None)

        pod = until(found, lambda: f"an operator with the Lease; {self.say()}")
        assert pod is not None
        return pod

    def say(self) -> str:
        """What the operators have in their logs."""
        try:
            return "\n".join(kubectl("logs", pod.name, "-n", self.namespace, "--tail=8") for pod in self.operators())
        except Refused as error:
            return error.text

    def events(self, reason: str) -> list[dict[str, Any]]:
        return items("events", "-n", self.namespace, "--field-selector", f"reason={reason}")


def metric(operator: Pod, name: str) -> float:
    match = re.search(rf"^corepod_operator_{name} (\S+)$", operator.admin("/metrics"), re.MULTILINE)
    assert match is not None, name
    return float(match[1])


def kill(pod: Pod) -> None:
    """SIGKILL to an operator: from outside, for nobody can kill the first process of a container from within."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
            if f"HOSTNAME={pod.name}".encode() in environment and b"operator" in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
                return
        except OSError:
            continue  # it has ended meanwhile
    raise AssertionError(f"no process of {pod.name} is to be seen on this machine")


def container(name: str, image: str, cpu: str) -> dict[str, Any]:
    """A pod's spec: it sleeps, and asks for CPU."""
    return {
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": name,
                "image": image,
                "command": ["sleep", "infinity"],
                "resources": {"requests": {"cpu": cpu}},
                "securityContext": CLOSED,
            }
        ],
    }


def fake_nodes(count: int) -> None:
    """Nodes without a machine behind them. Nobody renews their heartbeat, so they are ready for half a minute or so."""
    amounts = {"cpu": "8", "memory": "16Gi", "pods": "110"}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "", "lastHeartbeatTime": _now()}
    ready["lastTransitionTime"] = ready["lastHeartbeatTime"]
    nodes = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": f"fake-{number:05}", "labels": {"type": "fake"}},
            "spec": {"taints": [{"key": "type", "value": "fake", "effect": "NoSchedule"}]},
            "status": {"allocatable": amounts, "capacity": amounts, "conditions": [ready]},
        }
        for number in range(count)
    ]
    kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes}))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
