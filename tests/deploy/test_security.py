"""Every pod passes Pod Security "restricted", carries no token and no password."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from tests.deploy.render import K8S, Object, chart, containers, find, kustomize, pod_specs
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


def test_the_root_file_system_cannot_be_written_unless_asked_for() -> None:
    def read_only(values: Object) -> set[bool]:
        specs = pod_specs(chart({**values, "operator": {"enabled": False}}))
        return {c["securityContext"]["readOnlyRootFilesystem"] for spec in specs for c in spec["containers"]}

    assert read_only({}) == {True}
    assert read_only({"readOnlyRootFilesystem": False}) == {False}


def test_tmp_has_a_bound() -> None:
    [volume] = find(chart({"tmpSize": "1Gi"}), "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert volume == {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}
