"""What the tests of the formats share."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from corepod.migrate import formats
from corepod.migrate.model import Context, Fate, Item, Migration, Program

if TYPE_CHECKING:
    from collections.abc import Mapping

NOWHERE = Path("/nonexistent/folder")


def context(folder: Path = NOWHERE, **environ: str) -> Context:
    return Context({"PATH": "/usr/bin:/bin", **environ}, folder, cores=4)


def read(text: str, folder: Path = NOWHERE, **environ: str) -> Migration:
    return formats.read(text, context(folder, **environ))


def read_file(folder: Path, name: str, text: str, **environ: str) -> Migration:
    (folder / name).write_text(text)
    return formats.read(name, context(folder, **environ))


def only(migration: Migration) -> Program:
    assert len(migration.programs) == 1, [program.name for program in migration.programs]
    return migration.programs[0]


def item(program: Program, setting: str) -> Item:
    """The one item of this setting."""
    found = [one for one in program.items if one.setting == setting]
    assert len(found) == 1, [one.setting for one in program.items]
    return found[0]


def fates(program: Program) -> dict[str, Fate]:
    return {one.setting: one.fate for one in program.items}


def each_once(program: Program, settings: Mapping[str, int]) -> None:
    """Every setting has as many items as it has lines, and none is lost."""
    counted = Counter(one.setting for one in program.items)
    assert {name: counted[name] for name in settings} == dict(settings)
