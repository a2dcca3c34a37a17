"""A release of the chart, its pods, and what they say."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import httpx

from tests.e2e.kube import CHART, DEADLINE, get, helm, items, kubectl, node_address, until

# The cores of the test cluster are all taken; the application is told to crash on demand, and pods leave quickly where
# leaving isn't what is tested.
VALUES: dict[str, Any] = {
    "full": True,
    "replicas": 1,
    "operator": {"enabled": False},
    "service": {"type": "NodePort"},
    "settings": {"lame_duck": 1},
    "extraEnv": [{"name": "COREPOD_DEMO_CRASH", "value": "1"}],
}
RETRIES = 5  # of a connection: after 0, 0.5, 1, 2 and 4 seconds
PROCESSES = """
for p in /proc/[0-9]*; do
  [ -r $p/smaps_rollup ] || continue
  echo "${p#/proc/} $(cat $p/comm) $(sed -n 's/^Cpus_allowed_list:[^0-9]*//p' $p/status) \
$(sed -n 's/^Pss: *\\([0-9]*\\).*/\\1/p' $p/smaps_rollup) $(sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\).*/\\1/p' $p/status)"
done
"""


@dataclass(frozen=True)
class Process:
    """A process of a pod; memory in KiB."""

    pid: int
    name: str
    cores: str
    pss: int
    rss: int


class Pod:
    """A pod as it was when it was asked for."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.name: str = document["metadata"]["name"]
        self.namespace: str = document["metadata"]["namespace"]
        self.node: str = document["spec"].get("nodeName", "")

    def again(self) -> Pod:
        return Pod(get("pod", self.name, "-n", self.namespace))

    @property
    def container(self) -> dict[str, Any]:
        """The worker's status."""
        statuses = self.document["status"].get("containerStatuses", [])
        return next((s for s in statuses if s["name"] == "worker"), {"restartCount": 0, "lastState": {}, "state": {}})

    @property
    def restarts(self) -> int:
        return int(self.container["restartCount"])

    def condition(self, kind: str) -> dict[str, Any]:
        found = [c for c in self.document["status"].get("conditions", []) if c["type"] == kind]
        return found[0] if found else {"status": "False"}

    @property
    def ready(self) -> bool:
        return self.condition("Ready")["status"] == "True" and "deletionTimestamp" not in self.document["metadata"]

    def sh(self, script: str, container: str = "worker") -> str:
        """Run a line of shell in one of its containers."""
        return kubectl("exec", self.name, "-n", self.namespace, "-c", container, "--", "sh", "-c", script)

    def processes(self) -> list[Process]:
        rows = (line.split() for line in self.sh(PROCESSES).splitlines())
        found = [Process(int(r[0]), r[1], r[2], int(r[3]), int(r[4])) for r in rows if len(r) == 5]
        return [process for process in found if process.name.startswith("corepod")]

    def workers(self) -> list[Process]:
        """Those that serve."""
        return [process for process in self.processes() if process.name == "corepod-worker"]

    def worker(self) -> Process:
        """The one that serves. After a death there is none for a moment."""
        return until(self.workers, f"a worker of {self.name}")[0]

    def admin(self, path: str) -> str:
        """An answer of the admin port, through the API server."""
        return kubectl("get", "--raw", f"/api/v1/namespaces/{self.namespace}/pods/{self.name}:9000/proxy{path}")

    def metric(self, sample: str) -> float:
        """A sample, or the sum of a metric's samples, such as `corepod_worker_restarts_total`."""
        found = re.findall(rf"^{re.escape(sample)}(?:{{.*}})? (\S+)$", self.admin("/metrics"), re.MULTILINE)
        assert found, f"no metric {sample}"
        return sum(map(float, found))


def patient_client() -> httpx.Client:
    """Refused connections are tried again, as kube-proxy follows what is ready and what leaves a moment later. Whatever
    has been sent is sent once."""
    return httpx.Client(timeout=DEADLINE, transport=httpx.HTTPTransport(retries=RETRIES))


