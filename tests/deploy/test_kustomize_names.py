"""Every name in what kustomize makes is that of an object, whatever namespace, prefix and suffix a user's kustomization
sets, and installations share no cluster-wide object."""

from __future__ import annotations

import copy
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import corepod
import pytest
import yaml

from tests.deploy.render import K8S, Object, find, kustomize, resolved
from tests.deploy.test_kustomize import SAME

if TYPE_CHECKING:
    from collections.abc import Iterator

CLUSTER_WIDE = ("ClusterRole", "ClusterRoleBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")


def overlay(folder: Path, base: str, **fields: str) -> list[Object]:
    """What a kustomization of a user's makes of one of ours, with these fields."""
    folder.mkdir(parents=True, exist_ok=True)
    # kustomize takes no absolute path; and it follows symbolic links, as that of a temporary folder, by itself.
    resource = os.path.relpath((K8S / base).resolve(), folder.resolve())
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({"resources": [resource], **fields}))
    return kustomize(str(folder.resolve()))


def references(objects: list[Object]) -> Iterator[tuple[str, str, str]]:
    """Kind, namespace and name of everything that an object names; for what is cluster-wide, no namespace."""
    for o in objects:
        namespace = o["metadata"].get("namespace", "default")
        if "roleRef" in o:
            # The API server refuses any other field, such as a namespace.
            assert set(o["roleRef"]) == {"apiGroup", "kind", "name"}
            cluster_wide = o["roleRef"]["kind"] in CLUSTER_WIDE
            yield o["roleRef"]["kind"], "" if cluster_wide else namespace, o["roleRef"]["name"]
        for subject in o.get("subjects", []):
            yield subject["kind"], subject["namespace"], subject["name"]
        if "scaleTargetRef" in o.get("spec", {}):
            yield o["spec"]["scaleTargetRef"]["kind"], namespace, o["spec"]["scaleTargetRef"]["name"]
        if o["kind"] == "ConfigMap" and "operatorNamespace" in o["data"]:
            yield "ServiceAccount", o["data"]["operatorNamespace"], o["data"]["operatorServiceAccount"]
        if "template" in o.get("spec", {}):
            yield from _references_of_pods(o["spec"]["template"], namespace)


def _references_of_pods(template: Object, namespace: str) -> Iterator[tuple[str, str, str]]:
    pod = resolved(template)["spec"]
    yield "ServiceAccount", namespace, pod["serviceAccountName"]
    for argument in pod["containers"][0].get("args", []):
        if argument.startswith("--lease-owner="):
            yield "Deployment", namespace, argument.partition("=")[2]
    for variable in pod["containers"][0].get("env", []):
        if variable["name"] == "COREPOD_NOTIFY":
            yield "Service", namespace, variable["value"].partition(":")[0]


def _namespace(o: Object) -> str:
    return "" if o["kind"] in CLUSTER_WIDE else o["metadata"].get("namespace", "default")


def dangling(objects: list[Object]) -> list[tuple[str, str, str]]:
    """References to nothing."""
    exist = {(o["kind"], _namespace(o), o["metadata"]["name"]) for o in objects}
    return [reference for reference in references(objects) if reference not in exist]


WAYS: dict[str, dict[str, str]] = {
    "as it is": {},
    "namespace": {"namespace": "team-a"},
    "prefix": {"namePrefix": "eu-"},
    "suffix": {"nameSuffix": "-2"},
    "prefix and suffix": {"namePrefix": "eu-", "nameSuffix": "-2"},
    "all": {"namespace": "team-a", "namePrefix": "eu-", "nameSuffix": "-2"},
}


