"""`kubectl corepod`, with the permissions that its page shows and no others, on pods of one release."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

from tests.e2e.fleet import OPERATOR_IMAGE
from tests.e2e.kube import DEADLINE, ROOT, items, kubectl, until, until_everywhere
from tests.e2e.load import Load
from tests.e2e.release import Pod, Release, ask

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (ROOT / "docs/kubectl.md").read_text()
RATE, COUNT = 20, 2
ACCOUNT = "looker"


class Viewer(NamedTuple):
    """A person with the permissions of the page, whose kubeconfig names the release's namespace."""

    release: Release
    kubeconfig: Path

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """`kubectl corepod COMMAND`, as it is typed."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "KUBECONFIG": str(self.kubeconfig), "NO_COLOR": "1"}
        words = ["kubectl", "corepod", *shlex.split(command)]
        return subprocess.run(words, capture_output=True, text=True, timeout=2 * DEADLINE, env=environment, check=False)

    def shows(self, command: str) -> str:
        """What it prints; it must succeed."""
        done = self.run(command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def documents(self, command: str) -> Any:
        return json.loads(self.shows(f"{command} --json"))


@pytest.fixture(scope="module")
def viewer(namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    until_everywhere(OPERATOR_IMAGE)
    release = Release(namespace)
    # The prefix keeps the cluster's own names free.
    look, operate = yaml.safe_load_all(re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[1])  # type: ignore[index]
    look["metadata"]["name"] = binding = f"{namespace}-look"
    try:
        sizing = {"enabled": True, "sizing": {"max": COUNT}}
        release.install(cpu={"preset": "shared", "request": "100m"}, operator=sizing)
        release.ready(COUNT)
        for document in (look, operate):
            kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(document))
        kubectl("create", "serviceaccount", ACCOUNT, "-n", namespace)
        who = f"--serviceaccount={namespace}:{ACCOUNT}"
        kubectl("create", "clusterrolebinding", binding, f"--clusterrole={binding}", who)
        kubectl("create", "rolebinding", ACCOUNT, "-n", namespace, f"--role={operate['metadata']['name']}", who)
        yield Viewer(release, _kubeconfig(namespace, ACCOUNT, tmp_path_factory.mktemp("viewer") / "config"))
    finally:
        release.uninstall()
        kubectl("delete", "clusterrole,clusterrolebinding", binding, "--ignore-not-found")


def _kubeconfig(namespace: str, account: str, path: Path) -> Path:
    """That of the tests, with the account's token in the place of its user."""
    config = json.loads(kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    token = kubectl("create", "token", account, "-n", namespace).strip()
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    config["contexts"][0]["context"]["namespace"] = namespace
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return path


def workers(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {w["pod"]: {**w, "on": node["node"]} for node in document["nodes"] for w in node["workers"]}


def test_top_has_each_pod_on_its_node(viewer: Viewer) -> None:
    pods = {pod.name: pod for pod in viewer.release.pods()}
    document = viewer.documents("top")
    found = workers(document)
    assert {name: worker["on"] for name, worker in found.items()} == {name: pod.node for name, pod in pods.items()}
    assert {worker["state"] for worker in found.values()} == {"ready"}
    assert all(worker["cpu"] is not None for worker in found.values())
    assert {node["node"] for node in document["nodes"]} == {node["metadata"]["name"] for node in items("nodes")}
    assert all(name in viewer.shows("top --once") for name in pods)


def test_why_is_what_the_operator_has_done(viewer: Viewer) -> None:
    [workload] = viewer.documents(f"why {viewer.release.full_name}")["workloads"]
    assert (workload["current"], workload["number"], workload["error"]) == (COUNT, COUNT, "")
    assert f"Deployment {viewer.release.namespace}/{viewer.release.full_name}" in viewer.shows("why")


def test_a_death_is_in_restarts_and_in_top(viewer: Viewer) -> None:
    pod = viewer.release.pods()[0]
    pod.sh(f"kill -9 {pod.worker().pid}")
    found = until(lambda: viewer.documents("restarts"), "the death")
    assert (found[0]["pod"], found[0]["node"], found[0]["reason"]) == (pod.name, pod.node, "signal SIGKILL")
    assert workers(viewer.documents("top"))[pod.name]["restarts"] == 1


def test_dump_and_what_it_says_without_a_permission(viewer: Viewer, tmp_path: Path) -> None:
    pod = viewer.release.pods()[0]
    assert "MainThread" in viewer.shows(f"dump {pod.name}")
    foreign = viewer.run(f"dump {pod.name}x")
    assert foreign.returncode == 8
    assert f"did you mean {pod.name}?" in foreign.stderr
    kubectl("create", "serviceaccount", "stranger", "-n", pod.namespace)
    who = f"--serviceaccount={pod.namespace}:stranger"
    kubectl("create", "rolebinding", "stranger", "-n", pod.namespace, f"--clusterrole={pod.namespace}-look", who)
    stranger = viewer._replace(kubeconfig=_kubeconfig(pod.namespace, "stranger", tmp_path / "config"))
    denied = until(lambda: [done for done in [stranger.run(f"dump {pod.name}")] if done.returncode == 7], "a refusal")
    assert "pods/exec" in denied[0].stderr


def test_a_reload_loses_no_request_and_makes_no_pod(viewer: Viewer) -> None:
    release = viewer.release
    before = {pod.name: number(pod) for pod in release.ready(COUNT)}
    ask(release.url)
    with Load(release.url, RATE) as load:
        load.until_answered(RATE)
        found = viewer.documents(f"reload {release.full_name}")
        load.until_answered(RATE)
        outcome = load.stop()
    assert not outcome.failures, outcome
    assert [each["pod"] for each in found] == sorted(before)
    after = {pod.name: number(pod) for pod in release.ready(COUNT)}
    assert after.keys() == before.keys()
    assert all(after[name] != before[name] for name in before)
    assert {pod.restarts for pod in release.pods()} == {0}


def number(pod: Pod) -> float:
    """When its present worker was started."""
    return pod.metric("corepod_worker_start_time_seconds")