def ask(url: str, **headers: str) -> httpx.Response:
    """The answer to a GET, on a connection of its own."""
    with patient_client() as client:
        return client.get(url, headers=headers)


def answered(url: str, timeout: float = 5) -> httpx.Response | None:
    """None where nobody answers at the moment: kube-proxy follows a ready pod within a second or so."""
    try:
        return httpx.get(url, timeout=timeout)
    except httpx.TransportError:
        return None


class Release:
    """The chart, installed as `name`."""

    def __init__(self, namespace: str, name: str = "web") -> None:
        self.namespace, self.name = namespace, name
        self.full_name = f"{name}-corepod"
        self.selector = f"app.kubernetes.io/instance={name},app.kubernetes.io/component=worker"

    def install(self, *, wait: bool = True, **values: Any) -> Release:
        """Install or upgrade with VALUES and these; `settings` are added to each other."""
        merged = {**VALUES, **values, "settings": {**VALUES["settings"], **values.get("settings", {})}}
        self.helm("upgrade", "--install", values=merged, wait=wait)
        if wait:
            until(self._answers, f"an answer at {self.url}")
        return self

    def _answers(self) -> bool:
        answer = answered(self.url)
        return answer is not None and answer.status_code < 500

    def helm(self, *command: str, values: dict[str, Any] | None = None, wait: bool = True) -> str:
        """`helm COMMAND NAME CHART`, waiting until what it changed is ready."""
        said = helm(*command, self.name, str(CHART), "-n", self.namespace, values=values)
        if wait:
            # By a watch: `helm --wait` looks every two seconds.
            chosen = ("-l", f"app.kubernetes.io/instance={self.name}", "-n", self.namespace)
            kubectl("rollout", "status", "deployment", *chosen, f"--timeout={DEADLINE:g}s", deadline=DEADLINE + 30)
        return said

    def uninstall(self) -> None:
        """Gone, and its pods with it: the next test needs their cores."""
        helm("uninstall", self.name, "-n", self.namespace, "--ignore-not-found")
        # With all that isn't a worker: a front that leaves would still answer for the next release of this name. Nobody
        # needs what they still serve. With the ReplicaSets gone, nothing makes others.
        chosen = ("-n", self.namespace, "-l", f"app.kubernetes.io/instance={self.name}")
        options = ("--grace-period=1", "--ignore-not-found", f"--timeout={DEADLINE:g}s")
        kubectl("delete", "replicaset,pod", *chosen, *options, deadline=2 * DEADLINE)
        until(lambda: not items("pods", *chosen), "the release's pods gone")

    def pods(self) -> list[Pod]:
        return [Pod(document) for document in items("pods", "-n", self.namespace, "-l", self.selector)]

    def ready(self, count: int = 1, deadline: float = DEADLINE) -> list[Pod]:
        """Wait for exactly `count` pods, all ready."""

        def complete() -> list[Pod] | None:
            pods = self.pods()
            return pods if len(pods) == count and all(pod.ready for pod in pods) else None

        found = until(complete, f"{count} ready pods of {self.full_name}", deadline)
        assert found is not None
        return found

    def deployment(self) -> dict[str, Any]:
        return get("deployment", self.full_name, "-n", self.namespace)

    def patch(self, container: dict[str, Any]) -> None:
        """Change the worker's container behind the chart's back, and wait until it has rolled out."""
        change = {"spec": {"template": {"spec": {"containers": [{"name": "worker", **container}]}}}}
        kubectl("patch", "deployment", self.full_name, "-n", self.namespace, "--patch", json.dumps(change))
        self.rolled_out()

    def restart(self) -> None:
        """A rollout, to its end."""
        kubectl("rollout", "restart", f"deployment/{self.full_name}", "-n", self.namespace)
        self.rolled_out()

    def rolled_out(self) -> None:
        kubectl("rollout", "status", f"deployment/{self.full_name}", "-n", self.namespace, f"--timeout={DEADLINE:g}s")

    @property
    def url(self) -> str:
        ports = get("service", self.full_name, "-n", self.namespace)["spec"]["ports"]
        return f"http://{node_address()}:{ports[0]['nodePort']}"
