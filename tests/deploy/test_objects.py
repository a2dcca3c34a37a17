"""Values for all objects of a release, and for the fields of its pods that users know from other charts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.deploy.render import Object, chart, environment, find, helm_template, refused, worker
from tests.deploy.test_chart import EVERYTHING as SWITCHES
from tests.deploy.test_resources import EVERYTHING as PODS

ALL: Object = {**SWITCHES, **PODS, "operator": {"enabled": True}, "autoscaling": {"enabled": False}}
VALKEY: Object = {"valkey": {"enabled": True, "persistence": {"enabled": True}}}


def everything(**values: Any) -> list[Object]:
    return chart({**ALL, "state": VALKEY, **values})


def pod(values: Object) -> Object:
    spec: Object = find(chart(values), "Deployment")["spec"]["template"]["spec"]
    return spec


def selectors(objects: list[Object]) -> list[object]:
    """Whatever selects pods."""
    found: list[object] = []
    for o in objects:
        spec = o.get("spec", {})
        found += [spec.get("selector"), spec.get("podSelector")]
        template = spec.get("template", {}).get("spec", {})
        found += [constraint["labelSelector"] for constraint in template.get("topologySpreadConstraints", [])]
    return [selector for selector in found if selector]


def test_common_labels_are_on_all_objects_and_pods_and_in_no_selector() -> None:
    labels = {"team": "shop", "example.com/cost-centre": "42"}
    objects, plain = everything(commonLabels=labels), everything()
    for o in objects:
        assert labels.items() <= o["metadata"]["labels"].items(), (o["kind"], o["metadata"]["name"])
        if "template" in o.get("spec", {}):
            assert labels.items() <= o["spec"]["template"]["metadata"]["labels"].items(), o["metadata"]["name"]
    assert len(selectors(plain)) > 15
    assert selectors(objects) == selectors(plain)


def test_common_annotations_are_on_all_objects_and_replace_no_pod() -> None:
    annotations = {"example.com/owner": "shop"}
    objects, plain = everything(commonAnnotations=annotations), everything()
    for o in objects:
        assert annotations.items() <= o["metadata"]["annotations"].items(), (o["kind"], o["metadata"]["name"])

    def templates(objects: list[Object]) -> list[Object]:
        return [o["spec"]["template"] for o in objects if "template" in o.get("spec", {})]

    assert templates(objects) == templates(plain)


def test_the_object_s_own_annotations_stay() -> None:
    objects = everything(
        commonAnnotations={"helm.sh/hook": "pre-install", "corepod.dev/max": "1", "a": "common", "b": "common"},
        deploymentAnnotations={"reloader.stakater.com/auto": "true", "b": "own"},
        service={"annotations": {"a": "own"}},
        replicas=None,
    )
    deployment = find(objects, "Deployment", "corepod")["metadata"]["annotations"]
    assert deployment["corepod.dev/max"] == "20"
    assert deployment["reloader.stakater.com/auto"] == "true"
    assert (deployment["a"], deployment["b"]) == ("common", "own")
    assert find(objects, "Service", "corepod")["metadata"]["annotations"]["a"] == "own"
    assert find(objects, "Pod")["metadata"]["annotations"]["helm.sh/hook"] == "test"


def test_another_namespace_for_all_objects() -> None:
    """Whatever the release's namespace is, all names and addresses follow, and nothing else changes."""
    objects = everything(namespaceOverride="elsewhere")
    unbound = {
        "ClusterRole",
        "ClusterRoleBinding",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
    assert {o["metadata"].get("namespace") for o in objects if o["kind"] not in unbound} == {"elsewhere"}
    assert environment(find(objects, "Deployment", "corepod-front")["spec"]["template"]["spec"]["containers"][0])[
        "PODS"
    ].startswith("corepod-headless.elsewhere.svc.")
    here = helm_template({**ALL, "state": VALKEY}, "--namespace", "elsewhere")
    there = helm_template({**ALL, "state": VALKEY, "namespaceOverride": "elsewhere"})
    assert _without_password(here.stdout) == _without_password(there.stdout)


def _without_password(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith('  "password": ')]


def test_further_objects_are_templates() -> None:
    values: Object = {
        "extraObjects": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": '{{ include "corepod.fullname" . }}-one'}},
            'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: "{{ .Release.Name }}-two"\n',
        ]
    }
    names = [o["metadata"]["name"] for o in chart(values, release="shop") if o["kind"] == "ConfigMap"]
    assert names == ["shop-corepod-one", "shop-two"]
    assert "/extraObjects/0" in refused({"extraObjects": [{"kind": "ConfigMap"}]})


