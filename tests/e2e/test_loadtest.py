"""The load test in the cluster: Locust's pods send, chaos comes from here, one verdict. And what it has to fail."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from corepod import __version__
from corepod.cpu.cores import parse_list
from corepod.operator.model.quantity import milli

from loadtest.run import Run
from tests.e2e.kube import ROOT, Refused, items, kubectl, until, until_everywhere

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.release import Release

IMAGE = f"corepod-loadtest:{__version__}"
# kube-proxy itself refuses now and then while it changes its rules on a busy machine (tests/e2e/load.py); a pod that
# refuses does so for a second, to half of all. What is slow, or sent late by a generator that waited for a core, is not
# what these tests are about.
NOISE = {
    "refused": 10,
    "errors": 0.005,
    "p95": 9,
    "p99": 20,
    "balance": -1,
    "late": -1,
    "cpu": -1,
    "recovery": 80,
    "answer": 30,
}


def install(release: Release, lame_duck: float) -> None:
    # Cores are for the pods under test; only one node has something left beside.
    load = {
        "enabled": True,
        "cpu": "50m",
        "memory": "200Mi",
        "args": ["--report-size=2000"],
        "nodeSelector": roomiest(),
    }
    settings = {"lame_duck": lame_duck, "stuck_timeout": 3}
    release.install(replicas=2, loadtest=load, settings=settings).ready(2)
    selector = f"app.kubernetes.io/instance={release.name},app.kubernetes.io/component=loadtest"

    def there() -> bool:
        pods = items("pods", "-n", release.namespace, "-l", selector)
        ready = [c["status"] for pod in pods for c in pod["status"].get("conditions", ()) if c["type"] == "Ready"]
        return ready == ["True"] * 2

    until(there, "Locust's master and worker")


def roomiest() -> dict[str, str]:
    """The label of the node with the most CPU."""
    node = max(items("nodes"), key=lambda node: milli(node["status"]["allocatable"]["cpu"]))
    return {"kubernetes.io/hostname": node["metadata"]["labels"]["kubernetes.io/hostname"]}


def run_against(release: Release, folder: Path, *arguments: str, seconds: int, users: int = 10) -> tuple[int, Run, str]:
    """`python -m loadtest.fleet`: exit code, result, and what it said."""
    command = [sys.executable, "-m", "loadtest.fleet", "--url", release.url, "--namespace", release.namespace]
    command += [
        "--release",
        release.name,
        f"--seconds={seconds}",
        f"--users={users}",
        f"--result-dir={folder}",
        *arguments,
    ]
    command += [f"--limit-{name}={value}" for name, value in NOISE.items()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 200, cwd=ROOT, check=False)
    said = done.stdout + done.stderr
    said += kubectl("get", "pods", "-n", release.namespace, "-o", "wide")
    with contextlib.suppress(Refused):  # of a pod that has just been replaced
        said += kubectl("logs", "-n", release.namespace, "-l", "corepod.dev/locust", "--tail=15", "--prefix")
    print(said)
    assert (folder / "run.json").exists(), said
    return done.returncode, Run.read(folder / "run.json"), said


@pytest.fixture(autouse=True)
def image(cluster: None) -> None:
    until_everywhere(IMAGE)


def test_crashes_deletions_rollouts_and_a_drain_hurt_nobody_else(release: Release, tmp_path: Path) -> None:
    install(release, lame_duck=5)
    # What takes longest comes last of those that have to be seen: it only has to begin in time.
    chaos = ("--chaos=sigkill,rollout,drain,delete-pod,oom,hang", "--chaos-every=12", "--chaos-after=4")
    code, run, said = run_against(release, tmp_path, *chaos, seconds=105)
    assert code == 0, said
    assert {event.action for event in run.events} >= {"sigkill", "rollout", "drain"}, said
    assert all(event.back is not None for event in run.events), said
    assert {worker.node for worker in run.tally.workers if worker.node} == {
        node["metadata"]["name"] for node in items("nodes")
    }


def test_a_rollout_without_the_lame_duck_fails_the_verdict(release: Release, tmp_path: Path) -> None:
    """The negative control: enough new connections meet the moments in which kube-proxy names a closed port."""
    install(release, lame_duck=0)
    chaos = ("--chaos=rollout", "--chaos-every=9", "--chaos-after=4")
    code, run, said = run_against(release, tmp_path, *chaos, seconds=65, users=70)
    assert code == 1, said
    assert {check.name for check in run.verdict.checks if not check.good} & {"refused", "errors"}, said


def test_it_sends_from_no_core_that_is_under_test(release: Release) -> None:
    install(release, lame_duck=1)
    cores = {worker.cores for pod in release.ready(2) for worker in pod.workers()}
    assert all(core.isdigit() for core in cores), cores
    for pod in items("pods", "-n", release.namespace, "-l", "corepod.dev/locust"):
        name = pod["metadata"]["name"]
        allowed = kubectl("exec", name, "-n", release.namespace, "--", "cat", "/proc/1/status")
        line = next(line for line in allowed.splitlines() if line.startswith("Cpus_allowed_list"))
        on_its_node = {
            worker.cores
            for other in release.pods()
            if other.node == pod["spec"]["nodeName"]
            for worker in other.workers()
        }
        assert not set(parse_list(line.split(":")[1].strip())) & {int(core) for core in on_its_node}, (
            name,
            line,
            on_its_node,
        )
