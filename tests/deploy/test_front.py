"""HAProxy before the pods: off by default, on nobody's core, led to by everything that leads clients, and its
configuration is one that HAProxy takes."""

from __future__ import annotations

import re
import shlex
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from corepod.config.spec import BY_NAME
from corepod.contract.env import ADMIN_PORT, APP_PORT

from tests.deploy.render import CHART, ROOT, Object, chart, environment, find, pod_specs, refused, worker
from tests.deploy.test_chart import LABELS
from tests.deploy.test_security import violations
from tests.plugins.needs import program

if TYPE_CHECKING:
    from pathlib import Path

ALL = ("ingress", "httpRoute", "networkPolicy", "serviceMonitor", "prometheusRule", "loadtest")
NAME = "corepod-front"
PROXIES = ["10.1.0.0/16", "fd00::/8"]


def on(front: Object | None = None, **values: Any) -> Object:
    return {"front": {"enabled": True, **(front or {})}, **values}


EVERYTHING = on(**{name: {"enabled": True} for name in ALL})
# Each switch of the configuration both ways, and all of them.
CONFIGURATIONS: list[Object] = [
    on(),
    on({"concurrency": 1}),
    on({"concurrency": 2}, cpu={"slots": 4}),
    on({"sticky": {"cookie": "shop"}}),
    on({"retries": False}),
    on({"balance": "random", "queueTimeout": 0.5, "checkInterval": 0.25, "connections": 9, "places": 1000}),
    on({"trustedProxies": PROXIES}, networkPolicy={"enabled": True}),
    on({"concurrency": 1, "sticky": {"cookie": "shop"}, "trustedProxies": PROXIES}, networkPolicy={"enabled": True}),
    on(settings={"busy_timeout": 0, "write_timeout": 0, "body_timeout": 0, "keep_alive": 75.5, "wsgi_timeout": 600}),
]


def front(objects: list[Object]) -> list[Object]:
    """The front's objects."""
    return [o for o in objects if o["metadata"]["labels"]["app.kubernetes.io/component"].startswith("front")]


def spec(values: Object, **options: Any) -> Object:
    """The specification of the front's pods."""
    name = options.get("release", "corepod")
    found = find(chart(values, **options), "Deployment", NAME if name == "corepod" else f"{name}-front")
    template: Object = found["spec"]["template"]["spec"]
    return template


def configuration(values: Object) -> str:
    text: str = find(chart(values), "ConfigMap", NAME)["data"]["haproxy.cfg"]
    return text


def words(values: Object, start: str) -> list[str]:
    """The words of the only line that begins so."""
    [line] = [line for line in configuration(values).splitlines() if line.strip().startswith(start)]
    return line.split()


def test_by_default_there_is_none() -> None:
    assert front(chart({"networkPolicy": {"enabled": True}, "prometheusRule": {"enabled": True}})) == []
    assert "COREPOD_TRUSTED_PROXIES" not in environment(worker(chart({"networkPolicy": {"enabled": True}})))


def test_what_there_is() -> None:
    assert sorted((o["kind"], o["metadata"]["name"]) for o in front(chart(on()))) == [
        ("ConfigMap", NAME),
        ("Deployment", NAME),
        ("PodDisruptionBudget", NAME),
        ("Service", NAME),
        ("Service", f"{NAME}-admin"),
    ]
    more = {(o["kind"], o["metadata"]["name"]) for o in front(chart(EVERYTHING))}
    assert more > {(kind, NAME) for kind in ("NetworkPolicy", "ServiceMonitor", "PrometheusRule")}
    for o in front(chart(EVERYTHING)):
        assert all(f"app.kubernetes.io/{label}" in o["metadata"]["labels"] for label in LABELS)
        assert o["metadata"]["namespace"] == "default"


