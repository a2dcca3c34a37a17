"""The reference is what the code says, links lead somewhere, and the prose keeps its form."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tools import chart, generate

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
# Documents that are written by hand. Those below docs/reference are generated.
WRITTEN = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "deploy/helm/corepod/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
PAGES = [*WRITTEN, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs/reference").glob("*.md"))]
WIDTH = 120
# Subjects that leave open who acts. Sentences with a noun are easier to read, and easier to translate.
VAGUE = re.compile(r"\b(whoever|nobody|somebody|everybody|anybody)\b", re.IGNORECASE)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers: not those of code blocks, and not the values that a test compares with values.yaml."""
    fenced, code, blank = False, False, True
    for number, line in enumerate(text.partition(chart.BEGIN)[0].splitlines(), 1):
        fence = line.startswith("```")
        code = line.startswith("    ") and (blank or code)
        blank = not line.strip()
        if not (fenced or fence or code):
            yield number, line
        fenced ^= fence


def too_long(text: str) -> list[int]:
    """Numbers of the lines that are too long. Rows of tables can't be wrapped."""
    return [number for number, line in prose(text) if len(line) > WIDTH and not line.startswith("|")]


def vague(text: str) -> list[str]:
    return [word for _, line in prose(text) for word in VAGUE.findall(re.sub(r"`[^`]*`", "", line))]


@pytest.mark.parametrize("page", generate.pages())
def test_the_reference_is_what_the_code_says(page: str) -> None:
    assert (generate.FOLDER / page).read_text() == generate.pages()[page], "run make docs"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text())]
    missing = [t for t in targets if t and "://" not in t and not (page.parent / t).exists()]
    assert not missing


def anchors(text: str) -> set[str]:
    """Those that GitHub gives the headings, each of which has another text."""
    plain = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    headings = (
        re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", found) for found in re.findall(r"^#+ (.*)$", plain, re.MULTILINE)
    )
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def astray(page: Path, text: str) -> list[str]:
    """Links to a heading that isn't there."""
    found = []
    for target, anchor in re.findall(r"\]\(([^)\s#]*)#([^)\s]+)\)", re.sub(r"\n *", " ", text)):
        to = page if not target else page.parent / target
        if "://" not in target and to.suffix == ".md" and anchor not in anchors(to.read_text()):
            found.append(f"{target}#{anchor}")
    return found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_a_heading_that_is_there(page: Path) -> None:
    assert astray(page, page.read_text()) == []


def test_a_link_to_no_heading_is_found() -> None:
    """Negative control."""
    text = "[a](front.md#the-values-and-why) [b](front.md#values) [c](#the-two-backends) [d](https://example.org/#a)"
    assert astray(ROOT / "docs/shared.md", text) == ["front.md#values"]


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_lines_are_wrapped(page: Path) -> None:
    assert too_long(page.read_text()) == []


def test_only_prose_is_wrapped() -> None:
    long = "x" * (WIDTH + 1)
    assert too_long(f"a\n{long}\n| {long}\n\n    {long}\n    {long}\n```\n{long}\n```\n- a\n    {long}\n") == [2, 11]


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_sentences_name_their_subject(page: Path) -> None:
    assert vague(page.read_text()) == []


def test_code_is_no_sentence() -> None:
    assert vague("```\nnobody\n```\n\n    kubectl nobody\n`nobody`\n| Nobody |\n") == ["Nobody"]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_document_refers_to_one_that_is_not_in_the_repository(page: Path) -> None:
    assert "design.md" not in page.read_text()
