"""The presets: whole cores that the kubelet pins to, or a request and no limit."""

from __future__ import annotations

from typing import Any

import pytest

from tests.deploy.render import K8S, Object, chart, containers, environment, find, kustomize, refused, worker

SIDECAR: Object = {
    "name": "sidecar",
    "image": "sidecar",
    "resources": {"limits": {"cpu": "200m", "memory": "64Mi"}},
}


def spec(values: Object | None = None) -> Object:
    template: Object = find(chart(values), "Deployment")["spec"]["template"]["spec"]
    return template


def guaranteed(pod: Object) -> bool:
    """Whether Kubernetes gives the pod the class Guaranteed; requests that are left out are the limits'."""
    for container in containers(pod):
        limits = container.get("resources", {}).get("limits", {})
        requests = {**limits, **container.get("resources", {}).get("requests", {})}
        if any(name not in limits or requests[name] != limits[name] for name in ("cpu", "memory")):
            return False
    return True


def pinned(pod: Object) -> bool:
    """Whether the static CPU manager gives the worker cores of its own."""
    cpu = next(c for c in pod["containers"] if c["name"] == "worker")["resources"]["requests"]["cpu"]
    return guaranteed(pod) and str(cpu).isdigit()


def test_exclusive_is_the_default_and_pinned() -> None:
    assert pinned(spec())
    assert worker(chart())["resources"]["limits"]["cpu"] == "1"


def test_shared_is_neither_pinned_nor_throttled() -> None:
    """And the negative control of `pinned`."""
    pod = spec({"cpu": {"preset": "shared"}})
    assert not pinned(pod)
    assert "cpu" not in pod["containers"][0]["resources"]["limits"]
    assert pod["containers"][0]["resources"]["requests"] == {"cpu": "250m", "memory": "256Mi"}


@pytest.mark.parametrize("slots", [1, 3])
def test_slots_are_cores_and_workers(slots: int) -> None:
    container = worker(chart({"cpu": {"slots": slots}}))
    assert container["resources"]["requests"]["cpu"] == str(slots)
    assert environment(container)["COREPOD_WORKERS"] == str(slots)
    shared = worker(chart({"cpu": {"slots": slots, "preset": "shared"}}))
    assert shared["resources"]["requests"]["cpu"] == f"{250 * slots}m"


def test_shared_takes_its_own_numbers() -> None:
    values = {"cpu": {"preset": "shared", "request": "1500m"}, "memory": {"request": "1Gi", "limit": "2Gi"}}
    assert worker(chart(values))["resources"] == {
        "requests": {"cpu": "1500m", "memory": "1Gi"},
        "limits": {"memory": "2Gi"},
    }


@pytest.mark.parametrize("place", ["extraContainers", "initContainers"])
def test_a_sidecar_with_fractional_limits_leaves_the_worker_pinned(place: str) -> None:
    pod = spec({place: [SIDECAR]})
    assert [c["name"] for c in containers(pod)].count("sidecar") == 1
    assert pinned(pod)


def without(container: Object, *path: str) -> Object:
    """A copy of it that lacks what is at the path."""
    head, *rest = path
    if not rest:
        return {key: value for key, value in container.items() if key != head}
    return {**container, head: without(container[head], *rest)}


@pytest.mark.parametrize("place", ["extraContainers", "initContainers"])
@pytest.mark.parametrize(
    ("sidecar", "word"),
    [
        (without(SIDECAR, "resources"), "no cpu limit"),
        (without(SIDECAR, "resources", "limits", "cpu"), "no cpu limit"),
        (without(SIDECAR, "resources", "limits", "memory"), "no memory limit"),
        ({**SIDECAR, "resources": {**SIDECAR["resources"], "requests": {"cpu": "100m"}}}, "requests 100m of cpu"),
    ],
)
def test_what_would_unpin_the_worker_is_refused(place: str, sidecar: Object, word: str) -> None:
    error = refused({place: [sidecar]})
    assert word in error
    assert "the container sidecar" in error
    # The same is fine where nothing is pinned.
    assert chart({place: [sidecar], "cpu": {"preset": "shared"}})


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"cpu": {"request": "1500m"}}, "cpu.request is 1500m, but the preset exclusive requests whole cores"),
        ({"memory": {"limit": "1Gi"}}, "memory.limit is 1Gi and memory.request 256Mi"),
        ({"cpu": {"slots": 1.5}}, "/cpu/slots"),
        ({"cpu": {"slots": 0}}, "/cpu/slots"),
        ({"cpu": {"preset": "pinned"}}, "'exclusive', 'shared'"),
    ],
)
def test_fractions_of_exclusive_cores_are_refused(values: dict[str, Any], word: str) -> None:
    assert word in refused(values)


def test_kustomize_pins_where_it_should() -> None:
    folders = {path.name: f"overlays/{path.name}" for path in (K8S / "overlays").iterdir()}
    for name, folder in {"base": "base/worker", **folders}.items():
        pod = find(kustomize(folder), "Deployment", "corepod")["spec"]["template"]["spec"]
        assert pinned(pod) == (name != "shared"), name
