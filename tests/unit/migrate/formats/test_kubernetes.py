"""Manifests of Kubernetes, and the values that they become: each fits the chart's schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from corepod.migrate.formats import read_all
from corepod.migrate.model import Fate, MigrateError, Migration
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.migrate.formats.manifests import BOTH, PINNED, SHOP
from tests.unit.migrate.formats.sources import context, each_once, fates, item, only, read

CHART = Path(__file__).parents[4] / "deploy/helm/corepod"
SCHEMA = jsonschema.Draft7Validator(json.loads((CHART / "values.schema.json").read_text(encoding="utf-8")))
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))


def values(migration: Migration, name: str = "values.yaml") -> dict[str, Any]:
    """The values. They fit the schema, with which Helm compares them together with the chart's own."""
    found: dict[str, Any] = yaml.safe_load(migration.files[name])
    SCHEMA.validate(merged(DEFAULTS, found))
    return found


def merged(defaults: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """As Helm does it: maps are merged, and everything else is replaced."""
    return defaults | {
        name: merged(defaults[name], value)
        if isinstance(value, dict) and isinstance(defaults.get(name), dict)
        else value
        for name, value in values.items()
    }


def pod(**container: Any) -> str:
    """A Deployment with this in its container."""
    web = {"name": "web", "image": "registry.test/web:1", "command": ["gunicorn", "web:app", "-w", "1"], **container}
    spec = {"selector": {"matchLabels": {"app": "web"}}, "template": {"spec": {"containers": [web]}}}
    return yaml.safe_dump({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec})


def changed(text: str, change: Any) -> str:
    """The manifest's first document with `change` done to it."""
    first = next(yaml.safe_load_all(text))
    change(first["spec"])
    return yaml.safe_dump(first)


def test_a_shop_on_half_a_core() -> None:
    migration = read(SHOP)
    program, made = only(migration), values(migration)
    assert made["cpu"] == {"preset": "shared", "slots": 4, "request": "250m"}
    assert made["memory"] == {"request": "256Mi", "limit": "512Mi"}
    assert (made["app"], made["command"]) == ({"module": "shop.wsgi"}, ["corepod", "pid1"])
    assert made["image"] == {"repository": "registry.test:5000/shop", "tag": "1.2"}
    assert [one["name"] for one in made["extraEnv"]] == ["PROMETHEUS_MULTIPROC_DIR", "SECRET"]
    assert (made["extraVolumes"], made["tmpSize"]) == ([{"name": "prom", "emptyDir": {}}], "1Gi")
    assert made["settings"].items() >= {"ready_path": "/health", "lame_duck": 10, "stop_timeout": 30}.items()
    assert made["probes"] == {"startup": {"failureThreshold": 200}, "readiness": {"periodSeconds": 10}}
    assert made["podAnnotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "9000",
        "prometheus.io/path": "/metrics",
    }
    assert made["autoscaling"] == {"enabled": True, "minReplicas": 2, "maxReplicas": 10, "targetCPU": 70}
    assert "replicas" not in made
    assert (made["readOnlyRootFilesystem"], made["serviceAccount"]) == (False, {"create": False, "name": "shop"})
    assert made["ingress"]["hosts"] == [{"host": "shop.test", "paths": [{"path": "/", "pathType": "Prefix"}]}]
    assert "busy" in item(program, "livenessProbe.httpGet").note
    assert "killed after 5 s" in item(program, "pod.terminationGracePeriodSeconds").note
    assert fates(program)["Ingress annotation alb.ingress.kubernetes.io/healthcheck-path"] is Fate.CHECK
    assert [one.setting for one in program.of(Fate.NEEDS_YOU)] == ["HPA.metrics[1]"]
    assert migration.notes[-1] == "ConfigMap shop stays as it is"


def test_one_worker_on_a_core_of_its_own() -> None:
    migration = read(PINNED)
    made = values(migration)
    assert made["cpu"] == {"preset": "exclusive", "slots": 1}
    assert made["memory"] == {"request": "1Gi"}
    assert made["replicas"] == 2
    assert made["settings"]["stop_timeout"] == 55
    assert made["command"] == ["/srv/venv/bin/corepod", "pid1"]
    assert made["image"]["digest"].startswith("sha256:")
    assert made["probes"]["startup"] == {"failureThreshold": 300}
    assert "bind" not in made["settings"]


@pytest.mark.parametrize(
    ("workers", "resources", "cpu"),
    [
        ("1", {"limits": {"cpu": 2, "memory": "1Gi"}}, {"preset": "exclusive", "slots": 1}),
        ("4", {"limits": {"cpu": 2, "memory": "1Gi"}}, {"preset": "exclusive", "slots": 2}),
        ("2", {"requests": {"cpu": 1}, "limits": {"cpu": 2}}, {"preset": "shared", "slots": 2, "request": "1"}),
        ("3", {"limits": {"cpu": "1500m"}}, {"preset": "shared", "slots": 3, "request": "1500m"}),
        ("1", {}, {"preset": "shared", "slots": 1}),
    ],
)
def test_cores(workers: str, resources: dict[str, Any], cpu: dict[str, Any]) -> None:
    migration = read(pod(command=["gunicorn", "web:app", "-w", workers], resources=resources))
    assert values(migration)["cpu"] == cpu
    if not any("memory" in one for one in resources.values()):
        assert fates(only(migration))["resources.memory"] is Fate.CHECK


def test_a_sidecar_without_limits_shares_its_cores() -> None:
    text = changed(PINNED, lambda spec: spec["template"]["spec"]["containers"].append({"name": "proxy", "image": "p"}))
    made = values(read(text))
    assert made["cpu"] == {"preset": "shared", "slots": 1, "request": "1"}
    assert made["extraContainers"] == [{"name": "proxy", "image": "p"}]


def test_what_starts_before_the_server_and_around_it() -> None:
    line = "python manage.py migrate && exec ddtrace-run gunicorn web:app -w 2"
    assert values(read(pod(command=["sh", "-c", line])))["command"] == [
        "sh",
        "-c",
        "python manage.py migrate && exec ddtrace-run corepod pid1",
    ]


def test_an_image_that_decides_what_starts() -> None:
    text = changed(PINNED, lambda spec: spec["template"]["spec"]["containers"][0].pop("command"))
    migration = read(text)
    assert values(migration)["app"] == {"module": ""}
    assert "Dockerfile" in item(only(migration), "container.command").note


@pytest.mark.parametrize(
    ("hook", "lame_duck", "stop_timeout"),
    [({"sleep": {"seconds": 4}}, None, None), ({"exec": {"command": ["sleep", "30"]}}, 30, 50)],
)
def test_a_sleep_before_the_stop(hook: dict[str, Any], lame_duck: int | None, stop_timeout: int | None) -> None:
    got = values(read(pod(lifecycle={"preStop": hook}))).get("settings", {})
    assert (got.get("lame_duck"), got.get("stop_timeout")) == (lame_duck, stop_timeout)


def test_what_the_chart_has_no_value_for() -> None:
    def change(spec: dict[str, Any]) -> None:
        spec["strategy"] = {"type": "OnDelete"}
        inner = spec["template"]["spec"]
        inner |= {"hostNetwork": True, "securityContext": {"runAsUser": 0}}
        web = inner["containers"][0]
        web["lifecycle"] = {"preStop": {"exec": {"command": ["/flush.sh"]}}}
        web["readinessProbe"] = {"exec": {"command": ["/check.sh"]}}
        web["ports"].append({"containerPort": 9100})

    migration = read(changed(PINNED, change))
    values(migration)
    assert {one.setting for one in only(migration).of(Fate.NEEDS_YOU)} == {
        "spec.strategy",
        "pod.hostNetwork",
        "pod.securityContext.runAsUser",
        "lifecycle.preStop",
        "readinessProbe.exec",
        "container.ports",
    }


def test_what_the_chart_takes_as_it_is() -> None:
    document = next(yaml.safe_load_all(PINNED))
    document["metadata"]["annotations"] = {
        "reloader.stakater.com/auto": "true",
        "deployment.kubernetes.io/revision": "3",
    }
    document["spec"]["strategy"] = {"type": "Recreate"}
    got = values(read(yaml.safe_dump(document)))
    assert got["deploymentAnnotations"] == {"reloader.stakater.com/auto": "true"}
    assert got["strategy"] == {"type": "Recreate"}


def test_what_a_cluster_adds_to_an_exported_manifest() -> None:
    document = next(yaml.safe_load_all(PINNED))
    document["metadata"] |= {"uid": "1", "generation": 2, "annotations": {"deployment.kubernetes.io/revision": "3"}}
    document["status"] = {"replicas": 2}
    inner = document["spec"]["template"]["spec"]
    inner |= {"dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "securityContext": {}}
    inner["containers"][0] |= {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
    service = {"kind": "Service", "apiVersion": "v1", "metadata": {"name": "api"}}
    spec = {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"], "sessionAffinity": "None"}
    service["spec"] = {**spec, "selector": {"app": "api"}, "ports": [{"port": 80, "protocol": "TCP"}]}
    program = only(read(yaml.safe_dump_all([document, service])))
    assert program.of(Fate.NEEDS_YOU) == []


def test_several_workloads_and_others() -> None:
    other = PINNED.replace("name: api", "name: other").replace("app: api", "app: other")
    queue = pod(command=["celery", "-A", "web", "worker"]).replace("name: web", "name: queue")
    migration = read("\n---\n".join([PINNED, other, queue]))
    assert sorted(migration.files) == ["values-api.yaml", "values-other.yaml"]
    assert "Deployment queue stays as it is" in migration.notes
    listed = {"kind": "List", "apiVersion": "v1", "items": list(yaml.safe_load_all(SHOP))}
    assert only(read(json.dumps(listed))).name == "shop"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("apiVersion: v1\nkind: Service\nmetadata: {name: x}\n", "no Deployment"),
        (pod(command=["celery", "worker"]), "no container starts"),
        ("apiVersion: apps/v1\nkind: Deployment\nspec: [1]\n", "shape"),
        ("apiVersion: v1\nkind: {{ .Values.kind }}\n", "helm template"),
    ],
)
def test_manifests_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(MigrateError, match=message):
        read(text)


KEYS = st.from_regex(r"[a-z][a-zA-Z]{4,12}", fullmatch=True)
OWN = ("command", "args", "name", "image", "containers", "resources", "lifecycle", "ports", "env", "template")
ANY = st.sampled_from(["x", 5, True, None, ["a"], {"b": 1}])


@settings(max_examples=60, deadline=None)
@given(*[st.dictionaries(KEYS, ANY, max_size=4)] * 4)
def test_no_key_is_lost(container: Any, inner: Any, spec: Any, hpa: Any) -> None:
    document = yaml.safe_load(pod(**{key: value for key, value in container.items() if key not in OWN}))
    document["spec"] |= {key: value for key, value in spec.items() if key not in (*OWN, "selector")}
    document["spec"]["template"]["spec"] |= {key: value for key, value in inner.items() if key not in OWN}
    target = {"scaleTargetRef": {"name": "web"}}
    scaler = {"kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v2", "spec": {**hpa, **target}}
    migration = read(yaml.safe_dump_all([document, scaler]))
    values(migration)
    names = {f"container.{key}": 1 for key in container if key not in OWN}
    names |= {f"pod.{key}": 1 for key in inner if key not in OWN}
    names |= {f"spec.{key}": 1 for key in spec if key not in OWN}
    names |= {f"HPA.{key}": 1 for key in {**hpa, **target}}
    each_once(only(migration), names)


@pytest.mark.parametrize("name", BOTH)
def test_every_key_of_a_manifest_has_an_item(name: str) -> None:
    program = only(read(BOTH[name]))
    document = next(yaml.safe_load_all(BOTH[name]))
    template = document["spec"]["template"]
    shown = {one.setting for one in program.items}
    parts = ("securityContext", "resources", "lifecycle", "env", "readinessProbe", "livenessProbe", "startupProbe")
    for prefix, table in (
        ("spec", document["spec"]),
        ("pod", template["spec"]),
        ("container", template["spec"]["containers"][0]),
    ):
        for key in table:
            if key not in ("template", "containers", *parts):
                assert f"{prefix}.{key}" in shown, key


BARE = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      containers:
        - {name: web, image: "registry.test/web:1", ports: [{containerPort: 80}], env: [{name: WORKERS, value: "3"}]}
"""
IMAGE = 'FROM python\nENV WORKERS=1\nCMD ["sh", "-c", "exec gunicorn web:app -w $WORKERS"]\n'


def test_the_dockerfile_says_what_the_image_starts(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(BARE)
    (tmp_path / "Dockerfile").write_text(IMAGE)
    alone = read_all(["web.yaml"], context(tmp_path))
    assert "container.command" in {one.setting for one in only(alone).of(Fate.NEEDS_YOU)}
    both = read_all(["web.yaml", "Dockerfile"], context(tmp_path))
    program, made = only(both), values(both)
    assert program.covered
    assert (made["app"]["module"], made["cpu"]["slots"], made["command"]) == ("web:app", 3, ["corepod", "pid1"])
    assert "Dockerfile" in both.files


def test_arguments_take_the_place_of_the_image_s(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(BARE.replace("ports:", 'args: ["shop:app"], ports:'))
    (tmp_path / "Dockerfile").write_text('FROM python\nENTRYPOINT ["gunicorn"]\nCMD ["web:app"]\n')
    assert values(read_all(["Dockerfile", "web.yaml"], context(tmp_path)))["app"]["module"] == "shop:app"


def test_of_several_dockerfiles_the_one_with_the_image_s_name(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(BARE)
    (tmp_path / "jobs.Dockerfile").write_text('FROM python\nCMD ["gunicorn", "jobs:app"]\n')
    (tmp_path / "web.Dockerfile").write_text(IMAGE)
    migration = read_all(["web.yaml", "jobs.Dockerfile", "web.Dockerfile"], context(tmp_path))
    assert values(migration)["app"]["module"] == "web:app"


def test_a_pod_without_a_limit_has_one_a_worker() -> None:
    migration = read(pod(command=["gunicorn", "web:app", "-w", "2"]))
    assert values(migration)["memory"] == {"request": "512Mi"}
    assert "kubectl top pods" in item(only(migration), "resources.memory").note
