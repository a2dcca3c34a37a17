"""The examples of docs/balancing.md: the chart takes the values, and the objects name what it makes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.render import chart, find, kinds

PAGE = (Path(__file__).parents[2] / "docs" / "balancing.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
MARK = "# values.yaml\n"
VALUES = [yaml.safe_load(block) for block in BLOCKS if block.startswith(MARK)]
OBJECTS = [yaml.safe_load(block) for block in BLOCKS if not block.startswith(MARK)]
# The versions that the documentation of each project had when it was read.
VERSIONS = {
    "BackendTrafficPolicy": "gateway.envoyproxy.io/v1alpha1",
    "DestinationRule": "networking.istio.io/v1",
    "IngressRoute": "traefik.io/v1alpha1",
    "UpstreamSettingsPolicy": "gateway.nginx.org/v1alpha1",
    "GCPTrafficDistributionPolicy": "networking.gke.io/v1",
    "Service": "serving.knative.dev/v1",
}


def title(values: dict[str, Any]) -> str:
    found = [*values.get("ingress", {}).get("annotations", {}), *values.get("service", {}).get("annotations", {})]
    return str((found or list(values))[0]).partition("/")[0]


@pytest.mark.parametrize("values", VALUES, ids=title)
def test_the_chart_takes_the_values_and_they_reach_the_object(values: dict[str, Any]) -> None:
    objects = chart(values)
    for part, kind in (("ingress", "Ingress"), ("service", "Service"), ("httpRoute", "HTTPRoute")):
        if part in values:
            metadata = find(objects, kind, "corepod")["metadata"]
            assert values[part].get("annotations", {}).items() <= metadata.get("annotations", {}).items()
    if "front" in values:
        assert find(objects, "Deployment", "corepod-front")


def test_the_limit_of_the_front_is_in_its_configuration() -> None:
    [limited] = [values for values in VALUES if values.get("front", {}).get("concurrency")]
    [free] = [values for values in VALUES if "front" in values and values != limited]
    texts = [str([o for o in chart(values) if o["kind"] == "ConfigMap"]) for values in (limited, free)]
    assert ["maxconn 1 " in text or "maxconn 1\\n" in text for text in texts] == [True, False]


def test_every_block_is_one_of_both() -> None:
    assert len(VALUES) == 9
    assert {found["kind"]: found["apiVersion"] for found in OBJECTS} == VERSIONS


@pytest.mark.parametrize("policy", OBJECTS, ids=lambda found: found["kind"])
def test_policies_name_what_the_chart_makes(policy: dict[str, Any]) -> None:
    objects = chart({"httpRoute": {"enabled": True}})
    for target in policy["spec"].get("targetRefs", []):
        assert find(objects, target["kind"], target["name"])
    if policy["kind"] == "IngressRoute":
        [service] = policy["spec"]["routes"][0]["services"]
        ports = find(objects, "Service", service["name"])["spec"]["ports"]
        assert service["port"] in [port["port"] for port in ports]
    if policy["kind"] == "DestinationRule":
        assert find(objects, "Service", policy["spec"]["host"].partition(".")[0])


def test_what_the_chart_does_not_make_is_found() -> None:
    """Negative control."""
    with pytest.raises(AssertionError, match="0 of HTTPRoute"):
        find(chart({}), "HTTPRoute", "corepod")
    assert "Ingress" not in kinds(chart({}))
