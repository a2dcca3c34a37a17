"""What is published: the description that an index shows, and a source distribution that can be tested."""

from __future__ import annotations

import email
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from hatch_build import description

ROOT = Path(__file__).parents[3]
HOME = "https://files.example/corepod"
README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def relative(text: str) -> list[str]:
    """Targets of links and pictures that an index can't follow."""
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"""(?:src|srcset|href)="([^"]+)""", text)
    return [target for target in targets if "://" not in target]


def test_the_description_on_an_index_has_no_link_that_leads_nowhere(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    text = metadata.get_payload()
    assert isinstance(text, str)
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert relative(text) == []
    assert "<picture" not in text
    assert "One worker, one core, one pod." in text
    assert "pip install 'corepod[dev]'" in text


def test_with_a_home_links_and_pictures_lead_there() -> None:
    assert relative(README)
    text = description(README, HOME)
    assert relative(text) == []
    paths = re.findall(rf"{HOME}/([^)\"#]+)", text)
    assert len(paths) == len(relative(README))
    assert all((ROOT / path).exists() for path in paths)


def test_what_becomes_of_links() -> None:
    text = 'a [b](c.md), [d](https://e) and [f](#g)\n\n![h](i.svg)\n\n<picture>\n<img src="j"></picture>\n\nend'
    assert description(text, "") == "a b, [d](https://e) and [f](#g)\n\nend"


def test_the_source_distribution_can_be_tested(built: Path, tmp_path: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "tests/unit/contract/test_units.py",
        "tests/unit/test_docs.py::test_links_lead_somewhere",
    ]
    environment = {"PYTHONPATH": str(folder / "app"), "HYPOTHESIS_PROFILE": "few"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    needed = ("tests/e2e/conftest.py", "loadtest/locustfile.py", "deploy/kind-up", "requirements/test.txt", "Makefile")
    assert [name for name in needed if not (folder / name).exists()] == []
