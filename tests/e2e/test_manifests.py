"""The API server's own opinion of everything that the chart and the overlays can make."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.deploy.render import parsed
from tests.e2e.kube import CHART, ROOT, Refused, helm, kubectl
from tests.e2e.release import Release

CUSTOM = ("HTTPRoute", "ServiceMonitor", "PrometheusRule")  # their definitions aren't in the cluster
EVERYTHING: dict[str, Any] = {
    "service": {"type": "LoadBalancer", "trafficDistribution": "PreferSameZone", "externalTrafficPolicy": "Local"},
    "ingress": {"enabled": True},
    "httpRoute": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "serviceMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
    "autoscaling": {"enabled": True},
    "priorityClassName": "system-cluster-critical",
    "settings": {"log_format": "json", "ready_path": "/healthz"},
}
OVERLAYS = sorted(path.name for path in (ROOT / "deploy/k8s/overlays").iterdir())


def dry_run(namespace: str, manifest: str) -> str:
    """As if applied. Raises Refused for what is invalid, unknown, or against Pod Security "restricted"."""
    options = ("--dry-run=server", "--validate=strict", "--warnings-as-errors")
    return kubectl("apply", "-n", namespace, *options, "-f", "-", stdin=manifest)


def render(namespace: str, values: dict[str, Any]) -> str:
    """The chart's objects, those of custom kinds left out."""
    text = helm("template", "web", str(CHART), "-n", namespace, "--no-hooks", "--kube-version", "1.34", values=values)
    objects = parsed(text)
    known = [document for document in objects if document["kind"] not in CUSTOM]
    assert len(objects) - len(known) <= len(CUSTOM)
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": known})


@pytest.mark.parametrize(
    "values",
    [{}, {"cpu": {"preset": "shared"}, "full": True}, EVERYTHING],
    ids=["defaults", "shared and full", "everything"],
)
def test_the_api_server_takes_what_the_chart_makes(namespace: str, values: dict[str, Any]) -> None:
    told = dry_run(namespace, render(namespace, values))
    assert "deployment.apps/web-corepod created (server dry run)" in told


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_api_server_takes_what_an_overlay_makes(namespace: str, overlay: str) -> None:
    told = dry_run(namespace, kubectl("kustomize", f"deploy/k8s/overlays/{overlay}"))
    assert "deployment.apps/corepod created (server dry run)" in told


def test_the_dry_run_sees_what_is_wrong(namespace: str) -> None:
    """The control: a field that doesn't exist, and a pod that isn't restricted."""
    manifest = json.loads(render(namespace, {}))
    deployment = next(document for document in manifest["items"] if document["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    pod["hostNetwork"] = True
    with pytest.raises(Refused, match="would violate PodSecurity"):
        dry_run(namespace, json.dumps(deployment))
    pod["hostNetwork"], pod["containres"] = False, []
    with pytest.raises(Refused, match="containres"):
        dry_run(namespace, json.dumps(deployment))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"replicsa": 3}, "replicsa"),
        ({"cpu": {"preset": "exlusive"}}, "exclusive"),
        ({"settings": {"lame_duk": 3}}, "lame_duk"),
        ({"memory": {"request": "256 MB"}}, "memory"),
        ({"replicas": -1}, "replicas"),
        ({"cpu": {"preset": "exclusive", "request": "500m"}}, "requests whole cores"),
        ({"extraContainers": [{"name": "proxy", "image": "proxy"}]}, "the container proxy has no cpu limit"),
    ],
    ids=str,
)
def test_bad_values_are_refused_with_their_name(namespace: str, values: dict[str, Any], says: str) -> None:
    with pytest.raises(Refused, match=says):
        Release(namespace).helm("install", values=values, wait=False)


@pytest.mark.parametrize("overlay", ["full", "shared"])
def test_an_overlay_runs(namespace: str, overlay: str) -> None:
    release = Release(namespace, "corepod")
    folder = f"deploy/k8s/overlays/{overlay}"
    kubectl("apply", "-n", namespace, "-k", folder)
    try:
        [pod] = release.ready(1)
        assert pod.worker().cores.isdecimal() == (overlay == "full")
    finally:
        kubectl("delete", "-n", namespace, "-k", folder, "--wait")
