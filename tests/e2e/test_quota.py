"""A namespace whose quota counts limits of CPU: no pod without one is created there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.e2e.kube import DEADLINE, helm, items, kubectl, until

if TYPE_CHECKING:
    from tests.e2e.release import Release

QUOTA = "limits.cpu=3,limits.memory=3Gi,requests.cpu=2,requests.memory=3Gi"
LIMITED: dict[str, Any] = {
    "replicas": None,
    "cpu": {"preset": "shared"},
    "resources": {"limits": {"cpu": "1"}},
    "operator": {"enabled": True, "sizing": {"max": 1}, "resources": {"limits": {"cpu": "300m"}}},
}


def test_every_pod_has_the_limit_that_the_quota_asks_for(release: Release) -> None:
    kubectl("create", "quota", "limits", "-n", release.namespace, f"--hard={QUOTA}")
    [pod] = release.install(**LIMITED).ready()
    assert pod.document["spec"]["containers"][0]["resources"]["limits"]["cpu"] == "1"
    operator = f"deployment/{release.full_name}-operator"
    kubectl("rollout", "status", operator, "-n", release.namespace, f"--timeout={DEADLINE:g}s")
    assert "Succeeded" in helm("test", release.name, "-n", release.namespace)
    assert not refusals(release)
    # The control: a release without these values is what the quota keeps out.
    release.install(**{**LIMITED, "resources": {}}, wait=False)
    until(lambda: refusals(release), "a pod that the quota refuses")


def refusals(release: Release) -> list[str]:
    """Messages about pods that were not created."""
    events = items("events", "-n", release.namespace, "--field-selector=reason=FailedCreate")
    return [event["message"] for event in events if "must specify limits.cpu" in event["message"]]
