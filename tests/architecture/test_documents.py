"""The documents name files, folders and make targets that exist, and so do comments in the code."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "app" / "corepod"
MAPS = [ROOT / "docs" / "architecture.md", ROOT / "CONTRIBUTING.md"]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "deploy/helm/corepod/README.md"]
# What a document may call a path: `supervisor/pool/`, `worker/server.py`, `docs/benchmarks.md`.
NAMED = re.compile(r"`((?:[\w.-]+/)+(?:[\w.-]+\.\w+)?|[\w.-]+/[\w./-]+\.\w+)`")
# A row of a table of rooms: the room, then its modules.
ROW = re.compile(r"^\| `((?:\w+/)+)` \| ((?:`\w+`(?:, | … )?)+)", re.MULTILINE)
SOURCES = ("app", "deploy", "docs", "loadtest", "tests", "tools")
SUFFIXES = (".md", ".py", ".toml", ".tpl", ".txt", ".yaml")
HERE = ("tests/architecture/test_documents.py", "tests/unit/test_docs.py")
MADE = ("loadtest/results/", "loadtest/bench/results/")  # by make; not in the repository


def exists(path: str) -> bool:
    return path in MADE or any((start / path).exists() for start in (ROOT, PACKAGE))


def missing_paths(text: str) -> list[str]:
    """Paths that are neither below the repository nor below the package."""
    return [path for path in dict.fromkeys(NAMED.findall(text)) if not exists(path)]


def missing_modules(text: str) -> list[str]:
    rows = [(room, re.findall(r"`(\w+)`", modules)) for room, modules in ROW.findall(text)]
    return [f"{room}{name}" for room, names in rows for name in names if not exists(f"{room}{name}.py")]


@pytest.mark.parametrize("page", MAPS, ids=lambda page: page.name)
def test_every_path_exists(page: Path) -> None:
    text = page.read_text()
    assert NAMED.search(text)
    assert missing_paths(text) == []


def test_every_module_of_a_room_exists() -> None:
    text = MAPS[0].read_text()
    assert len(ROW.findall(text)) > 10
    assert missing_modules(text) == []


def unnamed_modules(text: str) -> list[str]:
    """Modules of a room that no row has. A row that ends in "…" names only the most important ones."""
    named: dict[str, set[str]] = {}
    for room, modules in ROW.findall(text):
        named.setdefault(room, set()).update(re.findall(r"`(\w+)`", modules))
    partial = set(re.findall(r"^\| `((?:\w+/)+)` \|.*` … \|", text, re.MULTILINE))
    return [
        f"{room}{path.stem}"
        for room, names in named.items()
        if room not in partial
        for path in sorted((PACKAGE / room).glob("[!_]*.py"))
        if path.stem not in names
    ]


def test_the_map_has_every_module() -> None:
    text = MAPS[0].read_text()
    assert unnamed_modules(text) == []
    assert unnamed_modules(text.replace("`autoscale`, ", "")) == ["supervisor/pool/autoscale"]


def test_no_module_is_in_the_map_twice() -> None:
    rows = ROW.findall(MAPS[0].read_text())
    named = [f"{room}{name}" for room, modules in rows for name in re.findall(r"`(\w+)`", modules)]
    assert [name for name, count in Counter(named).items() if count > 1] == []


def test_every_room_with_modules_is_in_the_map() -> None:
    rooms = {room for room, _ in ROW.findall(MAPS[0].read_text())}
    large = ("supervisor", "worker", "operator", "local", "kubectl")
    folders = {path.parent for room in large for path in (PACKAGE / room).rglob("[!_]*.py")}
    assert {f"{folder.relative_to(PACKAGE)}/" for folder in folders} - {"supervisor/"} <= rooms


def test_decisions_are_numbered_in_their_order() -> None:
    text = MAPS[0].read_text().partition("## Decisions and the alternatives they beat")[2].partition("\n## ")[0]
    numbers = re.findall(r"^(\S+)\. \*\*", text, re.MULTILINE)
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    assert len(numbers) > 70


def test_what_does_not_exist_is_found() -> None:
    assert missing_paths("`contract/exits.py`, `contract/nothing.py`, `nowhere/`") == [
        "contract/nothing.py",
        "nowhere/",
    ]
    assert missing_modules("| `contract/` | `exits`, `nothing` | x |") == ["contract/nothing"]


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:^    |`)make ([a-z][a-z0-9-]*)", page.read_text(), re.MULTILINE)
    assert [name for name in named if name not in targets] == []


def test_no_file_refers_to_a_document_that_is_not_in_the_repository() -> None:
    dangling = re.compile(r"design\.md|\(decision [0-9]+\)")
    files = [path for folder in SOURCES for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES]
    assert len(files) > 300
    found = [str(path.relative_to(ROOT)) for path in files if dangling.search(path.read_text(encoding="utf-8"))]
    assert [path for path in found if path not in HERE] == []