@pytest.mark.parametrize("fields", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("base", SAME)
def test_every_name_is_that_of_an_object(tmp_path: Path, base: str, fields: dict[str, str]) -> None:
    objects = overlay(tmp_path, base, **fields)
    assert dangling(objects) == []
    named = {kind for kind, _, _ in references(objects)}
    if base == "overlays/operator":
        assert named == {"Role", "ClusterRole", "ServiceAccount", "Deployment", "Service"}
    for o in objects:
        assert o["metadata"]["name"].startswith(fields.get("namePrefix", ""))
        assert fields.get("nameSuffix", "") in o["metadata"]["name"]


def test_two_layers_of_kustomizations_are_followed(tmp_path: Path) -> None:
    overlay(tmp_path / "inner", "overlays/operator", namePrefix="in-", namespace="inner")
    objects = overlay(tmp_path / "outer", str(tmp_path / "inner"), namePrefix="out-", namespace="outer")
    assert dangling(objects) == []
    [binding] = [o for o in objects if o["kind"] == "ClusterRoleBinding"]
    assert binding["metadata"]["name"].startswith("out-in-corepod-operator-cluster-")
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "out-in-corepod-operator", "namespace": "outer"},
    ]


def test_a_name_that_is_left_behind_is_found(tmp_path: Path) -> None:
    """Negative control, for each kind of reference: what it names has another name."""
    objects = overlay(tmp_path, "overlays/operator", namespace="team-a", namePrefix="eu-")
    for kind, _, name in references(objects):
        others = copy.deepcopy(objects)
        find(others, kind, name)["metadata"]["name"] = "another"
        assert (kind, name) in {(missing, called) for missing, _, called in dangling(others)}


def cluster_wide(objects: list[Object]) -> set[tuple[str, str]]:
    return {(o["kind"], o["metadata"]["name"]) for o in objects if o["kind"] in CLUSTER_WIDE}


def test_two_namespaces_share_nothing_that_is_cluster_wide(tmp_path: Path) -> None:
    """What has the same name is one object, and the second installation would take the first one's rights."""
    ours, theirs = (overlay(tmp_path / n, "overlays/operator", namespace=n) for n in ("team-a", "team-b"))
    assert {kind for kind, _ in cluster_wide(ours)} >= {"ClusterRole", "ClusterRoleBinding"}
    assert cluster_wide(ours).isdisjoint(cluster_wide(theirs))


def test_a_name_stays_as_long_as_its_namespace_does(tmp_path: Path) -> None:
    """A new name would leave the old binding behind, with all that it grants."""
    before = overlay(tmp_path / "before", "overlays/operator", namespace="team-a")
    edited = Path(shutil.copytree(K8S, tmp_path / "k8s"))
    for path in edited.rglob("*.yaml"):
        path.write_text(path.read_text().replace(corepod.__version__, "99.0.0"))
    after = overlay(tmp_path / "after", str(edited / "overlays/operator"), namespace="team-a")
    assert cluster_wide(before) == cluster_wide(after)


def test_another_cluster_wide_object_can_follow(tmp_path: Path) -> None:
    """What the comment in names.yaml says to do for one."""
    edited = Path(shutil.copytree(K8S, tmp_path / "k8s"))
    component = edited / "components/operator"
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "corepod-operator-cluster"},
        "spec": {
            "policyName": "corepod-operator-cluster",
            "paramRef": {"name": "corepod-operator-cluster", "namespace": "default"},
        },
    }
    (component / "added.yaml").write_text(yaml.safe_dump(policy))
    names = yaml.safe_load((component / "names.yaml").read_text())
    kind = policy["kind"]
    names["namespace"].append({"path": "spec/paramRef/namespace", "kind": kind})
    paths = ("metadata/name", "spec/policyName", "spec/paramRef/name")
    names["nameReference"][-1]["fieldSpecs"] += [{"path": path, "kind": kind} for path in paths]
    (component / "names.yaml").write_text(yaml.safe_dump(names))
    kustomization = yaml.safe_load((component / "kustomization.yaml").read_text())
    kustomization["resources"].append("added.yaml")
    (component / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    objects = overlay(tmp_path / "mine", str(edited / "overlays/operator"), namespace="team-a", namePrefix="eu-")
    [added] = [o for o in objects if o["kind"] == kind]
    [identity] = [o for o in objects if o["kind"] == "ConfigMap"]
    name = identity["metadata"]["name"]
    assert added["metadata"]["name"] == added["spec"]["policyName"] == added["spec"]["paramRef"]["name"] == name
    assert added["spec"]["paramRef"]["namespace"] == identity["data"]["operatorNamespace"] == "team-a"
    assert identity["data"]["operatorServiceAccount"] == "eu-corepod-operator"
