"""What the operator's account may write, asked with that account on a real API server. No operator runs for this."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.deploy.render import parsed
from tests.e2e.conftest import IMAGE
from tests.e2e.fleet import container
from tests.e2e.kube import CHART, Refused, apply, get, helm, kubectl, until

if TYPE_CHECKING:
    from collections.abc import Iterator

RELEASE = "web"
MOST = 3
MARK = "corepod.dev/worker-restarts"
SIZED = "corepod.dev/sized"


RIGHTS = ("ClusterRole", "Role", "ServiceAccount", "ValidatingAdmissionPolicy")
# kubectl reads what it patches, which the operator doesn't.
READS = ("deployments.apps/scale", "statefulsets.apps/scale", "horizontalpodautoscalers.autoscaling")


class Account:
    """The service account of a release's operator, whose words and deeds count as with its token."""

    def __init__(self, namespace: str) -> None:
        self.namespace, self.name = namespace, f"{RELEASE}-corepod-operator"

    def kubectl(self, *words: str, namespace: str = "", stdin: str = "") -> str:
        user = f"--as=system:serviceaccount:{self.namespace}:{self.name}"
        return kubectl(user, "-n", namespace or self.namespace, *words, stdin=stdin)

    def patch(self, kind: str, name: str, change: dict[str, Any], *more: str, namespace: str = "") -> str:
        # A container of a pod is found by its name; a Scale can only be merged.
        how = "strategic" if kind == "pod" else "merge"
        return self.kubectl("patch", kind, name, f"--type={how}", "-p", json.dumps(change), *more, namespace=namespace)

    def create(self, document: dict[str, Any], *more: str, namespace: str = "") -> str:
        if "involvedObject" in document:
            about = {**document["involvedObject"], "namespace": namespace or self.namespace}
            document = {**document, "involvedObject": about}
        return self.kubectl("create", "-f", "-", *more, namespace=namespace, stdin=json.dumps(document))


class Attack(NamedTuple):
    """What a thief would do, and what the policy says to it."""

    says: str
    words: tuple[Any, ...]


def workload(kind: str, name: str, **meta: Any) -> dict[str, Any]:
    spec = {
        "replicas": 0,
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": container(name, IMAGE, "10m")},
    }
    more = {"serviceName": name} if kind == "StatefulSet" else {}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, **meta}, "spec": {**spec, **more}}


def pod(name: str, **meta: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, **meta},
        # Nobody has to run it.
        "spec": {**container(name, IMAGE, "10m"), "nodeSelector": {"nobody": "has-this-label"}},
    }


def autoscaler(name: str, kind: str, target: str) -> dict[str, Any]:
    reference = {"apiVersion": "apps/v1", "kind": kind, "name": target}
    spec = {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": 2}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": spec}


def event(component: str, about: str = "ours") -> dict[str, Any]:
    reference = {"apiVersion": "v1", "kind": "Pod", "name": about}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": "rights-"},
        "involvedObject": reference,
        "reason": "Tested",
        "message": "a test",
        "type": "Normal",
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": "a-test",
    }


def lease(name: str) -> dict[str, Any]:
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": {}}


def install(namespace: str, **operator: Any) -> None:
    """Of the chart's objects those that are about rights."""
    values = {"operator": {"enabled": True, "hpaBounds": True, **operator}}
    text = helm("template", RELEASE, str(CHART), "-n", namespace, "--no-hooks", "--kube-version", "1.34", values=values)
    objects = parsed(text)
    rights = [o for o in objects if o["kind"].startswith(RIGHTS)]
    apply(namespace, {"apiVersion": "v1", "kind": "List", "items": rights})


def uninstall(namespace: str) -> None:
    kinds = "validatingadmissionpolicy,validatingadmissionpolicybinding,clusterrole,clusterrolebinding"
    chosen = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=operator"
    kubectl("delete", kinds, "-l", chosen, "--wait=true")


@pytest.fixture(scope="module")
def account(namespace: str) -> Iterator[Account]:
    ours = {"labels": {SIZED: "true"}, "annotations": {"corepod.dev/max": str(MOST)}}
    apply(
        namespace,
        workload("Deployment", "ours", **ours),
        workload("StatefulSet", "ours", **ours),
        autoscaler("ours", "Deployment", "ours"),
        pod("ours", labels={MARK: "0", "app": "ours-pod"}, annotations={"someone": "else"}),
        pod("payroll", labels={"app": "payroll"}),
    )
    install(namespace)
    account = Account(namespace)
    reads = [f"--resource={resource}" for resource in READS]
    kubectl("create", "role", "reads", "-n", namespace, "--verb=get", *reads)
    user = f"--serviceaccount={namespace}:{account.name}"
    kubectl("create", "rolebinding", "reads", "-n", namespace, "--role=reads", user)
    try:
        # The API server takes a moment to put a new policy into force.
        until(lambda: PAYROLL.says in refusal(account, PAYROLL.words), "the policy in force")
        yield account
    finally:
        uninstall(namespace)


def refusal(account: Account, words: tuple[Any, ...]) -> str:
    """What the API server says to an attempt, empty if it takes it. Nothing is changed."""
    method, *rest = words
    try:
        dry = ("--dry-run=server",)
        if method == "patch":
            account.patch(*rest, *dry)
        elif method == "scale":
            kind, name, number = rest
            account.patch(kind, name, {"spec": {"replicas": number}}, "--subresource=scale", *dry)
        elif method == "create":
            account.create(rest[0], *dry)
        else:
            account.kubectl(*words)
    except Refused as error:
        return error.text
    return ""


def image(name: str) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": name, "image": "evil.example/x:1"}]}}


