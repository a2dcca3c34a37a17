"""The chart's haproxy.cfg, with values in it, is what `corepod front` would write before the same servers."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from corepod.config.spec import BY_NAME
from corepod.local.front import build, haproxy
from corepod.local.front.build import Asked
from corepod.local.front.configuration import Found, Server
from corepod.local.front.targets import LIMITS, Target

from tests.deploy.render import helm_template
from tools import front

if TYPE_CHECKING:
    from pathlib import Path

PLACES = 30
FRONT = {
    "balance": "leastconn",
    "concurrency": 0,
    "queueTimeout": 30,
    "retries": 1,
    "checkInterval": 0.5,
    "sticky": {"cookie": ""},
    "trustedProxies": [],
    "connections": 4000,
}
TEMPLATE = f"""\
{{{{- define "corepod.front.places" }}}}{PLACES}{{{{ end -}}}}
kind: ConfigMap
data:
  haproxy.cfg: |
{{{{ tpl (.Files.Get "haproxy.cfg") . | indent 4 }}}}
"""


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """A chart of nothing but the file: how the real one uses it doesn't matter here."""
    folder = tmp_path / "chart"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("{apiVersion: v2, name: front, version: 0.1.0}")
    (folder / "templates" / "map.yaml").write_text(TEMPLATE)
    shutil.copy(front.FILE, folder)
    return folder


def rendered(chart: Path, values: dict[str, Any]) -> str:
    done = helm_template(values, folder=chart)
    assert done.returncode == 0, done.stderr
    text: str = yaml.safe_load(done.stdout)["data"]["haproxy.cfg"]
    head, _, rest = text.partition("\n")
    assert "SERVICE_IP" in head
    return rest


def written(asked: Asked, limits: dict[str, float], cookie: str) -> str:
    known = {name: float(BY_NAME[name].default) for name in LIMITS}
    target = Target(Server("x", "x:1", "x", 1), {**known, **limits}, cookie=cookie)
    found = Found("${PODS}", "8000", "9000", str(PLACES), "${SERVICE_IP}:${SERVICE_PORT}")
    return haproxy.render(replace(build.configuration(asked, [target]), servers=found, connections="4000"))


@pytest.mark.parametrize(
    ("values", "slots", "settings", "asked"),
    [
        ({}, 1, {}, {}),
        ({"balance": "random"}, 1, {}, {"balance": "random"}),
        ({"concurrency": 2, "queueTimeout": 1.5}, 3, {}, {"concurrency": 6, "queue_timeout": 1.5}),
        ({"retries": 0}, 1, {}, {"retries": False}),
        ({"checkInterval": 2}, 1, {}, {"check_interval": 2.0}),
        ({"sticky": {"cookie": "PLACE"}}, 1, {}, {"cookie": "PLACE"}),
        ({"trustedProxies": ["10.0.0.0/8", "::1"]}, 1, {}, {"proxies": ("10.0.0.0/8", "::1")}),
        ({}, 1, {"busy_timeout": 10, "request_timeout": "600.5", "keep_alive": 75}, {}),
        ({}, 1, {"busy_timeout": 0, "body_timeout": 0, "wsgi_timeout": 5}, {}),
        ({}, 1, {"write_timeout": 0.5, "body_timeout": 1}, {}),
        ({}, 1, {"write_timeout": 1e9, "busy_timeout": "1e9", "keep_alive": 1e9}, {}),
        ({}, 1, {"keep_alive": 0.1}, {}),
        ({}, 1, {"sticky": True}, {}),
        ({}, 1, {"sticky": False}, {}),
    ],
)
def test_the_chart_has_the_configuration_that_the_command_writes(
    chart: Path, values: dict[str, Any], slots: int, settings: dict[str, Any], asked: dict[str, Any]
) -> None:
    text = rendered(chart, {"front": {**FRONT, **values}, "settings": settings, "cpu": {"slots": slots}})
    limits = {name: float(value) for name, value in settings.items() if name != "sticky"}
    cookie = "corepod_sticky" if settings.get("sticky") else ""
    assert text == written(Asked(("*:8080",), "*:8404", "defined(IPV6)", **asked), limits, cookie)
