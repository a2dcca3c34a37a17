"""Chart and kustomizations make the same objects where they overlap."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import corepod
import pytest

from tests.deploy.render import K8S, Object, chart, find, kinds, kustomize, resolved

ALONE: Object = {"operator": {"enabled": False}}
# What the values of the chart are that each folder stands for.
SAME: dict[str, Object] = {
    "base/worker": ALONE,
    "overlays/shared": {**ALONE, "cpu": {"preset": "shared"}},
    "overlays/full": {**ALONE, "full": True},
    "overlays/hpa": {"autoscaling": {"enabled": True}},
    # The policy is in a folder of its own: a cluster needs it once.
    "overlays/operator": {"operator": {"enabled": True, "admissionPolicy": {"enabled": False}}},
}
MANAGER = "app.kubernetes.io/managed-by"


def comparable(objects: list[Object]) -> dict[tuple[str, str], Object]:
    """Objects by kind and name, as they are in the cluster, without what only one of the two has: a chart's label,
    manager, tests and namespace; what kustomize's names come from."""
    plain = copy.deepcopy([o for o in objects if "helm.sh/hook" not in o["metadata"].get("annotations", {})])
    for o in plain:
        o["metadata"].pop("namespace", None)
        for label in ("helm.sh/chart", MANAGER):
            o["metadata"]["labels"].pop(label, None)
        if "template" in o.get("spec", {}):
            o["spec"]["template"] = resolved(o["spec"]["template"])
    named = [_with_the_charts_name(o) for o in plain if o["kind"] != "ConfigMap"]
    return {(o["kind"], o["metadata"]["name"]): o for o in named}


def _with_the_charts_name(o: Object) -> Object:
    """The chart composes names of cluster-scoped objects; kustomize can only make them unique."""
    renamed: Object = _renamed(o, r"^corepod-operator-cluster-\w+$", "default-corepod-operator")
    return renamed


def _renamed(node: Any, pattern: str, name: str) -> Any:
    if isinstance(node, dict):
        return {key: _renamed(value, pattern, name) for key, value in node.items()}
    if isinstance(node, list):
        return [_renamed(value, pattern, name) for value in node]
    return re.sub(pattern, name, node) if isinstance(node, str) else node


@pytest.mark.parametrize("folder", SAME)
def test_both_make_the_same(folder: str) -> None:
    ours, theirs = comparable(kustomize(folder)), comparable(chart(SAME[folder]))
    assert set(ours) == set(theirs)
    for key, o in ours.items():
        assert o == theirs[key], key


def test_the_comparison_sees_a_difference() -> None:
    """Negative control: each overlay differs from the base."""
    base = comparable(kustomize("base/worker"))
    for folder in SAME:
        assert (comparable(kustomize(folder)) == base) == (folder == "base/worker"), folder


def test_every_overlay_is_compared() -> None:
    assert {f"overlays/{path.name}" for path in (K8S / "overlays").iterdir()} == set(SAME) - {"base/worker"}


def test_the_admission_policy_is_the_chart_s_but_for_whom_they_judge() -> None:
    """One judges the operators of all namespaces, whose Leases may have a suffix."""

    def rules(objects: list[Object]) -> list[Object]:
        found = json.loads(json.dumps(objects).replace("default-corepod", "corepod"))
        specs = [o["spec"] for o in found if o["kind"].startswith("ValidatingAdmissionPolicy")]
        for spec in specs:
            spec.pop("matchConditions", None)
        return sorted(specs, key=lambda spec: json.dumps(spec, sort_keys=True))

    theirs = json.dumps(rules(chart({"operator": {"enabled": True}})))
    theirs = theirs.replace(
        "object.metadata.name == 'corepod-operator'", "object.metadata.name.startsWith('corepod-operator')"
    )
    assert rules(kustomize("base/admission-policy")) == json.loads(theirs)


@pytest.mark.parametrize(
    ("name", "judged"),
    [
        ("system:serviceaccount:default:corepod-operator", True),
        ("system:serviceaccount:blue:x-corepod-operator-y", True),
        ("system:serviceaccount:corepod-operator:default", False),
        ("system:node:corepod-operator", False),
        ("corepod-operator", False),
    ],
)
def test_whom_the_policy_judges(name: str, judged: bool) -> None:
    policies = [o for o in kustomize("base/admission-policy") if o["kind"] == "ValidatingAdmissionPolicy"]
    conditions = {condition["expression"] for o in policies for condition in o["spec"]["matchConditions"]}
    assert len(policies) == 1
    [expression] = conditions
    pattern = expression.removeprefix("request.userInfo.username.matches('").removesuffix("')")
    assert bool(re.search(pattern, name)) is judged


def test_a_prefix_reaches_the_bindings() -> None:
    """A binding without its policy would refuse nothing."""
    folder = K8S / "overlays" / "prefixed-by-a-test"
    folder.mkdir()
    try:
        (folder / "kustomization.yaml").write_text("namePrefix: x-\nresources: [../../base/admission-policy]\n")
        objects = kustomize(f"overlays/{folder.name}")
    finally:
        (folder / "kustomization.yaml").unlink()
        folder.rmdir()
    named = {o["metadata"]["name"] for o in objects if o["kind"] == "ValidatingAdmissionPolicy"}
    assert named == {o["spec"]["policyName"] for o in objects if o["kind"] == "ValidatingAdmissionPolicyBinding"}
    assert all(name.startswith("x-") for name in named)


@pytest.mark.parametrize("folder", SAME)
def test_the_number_of_pods_is_left_to_whoever_scales(folder: str) -> None:
    """Applying again, also with --server-side, must not take it back."""
    assert "replicas" not in find(kustomize(folder), "Deployment", "corepod")["spec"]


@pytest.mark.parametrize("folder", SAME)
def test_it_says_who_made_it_and_which_version(folder: str) -> None:
    for o in kustomize(folder):
        assert o["metadata"]["labels"][MANAGER] == "kustomize"
        assert o["metadata"]["labels"]["app.kubernetes.io/version"] == corepod.__version__


def test_overlays_can_be_combined(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What a user's own kustomization does: the base and the components that it wants."""
    folder = K8S / "overlays" / "combined-by-a-test"
    # The number of pods has one owner: the autoscaler or the operator.
    names = sorted(path.name for path in (K8S / "components").iterdir() if path.name != "operator")
    assert names == ["full", "hpa", "shared"]
    folder.mkdir()
    try:
        lines = ["resources: [../../base/worker]", f"components: [{', '.join(f'../../components/{n}' for n in names)}]"]
        (folder / "kustomization.yaml").write_text("\n".join(lines))
        objects = kustomize(f"overlays/{folder.name}")
    finally:
        (folder / "kustomization.yaml").unlink()
        folder.rmdir()
    assert "HorizontalPodAutoscaler" in kinds(objects)
    values = {**SAME["overlays/shared"], **SAME["overlays/full"], **SAME["overlays/hpa"]}
    assert comparable(objects) == comparable(chart(values))
