"""Services and ways in: families of addresses, ports, and what the API server would refuse."""

from __future__ import annotations

import pytest

from tests.deploy.render import Object, chart, find, refused

PARTS: Object = {
    "operator": {"enabled": True},
    "front": {"enabled": True},
    "state": {"valkey": {"enabled": True}},
    "loadtest": {"enabled": True},
}


def service(values: Object, name: str = "corepod") -> Object:
    return find(chart(values), "Service", name)


def test_the_families_of_addresses_are_those_of_every_service() -> None:
    families = {"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6", "IPv4"]}
    services = [o for o in chart({**PARTS, "service": families}) if o["kind"] == "Service"]
    assert len(services) == 8
    for found in services:
        assert {name: found["spec"][name] for name in families} == families, found["metadata"]["name"]
    for found in [o for o in chart(PARTS) if o["kind"] == "Service"]:
        assert not {*families} & {*found["spec"]}


def test_labels_an_address_and_more_ports() -> None:
    extra = {"name": "grpc", "port": 9090, "targetPort": "grpc", "appProtocol": "kubernetes.io/h2c"}
    own = {"labels": {"team": "shop"}, "clusterIP": "10.96.0.50"}
    found = service({"service": {**own, "extraPorts": [extra]}})
    assert found["metadata"]["labels"]["team"] == "shop"
    assert found["spec"]["clusterIP"] == "10.96.0.50"
    assert [port["name"] for port in found["spec"]["ports"]] == ["http", "grpc"]
    assert found["spec"]["ports"][1] == extra
    front = service({"front": {"enabled": True, "service": own}}, "corepod-front")
    assert (front["metadata"]["labels"]["team"], front["spec"]["clusterIP"]) == ("shop", "10.96.0.50")


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"clusterIP": "None"}, "service.headless"),
        ({"clusterIP": "10.96.0.5", "ipFamilies": ["IPv6"]}, "the first of service.ipFamilies is IPv6"),
        ({"ipFamilies": ["IPv4", "IPv6"]}, "PreferDualStack or RequireDualStack"),
        ({"nodePort": 30080}, "service.nodePort is set, but service.type is ClusterIP"),
        ({"externalTrafficPolicy": "Local"}, "service.externalTrafficPolicy is set"),
        ({"type": "NodePort", "loadBalancerClass": "a/b"}, "service.loadBalancerClass is set"),
        ({"type": "NodePort", "loadBalancerSourceRanges": ["10.0.0.0/8"]}, "service.loadBalancerSourceRanges is set"),
        ({"extraPorts": [{"name": "http", "port": 81}]}, "extraPorts has the port http"),
        ({"extraPorts": [{"name": "more", "port": 80}]}, "extraPorts has the port more"),
        ({"extraPorts": [{"name": "more", "port": 81, "nodePort": 30001}]}, "service.type is ClusterIP"),
        ({"labels": {"app.kubernetes.io/name": "x"}}, "service.labels has app.kubernetes.io/name"),
    ],
)
def test_what_the_api_server_would_refuse_is_refused_with_the_reason(values: Object, word: str) -> None:
    assert word in refused({"service": values})


@pytest.mark.parametrize(
    "values",
    [
        {"clusterIP": "fd00::5", "ipFamilies": ["IPv6"]},
        {"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "PreferDualStack"},
        {"type": "LoadBalancer", "nodePort": 30080, "externalTrafficPolicy": "Local", "loadBalancerClass": "a/b"},
        {"extraPorts": [{"name": "quic", "port": 80, "protocol": "UDP"}]},
    ],
)
def test_their_neighbours_are_fine(values: Object) -> None:
    assert chart({"service": values})


def test_one_port_of_the_nodes_leads_to_one_service() -> None:
    both = {"type": "NodePort", "nodePort": 30080}
    assert "are both 30080" in refused({"service": both, "front": {"enabled": True, "service": both}})


def rules(*found: Object, front: bool = False) -> list[Object]:
    route = find(
        chart({"httpRoute": {"enabled": True, "rules": list(found)}, "front": {"enabled": front}}), "HTTPRoute"
    )
    answer: list[Object] = route["spec"]["rules"]
    return answer


def test_rules_of_an_http_route() -> None:
    backends = [{"name": "corepod", "port": 80}]
    assert rules({}) == [{"backendRefs": backends}]
    assert rules({}, front=True) == [{"backendRefs": [{"name": "corepod-front", "port": 80}]}]
    timeouts = {"timeouts": {"request": "10s"}}
    assert rules(timeouts) == [{**timeouts, "backendRefs": backends}]
    canary = {"backendRefs": [{"name": "corepod", "port": 80, "weight": 9}, {"name": "next", "port": 80}]}
    redirect = {"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]}
    assert rules(canary, redirect) == [canary, redirect]


def test_an_ingress_for_every_host_with_the_usual_type_of_path() -> None:
    hosts = [{"host": "", "paths": [{"path": "/"}]}, {"host": "*.shop.example", "paths": [{"path": "/a"}]}]
    first, second = find(chart({"ingress": {"enabled": True, "hosts": hosts}}), "Ingress")["spec"]["rules"]
    assert "host" not in first
    assert first["http"]["paths"][0]["pathType"] == "Prefix"
    assert second["host"] == "*.shop.example"
    for host in ("UPPER", "a b", "http://shop.example"):
        assert "/ingress/hosts/0/host" in refused({"ingress": {"hosts": [{"host": host, "paths": [{"path": "/"}]}]}})


def test_an_autoscaler_by_memory_and_other_metrics() -> None:
    more = {
        "type": "Pods",
        "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": 100}},
    }

    def metrics(**values: object) -> list[Object]:
        scaler = find(chart({"autoscaling": {"enabled": True, **values}}), "HorizontalPodAutoscaler")
        found: list[Object] = scaler["spec"]["metrics"]
        return found

    cpu, memory, pods = metrics(targetMemory=80, metrics=[more])
    assert cpu["containerResource"]["name"] == "cpu"
    target = {"type": "Utilization", "averageUtilization": 80}
    assert memory["containerResource"] == {"name": "memory", "container": "worker", "target": target}
    assert pods == more
    assert metrics(targetCPU=None, metrics=[more]) == [more]
    assert "without a metric" in refused({"autoscaling": {"enabled": True, "targetCPU": None}})
