"""Every pod passes Pod Security "restricted", carries no token and no password."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from tests.deploy.render import K8S, Object, chart, containers, find, kustomize, pod_specs, refused
from tests.deploy.test_chart import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Callable

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
OVERLAYS = sorted(path.name for path in (K8S / "overlays").iterdir())


def violations(spec: Object) -> list[str]:
    """What Pod Security "restricted" has against the pod."""
    pod = spec.get("securityContext", {})
    found = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    found += [f"volume {v['name']}" for v in spec.get("volumes", []) if not VOLUMES & v.keys()]
    for container in containers(spec):
        own = {**pod, **container.get("securityContext", {})}
        capabilities = own.get("capabilities", {})
        checks = {
            "privileged": not own.get("privileged"),
            "escalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities": capabilities.get("drop") == ["ALL"]
            and set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"},
            "root": own.get("runAsNonRoot") is True and own.get("runAsUser") != 0,
            "seccomp": own.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
            "host port": not any(port.get("hostPort") for port in container.get("ports", [])),
        }
        found += [f"{container['name']}: {name}" for name, good in checks.items() if not good]
    return found


def with_change(change: Callable[[Object], object]) -> Object:
    spec: Object = copy.deepcopy(find(chart(), "Deployment")["spec"]["template"]["spec"])
    change(spec)
    return spec


@pytest.mark.parametrize("values", [{}, EVERYTHING, {"cpu": {"preset": "shared"}}, {"podSecurityContext": None}])
def test_every_pod_of_the_chart_is_restricted(values: Object) -> None:
    specs = pod_specs(chart(values))
    assert len(specs) >= 2
    assert [violations(spec) for spec in specs] == [[]] * len(specs)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_of_kustomize_is_restricted(overlay: str) -> None:
    specs = pod_specs(kustomize(f"overlays/{overlay}"))
    assert specs
    assert [violations(spec) for spec in specs] == [[]] * len(specs)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda spec: spec.update(hostNetwork=True), "hostNetwork"),
        (lambda spec: spec["securityContext"].pop("runAsNonRoot"), "root"),
        (lambda spec: spec["securityContext"].update(runAsUser=0), "root"),
        (lambda spec: spec["securityContext"].pop("seccompProfile"), "seccomp"),
        (lambda spec: spec["volumes"].append({"name": "h", "hostPath": {}}), "volume h"),
        (lambda spec: spec["containers"][0]["securityContext"].pop("allowPrivilegeEscalation"), "escalation"),
        (lambda spec: spec["containers"][0]["securityContext"].pop("capabilities"), "capabilities"),
        (lambda spec: spec["containers"][0]["securityContext"].update(privileged=True), "privileged"),
        (lambda spec: spec["containers"][0]["ports"][0].update(hostPort=80), "host port"),
    ],
)
def test_the_check_sees_each_violation(change: Callable[[Object], object], word: str) -> None:
    """Negative control."""
    [violation] = violations(with_change(change))
    assert word in violation


def test_no_pod_gets_a_token_or_the_addresses_of_other_services() -> None:
    objects = chart(EVERYTHING)
    for spec in (*pod_specs(objects), *pod_specs(kustomize("base/worker"))):
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
    assert find(objects, "ServiceAccount")["automountServiceAccountToken"] is False
    assert not {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "Secret"} & {o["kind"] for o in objects}


WRITES = {"create", "update", "patch", "delete", "deletecollection", "*"}


def verbs(role: Object) -> set[str]:
    return {verb for rule in role["rules"] for verb in rule["verbs"]}


def roles(kind: str, **operator: Any) -> dict[str, Object]:
    """By namespace; a ClusterRole has none."""
    objects = chart({"operator": {"enabled": True, **operator}})
    return {o["metadata"].get("namespace", ""): o for o in objects if o["kind"] == kind}


def test_the_operator_writes_only_where_it_has_a_role() -> None:
    assert not WRITES & verbs(roles("ClusterRole")[""])
    assert list(roles("Role")) == ["default"]
    several: Object = {"namespaces": ["shop", "default", "blog"]}
    assert not WRITES & verbs(roles("ClusterRole", **several)[""])
    found = roles("Role", **several)
    assert sorted(found) == ["blog", "default", "shop"]
    assert "leases" in str(found["default"])
    assert "leases" not in str(found["shop"])
    bindings = roles("RoleBinding", **several)
    for namespace, role in found.items():
        assert bindings[namespace]["roleRef"]["name"] == role["metadata"]["name"]
        subject = {"kind": "ServiceAccount", "name": "corepod-operator", "namespace": "default"}
        assert bindings[namespace]["subjects"] == [subject]
    # The control: the one value that gives it more.
    assert WRITES & verbs(roles("ClusterRole", allNamespaces=True)[""])


def policies(*args: str, release: str = "corepod", **operator: Any) -> tuple[list[Object], list[Object]]:
    """Policies and bindings."""
    objects = chart({"operator": {"enabled": True, **operator}}, *args, release=release)
    kind = "ValidatingAdmissionPolicy"
    return [o for o in objects if o["kind"] == kind], [o for o in objects if o["kind"] == f"{kind}Binding"]


@pytest.mark.parametrize("operator", [{}, {"namespaces": ["shop"]}, {"allNamespaces": True}])
def test_workloads_that_are_named_are_the_only_ones_to_scale(operator: Object) -> None:
    def names(workloads: list[str]) -> list[list[str]]:
        roles = [o for o in chart({"operator": {**operator, "workloads": workloads}}) if o["kind"].endswith("Role")]
        rules = [rule for role in roles for rule in role["rules"] if "deployments/scale" in rule["resources"]]
        return [rule.get("resourceNames", []) for rule in rules]

    assert {tuple(found) for found in names(["web", "jobs"])} == {("web", "jobs")}
    assert {tuple(found) for found in names([])} == {()}


def test_the_admission_policy_is_in_force_for_one_account_and_refuses_what_it_can_not_judge() -> None:
    [policy], [binding] = policies("--namespace", "shop", release="web")
    assert policy["metadata"]["name"] == binding["spec"]["policyName"] == "shop-web-corepod-operator"
    assert binding["spec"]["validationActions"] == ["Deny"]
    assert policy["spec"]["failurePolicy"] == "Fail"
    [condition] = policy["spec"]["matchConditions"]
    account = "'system:serviceaccount:' + 'shop' + ':' + 'web-corepod-operator'"
    assert condition["expression"] == f"request.userInfo.username == {account}"
    [rule] = policy["spec"]["matchConstraints"]["resourceRules"]
    assert [rule["resources"], rule["operations"]] == [["*/*"], ["*"]]


def test_there_is_no_admission_policy_without_its_operator_or_with_the_value() -> None:
    assert policies(admissionPolicy={"enabled": False}) == ([], [])
    assert policies(enabled=False) == ([], [])
    assert policies(replicas=0) == ([], [])


def test_namespaces_of_kubernetes_are_closed_where_all_are_open() -> None:
    assert "kube-" not in str(policies())
    assert "startsWith('kube-')" in str(policies(allNamespaces=True))


@pytest.mark.parametrize(
    ("operator", "words"),
    [
        (
            {"allNamespaces": True, "namespaces": ["shop"]},
            "operator.namespaces and operator.allNamespaces are both set",
        ),
        ({"namespaces": ["Shop"]}, "Shop"),
        ({"namespaces": ["shop,blog"]}, "shop,blog"),
    ],
)
def test_namespaces_that_can_not_be_are_refused(operator: Object, words: str) -> None:
    assert words in refused({"operator": {"enabled": True, **operator}})


def test_datagrams_come_from_the_namespaces_that_the_operator_manages() -> None:
    def source(**operator: Any) -> Object:
        objects = chart({"operator": {"enabled": True, **operator}, "networkPolicy": {"enabled": True}})
        ingress = find(objects, "NetworkPolicy", "corepod-operator")["spec"]["ingress"]
        peer: Object = ingress[1]["from"][0]
        return peer

    assert "namespaceSelector" not in source()
    assert source(allNamespaces=True)["namespaceSelector"] == {}
    [expression] = source(namespaces=["shop"])["namespaceSelector"]["matchExpressions"]
    assert expression["values"] == ["default", "shop"]


def test_the_root_file_system_cannot_be_written_unless_asked_for() -> None:
    def read_only(values: Object) -> set[bool]:
        specs = pod_specs(chart({**values, "operator": {"enabled": False}}))
        return {c["securityContext"]["readOnlyRootFilesystem"] for spec in specs for c in spec["containers"]}

    assert read_only({}) == {True}
    assert read_only({"readOnlyRootFilesystem": False}) == {False}


def test_tmp_has_a_bound() -> None:
    [volume] = find(chart({"tmpSize": "1Gi"}), "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert volume == {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}
