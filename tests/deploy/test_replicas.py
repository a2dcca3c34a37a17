"""The number of pods has one owner, and no upgrade takes away what runs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.deploy.render import chart, find
from tools.fakeapi import FakeApi

if TYPE_CHECKING:
    from tests.deploy.render import Object

HPA: Object = {"autoscaling": {"enabled": True, "minReplicas": 3, "maxReplicas": 20}}
OWNER = "corepod.dev/replicas-by"


def upgrade(values: Object, *, live: int, by_chart: bool) -> Object:
    """The Deployment that an upgrade makes where one with `live` pods runs."""
    metadata: Object = {"name": "corepod", "namespace": "default", "annotations": {"other": "x"}}
    if by_chart:
        metadata["annotations"][OWNER] = "chart"
    running = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": live}}
    with FakeApi() as api, tempfile.TemporaryDirectory() as folder:
        api.store.put("deployments", running)
        kubeconfig = str(api.kubeconfig(Path(folder)))
        return find(chart(values, "--dry-run=server", "--kubeconfig", kubeconfig), "Deployment")


def replicas(deployment: Object) -> int | None:
    """The number the chart sets, None where it sets none. It always remembers that it has set one."""
    number: int | None = deployment["spec"].get("replicas")
    owner = deployment["metadata"].get("annotations", {}).get(OWNER)
    assert owner == (None if number is None else "chart")
    return number


@pytest.mark.parametrize("values", [{}, {"replicas": None}, HPA, {**HPA, "replicas": 5}])
def test_who_scales_owns_the_number_from_the_start(values: Object) -> None:
    assert replicas(find(chart(values), "Deployment")) is None


@pytest.mark.parametrize("number", [0, 1, 7])
def test_a_number_in_the_values_is_the_chart_s(number: int) -> None:
    assert replicas(find(chart({"replicas": number}), "Deployment")) == number
    # Whoever writes the number down means it, also where somebody has scaled by hand since.
    assert replicas(upgrade({"replicas": number}, live=9, by_chart=True)) == number


@pytest.mark.parametrize("values", [{}, HPA])
def test_what_the_chart_never_set_it_never_touches(values: Object) -> None:
    """An upgrade, or switching the autoscaler on: Helm patches only what its manifests had, so any number stays."""
    assert replicas(upgrade(values, live=9, by_chart=False)) is None


@pytest.mark.parametrize(("values", "live", "expected"), [({}, 9, 9), (HPA, 9, 9), (HPA, 2, 3), (HPA, 30, 30)])
def test_what_the_chart_has_set_once_stays_as_it_is(values: Object, live: int, expected: int) -> None:
    """Left out, it would be taken for removed, and a Deployment without it has one pod."""
    assert replicas(upgrade(values, live=live, by_chart=True)) == expected


def test_the_autoscaler_scales_this_deployment_by_the_worker_s_cpu() -> None:
    objects = chart(HPA)
    autoscaler = find(objects, "HorizontalPodAutoscaler")["spec"]
    deployment = find(objects, "Deployment")
    assert autoscaler["scaleTargetRef"] == {
        "apiVersion": deployment["apiVersion"],
        "kind": deployment["kind"],
        "name": deployment["metadata"]["name"],
    }
    assert (autoscaler["minReplicas"], autoscaler["maxReplicas"]) == (3, 20)
    [metric] = autoscaler["metrics"]
    assert metric["containerResource"]["container"] in [
        container["name"] for container in deployment["spec"]["template"]["spec"]["containers"]
    ]


def test_a_full_cluster_gets_no_pod_more_in_a_rollout() -> None:
    def surge(values: Object) -> tuple[int | str, int | str]:
        rolling = find(chart(values), "Deployment")["spec"]["strategy"]["rollingUpdate"]
        return rolling["maxSurge"], rolling["maxUnavailable"]

    for preset in ("exclusive", "shared"):
        assert surge({"cpu": {"preset": preset}}) == ("25%", 0)
        assert surge({"cpu": {"preset": preset}, "full": True}) == (0, "10%")
