"""Which package of the repository may import which: the product imports no other one, and only tests import tests."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
FORBIDDEN = {
    "app": {"loadtest", "tests", "tools"},
    "loadtest": {"tests"},
    "tools": {"loadtest", "tests"},
}


def imports(path: Path) -> Iterator[str]:
    """The top-level name of every absolute import, also of those for type checking and inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]


def offenders(folder: str, forbidden: set[str]) -> list[str]:
    files = [path for path in (ROOT / folder).rglob("*.py") if ".venv" not in path.parts]
    assert files
    return [f"{path.relative_to(ROOT)}: {name}" for path in files for name in imports(path) if name in forbidden]


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_no_package_imports_one_that_is_built_on_it(folder: str) -> None:
    assert offenders(folder, FORBIDDEN[folder]) == []


def test_an_import_of_the_tests_would_be_found() -> None:
    assert offenders("tests/unit", {"tests"})
