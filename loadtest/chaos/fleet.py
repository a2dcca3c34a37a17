"""Pods under fire: a release's Deployment, its pods and their nodes, through kubectl."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

from corepod.hit.exchange import NOBODY, OK, Client, Worker

from loadtest.chaos.action import NothingToStrikeError, Strike, action

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

PATIENCE = 3.0  # seconds for one answer of the application
COMMAND = 120.0  # seconds for one command
CONTAINER = "worker"


def kubectl(*words: str, deadline: float = COMMAND) -> str:
    """Raises NothingToStrikeError with what it said."""
    try:
        done = subprocess.run(["kubectl", *words], capture_output=True, text=True, timeout=deadline, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NothingToStrikeError(f"kubectl {words[0]}: {error}") from error
    if done.returncode:
        raise NothingToStrikeError(f"kubectl {' '.join(words[:3])}: {done.stderr.strip()}")
    return done.stdout


class Fleet:
    """The pods of a release of the chart. `url` is where the application answers from here."""

    look = 0.5  # each is a process, on cores that the pods need
    limited = True

    def __init__(self, namespace: str, release: str, url: str, lasts: float) -> None:
        self.url, self.lasts = url, lasts
        self.namespace = ("-n", namespace)
        self._selector = f"app.kubernetes.io/instance={release},app.kubernetes.io/component=worker"
        self.deployment = self._the("deployments")["metadata"]["name"]
        self.workers = int(self._the("deployments")["spec"]["replicas"])
        self._struck: dict[str, float] = {}

    def _the(self, kind: str) -> dict[str, Any]:
        found = self._items(kind)
        if len(found) != 1:
            raise NothingToStrikeError(f"{len(found)} {kind} with the labels {self._selector}")
        return found[0]

    def _items(self, kind: str, *words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(
            kubectl("get", kind, *(words or ("-l", self._selector)), *self.namespace, "-o", "json")
        )["items"]
        return found

    def ready(self) -> dict[str, str]:
        """Names of the pods that are ready and stay, and their nodes."""
        return {
            pod["metadata"]["name"]: pod["spec"]["nodeName"]
            for pod in self._items("pods")
            if "deletionTimestamp" not in pod["metadata"]
            and any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))
        }

    def complete(self, without: Callable[[dict[str, str]], bool] = lambda ready: False) -> Callable[[], float | None]:
        """When as many pods as wanted were ready, and none of them is one that `without` finds."""

        def back() -> float | None:
            ready = self.ready()
            return time.time() if len(ready) >= self.workers and not without(ready) else None

        return back

    def others_on(self, node: str) -> bool:
        """Whether pods of this namespace that aren't under test are there: a drain would take the load with it."""
        return any(
            pod["metadata"].get("labels", {}).get("app.kubernetes.io/component") != CONTAINER
            for pod in self._items("pods", f"--field-selector=spec.nodeName={node}")
        )

    # What actions on a worker need

    def pick(self) -> Worker:
        """A worker in the ready pod that was struck longest ago. Raises NothingToStrikeError."""
        ready = self.ready()
        for _ in range(200):
            worker = self._ask()
            if worker.pod in ready and worker.pod == min(ready, key=lambda name: self._struck.get(name, 0.0)):
                self._struck[worker.pod] = time.time()
                return worker
        raise NothingToStrikeError("no ready pod answers")

    def send(self, victim: Worker, signum: signal.Signals) -> None:
        assert victim.pod is not None
        shell = f"kill -{int(signum)} {victim.pid}"
        kubectl("exec", victim.pod, *self.namespace, "-c", CONTAINER, "--", "sh", "-c", shell)

    def replaced(self, victim: Worker) -> Callable[[], float | None]:
        """When another process of the same pod answered."""

        def back() -> float | None:
            worker = self._ask()
            return time.time() if worker.pod == victim.pod and worker.pid not in (None, victim.pid) else None

        return back

    def _ask(self) -> Worker:
        answer = Client(self.url, timeout=PATIENCE).get("/whoami")
        return answer.worker if answer.outcome == OK else NOBODY


@action
def delete_pod(fleet: Fleet) -> Strike:
    """A pod is deleted; it has its time to drain, and the Deployment makes another."""
    return _deleted(fleet, deadly=False)


@action
def kill_pod(fleet: Fleet) -> Strike:
    """A pod is gone with its supervisor, at once and without a word."""
    return _deleted(fleet, "--grace-period=0", "--force", deadly=True)


@action
def rollout(fleet: Fleet) -> Strike:
    """Every pod is replaced, as for a new version; nothing may be lost."""
    before = fleet.ready()
    strike = Strike(fleet.complete(lambda ready: bool(ready.keys() & before.keys())), deadly=False)
    kubectl("rollout", "restart", f"deployment/{fleet.deployment}", *fleet.namespace)
    return strike


@action
def drain(fleet: Fleet) -> Strike:
    """A node is emptied as for its maintenance, and given back."""
    node, complete, given_back = _node(fleet), fleet.complete(), threading.Event()

    def empty() -> None:
        try:
            kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={COMMAND:g}s")
        finally:
            kubectl("uncordon", node)
            given_back.set()

    # Beside the looking: to empty it takes as long as its pods need to drain.
    threading.Thread(target=empty).start()
    return Strike(lambda: complete() if given_back.is_set() else None, deadly=False, note=node)


@action
def remove_node(fleet: Fleet) -> Strike:
    """A node is gone from the cluster; its kubelet brings it back. Pods on it are lost without a word."""
    node = _node(fleet)
    gone = {name for name, where in fleet.ready().items() if where == node}
    strike = Strike(fleet.complete(lambda ready: bool(ready.keys() & gone)), note=node)
    kubectl("delete", "node", node, "--wait=false")
    return strike


def _deleted(fleet: Fleet, *how: str, deadly: bool) -> Strike:
    victim = fleet.pick()
    assert victim.pod is not None
    strike = Strike(fleet.complete(lambda ready: victim.pod in ready), victim, deadly=deadly)
    kubectl("delete", "pod", victim.pod, *fleet.namespace, "--wait=false", *how)
    return strike


def _node(fleet: Fleet) -> str:
    """One with a pod under test and nothing else of this namespace. Raises NothingToStrikeError."""
    for node in dict.fromkeys(fleet.ready().values()):
        if not fleet.others_on(node):
            return node
    raise NothingToStrikeError("the load comes from every node that has a pod")
