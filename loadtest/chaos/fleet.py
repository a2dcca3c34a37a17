"""Targets in a cluster: a release's Deployment, its pods and their nodes, through kubectl."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

from corepod.hit.exchange import NOBODY, OK, Client, Responder

from loadtest.chaos.action import CannotInjectError, Fault, action

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

PATIENCE = 3.0  # seconds for one response of the application
COMMAND = 120.0  # seconds for one command
CONTAINER = "worker"


def kubectl(*arguments: str, deadline: float = COMMAND) -> str:
    """Raises CannotInjectError with the error message of kubectl."""
    try:
        done = subprocess.run(["kubectl", *arguments], capture_output=True, text=True, timeout=deadline, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotInjectError(f"kubectl {arguments[0]}: {error}") from error
    if done.returncode:
        raise CannotInjectError(f"kubectl {' '.join(arguments[:3])}: {done.stderr.strip()}")
    return done.stdout


class Fleet:
    """The pods of a release of the chart. `url` is where the application answers from here."""

    look = 0.5  # each check is a process, on cores that the pods need
    limited = True

    def __init__(self, namespace: str, release: str, url: str, lasts: float) -> None:
        self.url, self.lasts = url, lasts
        self.namespace = ("-n", namespace)
        self._selector = f"app.kubernetes.io/instance={release},app.kubernetes.io/component=worker"
        self.deployment = self._the("deployments")["metadata"]["name"]
        self.workers = int(self._the("deployments")["spec"]["replicas"])
        self._hit_at: dict[str, float] = {}

    def _the(self, kind: str) -> dict[str, Any]:
        found = self._items(kind)
        if len(found) != 1:
            raise CannotInjectError(f"{len(found)} {kind} with the labels {self._selector}")
        return found[0]

    def _items(self, kind: str, *arguments: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(
            kubectl("get", kind, *(arguments or ("-l", self._selector)), *self.namespace, "-o", "json")
        )["items"]
        return found

    def ready(self) -> dict[str, str]:
        """Names of the pods that are ready and not being deleted, and their nodes."""
        return {
            pod["metadata"]["name"]: pod["spec"]["nodeName"]
            for pod in self._items("pods")
            if "deletionTimestamp" not in pod["metadata"]
            and any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))
        }

    def complete(self, without: Callable[[dict[str, str]], bool] = lambda ready: False) -> Callable[[], float | None]:
        """A function that returns when as many pods as wanted are ready, and `without` doesn't hold for them."""

        def back() -> float | None:
            ready = self.ready()
            return time.time() if len(ready) >= self.workers and not without(ready) else None

        return back

    def others_on(self, node: str) -> bool:
        """Whether the node has pods of this namespace that aren't under test: a drain would evict the load, too."""
        return any(
            pod["metadata"].get("labels", {}).get("app.kubernetes.io/component") != CONTAINER
            for pod in self._items("pods", f"--field-selector=spec.nodeName={node}")
        )

    # What actions on a worker need

    def pick(self) -> Responder:
        """A worker in the ready pod that has gone longest without a fault. Raises CannotInjectError."""
        ready = self.ready()
        for _ in range(200):
            worker = self._ask()
            if worker.pod in ready and worker.pod == min(ready, key=lambda name: self._hit_at.get(name, 0.0)):
                self._hit_at[worker.pod] = time.time()
                return worker
        raise CannotInjectError("no ready pod answers")

    def send(self, victim: Responder, signum: signal.Signals) -> None:
        assert victim.pod is not None
        shell = f"kill -{int(signum)} {victim.pid}"
        kubectl("exec", victim.pod, *self.namespace, "-c", CONTAINER, "--", "sh", "-c", shell)

    def replaced(self, victim: Responder) -> Callable[[], float | None]:
        """A function that returns when another process of the same pod has answered."""

        def back() -> float | None:
            worker = self._ask()
            return time.time() if worker.pod == victim.pod and worker.pid not in (None, victim.pid) else None

        return back

    def _ask(self) -> Responder:
        answer = Client(self.url, timeout=PATIENCE).get("/whoami")
        return answer.worker if answer.outcome == OK else NOBODY


@action
def delete_pod(fleet: Fleet) -> Fault:
    """A pod is deleted: it drains, and the Deployment creates another one."""
    return _deleted(fleet, deadly=False)


@action
def kill_pod(fleet: Fleet) -> Fault:
    """A pod is killed together with its supervisor, without time to drain."""
    return _deleted(fleet, "--grace-period=0", "--force", deadly=True)


@action
def rollout(fleet: Fleet) -> Fault:
    """Every pod is replaced, as for a new version; no request may be lost."""
    before = fleet.ready()
    fault = Fault(fleet.complete(lambda ready: bool(ready.keys() & before.keys())), deadly=False)
    kubectl("rollout", "restart", f"deployment/{fleet.deployment}", *fleet.namespace)
    return fault


@action
def drain(fleet: Fleet) -> Fault:
    """A node is drained as for maintenance, and then uncordoned."""
    node, complete, uncordoned = _node(fleet), fleet.complete(), threading.Event()

    def empty() -> None:
        try:
            kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={COMMAND:g}s")
        finally:
            kubectl("uncordon", node)
            uncordoned.set()

    # In a thread, while the recovery is watched: a drain takes as long as the pods need.
    threading.Thread(target=empty).start()
    return Fault(lambda: complete() if uncordoned.is_set() else None, deadly=False, note=node)


@action
def remove_node(fleet: Fleet) -> Fault:
    """A node is deleted from the cluster, and its kubelet registers it again. Its pods are killed without draining."""
    node = _node(fleet)
    gone = {name for name, where in fleet.ready().items() if where == node}
    fault = Fault(fleet.complete(lambda ready: bool(ready.keys() & gone)), note=node)
    kubectl("delete", "node", node, "--wait=false")
    return fault


def _deleted(fleet: Fleet, *how: str, deadly: bool) -> Fault:
    victim = fleet.pick()
    assert victim.pod is not None
    fault = Fault(fleet.complete(lambda ready: victim.pod in ready), victim, deadly=deadly)
    kubectl("delete", "pod", victim.pod, *fleet.namespace, "--wait=false", *how)
    return fault


def _node(fleet: Fleet) -> str:
    """A node with a pod under test and no other pod of this namespace. Raises CannotInjectError."""
    for node in dict.fromkeys(fleet.ready().values()):
        if not fleet.others_on(node):
            return node
    raise CannotInjectError("every node with a pod under test also runs a pod of the load test")