PAYROLL = Attack("only pods that have a label or annotation", ("patch", "pod", "payroll", image("payroll")))
OUTAGE = Attack("never scales a workload to 0", ("scale", "deployment", "ours", 0))
HPA = "only minReplicas and maxReplicas"
SERVICE = {"app.kubernetes.io/name": "corepod", "app.kubernetes.io/component": "worker"}
ATTACKS = {
    "another image in a stranger's pod": PAYROLL,
    "another image in a pod of its own": Attack("only labels and annotations", ("patch", "pod", "ours", image("ours"))),
    "the end of a pod": Attack(
        "only labels and annotations", ("patch", "pod", "ours", {"spec": {"activeDeadlineSeconds": 1}})
    ),
    "a stranger's pod into the Service": Attack(
        "only pods that have a label or annotation", ("patch", "pod", "payroll", {"metadata": {"labels": SERVICE}})
    ),
    "a mark for a stranger's pod": Attack(
        "only pods that have a label or annotation", ("patch", "pod", "payroll", {"metadata": {"labels": {MARK: "0"}}})
    ),
    "its own pod into another Service": Attack(
        "only labels and annotations", ("patch", "pod", "ours", {"metadata": {"labels": {"app": "payroll"}}})
    ),
    "its own pod out of its Service": Attack(
        "only labels and annotations", ("patch", "pod", "ours", {"metadata": {"labels": {"app": None}}})
    ),
    "a finalizer": Attack(
        "only labels and annotations", ("patch", "pod", "ours", {"metadata": {"finalizers": ["evil.example/x"]}})
    ),
    "an outage": OUTAGE,
    "another target of an autoscaler": Attack(
        HPA, ("patch", "hpa", "ours", {"spec": {"scaleTargetRef": {"name": "other"}}})
    ),
    "another controller's Lease": Attack("has one Lease", ("create", lease("kube-scheduler"))),
    "an Event in another name": Attack("only in its own name", ("create", event("kubelet"))),
    "Secrets": Attack("cannot list resource", ("get", "secrets")),
    "ConfigMaps": Attack("cannot list resource", ("get", "configmaps")),
    "a pod": Attack("cannot create resource", ("create", pod("new"))),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_what_a_stolen_token_can_not_do(account: Account, attack: Attack) -> None:
    assert attack.says in refusal(account, attack.words)


def test_another_role_changes_nothing(account: Account) -> None:
    """The policy judges whatever the account does, also with rights that the chart doesn't give."""
    user = f"--serviceaccount={account.namespace}:{account.name}"
    rights = ("--verb=get,create,patch,delete", "--resource=pods,deployments.apps")
    kubectl("create", "role", "mistake", "-n", account.namespace, *rights)
    kubectl("create", "rolebinding", "mistake", "-n", account.namespace, "--role=mistake", user)
    try:
        deletion = ("delete", "pod", "payroll", "--dry-run=server")
        until(lambda: "never does this" in refusal(account, deletion), "the role in force")
        assert "never does this" in refusal(account, ("create", pod("new")))
        template = {"spec": {"template": {"metadata": {"labels": {"x": "y"}}}}}
        assert "never does this" in refusal(account, ("patch", "deployment", "ours", template))
    finally:
        kubectl("delete", "rolebinding,role", "mistake", "-n", account.namespace)


def test_what_the_operator_does_passes(account: Account) -> None:
    account.patch("pod", "ours", {"metadata": {"labels": {MARK: "1-9"}, "annotations": {f"{MARK}-total": "1"}}})
    meta = get("pod", "ours", "-n", account.namespace)["metadata"]
    assert meta["labels"] == {MARK: "1-9", "app": "ours-pod"}
    assert {f"{MARK}-total": "1", "someone": "else"}.items() <= meta["annotations"].items()
    for kind in ("deployment", "statefulset"):
        assert not refusal(account, ("scale", kind, "ours", MOST))
    account.patch("hpa", "ours", {"spec": {"minReplicas": 2, "maxReplicas": MOST}})
    assert get("hpa", "ours", "-n", account.namespace)["spec"]["maxReplicas"] == MOST
    account.create(event("corepod-operator"))
    account.create(lease("corepod-operator"))
    change = {"spec": {"holderIdentity": "me"}}
    document = {**get("lease", "corepod-operator", "-n", account.namespace), **change}
    account.kubectl("replace", "-f", "-", stdin=json.dumps(document))


def test_nobody_else_is_judged(account: Account) -> None:
    """Neither people nor the account of the same name elsewhere, whom RBAC alone refuses."""
    kubectl("label", "pod", "payroll", "-n", account.namespace, "team=pay")
    kubectl("scale", "deployment", "ours", "-n", account.namespace, "--replicas=0")
    stranger = Account("default")
    with pytest.raises(Refused, match=r"cannot (get|patch) resource"):
        stranger.patch("pod", "payroll", {"metadata": {"labels": {"a": "b"}}}, namespace=account.namespace)


def test_with_all_namespaces_those_of_kubernetes_stay_closed(account: Account) -> None:
    """And the ClusterRole writes in no namespace without that value."""
    with pytest.raises(Refused, match=r"cannot (get|patch) resource"):
        account.patch("pod", "any", {}, namespace="kube-system")
    install(account.namespace, allNamespaces=True)

    def says() -> str:
        try:
            return account.create(event("corepod-operator"), namespace="kube-system")
        except Refused as error:
            return error.text

    until(lambda: "namespaces of Kubernetes itself" in says(), says)
    install(account.namespace)


def test_without_the_policy_the_roles_allow_more(account: Account) -> None:
    """The control, and the last test of this module."""
    uninstall(account.namespace)
    install(account.namespace, admissionPolicy={"enabled": False})
    for attack in (PAYROLL, OUTAGE):
        until(lambda: not refusal(account, attack.words), "an attack that succeeds")  # noqa: B023
