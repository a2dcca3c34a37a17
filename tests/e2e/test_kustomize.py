"""Kustomizations in two namespaces of one cluster, one of them with a prefix: each operator has rights of its own."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.e2e.fleet import OPERATOR_IMAGE
from tests.e2e.kube import ROOT, get, items, kubectl, temporary_namespace, until, until_everywhere
from tests.e2e.release import Pod

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

K8S = ROOT / "deploy/k8s"
FIRST, SECOND = "e2e-kustomize-a", "e2e-kustomize-b"
PREFIX = {FIRST: "", SECOND: "b-"}
PODS = 2
# Two small pods in each namespace, which fit beside each other.
SMALL = f"""
- {{op: replace, path: /metadata/annotations/corepod.dev~1max, value: "{PODS}"}}
- {{op: replace, path: /spec/template/spec/containers/0/resources/requests/cpu, value: 50m}}
"""
WORKER = "app.kubernetes.io/component=worker"


def written(folder: Path, namespace: str) -> str:
    """The folder with a user's kustomization of the operator's."""
    folder.mkdir()
    parts = {kind: os.path.relpath((K8S / kind).resolve(), folder.resolve()) for kind in ("base", "components")}
    document = {
        "namespace": namespace,
        "namePrefix": PREFIX[namespace],
        "resources": [f"{parts['base']}/worker"],
        "components": [f"{parts['components']}/operator", f"{parts['components']}/shared"],
        "patches": [{"target": {"kind": "Deployment", "name": "^corepod$"}, "patch": SMALL}],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(document))
    return str(folder.resolve())


@pytest.fixture(scope="module")
def folders(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Both applied."""
    until_everywhere(OPERATOR_IMAGE)
    made = {name: written(tmp_path_factory.mktemp("kustomize") / name, name) for name in PREFIX}
    with temporary_namespace(FIRST), temporary_namespace(SECOND):
        try:
            for folder in made.values():
                kubectl("apply", "-k", folder)
            yield made
        finally:
            for folder in made.values():
                kubectl("delete", "-k", folder, "--ignore-not-found", "--wait=false")


def allowed(namespace: str, verb: str, group: str, resource: str, where: str = "") -> bool:
    """Whether the operator of a namespace may do this; `resource` may have a subresource."""
    account = f"system:serviceaccount:{namespace}:{PREFIX[namespace]}corepod-operator"
    name, _, subresource = resource.partition("/")
    attributes = {"verb": verb, "group": group, "resource": name, "subresource": subresource, "namespace": where}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": account, "resourceAttributes": attributes},
    }
    return bool(json.loads(kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(review)))["status"]["allowed"])


def workers(namespace: str) -> list[Pod]:
    found = [Pod(document) for document in items("pods", "-n", namespace, "-l", WORKER)]
    return found if len(found) == PODS and all(pod.ready for pod in found) else []


def test_each_operator_has_the_rights_of_its_own_namespace(folders: dict[str, str]) -> None:
    for namespace, other in ((FIRST, SECOND), (SECOND, FIRST)):
        assert allowed(namespace, "list", "", "nodes")
        assert allowed(namespace, "patch", "apps", "deployments/scale", namespace)
        assert not allowed(namespace, "patch", "apps", "deployments/scale", other)


@pytest.mark.parametrize("namespace", PREFIX)
def test_each_operator_sizes_its_workload_and_owns_its_lease(folders: dict[str, str], namespace: str) -> None:
    until(lambda: workers(namespace), f"{PODS} ready pods in {namespace}")
    [lease] = items("lease", "-n", namespace)
    [owner] = lease["metadata"]["ownerReferences"]
    assert owner["name"] == f"{PREFIX[namespace]}corepod-operator"


def test_a_death_is_reported_under_a_prefix(folders: dict[str, str]) -> None:
    pod = until(lambda: workers(SECOND), f"{PODS} ready pods in {SECOND}")[0]
    environment = pod.sh("tr '\\0' '\\n' </proc/1/environ")
    assert "COREPOD_NOTIFY=b-corepod-operator:9001" in environment.splitlines()
    pod.sh(f"kill -9 {pod.worker().pid}")

    def published() -> bool:
        annotations = pod.again().document["metadata"].get("annotations", {})
        return bool(annotations.get("corepod.dev/worker-restarts-total") == "1")

    until(published, "the annotation of its death")


def test_applying_again_keeps_the_number_of_pods(folders: dict[str, str]) -> None:
    """Server-side, under the field manager of a tool that does so every few minutes."""
    until(lambda: workers(FIRST), f"{PODS} ready pods in {FIRST}")
    options = ("--server-side", "--force-conflicts", "--field-manager=argocd-controller")
    told = kubectl("apply", *options, "-k", folders[FIRST])
    assert "deployment.apps/corepod serverside-applied" in told
    assert get("deployment", "corepod", "-n", FIRST)["spec"]["replicas"] == PODS


def test_deleting_one_leaves_the_other_its_rights(folders: dict[str, str]) -> None:
    kubectl("delete", "-k", folders[FIRST], "--wait=false")
    until(lambda: not allowed(FIRST, "list", "", "nodes"), "an end of its rights")
    assert allowed(SECOND, "list", "", "nodes")
