"""What a pod is: pinned to a core of its own, small, and closed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from corepod import __version__

from tests.e2e.kube import helm, until
from tests.e2e.release import Pod, Release, answered

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTS = ("corepod", "corepod-templat", "corepod-standby", "corepod-worker")


@pytest.fixture(scope="module")
def pods(namespace: str) -> Iterator[list[Pod]]:
    """The README's commands: deploy/kind-values.yaml as it is. That there are two is the operator's work."""
    release = Release(namespace, "corepod")
    release.full_name = "corepod"
    try:
        helm("install", "corepod", "deploy/helm/corepod", "-f", "deploy/kind-values.yaml", "-n", namespace, "--wait")
        yield release.ready(2)
    finally:
        release.uninstall()


def test_every_pod_is_pinned_to_a_core_of_its_own(pods: list[Pod]) -> None:
    assert len({pod.node for pod in pods}) == 2
    cores = {process.cores for pod in pods for process in pod.processes()}
    # One of each pod, none of both: the kernel's own word for every process, the worker's among them.
    assert len(cores) == 2, cores
    assert all(core.isdecimal() for core in cores), cores
    for pod in pods:
        core = pod.worker().cores
        assert f'corepod_worker_pinned{{slot="0",core="{core}"}} 1' in pod.admin("/metrics")


def test_the_application_answers_where_kind_yaml_says(pods: list[Pod]) -> None:
    names = {pod.name for pod in pods}
    seen = set()

    def both() -> bool:
        if answer := answered("http://127.0.0.1:8080/whoami", 10):
            told = answer.json()
            assert told["pinned"]
            seen.add(told["pod"])
        return seen == names

    until(both, f"answers of {names}")


def test_what_a_pod_costs(pods: list[Pod], capsys: pytest.CaptureFixture[str]) -> None:
    """Prints the table of docs/deploy.md; the default request holds a pod at least twice over."""
    pod = pods[0]
    until(lambda: {p.name for p in pod.processes()} == set(PARTS), f"all of {PARTS}")
    parts = {process.name: process for process in pod.processes()}
    total = sum(process.pss for process in parts.values())
    with capsys.disabled():
        print("\nPSS, MiB (share of the pod):")
        for name in PARTS:
            print(f"  {name:16} {parts[name].pss / 1024:5.1f}  {parts[name].pss / total:.2f}")
        print(f"  {'together':16} {total / 1024:5.1f}")
    request = pod.document["spec"]["containers"][0]["resources"]["requests"]["memory"]
    assert request.endswith("Mi")
    assert 2 * total <= int(request.removesuffix("Mi")) * 1024
    # More than half of it are pages of the interpreter itself, which all pods of a node share. Before 3.14 it was 14.
    assert parts["corepod"].rss <= 15.5 * 1024, "the supervisor is to stay below 15.5 MiB"


def test_nothing_but_tmp_can_be_written_and_nobody_is_root(pods: list[Pod]) -> None:
    script = "id -u; for f in /x /app/x /tmp/x; do touch $f 2>/dev/null && echo wrote $f; done; true"
    assert pods[0].sh(script).split("\n")[:2] == ["10001", "wrote /tmp/x"]
    assert pods[0].document["spec"]["automountServiceAccountToken"] is False


def test_the_commands_work_inside_of_a_pod(pods: list[Pod]) -> None:
    """Nothing can be written there, and the image has none of the packages that terminals need."""
    pod = pods[0]
    (pool,) = json.loads(pod.sh("corepod ps --json"))
    name = pool["name"]
    assert (pool["state"], pool["slots"]) == ("ready", 1)

    def status() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(pod.sh(f"corepod describe {name} --json"))["status"]
        return found

    before = status()
    assert before["profile"] == "pod"
    assert "has taken over" in pod.sh(f"corepod restart {name}/0")
    assert status()["slots"][0]["worker"] > before["slots"][0]["worker"]
    assert "MainThread" in pod.sh(f"corepod dump {name}/0")
    assert "replaced" in pod.sh(f"corepod events {name}")


def test_nothing_restarted_meanwhile(pods: list[Pod]) -> None:
    for pod in pods:
        assert pod.again().restarts == 0
        assert pod.metric("corepod_worker_restarts_total") == 0


def test_the_image_is_the_one_of_this_tree(pods: list[Pod]) -> None:
    assert pods[0].document["spec"]["containers"][0]["image"] == f"corepod:{__version__}"
    assert json.loads(pods[0].admin("/metrics").partition("corepod_build_info{version=")[2].partition(",")[0]) == (
        __version__
    )
