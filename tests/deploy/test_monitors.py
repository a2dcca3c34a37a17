"""How Prometheus finds the pods: ServiceMonitors, PodMonitors and annotations."""

from __future__ import annotations

import pytest

from tests.deploy.render import Object, chart, containers, find, refused

PARTS: Object = {"operator": {"enabled": True}, "front": {"enabled": True}}
SERVICES = {"corepod": "corepod-admin", "corepod-operator": "corepod-operator", "corepod-front": "corepod-front-admin"}


def monitors(kind: str, **values: object) -> dict[str, Object]:
    switch = {"podMonitor": {"enabled": True}} if kind == "PodMonitor" else {}
    monitor = {"enabled": kind == "ServiceMonitor", **values}
    objects = chart({**PARTS, **switch, "serviceMonitor": monitor})
    return {o["metadata"]["name"]: o for o in objects if o["kind"] == kind}


@pytest.mark.parametrize(("kind", "list_of"), [("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")])
def test_details_reach_every_monitor(kind: str, list_of: str) -> None:
    relabel, drop = {"targetLabel": "team", "replacement": "shop"}, {"action": "drop", "regex": "haproxy_.*"}
    found = monitors(
        kind,
        interval="30s",
        scrapeTimeout="10s",
        labels={"release": "prometheus"},
        relabelings=[relabel],
        metricRelabelings=[drop],
    )
    assert set(found) == set(SERVICES)
    for monitor in found.values():
        [endpoint] = monitor["spec"][list_of]
        assert monitor["metadata"]["labels"]["release"] == "prometheus"
        assert (endpoint["path"], endpoint["interval"], endpoint["scrapeTimeout"]) == ("/metrics", "30s", "10s")
        assert endpoint["relabelings"][-1] == relabel
        assert endpoint["metricRelabelings"] == [drop]


def test_pod_monitors_find_pods_and_give_the_label_that_alerts_select() -> None:
    objects = chart(PARTS)
    for name, monitor in monitors("PodMonitor").items():
        template = find(objects, "Deployment", name)["spec"]["template"]
        assert monitor["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        [endpoint] = monitor["spec"]["podMetricsEndpoints"]
        assert endpoint["port"] in {port["name"] for c in containers(template["spec"]) for port in c["ports"]}
        assert endpoint["relabelings"] == [{"targetLabel": "service", "replacement": SERVICES[name]}]


def test_service_monitors_find_one_service_each() -> None:
    services = [o for o in chart(PARTS) if o["kind"] == "Service"]
    for name, monitor in monitors("ServiceMonitor").items():
        selector = monitor["spec"]["selector"]["matchLabels"].items()
        [found] = [o for o in services if selector <= o["metadata"]["labels"].items()]
        assert found["metadata"]["name"] == SERVICES[name]
        assert "relabelings" not in monitor["spec"]["endpoints"][0]


def test_annotations_name_the_port_with_the_metrics() -> None:
    objects = chart({**PARTS, "scrapeAnnotations": True, "podAnnotations": {"note": "yes"}})
    for name in SERVICES:
        template = find(objects, "Deployment", name)["spec"]["template"]
        annotations = template["metadata"]["annotations"]
        assert (annotations["prometheus.io/scrape"], annotations["prometheus.io/path"]) == ("true", "/metrics")
        ports = {port["name"]: port["containerPort"] for c in containers(template["spec"]) for port in c["ports"]}
        assert int(annotations["prometheus.io/port"]) == ports.get("admin", ports.get("stats"))
    assert find(objects, "Deployment", "corepod")["spec"]["template"]["metadata"]["annotations"]["note"] == "yes"
    assert "prometheus.io" not in str(chart(PARTS))


def test_an_annotation_of_one_s_own_wins() -> None:
    values = {"scrapeAnnotations": True, "podAnnotations": {"prometheus.io/port": "8080"}}
    template = find(chart(values), "Deployment", "corepod")["spec"]["template"]
    assert template["metadata"]["annotations"]["prometheus.io/port"] == "8080"


def test_what_prometheus_refuses_is_refused() -> None:
    monitor: Object = {"enabled": True, "interval": "1m", "scrapeTimeout": "90s"}
    assert "longer than serviceMonitor.interval" in refused({"serviceMonitor": monitor})
    assert chart({"serviceMonitor": {**monitor, "scrapeTimeout": "60s"}})
    assert "scraped twice" in refused({"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}})
