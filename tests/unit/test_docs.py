"""The reference is what the code says, and links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import generate

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("name", generate.pages())
def test_the_reference_is_what_the_code_says(name: str) -> None:
    assert (generate.FOLDER / name).read_text() == generate.pages()[name], "run make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text())]
    missing = [t for t in targets if t and "://" not in t and not (page.parent / t).exists()]
    assert not missing
