"""`make chart`: the package has what an installation needs, and a registry gives back what was pushed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import subprocess
import tarfile
from typing import TYPE_CHECKING

import corepod
import pytest

from tests.deploy.render import CHART, ROOT, Object, chart, helm_template
from tests.plugins.needs import program
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE = f"corepod-{corepod.__version__}.tgz"
VALUES: Object = {"operator": {"enabled": True}, "front": {"enabled": True}, "prometheusRule": {"enabled": True}}


@contextlib.contextmanager
def registry(folder: Path) -> Iterator[str]:
    """The address of one that runs for this test."""
    output = folder / "registry.log"
    with output.open("wb") as file:
        process = subprocess.Popen([program("oci-registry"), "-port", "0"], stdout=file, stderr=subprocess.STDOUT)
    try:
        until(lambda: process.poll() is not None or "serving on port" in output.read_text(), "the registry serves")
        found = re.search(r"serving on port (\d+)", output.read_text())
        assert found, output.read_text()
        yield f"localhost:{found[1]}"
    finally:
        process.terminate()
        process.wait(DEADLINE)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """With no configuration of the user's, and helm as the tests have it."""
    own = {f"HELM_{what}_HOME": str(tmp_path / what.lower()) for what in ("CONFIG", "CACHE", "DATA")}
    # Only loopback is asked, which no proxy reaches. make's own variables would come from the make that runs the tests.
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**{n: v for n, v in kept.items() if not n.startswith("MAKE")}, **own, "HELM": program("helm")}


def ran(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=2 * DEADLINE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def rendered(folder: Path) -> str:
    result = helm_template(VALUES, folder=folder)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_package_installs_what_the_folder_does(tmp_path: Path, environment: dict[str, str]) -> None:
    ran(environment, "make", "chart", f"DIST={tmp_path}")
    assert rendered(tmp_path / PACKAGE) == rendered(CHART)
    with tarfile.open(tmp_path / PACKAGE) as package:
        names = {name.removeprefix("corepod/") for name in package.getnames()}
    assert {"Chart.yaml", "README.md", "values.schema.json", "files/operator-alerts.yaml"} <= names
    assert not [name for name in names if name.startswith(("/", ".."))]


def test_a_registry_gives_back_what_was_pushed(tmp_path: Path, environment: dict[str, str]) -> None:
    with registry(tmp_path) as address:
        where = f"oci://{address}/charts"
        told = ran(environment, "make", "chart", f"DIST={tmp_path / 'dist'}", f"REGISTRY={where}", "ARGS=--plain-http")
        assert f"{address}/charts/corepod:{corepod.__version__}" in told
        pulled = tmp_path / "pulled"
        pulled.mkdir()
        pull = ("pull", f"{where}/corepod", "--version", corepod.__version__, "--plain-http", "--destination")
        ran(environment, environment["HELM"], *pull, str(pulled))
        render = ("template", "corepod", f"{where}/corepod", "--version", corepod.__version__, "--plain-http")
        text = ran(environment, environment["HELM"], *render, "--kube-version", "1.34.0")
    ours, theirs = (hashlib.sha256((tmp_path / where / PACKAGE).read_bytes()) for where in ("dist", "pulled"))
    assert ours.digest() == theirs.digest()
    assert all(f"name: {o['metadata']['name']}" in text for o in chart())


def test_a_push_that_fails_fails_make(tmp_path: Path, environment: dict[str, str]) -> None:
    """Negative control: that address has no registry any more."""
    with registry(tmp_path) as address:
        pass
    with pytest.raises(AssertionError, match="refused"):
        ran(environment, "make", "chart", f"DIST={tmp_path}", f"REGISTRY=oci://{address}/charts", "ARGS=--plain-http")
