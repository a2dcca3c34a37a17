"""The manifests of docs/gitops.md: valid, with values that the chart takes, and about objects that it makes."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import corepod
import jsonschema
import pytest
import yaml

from tests.deploy.render import ROOT, Object, chart, find

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (ROOT / "docs/gitops.md").read_text(encoding="utf-8")
SCHEMA = yaml.safe_load((Path(__file__).parent / "gitops.schema.yaml").read_text(encoding="utf-8"))
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
MANIFESTS: list[Object] = [document for block in BLOCKS for document in yaml.safe_load_all(block)]
NUMBER: Object = {"replicas": 3, "operator": {"enabled": False}}


def shown(kind: str) -> Object:
    """The first of this kind; in this page that is the one with values."""
    return next(o for o in MANIFESTS if o["kind"] == kind)


def values_of(manifest: Object) -> Object:
    spec = manifest["spec"]
    found: Object = spec["values"] if "values" in spec else spec["source"]["helm"]["valuesObject"]
    return found


def ignored(manifest: Object) -> Iterator[tuple[str, str, str]]:
    """Kind, name and pointer of each field that is left alone."""
    spec = manifest["spec"]
    for rule in spec.get("ignoreDifferences", []):
        yield from ((rule["kind"], rule["name"], pointer) for pointer in rule["jsonPointers"])
    for rule in spec.get("driftDetection", {}).get("ignore", []):
        yield from ((rule["target"]["kind"], rule["target"]["name"], pointer) for pointer in rule["paths"])


def at(document: Any, pointer: str) -> Any:
    """RFC 6901."""
    for step in pointer.split("/")[1:]:
        document = document[step.replace("~1", "/").replace("~0", "~")]
    return document


def validate(manifest: Object) -> None:
    schema = SCHEMA["kinds"][f"{manifest['apiVersion']}/{manifest['kind']}"]
    definitions = SCHEMA["definitions"]
    whole = {
        "type": "object",
        "additionalProperties": False,
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {"apiVersion": {}, "kind": {}, "metadata": definitions["metadata"], "spec": schema},
    }
    jsonschema.validate(manifest, {**whole, "definitions": definitions})


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest["kind"])
def test_its_fields_are_those_of_the_published_schema(manifest: Object) -> None:
    validate(manifest)


def test_a_field_that_does_not_exist_is_found() -> None:
    """Negative control."""
    for kind, path in (("Application", "syncPolicy"), ("HelmRelease", "driftDetection"), ("OCIRepository", "ref")):
        wrong = copy.deepcopy(shown(kind))
        wrong["spec"][path]["nosuch"] = 1
        with pytest.raises(jsonschema.ValidationError, match="nosuch"):
            validate(wrong)


@pytest.mark.parametrize("kind", ["Application", "HelmRelease"])
def test_the_chart_takes_its_values(kind: str) -> None:
    manifest = shown(kind)
    objects = chart(values_of(manifest), release=manifest["metadata"]["name"])
    assert find(objects, "Deployment", "shop-corepod")["metadata"]["annotations"]["corepod.dev/max"] == "20"
    # One that is made anew each time would be a difference at every sync.
    assert not [o for o in objects if o["kind"] == "Secret"]


@pytest.mark.parametrize("kind", ["Application", "HelmRelease"])
def test_what_it_ignores_exists(kind: str) -> None:
    manifest = shown(kind)
    release = manifest["metadata"]["name"]
    fields = list(ignored(manifest))
    assert fields
    for what, name, pointer in fields:
        find(chart(values_of(manifest), release=release), what, name)
        assert at(find(chart(NUMBER, release=release), what, name), pointer) == 3


def test_the_field_that_it_speaks_of_is_left_out_by_default() -> None:
    with pytest.raises(KeyError):
        at(find(chart(), "Deployment", "corepod"), "/spec/replicas")
    hpa = find(chart({"autoscaling": {"enabled": True}}), "HorizontalPodAutoscaler")
    assert at(hpa, "/spec/minReplicas") < at(hpa, "/spec/maxReplicas")


def test_both_name_the_package_that_make_chart_pushes() -> None:
    application, repository = shown("Application")["spec"]["source"], shown("OCIRepository")["spec"]
    assert (application["chart"], application["targetRevision"]) == ("corepod", corepod.__version__)
    assert repository["url"] == f"oci://{application['repoURL']}/corepod"
    assert repository["ref"]["tag"] == corepod.__version__
    assert shown("HelmRelease")["spec"]["chartRef"]["name"] == shown("OCIRepository")["metadata"]["name"]


def test_the_only_hook_is_the_test() -> None:
    hooks = [o["metadata"]["annotations"].get("helm.sh/hook") for o in chart() if "annotations" in o["metadata"]]
    assert set(filter(None, hooks)) == {"test"}
    assert not (ROOT / "deploy/helm/corepod/crds").exists()
