"""What the chart says of the program and of itself is so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import corepod
import pytest
import yaml
from corepod.config.spec import BY_NAME

from tests.deploy.render import CHART
from tools import chart as generated

if TYPE_CHECKING:
    from pathlib import Path

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


@pytest.mark.parametrize("path", generated.files(), ids=lambda path: path.name)
def test_generated_files_are_up_to_date(path: Path) -> None:
    assert path.read_text() == generated.files()[path], "run make docs"


def test_one_version() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (about["version"], about["appVersion"]) == (corepod.__version__, corepod.__version__)


def test_every_value_is_explained() -> None:
    def leaves(values: dict[str, object], prefix: str = "") -> set[str]:
        found = set()
        for name, value in values.items():
            deeper = isinstance(value, dict) and value
            found |= leaves(value, f"{prefix}{name}.") if isinstance(value, dict) and deeper else {prefix + name}
        return found

    explained = {name for name, default, _ in generated.values() if default is not ...}
    assert explained == leaves(VALUES)


def test_a_value_without_a_comment_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    (tmp_path / "values.yaml").write_text("# Explained\none: 1\n\ntwo: 2\n")
    monkeypatch.setattr(generated, "VALUES", tmp_path / "values.yaml")
    with pytest.raises(ValueError, match="two has no comment"):
        list(generated.values())


def test_every_value_is_used() -> None:
    text = "\n".join(path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file())
    unused = [name for name in VALUES if f".Values.{name}" not in text]
    assert unused == []


def test_defaults_that_templates_repeat_are_the_program_s() -> None:
    text = "\n".join(path.read_text() for path in (CHART / "templates").rglob("*.tpl"))
    [stop] = re.findall(r"settings\.stop_timeout \| default (\d+)", text)
    [lame] = re.findall(r'dig "lame_duck" (\d+) \.Values\.settings', text)
    assert float(stop) == BY_NAME["stop_timeout"].default
    assert float(lame) == BY_NAME["lame_duck"].pod


def test_what_something_else_decides_is_explained_in_the_template() -> None:
    assert set(generated.DECIDED) <= set(BY_NAME)
    text = (CHART / "templates" / "_validate.tpl").read_text()
    table = text.partition("$by := dict")[2].partition("}}")[0]
    assert set(re.findall(r'"([a-z_]+)" "', table)) >= set(generated.DECIDED)
