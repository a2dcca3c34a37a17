"""Each value reaches its place; values that can't work are refused with a word that helps."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from corepod.config.spec import BY_NAME

from tests.deploy.render import CHART, Object, chart, environment, find, refused, worker

HOST = "shop.example"
ALONE: Object = {"operator": {"enabled": False}}


def pod(values: Object) -> Object:
    spec: Object = find(chart(values), "Deployment")["spec"]["template"]["spec"]
    return spec


def test_an_application_of_one_s_own() -> None:
    values = {
        "image": {"repository": "registry.example/shop", "tag": "1.4_rc", "pullSecrets": ["registry"]},
        "command": ["corepod", "pid1"],
        "app": {"module": "shop.main:create", "factory": True},
    }
    objects = chart(values)
    container = worker(objects)
    assert container["image"] == "registry.example/shop:1.4_rc"
    assert container["command"] == ["corepod", "pid1"]
    assert environment(container)["COREPOD_APP"] == "shop.main:create"
    for spec in (pod(values), find(objects, "Pod")["spec"]):
        assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert find(objects, "Deployment")["metadata"]["labels"]["app.kubernetes.io/version"] == "1.4_rc"


def test_a_digest_wins_over_the_tag() -> None:
    digest = "sha256:" + "0a" * 32
    assert worker(chart({"image": {"tag": "1", "digest": digest}}))["image"] == f"corepod@{digest}"


def test_a_tag_that_is_no_label_still_gives_one() -> None:
    labels = find(chart({"image": {"tag": "v" * 62 + ".-" + "w" * 60}}), "Deployment")["metadata"]["labels"]
    assert labels["app.kubernetes.io/version"] == "v" * 62


def test_variables_volumes_and_containers_are_added() -> None:
    reference = {"secretKeyRef": {"name": "shop", "key": "password"}}
    values: Object = {
        "extraEnv": [{"name": "PASSWORD", "valueFrom": reference}, {"name": "COREPOD_TLS_KEY_PASSWORD", "value": "x"}],
        "envFrom": [{"configMapRef": {"name": "shop"}}],
        "extraVolumes": [{"name": "data", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "data", "mountPath": "/data"}],
        "extraContainers": [{"name": "proxy", "image": "proxy"}],
        "initContainers": [{"name": "migrate", "image": "shop"}],
        "cpu": {"preset": "shared"},
    }
    spec, container = pod(values), worker(chart(values))
    assert environment(container)["PASSWORD"] == reference
    assert container["envFrom"] == values["envFrom"]
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp", "/data"]
    assert [volume["name"] for volume in spec["volumes"]] == ["tmp", "data"]
    assert [c["name"] for c in spec["containers"]] == ["worker", "proxy"]
    assert [c["name"] for c in spec["initContainers"]] == ["migrate"]


def test_scheduling() -> None:
    values: Object = {
        "nodeSelector": {"pool": "web"},
        "tolerations": [{"key": "pool", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
        "nodeLossSeconds": None,
        "topologySpread": [],
        "podAnnotations": {"note": "yes"},
        "podLabels": {"team": "shop"},
    }
    objects = chart(values)
    template = find(objects, "Deployment")["spec"]["template"]
    spec = template["spec"]
    for name in ("nodeSelector", "tolerations", "affinity", "priorityClassName"):
        assert spec[name] == values[name]
    assert "topologySpreadConstraints" not in spec
    assert template["metadata"]["annotations"] == {"note": "yes"}
    assert template["metadata"]["labels"]["team"] == "shop"
    # The test has to find a node, too: the image may be there only.
    test = find(objects, "Pod")["spec"]
    assert (test["nodeSelector"], test["tolerations"]) == (values["nodeSelector"], values["tolerations"])
    assert "tolerations" not in pod({"nodeLossSeconds": None})


def test_the_time_to_stop_follows_the_program_s() -> None:
    assert pod({})["terminationGracePeriodSeconds"] == BY_NAME["stop_timeout"].default + 5
    assert pod({"settings": {"stop_timeout": 90.2}})["terminationGracePeriodSeconds"] == 96
    assert (
        pod({"settings": {"stop_timeout": 90}, "terminationGracePeriodSeconds": 90})["terminationGracePeriodSeconds"]
        == 90
    )


def test_the_service() -> None:
    values = {
        "type": "LoadBalancer",
        "port": 8080,
        "nodePort": 30080,
        "annotations": {"a": "b"},
        "appProtocol": "kubernetes.io/h2c",
        "trafficDistribution": "PreferSameNode",
        "externalTrafficPolicy": "Local",
        "sessionAffinity": "ClientIP",
        "loadBalancerClass": "example.com/one",
        "loadBalancerSourceRanges": ["10.0.0.0/8"],
    }
    service = find(chart({"service": values}), "Service", "corepod")
    assert service["metadata"]["annotations"] == {"a": "b"}
    [port] = service["spec"]["ports"]
    assert (port["port"], port["nodePort"], port["appProtocol"]) == (8080, 30080, "kubernetes.io/h2c")
    for name in (
        "type",
        "trafficDistribution",
        "externalTrafficPolicy",
        "sessionAffinity",
        "loadBalancerClass",
        "loadBalancerSourceRanges",
    ):
        assert service["spec"][name] == values[name]


def test_clients_keep_their_pod_by_their_address() -> None:
    spec = find(
        chart({"service": {"sessionAffinity": "ClientIP", "sessionAffinityTimeout": 600}}), "Service", "corepod"
    )["spec"]
    assert spec["sessionAffinity"] == "ClientIP"
    assert spec["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 600}}
    spec = find(chart({}), "Service", "corepod")["spec"]
    assert "sessionAffinity" not in spec
    assert "sessionAffinityConfig" not in spec
    for name, value in (("sessionAffinity", "Cookie"), ("sessionAffinityTimeout", 100_000)):
        assert f"/service/{name}" in refused({"service": {name: value}})


def test_ways_in() -> None:
    tls = [{"hosts": [HOST], "secretName": "shop"}]
    paths = [{"path": "/", "pathType": "Prefix"}, {"path": "/api", "pathType": "Exact"}]
    objects = chart(
        {
            "ingress": {"enabled": True, "className": "nginx", "hosts": [{"host": HOST, "paths": paths}], "tls": tls},
            "httpRoute": {"enabled": True, "parentRefs": [{"name": "g", "sectionName": "s"}], "hostnames": [HOST]},
            "service": {"port": 81},
        }
    )
    ingress = find(objects, "Ingress")["spec"]
    assert (ingress["ingressClassName"], ingress["tls"]) == ("nginx", tls)
    [rule] = ingress["rules"]
    assert rule["host"] == HOST
    assert [(p["path"], p["pathType"]) for p in rule["http"]["paths"]] == [("/", "Prefix"), ("/api", "Exact")]
    route = find(objects, "HTTPRoute")["spec"]
    assert (route["parentRefs"], route["hostnames"]) == ([{"name": "g", "sectionName": "s"}], [HOST])
    assert route["rules"][0]["backendRefs"][0]["port"] == 81


def test_a_network_policy_lets_through_what_is_needed() -> None:
    def rules(**values: Any) -> dict[str, Any]:
        policy = find(chart({**ALONE, "networkPolicy": {"enabled": True, **values}}), "NetworkPolicy")["spec"]
        return {"types": policy["policyTypes"], "egress": policy.get("egress")} | {
            rule["ports"][0]["port"]: rule.get("from") for rule in policy["ingress"]
        }

    plain = rules()
    assert plain == {"types": ["Ingress"], "egress": None, "http": None, "admin": [{"podSelector": {}}]}
    proxy, prometheus = {"namespaceSelector": {"matchLabels": {"a": "b"}}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}
    strict = rules(httpFrom=[proxy], adminFrom=[prometheus], egress=[{"to": [proxy]}])
    assert strict["types"] == ["Ingress", "Egress"]
    assert strict["egress"] == [{"to": [proxy]}]
    test = find(chart(), "Pod")["metadata"]["labels"]
    for port, peer in (("http", proxy), ("admin", prometheus)):
        assert peer in strict[port]
        # `helm test` still gets through, and nobody else.
        [other] = [p for p in strict[port] if p != peer]
        assert other["podSelector"]["matchLabels"].items() <= test.items()
        assert len(other["podSelector"]["matchLabels"]) >= 2
    off = chart({**ALONE, "networkPolicy": {"enabled": True, "httpFrom": [proxy]}, "tests": {"enabled": False}})
    assert find(off, "NetworkPolicy")["spec"]["ingress"][0]["from"] == [proxy]


def test_what_is_switched_off_is_not_there() -> None:
    values = {"pdb": {"enabled": False}, "tests": {"enabled": False}, "serviceAccount": {"create": False}, **ALONE}
    objects = chart(values)
    assert {o["kind"] for o in objects} == {"Deployment", "Service"}
    assert pod(values)["serviceAccountName"] == "default"
    assert pod({"serviceAccount": {"create": False, "name": "mine"}})["serviceAccountName"] == "mine"


def test_names() -> None:
    assert find(chart(release="shop"), "Deployment")["metadata"]["name"] == "shop-corepod"
    assert find(chart({"nameOverride": "web"}, release="shop"), "Deployment")["metadata"]["name"] == "shop-web"
    assert find(chart({"fullnameOverride": "web"}, release="shop"), "Deployment")["metadata"]["name"] == "web"


def test_a_chart_above_may_pass_its_globals_down() -> None:
    assert chart({"global": {"registry": "x"}})


@pytest.mark.parametrize("value", ["2", 2, "50%"])
def test_a_budget_of_pods_that_have_to_be_there(value: object) -> None:
    values: Object = {"replicas": 3, "pdb": {"minAvailable": value}}
    if value == "2":
        assert "/pdb/minAvailable" in refused(values)
        return
    budget = find(chart(values), "PodDisruptionBudget")["spec"]
    assert budget["minAvailable"] == value
    assert "maxUnavailable" not in budget


NEVER = "no node with"
COMBINATIONS: list[tuple[Object, str]] = [
    ({"pdb": {"minAvailable": 1}}, NEVER),
    ({"pdb": {"minAvailable": 1}, "replicas": 1}, NEVER),
    ({"pdb": {"minAvailable": 2}, "autoscaling": {"enabled": True, "minReplicas": 2}}, NEVER),
    ({"pdb": {"minAvailable": "100%"}, "replicas": 3}, NEVER),
    ({"pdb": {"maxUnavailable": 0}}, NEVER),
    ({"pdb": {"maxUnavailable": "0%"}}, NEVER),
    ({"autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 4}}, "minReplicas is 5, above"),
    ({"terminationGracePeriodSeconds": 24}, "less than the 25 seconds of settings.stop_timeout"),
    ({"settings": {"lame_duck": 25}}, "leaves no time to drain"),
    ({"settings": {"stop_timeout": 4}}, "settings.lame_duck is 5, which leaves no time"),
    ({"extraEnv": [{"name": "COREPOD_APP", "value": "x"}]}, "extraEnv has COREPOD_APP"),
    ({"extraEnv": [{"name": "COREPOD_BIND", "value": "x"}]}, "extraEnv has COREPOD_BIND"),
    ({"extraEnv": [{"name": "NODE_NAME", "value": "x"}]}, "extraEnv has NODE_NAME"),
    (
        {"extraEnv": [{"name": "COREPOD_LOOP", "value": "x"}], "settings": {"loop": "uvloop"}},
        "extraEnv has COREPOD_LOOP",
    ),
]
FINE: list[Object] = [
    {"pdb": {"minAvailable": 1}, "replicas": 2},
    {"pdb": {"minAvailable": 1}, "autoscaling": {"enabled": True, "minReplicas": 2}},
    {"pdb": {"maxUnavailable": 0, "enabled": False}},
    {"autoscaling": {"enabled": False, "minReplicas": 50}},
    {"settings": {"stop_timeout": 4, "lame_duck": 0}},
    {"settings": {"stop_timeout": 6}},
    {"extraEnv": [{"name": "COREPOD_LOOP", "value": "uvloop"}]},
    {"extraEnv": [{"name": "COREPOD_APP", "value": "x"}], "app": {"module": ""}},
]


@pytest.mark.parametrize(("values", "word"), COMBINATIONS)
def test_combinations_that_cannot_work_are_refused(values: Object, word: str) -> None:
    error = refused(values)
    assert "These values are invalid" in error
    assert word in error


@pytest.mark.parametrize("values", FINE)
def test_their_neighbours_are_fine(values: Object) -> None:
    assert chart(values)


def test_all_faults_are_told_together() -> None:
    values: Object = {
        "cpu": {"request": 2},
        "pdb": {"maxUnavailable": 0},
        "terminationGracePeriodSeconds": 1,
        "settings": {"workers": 3},
        "extraEnv": [{"name": "POD_NAME", "value": "x"}],
    }
    assert refused(values).count("\n- ") == len(values)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"replica": 3}, "replica"),
        ({"replicas": -1}, "/replicas"),
        ({"replicas": "3"}, "/replicas"),
        ({"full": "yes"}, "/full"),
        ({"image": {"name": "x"}}, "name"),
        ({"image": {"digest": "sha256:12"}}, "/image/digest"),
        ({"app": {"module": "app.py"}}, None),
        ({"app": {"module": "shop/main.py:app"}}, "/app/module"),
        ({"app": {"module": "shop:create('a', b=[1])"}}, None),
        ({"app": {"module": "shop:create('a'"}}, "/app/module"),
        ({"app": {"interface": "cgi"}}, "'auto', 'asgi', 'wsgi'"),
        ({"memory": {"request": "256 MB"}}, "/memory/request"),
        ({"memory": {"request": "256m"}}, "/memory/request"),
        ({"service": {"type": "ExternalName"}}, "/service/type"),
        ({"service": {"port": 70000}}, "/service/port"),
        ({"ingress": {"hosts": []}}, "/ingress/hosts"),
        ({"ingress": {"hosts": [{"host": "a"}]}}, "paths"),
        ({"podSecurityContext": {"runAsUser": 0}}, "/podSecurityContext/runAsUser"),
        ({"podSecurityContext": {"runAsNonRoot": False}}, "runAsNonRoot"),
        ({"probes": {"readiness": {"path": "/"}}}, "path"),
        ({"pdb": {"maxUnavailable": "one"}}, "/pdb/maxUnavailable"),
        ({"extraEnv": [{"value": "x"}]}, "/extraEnv/0"),
        ({"podAnnotations": {"a": 1}}, "/podAnnotations/a"),
        ({"tests": {"path": "healthz"}}, "/tests/path"),
    ],
)
def test_bad_values_are_refused_by_name(values: Object, word: str | None) -> None:
    if word is None:
        assert chart(values)  # a module called py in a package called app
    else:
        assert word in refused(values)


def _emptied(values: Object) -> Object:
    """Null in the place of each value that is empty by default."""
    nulls: Object = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            nulls[name] = _emptied(value)
        elif value in ("", [], {}) and name != "settings":
            nulls[name] = None
    return nulls


def test_null_is_an_empty_value_where_there_is_one() -> None:
    nulls = _emptied(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8")))
    assert nulls["extraContainers"] is nulls["front"]["trustedProxies"] is None
    values: Object = {"front": {"enabled": True}, "operator": {"enabled": True}, "ingress": {"enabled": True}}
    nulls_too = {name: {**nulls.get(name, {}), **of} for name, of in values.items()}
    assert chart({**nulls, **nulls_too}) == chart(values)


def test_null_is_refused_where_a_number_an_answer_or_a_group_is_needed() -> None:
    said = refused(
        {
            "front": {"enabled": None},
            "operator": {"sizing": None, "publishRestarts": None},
            "serviceAccount": {"create": None},
            "state": {"valkey": {"persistence": {"enabled": None}, "secret": {"key": None}}},
            "probes": None,
        }
    )
    for name in ("enabled", "sizing", "publishRestarts", "create", "key", "probes"):
        assert f"'{name}'" in said
