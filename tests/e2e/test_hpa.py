"""A HorizontalPodAutoscaler on the worker's CPU, the operator off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.kube import TOOL, Refused, get, items, kubectl, until
from tests.e2e.load import Load

if TYPE_CHECKING:
    from tests.e2e.release import Release

SLOW = 180.0  # seconds: the metrics server looks every 10 to 15 s, and so does the autoscaler


@pytest.fixture
def metrics_server(cluster: None) -> None:
    """The metrics API is there."""
    try:
        kubectl("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes")
    except Refused:
        if TOOL:
            pytest.fail("no metrics API; run `cluster metrics-server`")
        pytest.skip("no metrics API: kind comes without, see docs/deploy.md")


@pytest.mark.usefixtures("metrics_server")
def test_it_scales_up_under_load_and_not_before(release: Release) -> None:
    scaling = {"enabled": True, "minReplicas": 1, "maxReplicas": 2, "targetCPU": 60}
    release.install(replicas=None, cpu={"preset": "shared", "request": "200m"}, autoscaling=scaling).ready(1)

    def measured() -> bool:
        metrics = get("hpa", release.full_name, "-n", release.namespace)["status"].get("currentMetrics") or []
        return any("averageUtilization" in m.get("containerResource", {}).get("current", {}) for m in metrics)

    # The control: with a number for an idle pod, nothing is scaled.
    until(measured, "a measured utilisation", SLOW)
    assert release.deployment()["spec"]["replicas"] == 1
    # About half a core: more than twice of what was requested, and less than the machine has.
    with Load(release.url, 4, path="/generate-report?size=150000"):
        release.ready(2, SLOW)

    def told() -> bool:
        events = items("events", "-n", release.namespace, "--field-selector", "reason=SuccessfulRescale")
        return any("New size: 2" in event["message"] for event in events)

    until(told, "an Event, which is written beside")
