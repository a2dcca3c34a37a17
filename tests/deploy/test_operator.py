"""The operator's objects: there where it is enabled, with the rights that it uses and no others."""

from __future__ import annotations

import itertools
import os
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest
from corepod.operator.admin.metrics import METRICS
from corepod.operator.apply import TROUBLE
from corepod.operator.sizing.annotations import rules

from tests.deploy.render import Object, chart, environment, find, kinds, pod_specs, refused, worker
from tests.deploy.test_security import violations
from tests.process.harness import Pool, running
from tests.process.operator.harness import Operator, replicas
from tests.waiting import until
from tools.fakeapi import Call, FakeApi, faults
from tools.fakeapi.objects import deployment, node, pod

if TYPE_CHECKING:
    from pathlib import Path

ON: Object = {"operator": {"enabled": True}}
TWO: Object = {"operator": {"enabled": True, "replicas": 2}}
GROUPS = {
    "nodes": "",
    "pods": "",
    "resourcequotas": "",
    "events": "",
    "deployments": "apps",
    "statefulsets": "apps",
    "horizontalpodautoscalers": "autoscaling",
    "leases": "coordination.k8s.io",
}
VERBS = {"POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}


def operator(values: Object) -> Object:
    spec: Object = find(chart(values), "Deployment", "corepod-operator")["spec"]["template"]["spec"]
    return spec


def test_without_it_there_is_nothing_of_it() -> None:
    objects = chart({"operator": {"enabled": False}})
    assert not [o for o in objects if "operator" in o["metadata"]["name"]]
    deployment_ = find(objects, "Deployment")
    assert "corepod.dev/sized" not in deployment_["metadata"]["labels"]
    assert "COREPOD_NOTIFY" not in environment(worker(objects))


@pytest.mark.parametrize(
    ("values", "there"),
    [
        ({}, True),
        ({"replicas": 3}, False),
        ({"replicas": 0}, False),
        ({"autoscaling": {"enabled": True}}, False),
        ({"replicas": 3, "operator": {"enabled": True}}, True),
    ],
    ids=str,
)
def test_it_is_there_where_nobody_else_owns_the_number(values: Object, there: bool) -> None:
    objects = chart(values)
    assert ("ClusterRole" in kinds(objects)) == there
    assert ("corepod.dev/sized" in find(objects, "Deployment")["metadata"]["labels"]) == there


def test_another_release_s_operator_is_enough() -> None:
    objects = chart({"operator": {"replicas": 0}})
    assert not [o for o in objects if "operator" in o["metadata"]["name"]]
    found = find(objects, "Deployment")
    assert found["metadata"]["labels"]["corepod.dev/sized"] == "true"
    assert found["spec"]["template"]["metadata"]["labels"]["corepod.dev/worker-restarts"] == "0"
    assert "COREPOD_NOTIFY" not in environment(worker(objects))


def test_the_worker_is_looked_after_and_its_number_left_out() -> None:
    values: Object = {**ON, "replicas": 5}
    found = find(chart(values), "Deployment", "corepod")
    assert found["metadata"]["labels"]["corepod.dev/sized"] == "true"
    assert found["metadata"]["annotations"] == {"corepod.dev/max": "20"}
    assert "replicas" not in found["spec"]
    assert found["spec"]["template"]["metadata"]["labels"]["corepod.dev/worker-restarts"] == "0"


def test_annotations_come_from_the_values() -> None:
    sizing = {"min": 2, "max": None, "reserve-cores-per-node": "500m"}
    found = find(chart({"full": True, "operator": {"enabled": True, "sizing": sizing}}), "Deployment", "corepod")
    assert found["metadata"]["annotations"] == {
        "corepod.dev/full": "true",
        "corepod.dev/min": "2",
        "corepod.dev/reserve-cores-per-node": "500m",
    }


@pytest.mark.parametrize("name", ["autoscaled-nodes", "autoscaledNodes"])
@pytest.mark.parametrize("value", ["auto", "never", "eks.amazonaws.com/nodegroup=burst"])
def test_nodes_of_an_autoscaler_are_named_in_either_spelling(name: str, value: str) -> None:
    found = find(chart({"operator": {"enabled": True, "sizing": {name: value, "max": None}}}), "Deployment", "corepod")
    assert found["metadata"]["annotations"] == {"corepod.dev/autoscaled-nodes": value}
    assert not rules(found["metadata"]["annotations"]).faults


FAULTS: list[tuple[Object, str]] = [
    ({"operator": {"enabled": True}, "autoscaling": {"enabled": True}}, "each would set the number"),
    ({"operator": {"enabled": True, "sizing": {"mode": "hpa-bounds"}}}, "needs autoscaling.enabled"),
    ({"operator": {"enabled": True, "sizing": {"min": 30}}}, "above operator.sizing.max"),
    ({"full": True, "operator": {"enabled": True, "sizing": {"headroom": 1}}}, "full means a headroom of 0"),
    ({"operator": {"enabled": True, "sizing": {"maxx": 1}}}, "maxx"),
    ({"operator": {"enabled": True, "sizing": {"autoscaledNodes": "a", "autoscaled-nodes": "b"}}}, "keep one of them"),
]


@pytest.mark.parametrize(("values", "words"), FAULTS, ids=[words for _, words in FAULTS])
def test_what_doesnt_fit_together_is_refused(values: Object, words: str) -> None:
    assert words in refused(values)


@pytest.mark.parametrize("values", [ON, TWO])
def test_its_pods_are_restricted(values: Object) -> None:
    for spec in pod_specs(chart(values)):
        assert violations(spec) == []


def test_of_all_releases_in_a_namespace_one_acts() -> None:
    """Each looks after the workloads of all: two that write would take each other for rivals."""

    def lease(release: str, **options: Any) -> tuple[str, str]:
        objects = chart({"operator": {"enabled": True, **options}}, release=release)
        spec = find(objects, "Deployment", f"{release}-corepod-operator")["spec"]["template"]["spec"]
        args = dict(arg.partition("=")[::2] for arg in spec["containers"][0]["args"])
        assert "--leader-elect" in args
        named = [rule for _, rule in Rights(objects).rules if "leases" in rule["resources"] and "resourceNames" in rule]
        assert [rule["resourceNames"] for rule in named] == [[args["--lease-name"]]]
        return args["--lease-name"], args["--lease-owner"]

    assert lease("one") == ("corepod-operator", "one-corepod-operator")
    assert lease("two") == ("corepod-operator", "two-corepod-operator")
    assert lease("one", allNamespaces=True)[0] != lease("one")[0]


def test_its_rollout_needs_no_room() -> None:
    strategy = find(chart(ON), "Deployment", "corepod-operator")["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_it_goes_where_pods_of_the_application_are() -> None:
    """A node with whole cores left would lose one of them to the little that it requests."""
    [term] = operator(ON)["affinity"]["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    labels = term["podAffinityTerm"]["labelSelector"]["matchLabels"]
    assert labels == find(chart(ON), "Deployment", "corepod")["spec"]["selector"]["matchLabels"]
    assert "topologySpreadConstraints" not in operator(ON)
    [spread] = operator(TWO)["topologySpreadConstraints"]
    assert spread["whenUnsatisfiable"] == "ScheduleAnyway"


def ports(objects: list[Object]) -> list[tuple[str, int]]:
    return [(port["name"], port["port"]) for port in find(objects, "Service", "corepod-operator")["spec"]["ports"]]


def test_its_metrics_are_scraped() -> None:
    objects = chart({"serviceMonitor": {"enabled": True}})
    monitor = find(objects, "ServiceMonitor", "corepod-operator")["spec"]
    service = find(objects, "Service", "corepod-operator")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [endpoint["port"] for endpoint in monitor["endpoints"]] == ["admin"]
    # One that isn't ready is what somebody wants to see.
    assert service["spec"]["publishNotReadyAddresses"] is True
    others = [o for o in objects if o["kind"] == "Service" and o["metadata"]["name"] != "corepod-operator"]
    assert not [o for o in others if monitor["selector"]["matchLabels"].items() <= o["metadata"]["labels"].items()]


def test_its_alerts_ask_for_metrics_that_exist() -> None:
    [group] = find(chart({"prometheusRule": {"enabled": True}}), "PrometheusRule", "corepod-operator")["spec"]["groups"]
    exist = {name for name, _, _, _ in METRICS}
    assert len(group["rules"]) >= 4
    for rule in group["rules"]:
        used = re.findall(r"(corepod_\w+)\{([^}]*)", rule["expr"])
        assert used
        assert {name for name, _ in used} <= exist
        assert all('namespace="default",service="corepod-operator"' in selector for _, selector in used)
        outcomes = "".join(re.findall(r'outcome=~"([^"]*)"', rule["expr"]))
        assert set(filter(None, outcomes.split("|"))) in (set(), {str(each) for each in TROUBLE})
        assert not re.search("OPERATOR|RELEASE", str(rule))
    left = chart({"prometheusRule": {"enabled": True, "disabled": ["CorepodOperatorAbsent"]}})
    [group] = find(left, "PrometheusRule", "corepod-operator")["spec"]["groups"]
    assert "CorepodOperatorAbsent" not in {rule["alert"] for rule in group["rules"]}


def test_datagrams_only_where_they_are_wanted() -> None:
    on = chart(ON)
    assert environment(worker([o for o in on if o["metadata"]["name"] == "corepod"]))["COREPOD_NOTIFY"] == (
        "corepod-operator:9001"
    )
    assert find(on, "Service", "corepod-operator")["spec"]["clusterIP"] == "None"
    assert ports(on) == [("admin", 9000), ("notify", 9001)]
    off = chart({"operator": {"enabled": True, "publishRestarts": False}})
    assert ports(off) == [("admin", 9000)]
    assert (
        "--notify=none"
        in find(off, "Deployment", "corepod-operator")["spec"]["template"]["spec"]["containers"][0]["args"]
    )


@pytest.mark.parametrize(("mode", "begins"), [("steps", "0"), ("exact", "0"), ("off", "off")])
def test_the_label_of_deaths_begins_as_it_is_shown(mode: str, begins: str) -> None:
    """In each mode there is one, because it marks the pods that the operator may write to."""
    objects = chart({"operator": {"enabled": True, "restartLabel": mode}})
    labels = find(objects, "Deployment", "corepod")["spec"]["template"]["metadata"]["labels"]
    assert labels["corepod.dev/worker-restarts"] == begins
    operator = find(objects, "Deployment", "corepod-operator")["spec"]["template"]["spec"]["containers"][0]
    assert f"--restart-label={mode}" in operator["args"]


def test_the_policy_lets_exactly_datagrams_of_workers_and_probes_in() -> None:
    values: Object = {**ON, "networkPolicy": {"enabled": True}}
    ingress = find(chart(values), "NetworkPolicy", "corepod-operator")["spec"]["ingress"]
    assert [(rule["ports"][0]["port"], rule["ports"][0].get("protocol", "TCP")) for rule in ingress] == [
        ("admin", "TCP"),
        ("notify", "UDP"),
    ]
    peer = ingress[1]["from"]
    assert peer[0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "worker"


# Rights


class Rights:
    """What the rendered roles allow, as the API server would judge, and which rules were of use."""

    def __init__(self, objects: list[Object]) -> None:
        roles = [o for o in objects if o["kind"] in ("Role", "ClusterRole")]
        # Each with the namespace that it holds for, empty for all.
        self.rules = [(o["metadata"].get("namespace", ""), rule) for o in roles for rule in o["rules"]]
        self.used: set[tuple[str, str, str]] = set()
        self.denied: list[str] = []

    def denies(self, call: Call) -> bool:
        verb = VERBS.get(
            call.method, "watch" if call.watch else "get" if call.name and call.method == "GET" else "list"
        )
        resource = call.plural + (f"/{call.part}" if call.part else "")
        name = call.name or call.query.get("fieldSelector", "").removeprefix("metadata.name=")
        for namespace, rule in self.rules:
            reaches = namespace in ("", call.namespace)
            named = name in rule.get("resourceNames", [name])
            about = GROUPS[call.plural] in rule["apiGroups"] and resource in rule["resources"]
            if reaches and named and about and verb in rule["verbs"]:
                self.used.add((GROUPS[call.plural], resource, verb))
                return False
        self.denied.append(f"{verb} {resource} {name} in {call.namespace or 'all'}")
        return True

    def given(self) -> set[tuple[str, str, str]]:
        return {
            (group, resource, verb)
            for _, rule in self.rules
            for group, resource, verb in itertools.product(rule["apiGroups"], rule["resources"], rule["verbs"])
        }


# Rights for what this one run doesn't meet, each met by another test.
UNMET = {("apps", "statefulsets/scale", "patch")}


WHERE: dict[str, Object] = {
    "one namespace": {},
    "two namespaces": {"namespaces": ["shop"]},
    "all namespaces": {"allNamespaces": True},
}


@pytest.mark.parametrize("where", WHERE.values(), ids=WHERE)
def test_the_rights_are_those_that_it_uses(tmp_path: Path, where: Object) -> None:
    objects = chart({"operator": {"enabled": True, "replicas": 2, **where}})
    rights = Rights(objects)
    args: list[str] = find(objects, "Deployment", "corepod-operator")["spec"]["template"]["spec"]["containers"][0][
        "args"
    ]
    args = [arg.replace("$(POD_NAMESPACE)", "default") for arg in args if not arg.startswith(("--admin", "--notify"))]
    with FakeApi() as api, running("ok:app", "--workers", "1", log=tmp_path / "pool.log") as pool:
        api.store.put("nodes", node("a", "4"))
        api.store.put("deployments", deployment("web", full="true"))
        api.store.put("deployments", deployment("corepod-operator", sized=False))
        if where:
            api.store.put("nodes", node("a", "5"))
            api.store.put("deployments", deployment("blog", 2, namespace="shop", max="1", full="true"))
        api.store.put("pods", pod("web-1", "a", owner="web", ip="127.0.0.1"))
        api.fail(faults.status(403, "Forbidden"), times=1e9, match=rights.denies)
        pool.ready()
        one = Operator(api, *args, "--pods-admin-port", str(pool.admin_port), "--watch-seconds", "2", folder=tmp_path)
        try:
            until(lambda: replicas(api, "web") == 4, f"the number; {rights.denied}; {one.log}")
            if where:
                until(lambda: replicas(api, "blog", "shop") == 1, f"the number; {rights.denied}; {one.log}")
            until(lambda: api.store.all("events"), "an event")
            _die(pool)
            until(
                lambda: [c for c in api.writes("pods") if c.method == "PATCH"], f"a published restart; {one.log}", 60.0
            )
            until(lambda: [c for c in api.writes("leases") if c.method == "PUT"], "a renewal")
            assert one.stop() == 0
        finally:
            one.close()
    assert rights.denied == []
    assert rights.given() - rights.used - {("coordination.k8s.io", "leases", "get")} == UNMET


def _die(pool: Pool) -> None:
    os.kill(pool.slot()["pid"], signal.SIGKILL)
    pool.until_restarts(1)


def test_each_right_goes_with_its_switch() -> None:
    def given(**options: Any) -> set[tuple[str, str, str]]:
        return Rights(chart({"operator": {"enabled": True, **options}})).given()

    plain = given()
    assert ("", "pods", "patch") not in given(publishRestarts=False)
    assert ("autoscaling", "horizontalpodautoscalers", "patch") in given(hpaBounds=True) - plain
    assert ("coordination.k8s.io", "leases", "create") in plain
    # In its own namespace, where it looks after all of them: the Lease and nothing else.
    role = find(chart({"operator": {"enabled": True, "allNamespaces": True}}), "Role", "corepod-operator")
    assert {resource for rule in role["rules"] for resource in rule["resources"]} == {"leases", "deployments"}
    assert all(rule.get("resourceNames") for rule in role["rules"] if "deployments" in rule["resources"])
