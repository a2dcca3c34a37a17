"""The type of the keywords of `corepod.run`, from the table of settings. `make docs` writes it."""

from __future__ import annotations

import json
from pathlib import Path

import corepod
from corepod.config.checks import FILES
from corepod.config.spec import SETTINGS, Setting

FILE = Path(corepod.__file__).parent / "config" / "keywords.py"
HEAD = '''"""The keywords of `corepod.run`, for editors and type checkers.

Written by `make docs` from `corepod.config.spec`, which says what each means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike


class Keywords(TypedDict, total=False):
    config: str | PathLike[str]  # the settings file
    env: str  # the environment of the settings file
'''
TYPES = {
    "flag": "bool",
    "count": "int",
    "seconds": "float",
    "bytes": "int | str",
    "memory": "int | str",
    "workers": "int | str",
    "budget": "int | str",  # 0 for no limit
    "addresses": "str | Sequence[str]",
    "networks": "str | Sequence[str]",
    "paths": "str | Sequence[str]",
    "texts": "str | Sequence[str]",
}
PATHS = ("_file", "_log", "dir")  # how the names of texts end that are paths, beside FILES


def text() -> str:
    """The module."""
    rows = [f"    {setting.name}: {_type(setting)}\n" for setting in SETTINGS if setting.name != "app"]
    return HEAD + "".join(rows)


def _type(setting: Setting) -> str:
    if setting.kind == "choice":
        return f"Literal[{', '.join(map(json.dumps, setting.choices))}]"
    if setting.kind == "text" and (setting.name in FILES or setting.name.endswith(PATHS)):
        return "str | PathLike[str]"
    return TYPES.get(setting.kind, "str")
