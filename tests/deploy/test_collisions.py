"""Names, labels and sizes that the API server would refuse are refused with the reason."""

from __future__ import annotations

import pytest

from tests.deploy.render import Object, chart, find, helm_template, refused

LIMITS = {"limits": {"cpu": "100m", "memory": "64Mi"}}


def sidecar(name: str) -> Object:
    return {"name": name, "image": "proxy", "resources": LIMITS}


REFUSED: list[tuple[Object, str]] = [
    ({"fullnameOverride": "Shop"}, "/fullnameOverride"),
    ({"fullnameOverride": "shop-"}, "/fullnameOverride"),
    ({"fullnameOverride": "null"}, "which YAML reads as something else"),
    ({"nameOverride": "Shop"}, 'would be called "corepod-Shop"'),
    ({"nameOverride": "shop.v2"}, "set fullnameOverride"),
    ({"nameOverride": "-"}, "/nameOverride"),
    ({"podLabels": {"app.kubernetes.io/name": "x"}}, "podLabels has app.kubernetes.io/name"),
    ({"podLabels": {"corepod.dev/worker-restarts": "1"}}, "podLabels has corepod.dev/worker-restarts"),
    ({"podLabels": {"a": "b c"}}, "/podLabels/a"),
    ({"podLabels": {"a b": "c"}}, "invalid propertyName 'a b'"),
    ({"podLabels": {"version": 1}}, "/podLabels/version"),
    ({"prometheusRule": {"labels": {"helm.sh/chart": "x"}}}, "prometheusRule.labels has helm.sh/chart"),
    ({"extraEnv": [{"name": "A", "value": 1.1}]}, "the value of A is 1.1, but a variable is text: write it in quotes"),
    ({"extraEnv": [{"name": "A", "value": True}]}, "the value of A is true"),
    ({"extraEnv": [{"name": "A"}, {"name": "A"}]}, "extraEnv has A twice"),
    ({"extraEnv": [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {}}}]}, "a value and valueFrom"),
    ({"extraEnv": [{"name": "1 A", "value": "x"}]}, "/extraEnv/0/name"),
    ({"operator": {"env": [{"name": "A"}, {"name": "A"}]}}, "operator.env has A twice"),
    (
        {"operator": {"env": [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {}}}]}},
        "operator.env: A has a value and valueFrom",
    ),
    ({"operator": {"env": [{"name": "1 A", "value": "x"}]}}, "/operator/env/0/name"),
    ({"operator": {"env": [{"name": "A", "valueFrom": {}}]}}, "/operator/env/0/valueFrom"),
    ({"extraVolumes": [{"name": "tmp"}]}, "tmpSize sets the size of /tmp"),
    ({"extraVolumes": [{"name": "a"}, {"name": "a"}]}, "extraVolumes has a, a name that is taken"),
    ({"extraVolumeMounts": [{"name": "a", "mountPath": "/a"}]}, "a, which isn't in extraVolumes"),
    ({"extraVolumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]}, "something else is mounted at /tmp"),
    ({"extraContainers": [sidecar("worker")]}, "the name of the container worker is taken"),
    ({"extraContainers": [sidecar("a")], "initContainers": [sidecar("a")]}, "the name of the container a is taken"),
    ({"extraContainers": [sidecar("A")]}, "/extraContainers/0/name"),
    ({"tmpSize": ""}, "/tmpSize"),
    ({"memory": {"limit": "128Mi"}, "cpu": {"preset": "shared"}}, "memory.limit is 128Mi, less than memory.request"),
    ({"front": {"enabled": True, "memory": {"limit": "32Mi"}}}, "front.memory.limit is 32Mi, less than"),
    ({"topologySpread": 2 * [{"topologyKey": "a", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}]}, "twice"),
    ({"ingress": {"className": "A b"}}, "/ingress/className"),
    ({"ingress": {"hosts": [{"host": "a", "paths": [{"path": "/a//b"}]}]}}, "ingress.hosts has the path /a//b"),
    ({"httpRoute": {"hostnames": ["a b"]}}, "/httpRoute/hostnames/0"),
]


@pytest.mark.parametrize(("values", "word"), REFUSED)
def test_what_collides_is_refused(values: Object, word: str) -> None:
    assert word in refused(values)


@pytest.mark.parametrize(
    "values",
    [
        {"nameOverride": "Shop.v2", "fullnameOverride": "shop"},
        {"podLabels": {"team": "shop", "example.com/a": ""}},
        {"extraVolumes": [{"name": "a"}], "extraVolumeMounts": [{"name": "a", "mountPath": "/a"}]},
        {"extraVolumeMounts": [{"name": "tmp", "mountPath": "/var/cache", "subPath": "cache"}]},
        {"memory": {"limit": "1.5Gi"}, "cpu": {"preset": "shared"}},
    ],
)
def test_their_neighbours_are_fine(values: Object) -> None:
    assert chart(values)


@pytest.mark.parametrize("name", ["0", "true"])
def test_names_that_yaml_reads_as_something_else_stay_text(name: str) -> None:
    objects = chart({"nameOverride": name, "fullnameOverride": "shop", "front": {"enabled": True}})
    for found in objects:
        assert found["metadata"]["labels"]["app.kubernetes.io/name"] == name
    assert find(objects, "Deployment")["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] == name


def test_a_release_whose_name_begins_with_a_digit_needs_another_name() -> None:
    result = helm_template({}, release="1")
    assert 'would be called "1-corepod"' in result.stderr
    labels = find(chart({"fullnameOverride": "shop"}, release="1"), "Deployment")["metadata"]["labels"]
    assert labels["app.kubernetes.io/instance"] == "1"
