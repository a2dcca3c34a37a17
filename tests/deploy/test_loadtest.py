"""Locust beside the application: off by default, never on a whole core, and let in where the pods choose whom."""

from __future__ import annotations

import pytest

from tests.deploy.render import Object, chart, find, pod_specs, refused
from tests.deploy.test_security import violations

ON: Object = {"loadtest": {"enabled": True}}


def objects(values: Object) -> list[Object]:
    """Those of the load test."""
    return [o for o in chart(values) if o["metadata"]["labels"].get("app.kubernetes.io/component") == "loadtest"]


def locust(values: Object, role: str) -> Object:
    spec: Object = find(objects(values), "Deployment", f"corepod-loadtest-{role}")["spec"]["template"]["spec"]
    return spec


def test_by_default_there_is_none() -> None:
    assert objects({}) == []


def test_a_master_with_its_page_and_workers_that_find_it() -> None:
    assert sorted((o["kind"], o["metadata"]["name"]) for o in objects(ON)) == [
        ("Deployment", "corepod-loadtest-master"),
        ("Deployment", "corepod-loadtest-worker"),
        ("Service", "corepod-loadtest"),
    ]
    service = find(objects(ON), "Service")["spec"]
    master = find(objects(ON), "Deployment", "corepod-loadtest-master")["spec"]
    assert service["selector"].items() <= master["template"]["metadata"]["labels"].items()
    ports = {port["name"]: port["containerPort"] for port in master["template"]["spec"]["containers"][0]["ports"]}
    assert {port["targetPort"]: port["port"] for port in service["ports"]} == ports
    assert locust(ON, "master")["containers"][0]["args"] == ["--master", "--host=http://corepod:80"]
    assert locust(ON, "worker")["containers"][0]["args"] == ["--worker", "--master-host=corepod-loadtest"]


def test_the_application_s_service_does_not_choose_them() -> None:
    labels = find(objects(ON), "Deployment", "corepod-loadtest-master")["spec"]["template"]["metadata"]["labels"]
    chosen = find(chart(ON), "Service", "corepod")["spec"]["selector"]
    assert not chosen.items() <= labels.items()


@pytest.mark.parametrize("role", ["master", "worker"])
def test_they_never_get_a_whole_core_and_are_never_throttled(role: str) -> None:
    resources = locust(ON, role)["containers"][0]["resources"]
    assert resources["requests"]["cpu"].endswith("m")
    assert "cpu" not in resources["limits"]


@pytest.mark.parametrize("cpu", ["1", 2, "4"])
def test_a_whole_core_is_refused(cpu: object) -> None:
    assert "loadtest" in refused({"loadtest": {"enabled": True, "cpu": cpu}})


def test_values_reach_their_places() -> None:
    values: Object = {
        "service": {"port": 8080},
        "loadtest": {
            **ON["loadtest"],
            "workers": 3,
            "args": ["--rate=2"],
            "image": {"repository": "registry.example/load", "tag": "2"},
            "cpu": "200m",
            "memory": "1Gi",
            "nodeSelector": {"pool": "load"},
            "tolerations": [{"operator": "Exists"}],
        },
    }
    assert find(objects(values), "Deployment", "corepod-loadtest-worker")["spec"]["replicas"] == 3
    spec = locust(values, "worker")
    container = spec["containers"][0]
    assert container["image"] == "registry.example/load:2"
    assert container["args"][-1] == "--rate=2"
    assert "--host=http://corepod:8080" in locust(values, "master")["containers"][0]["args"]
    assert container["resources"]["requests"] == {"cpu": "200m", "memory": "1Gi"}
    assert (spec["nodeSelector"], spec["tolerations"]) == ({"pool": "load"}, [{"operator": "Exists"}])
    other = {"loadtest": {"enabled": True, "host": "https://shop.example"}}
    assert "--host=https://shop.example" in locust(other, "master")["containers"][0]["args"]


def test_their_pods_are_restricted_and_carry_no_token() -> None:
    specs = pod_specs(objects(ON))
    assert len(specs) == 2
    assert [violations(spec) for spec in specs] == [[], []]
    assert not any(spec["automountServiceAccountToken"] for spec in specs)


def test_pods_that_choose_whom_they_let_in_let_them_in() -> None:
    chosen: Object = {"networkPolicy": {"enabled": True, "httpFrom": [{"podSelector": {"matchLabels": {"a": "b"}}}]}}
    policy = find(chart({**ON, **chosen}), "NetworkPolicy", "corepod")
    peers = policy["spec"]["ingress"][0]["from"]
    labels = find(objects(ON), "Deployment", "corepod-loadtest-worker")["spec"]["template"]["metadata"]["labels"]
    assert any(peer["podSelector"]["matchLabels"].items() <= labels.items() for peer in peers)
    closed = find(chart(chosen), "NetworkPolicy", "corepod")["spec"]["ingress"][0]["from"]
    assert len(peers) == len(closed) + 1


def test_with_policies_only_its_workers_reach_the_master() -> None:
    policy = find(objects({**ON, "networkPolicy": {"enabled": True}}), "NetworkPolicy")["spec"]
    for role in ("master", "worker"):
        template = find(objects(ON), "Deployment", f"corepod-loadtest-{role}")["spec"]["template"]
        assert policy["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    [rule] = policy["ingress"]
    assert rule["ports"] == [{"port": "workers"}]
    assert rule["from"] == [{"podSelector": policy["podSelector"]}]