def test_its_objects_find_its_pods_and_nobody_else_s() -> None:
    objects = chart(EVERYTHING)
    deployment = find(objects, "Deployment", NAME)["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    selectors = [find(objects, "Service", name)["spec"]["selector"] for name in (NAME, f"{NAME}-admin")]
    selectors += [find(objects, "PodDisruptionBudget", NAME)["spec"]["selector"]["matchLabels"]]
    selectors += [find(objects, "NetworkPolicy", NAME)["spec"]["podSelector"]["matchLabels"]]
    spread = deployment["template"]["spec"]["topologySpreadConstraints"]
    selectors += [constraint["labelSelector"]["matchLabels"] for constraint in spread]
    for selector in selectors:
        assert selector == deployment["selector"]["matchLabels"]
        assert selector.items() <= labels.items()
    others = [find(objects, "Service", name)["spec"]["selector"] for name in ("corepod", "corepod-admin")]
    assert not any(selector.items() <= labels.items() for selector in others)
    monitor = find(objects, "ServiceMonitor", NAME)["spec"]
    for name, found in ((f"{NAME}-admin", True), (NAME, False), ("corepod-admin", False)):
        service = find(objects, "Service", name)["metadata"]["labels"]
        assert (monitor["selector"]["matchLabels"].items() <= service.items()) is found
    plain = find(objects, "ServiceMonitor", "corepod")["spec"]["selector"]["matchLabels"]
    assert not plain.items() <= find(objects, "Service", f"{NAME}-admin")["metadata"]["labels"].items()
    assert not plain.items() <= find(objects, "Service", NAME)["metadata"]["labels"].items()


def test_a_long_release_name_gives_valid_names() -> None:
    objects = chart({**EVERYTHING, "service": {"headless": True}}, release="r" * 53)
    services = [o for o in objects if o["kind"] == "Service" and "loadtest" not in o["metadata"]["name"]]
    assert len(services) >= 6
    for o in (*front(objects), *services):
        assert len(o["metadata"]["name"]) <= 63


def test_its_pods_are_restricted_and_carry_no_token() -> None:
    for values in (on(), EVERYTHING, on(podSecurityContext=None, readOnlyRootFilesystem=False)):
        pod = spec(values)
        assert violations(pod) == []
        assert pod["automountServiceAccountToken"] is False
        assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
        # HAProxy writes nowhere else than into its memory.
        assert [volume["name"] for volume in pod["volumes"]] == ["configuration", "tmp"]


def test_it_never_gets_a_core_of_its_own_and_is_never_throttled() -> None:
    resources = spec(on())["containers"][0]["resources"]
    assert resources["requests"]["cpu"].endswith("m")
    assert "cpu" not in resources["limits"]
    for cpu in ("1", 1, 2):
        assert "/front/cpu" in refused(on({"cpu": cpu}))


def test_a_rollout_and_a_drain_leave_one_that_serves() -> None:
    objects = chart(on())
    deployment = find(objects, "Deployment", NAME)["spec"]
    assert deployment["replicas"] == 2
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    budget = find(objects, "PodDisruptionBudget", NAME)["spec"]
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
    pod = deployment["template"]["spec"]
    pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    hard = int(words(on(), "hard-stop-after")[1].removesuffix("s"))
    assert pod["terminationGracePeriodSeconds"] >= pause + hard + 5


def test_another_configuration_is_a_rollout() -> None:
    def checksum(values: Object) -> str:
        template = find(chart(values), "Deployment", NAME)["spec"]["template"]
        return str(template["metadata"]["annotations"]["corepod.dev/configuration"])

    assert checksum(on()) == checksum(on(replicas=3)) == checksum(on({"replicas": 3}))
    assert len({checksum(values) for values in CONFIGURATIONS}) == len(CONFIGURATIONS)


def test_its_ports_are_those_of_the_configuration() -> None:
    objects = chart(EVERYTHING)
    container = spec(EVERYTHING)["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    binds = re.findall(r"^frontend (\w+)\n  bind :(\d+)$", configuration(on()), re.MULTILINE)
    assert {name: int(port) for name, port in binds} == ports
    assert find(objects, "Service", NAME)["spec"]["ports"][0]["targetPort"] == "http"
    assert find(objects, "Service", f"{NAME}-admin")["spec"]["ports"][0]["targetPort"] == "stats"
    path = container["readinessProbe"]["httpGet"]["path"]
    assert f"monitor-uri {path}" in configuration(on())


def test_it_finds_every_pod_and_the_service() -> None:
    objects = chart(on(service={"port": 81}), release="shop")
    pod = find(objects, "Deployment", "shop-corepod-front")["spec"]["template"]["spec"]
    variables = environment(pod["containers"][0])
    name, namespace = variables["PODS"].split(".")[:2]
    ready = find(objects, "Service", name)
    assert namespace == ready["metadata"]["namespace"]
    assert variables["PODS"].endswith(".svc.cluster.local")
    assert ready["spec"]["clusterIP"] == "None"
    assert "publishNotReadyAddresses" not in ready["spec"], "HAProxy uses what is new to it before its first check"
    assert ready["spec"]["selector"] == find(objects, "Service", "shop-corepod")["spec"]["selector"]
    # The kubelet's variable, with the name as it makes it; without links it makes none.
    assert pod["enableServiceLinks"] is True
    assert (variables["SERVICE_IP"], variables["SERVICE_PORT"]) == ("$(SHOP_COREPOD_SERVICE_HOST)", "81")
    assert "clusterIP" not in find(objects, "Service", "shop-corepod")["spec"], "a headless one would have no address"
    other = environment(spec(on({"clusterDomain": "example.org"}))["containers"][0])
    assert other["PODS"] == "corepod-headless.default.svc.example.org"


def test_it_asks_the_ports_of_the_pods() -> None:
    assert words(on(), "server-template")[-1] == f'"${{PODS}}:{APP_PORT}"'
    checks = words(on(), "default-server check")
    assert checks[checks.index("port") + 1] == str(ADMIN_PORT)


@pytest.mark.parametrize(
    ("values", "places", "interval"),
    [
        ({}, 50, "500ms"),  # operator.sizing.max is 20
        ({"operator": {"sizing": {"max": 33}}}, 50, "500ms"),
        ({"operator": {"sizing": {"max": 101}}}, 152, "500ms"),
        ({"operator": {"sizing": {"max": 200}}}, 300, "500ms"),
        ({"operator": {"sizing": {"max": 201}}}, 302, "2000ms"),
        ({"operator": {"sizing": {"max": 666}}}, 999, "2000ms"),
        ({"autoscaling": {"enabled": True, "maxReplicas": 80}}, 120, "500ms"),
        ({"replicas": 70}, 105, "500ms"),
        ({"operator": {"enabled": False}}, 50, "500ms"),
        ({"operator": {"enabled": False}, "front": {"enabled": True, "places": 400}}, 400, "2000ms"),
        ({"front": {"enabled": True, "places": 21}}, 21, "500ms"),
        ({"front": {"enabled": True, "checkInterval": 1}}, 50, "1000ms"),
    ],
)
def test_places_and_checks_follow_the_number_of_pods(values: Object, places: int, interval: str) -> None:
    values = {**on(), **values}
    assert words(values, "server-template")[2] == str(places)
    checks = words(values, "default-server check")
    assert checks[checks.index("inter") + 1] == interval


def test_concurrency_is_that_of_a_worker() -> None:
    assert "maxconn" not in configuration(on()).partition("backend pods")[2]
    assert words(on({"concurrency": 3}, cpu={"slots": 2}), "default-server maxconn")[-1] == "6"


def test_the_cookie_s_key_is_the_same_in_every_version_of_a_release_and_in_no_other() -> None:
    sticky = {"sticky": {"cookie": "shop"}}

    def key(values: Object, release: str) -> str:
        objects = chart(values, release=release)
        container = find(objects, "Deployment", f"{release}-corepod-front")["spec"]["template"]["spec"]["containers"][0]
        return str(environment(container)["COOKIE_KEY"])

    assert key(on(sticky), "one") == key(on({**sticky, "places": 99}, image={"tag": "2"}), "one")
    assert key(on(sticky), "one") != key(on(sticky), "two")
    assert "COOKIE_KEY" not in environment(spec(on())["containers"][0])


def test_the_command_of_docs_deploy_makes_the_services_that_it_names() -> None:
    section = (ROOT / "docs/deploy.md").read_text().partition("## One queue for all pods\n")[2].partition("\n## ")[0]
    [command] = [shlex.split(line) for line in re.findall(r"^    (helm .*)$", section, re.MULTILINE)]
    release = command[command.index("--install") + 1]
    objects = chart(None, *command[command.index("--set") :], release=release)
    named = re.findall(rf"Service `({release}-\S+)`", section)
    assert named
    for name in named:
        assert find(objects, "Service", name)


def test_everything_that_leads_clients_leads_to_it() -> None:
    objects = chart({**EVERYTHING, "front": {"enabled": True, "service": {"port": 8080}}, "service": {"port": 81}})
    path = find(objects, "Ingress")["spec"]["rules"][0]["http"]["paths"][0]
    assert path["backend"]["service"] == {"name": NAME, "port": {"name": "http"}}
    assert find(objects, "HTTPRoute")["spec"]["rules"][0]["backendRefs"] == [{"name": NAME, "port": 8080}]
    master = find(objects, "Deployment", "corepod-loadtest-master")["spec"]["template"]["spec"]["containers"][0]
    assert f"--host=http://{NAME}:8080" in master["args"]
    test = environment(find(objects, "Pod")["spec"]["containers"][0])
    assert test["APPLICATION"] == f"http://{NAME}:8080/"
    assert test["ADMIN"] == "http://corepod-admin:9000"


def test_its_service() -> None:
    values = {
        "type": "LoadBalancer",
        "port": 8080,
        "nodePort": 30080,
        "annotations": {"a": "b"},
        "trafficDistribution": "PreferSameNode",
        "externalTrafficPolicy": "Local",
        "loadBalancerClass": "example.com/one",
        "loadBalancerSourceRanges": ["10.0.0.0/8"],
    }
    service = find(chart(on({"service": values})), "Service", NAME)
    assert service["metadata"]["annotations"] == values.pop("annotations")
    [port] = service["spec"]["ports"]
    assert (port["port"], port["nodePort"]) == (values.pop("port"), values.pop("nodePort"))
    assert {name: service["spec"][name] for name in values} == values


def test_scheduling_and_image() -> None:
    digest = "sha256:" + "0a" * 32
    values = on(
        {"nodeSelector": {"pool": "edge"}, "tolerations": [{"key": "pool"}], "image": {"digest": digest}},
        image={"pullSecrets": ["registry"]},
        priorityClassName="high",
    )
    pod = spec(values)
    assert (pod["nodeSelector"], pod["tolerations"]) == ({"pool": "edge"}, [{"key": "pool"}])
    assert (pod["priorityClassName"], pod["imagePullSecrets"]) == ("high", [{"name": "registry"}])
    assert pod["containers"][0]["image"] == f"haproxy@{digest}"
    assert spec(on())["containers"][0]["image"] == "haproxy:3.0"


def peers(objects: list[Object], name: str) -> dict[str, Any]:
    policy = find(objects, "NetworkPolicy", name)["spec"]
    return {rule["ports"][0]["port"]: rule.get("from") for rule in policy["ingress"]}


def test_a_network_policy_lets_nobody_around_it() -> None:
    ingress, prometheus = {"podSelector": {"matchLabels": {"a": "b"}}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}
    objects = chart(on(networkPolicy={"enabled": True, "httpFrom": [ingress], "adminFrom": [prometheus]}))
    labels = find(objects, "Deployment", NAME)["spec"]["template"]["metadata"]["labels"]
    test = find(objects, "Pod")["metadata"]["labels"]
    [alone] = peers(objects, "corepod")["http"]
    assert alone["podSelector"]["matchLabels"].items() <= labels.items()
    assert len(alone["podSelector"]["matchLabels"]) >= 3
    assert alone in peers(objects, "corepod")["admin"]
    before = peers(objects, NAME)
    assert before["stats"] == [prometheus]
    assert before["http"][0] == ingress
    [other] = before["http"][1:]
    assert other["podSelector"]["matchLabels"].items() <= test.items()
    open_to_all = chart(on(networkPolicy={"enabled": True}))
    assert peers(open_to_all, NAME) == {"http": None, "stats": [{"podSelector": {}}]}
    assert peers(open_to_all, "corepod")["http"] == [alone]


def test_the_pods_believe_it_where_nobody_else_can_reach_them() -> None:
    def trusted(values: Object) -> str | None:
        found: str | None = environment(worker(chart(values))).get("COREPOD_TRUSTED_PROXIES")
        return found

    closed: Object = {"networkPolicy": {"enabled": True}}
    assert trusted(on()) is None
    assert trusted(on(**closed)) == "peer"
    assert trusted(on({"trustedProxies": PROXIES}, **closed)) == "peer,10.1.0.0/16,fd00::/8"
    assert trusted(on(**closed, settings={"trusted_proxies": ["10.0.0.0/8"]})) == "10.0.0.0/8"
    assert BY_NAME["trusted_proxies"].variable == "COREPOD_TRUSTED_PROXIES"


FAULTS: list[tuple[Object, str]] = [
    (on(settings={"lame_duck": 2.5}), "settings.lame_duck is 2.5, but the front needs"),
    (on(settings={"lame_duck": 0}), "settings.lame_duck is 0, but the front needs"),
    (on({"places": 20}), "front.places is 20, but there may be 20 pods"),
    (on({"places": 3}, replicas=4), "front.places is 3, but there may be 4 pods"),
    (on(operator={"sizing": {"max": 700}}), "1050 places for 700 pods"),
    (on(operator={"sizing": {"max": None}}), "operator.sizing.max is not set"),
    (on(settings={"tls_cert": "/tls/tls.crt"}), "settings.tls_cert is set, but the front speaks plain HTTP"),
    (on({"trustedProxies": PROXIES}), "front.trustedProxies is set, but the pods don't believe the front"),
]
FINE: list[Object] = [
    on(settings={"lame_duck": 3}),
    {"settings": {"lame_duck": 0}},
    on({"places": 21}),
    on({"places": 700}, operator={"sizing": {"max": None}}),
    {"settings": {"tls_cert": "/tls/tls.crt"}},
    on({"trustedProxies": PROXIES}, settings={"trusted_proxies": PROXIES}),
    on(service={"headless": True}),
]


@pytest.mark.parametrize(("values", "word"), FAULTS)
def test_combinations_that_cannot_work_are_refused(values: Object, word: str) -> None:
    assert word in refused(values)


@pytest.mark.parametrize("values", FINE)
def test_their_neighbours_are_fine(values: Object) -> None:
    assert chart(values)


def test_all_faults_are_told_together() -> None:
    values = on(
        {"places": 3, "trustedProxies": PROXIES}, settings={"lame_duck": 1, "tls_cert": "/a"}, cpu={"request": 1}
    )
    assert refused(values).count("\n- ") == 5


@pytest.mark.parametrize(
    ("front", "word"),
    [
        ({"place": 3}, "place"),
        ({"places": 1001}, "/front/places"),
        ({"replicas": 0}, "/front/replicas"),
        ({"concurrency": -1}, "/front/concurrency"),
        ({"queueTimeout": 0}, "/front/queueTimeout"),
        ({"queueTimeout": "30s"}, "/front/queueTimeout"),
        ({"retries": 3}, "/front/retries"),
        ({"balance": "best"}, "/front/balance"),
        ({"sticky": {"cookie": "a b"}}, "/front/sticky/cookie"),
        ({"sticky": {"cookie": 'a"\n  http-request deny'}}, "/front/sticky/cookie"),
        ({"trustedProxies": ["ingress"]}, "/front/trustedProxies"),
        ({"clusterDomain": "a b"}, "/front/clusterDomain"),
        ({"service": {"headless": True}}, "headless"),
    ],
)
def test_bad_values_are_refused_by_name(front: Object, word: str) -> None:
    assert word in refused(on(front))


def taken(text: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """What HAProxy says of a configuration."""
    (folder / "haproxy.cfg").write_text(text)
    command = [program("haproxy"), "-c", "-f", str(folder / "haproxy.cfg")]
    given = {"PODS": "pods.test.svc.cluster.local", "SERVICE_IP": "10.96.0.9", "SERVICE_PORT": "80", **variables}
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("index", range(len(CONFIGURATIONS)))
def test_haproxy_takes_the_configuration(index: int, tmp_path: Path) -> None:
    result = taken(configuration(CONFIGURATIONS[index]), tmp_path, COOKIE_KEY="key")
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stderr


def test_haproxy_refuses_what_is_wrong(tmp_path: Path) -> None:
    """Negative control. A Service that the kubelet doesn't know yet is no address: the container starts again."""
    result = taken(configuration(on()), tmp_path, SERVICE_IP="$(COREPOD_SERVICE_HOST)")
    assert "COREPOD_SERVICE_HOST" in result.stderr
    assert result.returncode != 0
    assert taken(configuration(on()).replace("leastconn", "best"), tmp_path).returncode != 0


def test_service_headless_adds_one() -> None:
    values: Object = {"service": {"headless": True, "annotations": {"a": "b"}, "appProtocol": "kubernetes.io/h2c"}}
    objects = chart(values)
    headless, plain = find(objects, "Service", "corepod-headless"), find(objects, "Service", "corepod")
    assert headless["spec"]["clusterIP"] == "None"
    assert "publishNotReadyAddresses" not in headless["spec"], "only pods that are ready"
    assert headless["spec"]["selector"] == plain["spec"]["selector"]
    # Nothing translates the port of a Service without an address.
    [port] = headless["spec"]["ports"]
    assert (port["port"], port["targetPort"], port["appProtocol"]) == (APP_PORT, "http", "kubernetes.io/h2c")
    # An annotation such as a host name for external DNS belongs to one of them.
    assert "annotations" not in headless["metadata"]
    without = chart({"service": {**values["service"], "headless": False}})
    assert find(without, "Service", "corepod") == plain, "the one that exists can't be changed"
    assert all(o["metadata"]["name"] != "corepod-headless" for o in without)
    assert find(chart(on(service=values["service"])), "Service", "corepod-headless") == headless
    assert find(chart(on()), "Service", "corepod-headless")["spec"]["clusterIP"] == "None"


# Alerts

RULES = yaml.safe_load((CHART / "files" / "front-alerts.yaml").read_text())


def rules(**values: Any) -> dict[str, Any]:
    rule = {"enabled": True, **values.pop("rule", {})}
    [group] = find(chart(on(prometheusRule=rule, **values)), "PrometheusRule", NAME)["spec"]["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


@pytest.mark.parametrize("name", RULES)
def test_an_alert_asks_for_this_front_and_explains_itself(name: str) -> None:
    rule = rules()[name]
    selectors = re.findall(r"haproxy_\w+(\{[^}]*\})?", rule["expr"])
    assert selectors
    assert all(f'namespace="default",service="{NAME}-admin"' in selector for selector in selectors)
    assert rule["expr"].count("(") == rule["expr"].count(")")
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    assert set(rule["annotations"]) == {"summary", "description"}
    assert not re.search("FRONTS|RELEASE|REPLICAS|SERVERS", str(rule))


def test_alerts_know_the_numbers_and_can_be_left_out() -> None:
    assert rules()["CorepodFrontMissing"]["expr"].endswith("< 2")
    assert "50 pods" in rules()["CorepodFrontFull"]["annotations"]["description"]
    assert set(rules(rule={"disabled": ["CorepodFrontQueues"]})) == set(RULES) - {"CorepodFrontQueues"}


def test_no_pod_of_the_application_sees_other_services() -> None:
    for pod in pod_specs(chart(EVERYTHING)):
        assert pod["enableServiceLinks"] is (pod["containers"][0]["name"] == "haproxy")
