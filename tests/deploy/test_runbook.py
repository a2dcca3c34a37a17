"""The runbook knows every alert and every way the program ends."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from corepod.contract import exits

from tests.deploy.render import chart, find

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.md").read_text(encoding="utf-8")


def test_every_alert_is_in_the_runbook_and_none_else() -> None:
    files = (ROOT / "deploy/helm/corepod/files").glob("*alerts.yaml")
    alerts = {name for file in files for name in yaml.safe_load(file.read_text(encoding="utf-8"))}
    assert set(re.findall(r"\[(Corepod\w+)\]", PAGE)) == alerts


def test_every_exit_code_is_in_the_runbook() -> None:
    rows = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    assert rows >= set(exits.EXIT_CODES) - {exits.EXIT_OK}


def test_deployments_that_it_names_are_those_of_the_chart() -> None:
    named = set(re.findall(r"\bdeployment/NAME-(\w+)", PAGE))
    assert named >= {"front", "operator", "valkey"}
    objects = chart({"front": {"enabled": True}, "state": {"valkey": {"enabled": True}}})
    for name in named:
        assert find(objects, "Deployment", f"corepod-{name}")
