"""The values that manifests become are ones that the chart renders."""

from __future__ import annotations

import pytest
import yaml

from tests.deploy.render import chart, environment, find, worker
from tests.unit.migrate.formats.manifests import BOTH
from tests.unit.migrate.formats.sources import read


@pytest.mark.parametrize("name", BOTH)
def test_the_chart_renders_what_a_manifest_becomes(name: str) -> None:
    values = yaml.safe_load(read(BOTH[name]).files["values.yaml"])
    objects = chart(values)
    container = worker(objects)
    assert container["command"] == values["command"]
    assert environment(container)["COREPOD_APP"] == values["app"]["module"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "admin"}
    pod = find(objects, "Deployment")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == values["settings"]["stop_timeout"] + 5
    if name == "shop":
        assert pod["initContainers"][0]["name"] == "migrate"
        assert container["resources"]["requests"]["cpu"] == "250m"
        assert find(objects, "HorizontalPodAutoscaler")["spec"]["minReplicas"] == 2
    else:
        assert container["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
