"""Requests and limits of every container: free-form, and refused where they would break what a pod is for."""

from __future__ import annotations

import pytest

from tests.deploy.render import Object, chart, containers, find, pod_specs, refused, worker
from tests.deploy.test_cpu import guaranteed, pinned

EVERYTHING: Object = {"front": {"enabled": True}, "loadtest": {"enabled": True}, "state": {"valkey": {"enabled": True}}}
# The values of each pod of the chart but the worker's, and the container that they are for.
OTHERS = {
    "operator": "operator",
    "front": "haproxy",
    "state.valkey": "valkey",
    "loadtest": "locust",
    "tests": "test",
}


def container(values: Object, name: str) -> Object:
    found = [c for spec in pod_specs(chart(values)) for c in containers(spec) if c["name"] == name]
    assert found
    assert all(c["resources"] == found[0]["resources"] for c in found)
    return found[0]


def values(path: str, resources: Object) -> Object:
    document: Object = {"resources": resources}
    for name in reversed(path.split(".")):
        document = {name: document}
    head = path.partition(".")[0]
    if head == "state":
        document["state"]["valkey"]["enabled"] = True
    elif head in EVERYTHING:
        document[head]["enabled"] = True
    return {**EVERYTHING, **document}


@pytest.mark.parametrize(("path", "name"), OTHERS.items())
def test_a_quota_on_limits_can_be_met_by_value(path: str, name: str) -> None:
    made = container(values(path, {"limits": {"cpu": "300m", "ephemeral-storage": "1Gi"}}), name)["resources"]
    assert made["limits"]["cpu"] == "300m"
    assert made["limits"]["ephemeral-storage"] == "1Gi"
    # What isn't named stays as it is.
    usual = container(EVERYTHING, name)["resources"]
    assert made["requests"] == usual["requests"]
    assert made["limits"]["memory"] == usual["limits"]["memory"]
    # Only the test has a CPU limit from the start: a throttled operator or front would harm, a throttled test doesn't.
    assert ("cpu" in usual["limits"]) == (name == "test")


# The request of the test is a value like its limit, so nothing moves there.
@pytest.mark.parametrize(("path", "name"), [pair for pair in OTHERS.items() if pair[0] != "tests"])
def test_a_number_that_is_named_alone_moves_the_default_of_the_other(path: str, name: str) -> None:
    low = container(values(path, {"limits": {"cpu": "5m"}}), name)["resources"]
    assert low["requests"]["cpu"] == low["limits"]["cpu"] == "5m"
    high = container(values(path, {"requests": {"memory": "2Gi"}}), name)["resources"]
    assert high["requests"]["memory"] == high["limits"]["memory"] == "2Gi"


@pytest.mark.parametrize("path", OTHERS)
def test_a_request_above_its_limit_is_refused(path: str) -> None:
    error = refused(values(path, {"requests": {"cpu": "0.5"}, "limits": {"cpu": "400m"}}))
    assert f"{path}.resources.requests.cpu is 0.5, above {path}.resources.limits.cpu, 400m" in error


@pytest.mark.parametrize("path", OTHERS)
def test_no_other_pod_takes_a_core_from_the_workers(path: str) -> None:
    whole: Object = {"cpu": 1, "memory": "256Mi"}
    assert f"{path}.resources asks for whole cores" in refused(values(path, {"requests": whole, "limits": whole}))
    # A fraction of a core, or a request below the limit, is never pinned.
    assert chart(values(path, {"requests": {**whole, "cpu": "500m"}, "limits": {**whole, "cpu": "500m"}}))
    assert chart(values(path, {"requests": {**whole, "cpu": "500m"}, "limits": whole}))


