"""Whatever values the chart takes, the API server takes what it renders. Nothing is installed: each object is created
in a dry run, which passes validation and admission."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from tests.deploy.strategies import EXAMPLES, values
from tests.deploy.test_any_values import rendered
from tests.e2e.kube import Refused, kubectl

if TYPE_CHECKING:
    from tests.deploy.render import Object

# Kinds that the cluster doesn't know. tests/deploy/test_any_values.py checks their names and labels.
UNKNOWN = ("HTTPRoute", "PodMonitor", "PrometheusRule", "ServiceMonitor")
# What depends on the cluster: its families of addresses, what others have taken, and what the namespace of the tests
# forbids ("restricted"), such as a role for SELinux.
CLUSTERS = (
    "already allocated",
    "not configured on this cluster",
    "not configured for dual-stack services",
    "violates PodSecurity",
)


def refusals(namespace: str, objects: list[Object]) -> list[str]:
    """What the API server says against these objects, one line each."""
    known = [o for o in objects if o["kind"] not in UNKNOWN]
    for pod in (o for o in known if o["kind"] == "Pod"):
        # Admission looks for the account, which a dry run doesn't make.
        pod["spec"]["serviceAccountName"] = "default"
    for document in known:
        if "namespace" in document["metadata"]:
            document["metadata"]["namespace"] = namespace
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": known})
    try:
        kubectl("create", "--dry-run=server", "-o", "name", "-f", "-", stdin=listed)
    except Refused as error:
        # What was accepted is a line with a name alone.
        said = [line for line in error.text.splitlines() if " " in line and not line.startswith("Warning:")]
        return [line for line in said if not any(words in line for words in CLUSTERS)]
    return []


@pytest.mark.usefixtures("cluster")
def test_what_renders_is_accepted(namespace: str) -> None:
    accepted = 0

    @settings(EXAMPLES, max_examples=20)
    @given(values())
    def check(drawn: Object) -> None:
        nonlocal accepted
        if objects := rendered(drawn):
            assert not refusals(namespace, objects)
            accepted += 1

    check()
    assert accepted > 5


def test_a_refusal_is_noticed(namespace: str) -> None:
    """Negative control: a Service whose port is none, beside one that is fine."""
    [good, bad] = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": port}]}}
        for port in (80, 70_000)
    ]
    assert not refusals(namespace, [good])
    assert "70000" in str(refusals(namespace, [good, bad]))
