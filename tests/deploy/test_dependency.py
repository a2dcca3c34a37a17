"""The chart below another one: as the README shows it, with the real helm and a real parent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.deploy.render import CHART, KUBERNETES, Object, containers, find, parsed, pod_specs, refused, run
from tests.plugins.needs import program

if TYPE_CHECKING:
    from pathlib import Path

README = (CHART / "README.md").read_text()


def example(name: str) -> Object:
    """The file of this name in the README's section."""
    section = README.partition("## As a dependency of another chart")[2].partition("\n## ")[0]
    [text] = re.findall(rf"```yaml\n# {re.escape(name)}\n(.*?)```", section, re.DOTALL)
    document: Object = yaml.safe_load(text)
    return document


def written(where: Path) -> Path:
    """The README's chart, with this one beside it."""
    folder = where / "shop"
    folder.mkdir()
    (folder / "templates").mkdir()
    (where / "corepod").symlink_to(CHART)
    for name in ("Chart.yaml", "values.yaml"):
        (folder / name).write_text(yaml.safe_dump(example(name)))
    return folder


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    folder = written(tmp_path)
    built = run(program("helm"), "dependency", "build", str(folder), "--skip-refresh")
    assert built.returncode == 0, built.stderr
    return folder


def rendered(parent: Path, *flags: str) -> list[Object]:
    made = run(program("helm"), "template", "shop", str(parent), "--kube-version", KUBERNETES, *flags)
    assert made.returncode == 0, made.stderr
    return parsed(made.stdout)


def test_it_is_installed_with_its_parent(parent: Path) -> None:
    lint = run(program("helm"), "lint", "--strict", "--with-subcharts", str(parent), "--kube-version", KUBERNETES)
    assert lint.returncode == 0, lint.stdout + lint.stderr
    objects = rendered(parent)
    assert find(objects, "Deployment")["metadata"]["name"] == "shop-corepod"
    images = {c["image"] for spec in pod_specs(objects) for c in containers(spec)}
    assert images == {"registry.example/team/shop:1.4", "registry.example/corepod-operator:0.1.0"}


def test_its_condition_switches_it_off(parent: Path) -> None:
    assert rendered(parent, "--set", "corepod.enabled=false") == []
    lint = run(program("helm"), "lint", "--strict", str(parent), "--set", "corepod.enabled=false")
    assert lint.returncode == 0, lint.stdout + lint.stderr


def test_its_parent_may_have_globals_of_its_own(parent: Path) -> None:
    assert rendered(parent, "--set", "global.storageClass=fast,global.other.a=b")


def test_a_wrong_value_is_refused_there_too(parent: Path) -> None:
    made = run(program("helm"), "template", "shop", str(parent), "--set", "corepod.replica=3")
    assert made.returncode != 0
    assert "replica" in made.stderr


def test_under_an_alias_there_can_be_two(parent: Path) -> None:
    about = example("Chart.yaml")
    [one] = about["dependencies"]
    about["dependencies"] = [{**one, "alias": name, "condition": f"{name}.enabled"} for name in ("front", "back")]
    (parent / "Chart.yaml").write_text(yaml.safe_dump(about))
    (parent / "Chart.lock").unlink(missing_ok=True)
    (parent / "values.yaml").write_text(yaml.safe_dump({"back": {"operator": {"replicas": 0}}}))
    built = run(program("helm"), "dependency", "update", str(parent), "--skip-refresh")
    assert built.returncode == 0, built.stderr
    names = [o["metadata"]["name"] for o in rendered(parent) if o["kind"] == "Deployment"]
    assert sorted(names) == ["shop-back", "shop-front", "shop-front-operator"]


def test_without_a_parent_nothing_can_switch_it_off() -> None:
    assert "`condition` in the parent's Chart.yaml" in refused({"enabled": False})
