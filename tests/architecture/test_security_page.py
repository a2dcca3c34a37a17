"""docs/security.md names a test for each of its lines, and these tests exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "security.md"
NAMED = re.compile(r"\[`([\w.]+)::(\w+)`\]\(\.\./tests/([\w./]+)\)")
TABLE = re.compile(r"^\|.*\| test \|\n\|[-|]+\|\n((?:\|.*\n)+)", re.MULTILINE)


def missing(text: str) -> list[str]:
    """Tests that no file has under this name."""
    found = []
    for file, name, path in NAMED.findall(text):
        source = TESTS / path
        there = source.name == file and source.exists()
        if not there or not re.search(rf"^(async )?def {name}\(", source.read_text(), re.MULTILINE):
            found.append(f"{path}::{name}")
    return found


def unshown(text: str) -> list[str]:
    """Rows of tables with a column of tests that name none and don't say so."""
    rows = [row for table in TABLE.findall(text) for row in table.splitlines()]
    assert rows
    return [row for row in rows if not NAMED.search(row.split(" | ")[-1]) and "not tested" not in row.split(" | ")[-1]]


def test_every_named_test_exists() -> None:
    text = PAGE.read_text()
    assert len(NAMED.findall(text)) > 50
    assert text.count("::test_") == len(NAMED.findall(text)), "each has a link"
    assert missing(text) == []


def test_every_line_has_a_test_or_says_that_it_has_none() -> None:
    assert unshown(PAGE.read_text()) == []


def test_what_is_missing_is_found() -> None:
    """Negative control."""
    assert missing("[`test_pod.py::test_nothing`](../tests/e2e/test_pod.py)") == ["e2e/test_pod.py::test_nothing"]
    assert missing("[`test_it.py::test_it`](../tests/e2e/test_pod.py)") == ["e2e/test_pod.py::test_it"]
    assert unshown("| what | test |\n|---|---|\n| a | not tested: too dull |\n| b | it is so |\n") == [
        "| b | it is so |"
    ]
