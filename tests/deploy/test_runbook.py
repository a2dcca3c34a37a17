"""The runbook knows every alert and every way the program ends."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from corepod import contract

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.md").read_text(encoding="utf-8")


def test_every_alert_is_in_the_runbook_and_none_else() -> None:
    alerts = yaml.safe_load((ROOT / "deploy/helm/corepod/files/alerts.yaml").read_text(encoding="utf-8"))
    assert set(re.findall(r"\[(Corepod\w+)\]", PAGE)) == set(alerts)


def test_every_exit_code_is_in_the_runbook() -> None:
    rows = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    assert rows >= set(contract.EXIT_CODES) - {contract.EXIT_OK}
