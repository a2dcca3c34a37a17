"""Users' own applications: the Dockerfiles of docs/deploy.md, built and run as they stand there."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kube import ROOT, load_image, run, until
from tests.e2e.release import answered, ask

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.release import Release

SECTIONS = {"ours": "On top of our image", "own": "In your own image"}
BUILD = 240.0  # seconds an image may take, with what pip fetches


def dockerfile(section: str) -> str:
    """The block under a heading of the document."""
    page = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    block = re.search(rf"^### {section}$.*?^```dockerfile\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert block, f"no Dockerfile under {section!r}"
    return block[1]


def pinned(package: str) -> str:
    """The version that the other tests use."""
    found = re.search(rf"^{package}==\S+", (ROOT / "requirements/compat.txt").read_text(), re.MULTILINE)
    assert found
    return found[0]


def write_context(folder: Path, way: str) -> None:
    """What a user has: code, requirements, a Dockerfile."""
    (folder / "Dockerfile").write_text(dockerfile(SECTIONS[way]))
    shutil.copy(ROOT / "tests/apps/fastapi_app.py", folder / "main.py")
    requirements = [pinned("fastapi")]
    if way == "own":
        # In no package index yet: the wheel of this tree stands for the name.
        run("make", "wheel", f"DIST={folder}", deadline=BUILD)
        requirements += [f"./{wheel.name}" for wheel in folder.glob("corepod-*.whl")]
    (folder / "requirements.txt").write_text("\n".join(requirements) + "\n")


@pytest.mark.parametrize("way", SECTIONS)
def test_a_fastapi_application_runs_and_survives(release: Release, tmp_path: Path, way: str) -> None:
    write_context(tmp_path, way)
    run("docker", "build", "--tag", f"shop-{way}:1", str(tmp_path), deadline=BUILD)
    load_image(f"shop-{way}:1")
    image = {"repository": f"shop-{way}", "tag": "1"}
    [pod] = release.install(image=image, app={"module": "main:app"}, tests={"path": "/items/7"}).ready()
    answer = ask(f"{release.url}/items/7").json()
    assert answer["number"] == 7
    assert pod.worker().cores.isdecimal(), "pinned"
    assert answer["pid"] == pod.worker().pid
    pod.sh(f"kill -9 {answer['pid']}")
    url = f"{release.url}/items/7"
    until(lambda: (now := answered(url, 10)) and now.json()["pid"] != answer["pid"], "another worker")
    assert pod.metric("corepod_worker_restarts_total") == 1
    assert pod.again().restarts == 0