def test_exclusive_takes_a_number_once_or_twice() -> None:
    for resources in (
        {"limits": {"cpu": "1", "memory": "1Gi"}},
        {"requests": {"cpu": 1, "memory": "1Gi"}},
        {"limits": {"cpu": "1000m", "memory": "1Gi"}, "requests": {"cpu": 1, "memory": "1024Mi"}},
    ):
        objects = chart({"resources": resources})
        assert pinned(find(objects, "Deployment")["spec"]["template"]["spec"]) or "m" in str(resources)
        made = worker(objects)["resources"]
        assert {made[side]["memory"] for side in ("requests", "limits")} <= {"1Gi", "1024Mi"}
    assert worker(chart({"resources": {"limits": {"memory": "1Gi"}}}))["resources"]["requests"] == {
        "cpu": "1",
        "memory": "1Gi",
    }
    two = worker(chart({"cpu": {"slots": 2}, "resources": {"limits": {"cpu": "2"}}}))["resources"]
    assert two["requests"]["cpu"] == two["limits"]["cpu"] == "2"


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"limits": {"cpu": "2"}}, "resources asks for 2 of CPU, but cpu.slots is 1"),
        ({"limits": {"cpu": "500m"}}, "resources asks for 500m of CPU, but cpu.slots is 1"),
        ({"requests": {"cpu": "500m"}, "limits": {"cpu": 1}}, "resources asks for 500m of CPU"),
        (
            {"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi"}},
            "resources.requests.memory is 1Gi and resources.limits.memory 2Gi",
        ),
        ({"limits": {"cpu": "one"}}, "/resources/limits/cpu"),
        ({"limit": {"cpu": "1"}}, "limit"),
    ],
)
def test_exclusive_refuses_what_would_unpin_it(resources: Object, words: str) -> None:
    assert words in refused({"resources": resources})


def test_shared_may_have_limits() -> None:
    def shared(resources: Object, **values: object) -> Object:
        made: Object = worker(chart({"cpu": {"preset": "shared", **values}, "resources": resources}))["resources"]
        return made

    assert shared({"limits": {"cpu": "500m"}}) == {
        "requests": {"cpu": "250m", "memory": "256Mi"},
        "limits": {"cpu": "500m", "memory": "256Mi"},
    }
    assert shared({"limits": {"cpu": "100m"}})["requests"]["cpu"] == "100m", "the default follows"
    assert shared({"requests": {"cpu": "400m"}}, request="300m")["requests"]["cpu"] == "400m"
    assert shared({"limits": {"nvidia.com/gpu": 1}})["limits"]["nvidia.com/gpu"] == "1"
    assert shared({"limits": {"memory": 268435456}})["limits"]["memory"] == "268435456"
    error = refused({"cpu": {"preset": "shared"}, "resources": {"requests": {"cpu": 1}, "limits": {"cpu": "500m"}}})
    assert "resources.requests.cpu is 1, above resources.limits.cpu, 500m" in error


def test_equal_quantities_in_other_words_are_equal() -> None:
    sidecar: Object = {"name": "proxy", "image": "proxy"}
    both: Object = {"requests": {"cpu": 0.2, "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "65536Ki"}}
    pod = find(chart({"extraContainers": [{**sidecar, "resources": both}]}), "Deployment")["spec"]["template"]["spec"]
    assert not guaranteed(pod), "the test's own check compares texts"
    assert "requests 0.3 of cpu" in refused(
        {"extraContainers": [{**sidecar, "resources": {**both, "requests": {"cpu": 0.3}}}]}
    )


def test_valkey_s_data_follow_its_limit() -> None:
    def most(resources: Object) -> str:
        args: str = container(values("state.valkey", resources), "valkey")["args"][0]
        return next(line.split()[1] for line in args.splitlines() if line.startswith("maxmemory "))

    assert int(most({"limits": {"memory": "1Gi"}, "requests": {"memory": "64Mi"}})) == (3 << 30) // 4
    assert "Valkey needs at least 32Mi" in refused(values("state.valkey", {"limits": {"memory": "16Mi"}}))


def test_a_namespace_with_a_quota_on_limits_takes_every_pod() -> None:
    """Each container needs a CPU and a memory limit there."""
    limit = {"limits": {"cpu": "200m"}}
    document = {
        "cpu": {"preset": "shared"},
        "resources": {"limits": {"cpu": "1"}},
        "operator": {"resources": limit},
        "front": {"enabled": True, "resources": limit},
        "loadtest": {"enabled": True, "resources": limit},
        "state": {"valkey": {"enabled": True, "resources": limit}},
    }
    specs = pod_specs(chart(document))
    assert len(specs) == 7
    for spec in specs:
        for one in containers(spec):
            assert {"cpu", "memory"} <= set(one["resources"]["limits"]), one["name"]
