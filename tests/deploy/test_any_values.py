"""Whatever the values are: either helm refuses them with a reason, or what it renders keeps the rules of Kubernetes for
names and labels. tests/e2e/test_any_values.py asks a real API server about the rest."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given

from tests.deploy.render import Loader, helm_template, parsed
from tests.deploy.strategies import EXAMPLES, values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.deploy.render import Object

REFUSALS = ("These values are invalid:", "values don't meet the specifications of the schema")
LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
SERVICE = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
OBJECT = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class Once(Loader):
    """YAML in which no key stands twice; other readers take the last one without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        twice = [key for key, count in Counter(keys).items() if count > 1]
        assert not twice, f"{twice} twice in a mapping"
        return super().construct_mapping(node, deep)


def rendered(drawn: Object) -> list[Object]:
    """The objects; none where helm refuses the values."""
    result = helm_template(drawn)
    if result.returncode:
        assert any(words in result.stderr for words in REFUSALS), result.stderr
        return []
    return parsed(result.stdout, Once)


def faults(document: Object) -> Iterator[str]:
    """What the API server would refuse of any kind of object."""
    name = document["metadata"]["name"]
    if not (SERVICE if document["kind"] == "Service" else OBJECT).fullmatch(name):
        yield f"the name {name!r}"
    template = document.get("spec", {}).get("template", {})
    for metadata in (document["metadata"], template.get("metadata", {})):
        for label, value in metadata.get("labels", {}).items():
            if not isinstance(value, str) or not LABEL.fullmatch(value):
                yield f"the label {label}: {value!r}"
        yield from (
            f"the annotation {a}: {v!r}" for a, v in metadata.get("annotations", {}).items() if type(v) is not str
        )
    for container in template.get("spec", {}).get("containers", []):
        for variable in container.get("env", []):
            if not isinstance(variable.get("value", ""), str):
                yield f"the variable {variable}"


@EXAMPLES
@given(values())
def test_what_renders_keeps_the_rules_for_names_and_labels(drawn: Object) -> None:
    for document in rendered(drawn):
        assert not list(faults(document)), document


@pytest.mark.parametrize(
    "change",
    [{"name": "Upper"}, {"labels": {"a": "-"}}, {"labels": {"a": 1}}, {"annotations": {"a": 1}}],
)
def test_a_broken_object_is_noticed(change: Object) -> None:
    """Negative control."""
    assert not list(faults({"kind": "Service", "metadata": {"name": "web"}}))
    assert list(faults({"kind": "Service", "metadata": {"name": "web", **change}}))


def test_a_key_that_stands_twice_is_noticed() -> None:
    """Negative control."""
    with pytest.raises(AssertionError, match="twice"):
        yaml.load("a: 1\na: 2\n", Once)
