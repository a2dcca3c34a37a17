"""The alerts ask for metrics that exist, of this release, and say something to people."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from corepod.config.spec import BY_NAME
from corepod.supervisor.admin.metrics import CODES, COMMON_REASONS, METRICS, SLOT_STATES

from tests.deploy.render import CHART, Object, chart, find

ALERTS = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
LABELS: dict[str, set[str]] = {name: {*labels, "namespace", "service"} for name, _, _, labels in METRICS}
KINDS = {name: kind for name, kind, _, _ in METRICS}
KNOWN = {
    "state": set(SLOT_STATES),
    "reason": set(COMMON_REASONS),
    "code": set(CODES),
    "standby": set(BY_NAME["standby"].choices),
}
USE = re.compile(r"(corepod_\w+)\{([^}]*)\}")


def rules(values: Object | None = None) -> dict[str, Any]:
    objects = chart({"prometheusRule": {"enabled": True, **(values or {}).pop("rule", {})}, **(values or {})})
    [group] = find(objects, "PrometheusRule")["spec"]["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def faults(expression: str) -> list[str]:
    """What an expression asks for that no pod has."""
    found = [f"bare {name}" for name in re.findall(r"corepod_\w+(?![\w{])", expression)]
    for name, selector in USE.findall(expression):
        if name not in LABELS:
            found.append(f"no metric {name}")
            continue
        for label, text in re.findall(r"(\w+)(?:=|!=|=~)\"([^\"]*)\"", selector):
            if label not in LABELS[name]:
                found.append(f"{name} has no label {label}")
            found += [f"{label} is never {v}" for v in text.split("|") if label in KNOWN and v not in KNOWN[label]]
    for function in ("rate", "increase"):
        for name in re.findall(rf"{function}\((corepod_\w+)", expression):
            if KINDS.get(name) != "counter":
                found.append(f"{function} of {name}, which is no counter")
    return found


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_asks_for_what_exists_and_explains_itself(name: str) -> None:
    rule = rules()[name]
    assert faults(rule["expr"]) == []
    assert 'namespace="default",service="corepod-admin"' in rule["expr"]
    assert rule["expr"].count("(") == rule["expr"].count(")")
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    assert set(rule["annotations"]) == {"summary", "description"}
    assert not re.search("SELECTED|RELEASE", str(rule))
    # Names the pod where each pod is judged for itself.
    aggregated = "absent(" in rule["expr"] or "by (namespace, service)" in rule["expr"]
    assert ("{{ $labels.pod }}" in rule["annotations"]["summary"]) != aggregated


@pytest.mark.parametrize(
    "expression",
    [
        'corepod_worker_restart_total{namespace="x"} > 0',
        'corepod_ready{slot="1"} == 0',
        'corepod_worker_state{state="dead"} == 1',
        'rate(corepod_ready{namespace="x"}[5m]) > 0',
        "corepod_ready == 0",
    ],
)
def test_the_check_sees_what_does_not_exist(expression: str) -> None:
    """Negative control."""
    assert faults(expression)


def test_alerts_can_be_left_out() -> None:
    assert set(rules()) == set(ALERTS)
    assert set(rules({"rule": {"disabled": ["CorepodSheds"]}})) == set(ALERTS) - {"CorepodSheds"}
    # Where nothing is to be pinned, nothing is missing.
    assert set(rules({"cpu": {"preset": "shared"}})) == set(ALERTS) - {"CorepodNotPinned"}


def test_labels_that_prometheus_selects_by() -> None:
    values: Object = {
        name: {"enabled": True, "labels": {"release": "prometheus"}} for name in ("serviceMonitor", "prometheusRule")
    }
    objects = chart(values)
    for kind in ("ServiceMonitor", "PrometheusRule"):
        assert find(objects, kind)["metadata"]["labels"]["release"] == "prometheus"
