"""Every helm command that the documents show renders as it stands there, with the files they show beside it."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.deploy.render import KUBERNETES, ROOT, run
from tests.plugins.needs import program

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")])
CHART = "deploy/helm/corepod"


def commands() -> list[tuple[str, str]]:
    """Document and command of each line that installs or upgrades the chart, continued lines joined."""
    found = []
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(r"^ {0,4}(?:\$ )?(helm (?:install|upgrade|template) .*)$", text, re.MULTILINE):
            if CHART in line:
                found.append((path.relative_to(ROOT).as_posix(), line.partition("  #")[0].strip()))
    return found


def rendered(command: str, folder: Path) -> tuple[int, str]:
    """What `helm template` says of it: a cluster is all that the command lacks here."""
    words = shlex.split(command)
    words = [word for word in words[2:] if word not in ("--install", "--reuse-values", "--wait")]
    (folder / "values.yaml").write_text(yaml.safe_dump({"app": {"module": "main:app"}}))
    words = [str(folder / word) if word == "values.yaml" else word for word in words]
    done = run(program("helm"), "template", *words, "--kube-version", KUBERNETES)
    return done.returncode, done.stderr


def test_there_are_some() -> None:
    assert len(commands()) > 8


@pytest.mark.parametrize(("document", "command"), commands())
def test_a_documented_command_renders(
    document: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    code, error = rendered(command, tmp_path)
    assert code == 0, f"{document}: {command}\n{error}"


def test_a_command_with_a_fault_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    monkeypatch.chdir(ROOT)
    code, error = rendered(f"helm install shop {CHART} --set image.tags=1", tmp_path)
    assert code != 0
    assert "tags" in error
