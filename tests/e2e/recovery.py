"""How long nobody answers after a crash: corepod in its pod, beside a bare container that the kubelet restarts.

`make recovery` prints the README's table. Both run the same application on the same server (hypercorn) with a core of
their own, are asked through their Service's node port, and die by the same os._exit, several times in a row.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from corepod import __version__

from tests.e2e.kube import Refused, apply, get, kubectl, node_address, temporary_namespace, until
from tests.e2e.release import Release

if TYPE_CHECKING:
    from collections.abc import Callable

KILLS = 4  # in the default crash budget of corepod, 5 in 60 s
PAUSE = 0.005  # seconds between two tries
PATIENCE = 10.0  # seconds for an answer after a crash: one that is late isn't a failure, its time counts
LONGEST = 330.0  # seconds: the kubelet's greatest pause is 300
NAMESPACE = "recovery"
LABELS = {"app": "bare"}
COMMAND = ["hypercorn", "--workers", "0", "--bind", "0.0.0.0:8000", "corepod.demo:app"]
SIZE = {"cpu": "1", "memory": "256Mi"}
BARE: list[dict[str, Any]] = [
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "bare"},
        "spec": {
            "selector": {"matchLabels": LABELS},
            "template": {
                "metadata": {"labels": LABELS},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 10001,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [
                        {
                            "name": "worker",
                            "image": f"corepod:{__version__}",
                            "command": COMMAND,
                            "env": [{"name": "COREPOD_DEMO_CRASH", "value": "1"}],
                            "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8000}, "periodSeconds": 1},
                            "resources": {"requests": SIZE, "limits": SIZE},
                            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                        }
                    ],
                },
            },
        },
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "bare"},
        "spec": {"type": "NodePort", "selector": LABELS, "ports": [{"port": 80, "targetPort": 8000}]},
    },
]


@dataclass(frozen=True)
class Outage:
    """From the process's end to the next answer, and the tries that failed meanwhile."""

    seconds: float
    failed: int


def ask(url: str, path: str, timeout: float = 2.0) -> int:
    """The status of an answer, on a connection of its own. Raises OSError or HTTPException."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=timeout)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def answers(url: str, timeout: float = 2.0) -> bool:
    try:
        return ask(url, "/healthz", timeout) == 200
    except (OSError, HTTPException):
        return False


def until_steady(url: str) -> None:
    """Wait until many in a row are answered. A pod is Ready before kube-proxy sends it anything, and until then its
    node port refuses."""
    until(lambda: all(answers(url) for _ in range(20)), f"steady answers at {url}")


def outage(url: str) -> Outage:
    """Kill what answers at `url`, and wait until something answers again."""
    until(lambda: _crashed(url), "a connection to crash it by")
    died = time.monotonic()  # its end has closed the connection
    failed = 0
    while not answers(url, PATIENCE):
        failed += 1
        assert time.monotonic() < died + LONGEST, f"no answer for {LONGEST:g} s"
        time.sleep(PAUSE)
    return Outage(time.monotonic() - died, failed)


def _crashed(url: str) -> bool:
    try:
        raise AssertionError(f"still alive: {ask(url, '/crash?mode=exit', PATIENCE)}")
    except ConnectionRefusedError:
        return False  # by kube-proxy, while it changes its rules: nobody has heard of it
    except (OSError, HTTPException):
        return True


def outages(url: str, kills: int, tell: Callable[[str], None] = lambda text: None) -> list[Outage]:
    """Several crashes in a row, each as soon as it answers again."""
    until_steady(url)
    found = []
    for kill in range(1, kills + 1):
        found.append(outage(url))
        tell(f"kill {kill}: {found[-1].seconds:.3f} s, {found[-1].failed} tries failed")
        until_steady(url)
    return found


def bare(namespace: str) -> str:
    """Start the bare container; returns its URL."""
    apply(namespace, *BARE)
    kubectl("rollout", "status", "deployment/bare", "-n", namespace, "--timeout=60s")
    port = get("service", "bare", "-n", namespace)["spec"]["ports"][0]["nodePort"]
    return f"http://{node_address()}:{port}"


def main() -> None:
    with temporary_namespace(NAMESPACE):
        release = Release(NAMESPACE).install()
        print("corepod", flush=True)
        ours = outages(release.url, KILLS, lambda text: print(f"  {text}", flush=True))
        print("bare container", flush=True)
        theirs = outages(bare(NAMESPACE), KILLS, lambda text: print(f"  {text}", flush=True))
    print("\n| crash | bare container | corepod in its pod | ratio |\n|---|---|---|---|")
    for number, (their, our) in enumerate(zip(theirs, ours, strict=True), 1):
        ratio = their.seconds / our.seconds
        print(
            f"| {number} | {their.seconds:.1f} s, {their.failed} tries failed "
            f"| {our.seconds:.3f} s, {our.failed} tries failed | {ratio:.0f} |"
        )


if __name__ == "__main__":
    try:
        main()
    except (Refused, OSError) as error:
        raise SystemExit(f"make recovery needs the cluster of make kind-up: {error}") from None
