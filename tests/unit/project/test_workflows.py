"""The workflows are valid, and test what the project says it runs on."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.plugins.needs import program

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in yaml.safe_load(path.read_text())["jobs"].items():
            yield f"{path.name}: {name}", job


def lint(*paths: Path) -> subprocess.CompletedProcess[str]:
    command = [program("actionlint"), "-no-color", *map(str, paths)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_actionlint_finds_nothing() -> None:
    done = lint(*WORKFLOWS)
    assert done.returncode == 0, done.stdout


def test_actionlint_finds_something(tmp_path: Path) -> None:
    """Negative control."""
    broken = tmp_path / "broken.yml"
    broken.write_text(WORKFLOWS[0].read_text().replace("matrix.python }}", "matrix.pyhton }}"))
    done = lint(broken)
    assert done.returncode == 1
    assert 'property "pyhton" is not defined' in done.stdout


def test_every_python_that_is_promised_is_tested() -> None:
    about = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(about["classifiers"]))
    [matrix] = [job["strategy"]["matrix"]["python"] for _, job in jobs() if "strategy" in job]
    assert matrix == promised
    assert about["requires-python"] == f">={promised[0]}"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_nothing_may_write(path: Path) -> None:
    assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}


@pytest.mark.parametrize(("name", "job"), list(jobs()), ids=[name for name, _ in jobs()])
def test_jobs_end_and_leave_no_token(name: str, job: dict[str, Any]) -> None:
    assert "timeout-minutes" in job, name
    assert "permissions" not in job, name
    checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
    assert [step["with"]["persist-credentials"] for step in checkouts] == [False]


def test_what_jobs_run_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = {
        name
        for _, job in jobs()
        for step in job["steps"]
        for name in re.findall(r"make ([a-z0-9-]+)", step.get("run", ""))
    }
    assert called
    assert called <= targets
