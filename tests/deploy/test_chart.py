"""What the chart makes without any values, and that its objects find each other."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import corepod
import pytest
from corepod.config.spec import BY_NAME
from corepod.contract.env import ADMIN_PORT, APP_PORT

from tests.deploy.render import (
    CHART,
    chart,
    containers,
    environment,
    find,
    helm_template,
    kinds,
    pod_specs,
    run,
    worker,
)
from tests.plugins.needs import program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.deploy.render import Object

EVERYTHING: dict[str, Any] = {
    name: {"enabled": True}
    for name in ("autoscaling", "ingress", "httpRoute", "networkPolicy", "serviceMonitor", "prometheusRule")
}
LABELS = ("name", "instance", "version", "component", "managed-by", "part-of")


@pytest.fixture(scope="module")
def plain() -> list[Object]:
    return chart()


@pytest.fixture(scope="module")
def everything() -> list[Object]:
    return chart(EVERYTHING)


def test_what_there_is(plain: list[Object], everything: list[Object]) -> None:
    usual = {"Deployment", "Service", "ServiceAccount", "PodDisruptionBudget", "Pod"}
    rights = {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
    assert kinds(plain) == usual | rights | {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    more = {"HorizontalPodAutoscaler", "Ingress", "HTTPRoute", "NetworkPolicy", "ServiceMonitor", "PrometheusRule"}
    # With an autoscaler there is no operator: the number of pods has one owner.
    assert kinds(everything) == usual | more


def test_helm_finds_nothing_to_complain_about() -> None:
    result = run(program("helm"), "lint", "--strict", str(CHART), "--kube-version", "1.34.0")
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_object_is_labelled_and_in_the_release_s_namespace(everything: list[Object]) -> None:
    for o in everything:
        labels = o["metadata"]["labels"]
        assert all(f"app.kubernetes.io/{label}" in labels for label in LABELS), o["metadata"]
        assert labels["app.kubernetes.io/version"] == corepod.__version__
        assert o["metadata"]["namespace"] == "default"


def test_selectors_find_the_workers_and_nothing_else(everything: list[Object]) -> None:
    deployment = find(everything, "Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    selectors = [o["spec"]["selector"] for o in everything if o["kind"] == "Service"]
    selectors += [find(everything, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"]]
    selectors += [find(everything, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"]]
    spread = deployment["template"]["spec"]["topologySpreadConstraints"]
    selectors += [constraint["labelSelector"]["matchLabels"] for constraint in spread]
    test = find(everything, "Pod")["metadata"]["labels"]
    for selector in selectors:
        assert selector == deployment["selector"]["matchLabels"]
        assert selector.items() <= labels.items()
        assert not selector.items() <= test.items()


def test_two_releases_in_a_namespace_do_not_meet() -> None:
    one, two = chart(release="one"), chart(release="two")
    names = [(o["kind"], o["metadata"]["name"]) for o in one + two]
    assert len(names) == len(set(names))
    selector = find(one, "Deployment")["spec"]["selector"]["matchLabels"]
    assert not selector.items() <= find(two, "Deployment")["spec"]["template"]["metadata"]["labels"].items()


def test_a_long_release_name_gives_valid_names() -> None:
    for o in chart(EVERYTHING, release="r" * 53):
        assert len(o["metadata"]["name"]) <= 63
        assert all(len(str(value)) <= 63 for value in o["metadata"]["labels"].values())


def test_what_is_selected_cannot_change_with_a_version(plain: list[Object]) -> None:
    selector = find(plain, "Deployment")["spec"]["selector"]["matchLabels"]
    assert set(selector) == {f"app.kubernetes.io/{label}" for label in ("name", "instance", "component")}


def test_a_new_chart_alone_replaces_no_pod(plain: list[Object]) -> None:
    assert "helm.sh/chart" not in find(plain, "Deployment")["spec"]["template"]["metadata"]["labels"]


def test_ports_and_probes_are_the_program_s(plain: list[Object]) -> None:
    container = worker(plain)
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "http": APP_PORT,
        "admin": ADMIN_PORT,
    }
    probes = {name: container[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startupProbe": "/startupz",
        "readinessProbe": "/readyz",
        "livenessProbe": "/livez",
    }
    assert {probe["port"] for probe in probes.values()} == {"admin"}
    # The program's own defaults have to be these ports, on all addresses: the chart passes none.
    assert BY_NAME["bind"].pod == [f"*:{APP_PORT}"]
    assert BY_NAME["admin"].pod == f"*:{ADMIN_PORT}"


def test_a_restart_of_milliseconds_takes_no_pod_out(plain: list[Object]) -> None:
    assert worker(plain)["readinessProbe"]["failureThreshold"] >= 2


def test_services_lead_to_ports_of_the_worker(everything: list[Object]) -> None:
    names = {port["name"] for port in worker(everything)["ports"]}
    services = [o for o in everything if o["kind"] == "Service"]
    assert {port["targetPort"] for s in services for port in s["spec"]["ports"]} == names
    http = find(everything, "Service", "corepod")["spec"]["ports"]
    assert [port["targetPort"] for port in http] == ["http"], "the admin port must not be in the public Service"
    rule = find(everything, "Ingress")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert rule == {"name": "corepod", "port": {"name": http[0]["name"]}}
    route = find(everything, "HTTPRoute")["spec"]["rules"][0]
    assert route["backendRefs"] == [{"name": "corepod", "port": http[0]["port"]}]
    assert route["matches"], "the rule keeps what the values say"


def test_metrics_are_scraped_from_pods_that_are_not_ready_too(everything: list[Object]) -> None:
    admin = find(everything, "Service", "corepod-admin")
    assert admin["spec"]["publishNotReadyAddresses"] is True
    assert admin["spec"]["clusterIP"] == "None"
    monitor = find(everything, "ServiceMonitor")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= admin["metadata"]["labels"].items()
    public = find(everything, "Service", "corepod")["metadata"]["labels"]
    assert not monitor["selector"]["matchLabels"].items() <= public.items()
    assert [e["port"] for e in monitor["endpoints"]] == [port["name"] for port in admin["spec"]["ports"]]


def test_the_image_is_the_one_that_is_built_here(plain: list[Object]) -> None:
    images = {c["image"] for spec in pod_specs(plain) for c in containers(spec)}
    assert images == {f"corepod:{corepod.__version__}", f"corepod-operator:{corepod.__version__}"}
    assert {c["imagePullPolicy"] for spec in pod_specs(plain) for c in containers(spec)} == {"IfNotPresent"}


def test_the_worker_knows_where_it_runs(plain: list[Object]) -> None:
    assert environment(worker(plain)) == {
        "COREPOD_APP": "corepod.demo:app",
        "COREPOD_WORKERS": "1",
        "COREPOD_NOTIFY": "corepod-operator:9001",
        "POD_NAME": {"fieldRef": {"fieldPath": "metadata.name"}},
        "NODE_NAME": {"fieldRef": {"fieldPath": "spec.nodeName"}},
    }


def test_a_lost_node_s_pods_are_replaced_soon(plain: list[Object]) -> None:
    tolerations = find(plain, "Deployment")["spec"]["template"]["spec"]["tolerations"]
    assert {(t["key"], t["tolerationSeconds"]) for t in tolerations} == {
        ("node.kubernetes.io/not-ready", 30),
        ("node.kubernetes.io/unreachable", 30),
    }


def test_a_broken_pod_never_blocks_a_drain(plain: list[Object]) -> None:
    budget = find(plain, "PodDisruptionBudget")["spec"]
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert budget["maxUnavailable"] == 1


def test_the_reason_of_an_end_is_shown(plain: list[Object]) -> None:
    container = worker(plain)
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert container.get("terminationMessagePath", "/dev/termination-log") == BY_NAME["termination_log"].pod


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, ["port-forward service/corepod 8000:80", "Cpus_allowed_list", "cpuManagerPolicy: static"]),
        ({}, ["helm -n default test corepod"]),
        ({"cpu": {"preset": "shared"}}, ["neither pinned nor throttled"]),
        ({"cpu": {"preset": "shared"}}, ["cpu.preset=exclusive"]),
        ({}, ["asks for 1 whole core(s)", "begin with --set cpu.preset=shared"]),
        ({"service": {"type": "NodePort"}}, ["nodePort", "component=worker", "hostIP", 'address="[$address]"']),
        ({"service": {"type": "LoadBalancer"}}, ["wait service/corepod", "http://$address:80/"]),
        (
            {"service": {"type": "LoadBalancer"}, "settings": {"tls_cert": "/a"}},
            ["curl --insecure https://$address:80/"],
        ),
        ({"externalURL": "http://127.0.0.1:8080"}, ["  http://127.0.0.1:8080\n"]),
        ({"ingress": {"enabled": True}}, ["http://corepod.local/", "get ingress corepod"]),
        (
            {"httpRoute": {"enabled": True, "hostnames": ["shop.example"]}},
            ["http://shop.example/", "get gateway gateway"],
        ),
        ({"ingress": {"enabled": True, "tls": [{"hosts": ["a"]}]}}, ["https://corepod.local/"]),
        ({"autoscaling": {"enabled": True}}, ["get hpa corepod"]),
        ({}, ["Each pod has a state of its own", "--set state.valkey.enabled=true"]),
        ({"state": {"valkey": {"enabled": True}}}, ["share their state", "deployment/corepod-valkey", "loses it"]),
        ({"state": {"existing": {"secret": "my-redis"}}}, ["is in the Secret my-redis"]),
        (
            {"front": {"enabled": True, "concurrency": 1}},
            ["service/corepod-front 8000:80", "WARNING: a WebSocket"],
        ),
        ({"front": {"enabled": True}}, ["room for 50 pods", "the front's address in the place of the client's"]),
        ({"front": {"enabled": True}, "networkPolicy": {"enabled": True}}, ["lets nobody else connect to them"]),
        ({"front": {"enabled": True}, "service": {"type": "NodePort"}}, ["WARNING: the Service corepod is a NodePort"]),
        ({"front": {"enabled": True, "service": {"type": "LoadBalancer"}}}, ["wait service/corepod-front"]),
        ({}, ["at what the nodes can hold, up to 20.", "worker-restarts", "logs deployment/corepod-operator"]),
    ],
)
def test_the_notes_say_how_to_go_on(values: Object, words: list[str], tmp_path: Path) -> None:
    text = notes(values, tmp_path)
    assert all(word in text for word in words), text


def test_one_pod_needs_no_shared_state(tmp_path: Path) -> None:
    assert "state of its own" not in notes({"replicas": 1}, tmp_path / "one")
    assert "state of its own" in notes({"replicas": 2}, tmp_path / "two")


def notes(values: Object, tmp_path: Path) -> str:
    # `helm template` leaves the notes out, an installation needs a cluster: here they are a document like any other.
    copy = tmp_path / "corepod"
    shutil.copytree(CHART, copy)
    (copy / "templates" / "NOTES.txt").rename(copy / "notes.txt")
    template = 'kind: Notes\nmetadata: {name: notes}\ntext: {{ tpl (.Files.Get "notes.txt") . | toJson }}\n'
    (copy / "templates" / "notes.yaml").write_text(template)
    text: str = find(chart(values, folder=copy), "Notes")["text"]
    return text


def test_a_name_that_is_no_release_name_is_refused() -> None:
    """Negative control of the renderer: what helm refuses fails the test that renders it."""
    assert helm_template({}, release="Not_A_Name").returncode != 0