def test_fields_of_the_workers_pods() -> None:
    values: Object = {
        "runtimeClassName": "gvisor",
        "schedulerName": "volcano",
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["legacy.example"]}],
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["10.0.0.53"], "options": [{"name": "ndots", "value": "1"}]},
        "shareProcessNamespace": True,
    }
    spec = pod(values)
    assert {name: spec[name] for name in values} == values
    assert not set(values) & set(pod({}))
    assert "dnsPolicy is None, which needs dnsConfig.nameservers" in refused({"dnsPolicy": "None"})
    assert "/runtimeClassName" in refused({"runtimeClassName": "GVisor"})


def test_the_worker_s_container() -> None:
    values: Object = {
        "args": ["--access-log"],
        "lifecycle": {"preStop": {"sleep": {"seconds": 7}}},
        "containerSecurityContext": {"seLinuxOptions": {"level": "s0"}, "capabilities": {"add": ["NET_BIND_SERVICE"]}},
    }
    container = worker(chart(values))
    assert container["args"] == values["args"]
    assert container["lifecycle"] == values["lifecycle"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "seLinuxOptions": {"level": "s0"},
    }
    writable = worker(chart({"containerSecurityContext": {"readOnlyRootFilesystem": False}}))
    assert writable["securityContext"]["readOnlyRootFilesystem"] is False
    assert "privileged" in refused({"containerSecurityContext": {"privileged": True}})


def test_the_time_of_a_hook_is_no_time_to_drain() -> None:
    hook: Object = {"lifecycle": {"preStop": {"sleep": {"seconds": 7}}}}
    assert pod(hook)["terminationGracePeriodSeconds"] == 37
    assert pod({**hook, "terminationGracePeriodSeconds": 32})["terminationGracePeriodSeconds"] == 32
    error = refused({**hook, "terminationGracePeriodSeconds": 31})
    assert "less than the 25 seconds of settings.stop_timeout and the 7 of lifecycle.preStop" in error


def test_arguments_that_something_else_decides_are_refused() -> None:
    error = refused({"args": ["--bind=0.0.0.0:80", "--workers", "3", "--access-log"]})
    assert "args has --bind=0.0.0.0:80, but that is decided by" in error
    assert "args has --workers, but that is decided by cpu.slots" in error
    assert "--access-log" not in error
    # Another program's arguments mean what they mean there.
    assert chart({"command": ["gunicorn"], "args": ["--bind=0.0.0.0:8000"]})


def test_a_rollout_s_values() -> None:
    values: Object = {"revisionHistoryLimit": 0, "progressDeadlineSeconds": 900, "minReadySeconds": 5}
    objects = everything(**values)
    deployments = [o["spec"] for o in objects if o["kind"] == "Deployment"]
    assert len(deployments) == 6
    assert all(spec["revisionHistoryLimit"] == 0 for spec in deployments)
    assert find(objects, "Deployment", "corepod")["spec"]["progressDeadlineSeconds"] == 900
    assert all("revisionHistoryLimit" not in o["spec"] for o in everything() if o["kind"] == "Deployment")
    assert "progressDeadlineSeconds is 5, but has to be above minReadySeconds, 5" in refused(
        {"progressDeadlineSeconds": 5, "minReadySeconds": 5}
    )
    assert "progressDeadlineSeconds is 600" in refused({"minReadySeconds": 600})


@pytest.mark.parametrize(
    ("strategy", "full", "expected"),
    [
        ({}, False, {"maxSurge": "25%", "maxUnavailable": 0}),
        ({}, True, {"maxSurge": 0, "maxUnavailable": "10%"}),
        ({"rollingUpdate": {"maxSurge": 1}}, False, {"maxSurge": 1, "maxUnavailable": 0}),
        ({"rollingUpdate": {"maxSurge": "100%"}}, False, {"maxSurge": "100%", "maxUnavailable": 0}),
        ({"rollingUpdate": {"maxSurge": 0}}, False, {"maxSurge": 0, "maxUnavailable": "10%"}),
        ({"rollingUpdate": {"maxUnavailable": 1}}, False, {"maxSurge": "25%", "maxUnavailable": 1}),
        ({"rollingUpdate": {"maxUnavailable": 2}}, True, {"maxSurge": 0, "maxUnavailable": 2}),
    ],
)
def test_the_strategy(strategy: Object, full: bool, expected: Object) -> None:
    made = find(chart({"strategy": strategy, "full": full}), "Deployment")["spec"]["strategy"]
    assert made == {"type": "RollingUpdate", "rollingUpdate": expected}


def test_a_strategy_that_never_ends_is_refused() -> None:
    assert find(chart({"strategy": {"type": "Recreate"}}), "Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    never = {"rollingUpdate": {"maxSurge": "0%", "maxUnavailable": 0}}
    assert "neither add a pod (maxSurge 0) nor remove one" in refused({"strategy": never})
    both = {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}
    assert "has no strategy.rollingUpdate" in refused({"strategy": both})


def test_a_larger_surge_has_places_in_the_front() -> None:
    def places(strategy: Object) -> str:
        text = helm_template({"front": {"enabled": True}, "replicas": 100, "strategy": strategy}).stdout
        return next(line.split()[2] for line in text.splitlines() if line.strip().startswith("server-template"))

    assert places({}) == "150"
    assert places({"rollingUpdate": {"maxSurge": "40%"}}) == "180"
    assert places({"rollingUpdate": {"maxSurge": "100%"}}) == "200"


def test_the_operator_s_own_values() -> None:
    affinity: Object = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}
    operator: Object = {
        "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}],
        "affinity": affinity,
        "annotations": {"a": "deployment"},
        "podAnnotations": {"a": "pod"},
        "serviceAccount": {"annotations": {"a": "account"}},
    }
    for everywhere in (False, True):
        objects = chart({"operator": {**operator, "allNamespaces": everywhere}})
        deployment = find(objects, "Deployment", "corepod-operator")
        spec = deployment["spec"]["template"]["spec"]
        variables = environment(spec["containers"][0])
        assert variables["HTTPS_PROXY"] == "http://proxy.example:3128"
        assert ("POD_NAMESPACE" in variables) != everywhere
        assert spec["affinity"] == affinity
        assert deployment["metadata"]["annotations"] == {"a": "deployment"}
        assert deployment["spec"]["template"]["metadata"]["annotations"] == {"a": "pod"}
        account = find(objects, "ServiceAccount", "corepod-operator")
        assert account["metadata"]["annotations"] == {"a": "account"}
    taken = {"operator": {"env": [{"name": "POD_NAMESPACE", "value": "x"}]}}
    assert "operator.env has POD_NAMESPACE" in refused(taken)
    assert "/operator/env/0/value" in refused({"operator": {"env": [{"name": "A", "value": 1}]}})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"commonLabels": {"app.kubernetes.io/name": "x"}}, "which the chart sets by itself"),
        ({"commonLabels": {"corepod.dev/sized": "true"}}, "which the chart sets by itself"),
        ({"commonLabels": {"team": "a"}, "podLabels": {"team": "b"}}, "commonLabels and podLabels both have team"),
        ({"commonLabels": {"team": "a b"}}, "/commonLabels/team"),
        ({"commonLabels": {"a_/b": "c"}}, "'a_/b' does not match"),
        ({"deploymentAnnotations": {"corepod.dev/max": "5"}}, "use operator.sizing or full"),
        ({"namespaceOverride": "Shop"}, "/namespaceOverride"),
        ({"pdb": {"unhealthyPodEvictionPolicy": "Never"}}, "/pdb/unhealthyPodEvictionPolicy"),
    ],
)
def test_what_the_api_server_would_refuse_is_refused_before(values: Object, words: str) -> None:
    assert words in refused(values)
