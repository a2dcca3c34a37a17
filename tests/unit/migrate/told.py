"""What a command line becomes, and whether corepod takes the file that is made of it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from corepod.config import document
from corepod.migrate import toml
from corepod.migrate.commands import program
from corepod.migrate.model import Context, Migration, Program

if TYPE_CHECKING:
    from collections.abc import Mapping


def told(line: str, folder: Path | None = None, environ: Mapping[str, str] | None = None, cores: int = 4) -> Program:
    """`folder` is that of a gunicorn.conf.py, which is executed."""
    context = Context(environ or {}, folder or Path("/nowhere"), execute=folder is not None, cores=cores)
    found = program(shlex.split(line), context)
    assert found is not None
    return found


def faults(programs: list[Program], path: Path) -> list[str]:
    """What is wrong with the file that is written for them."""
    path.write_text(toml.document(Migration("source", "kind", programs)), encoding="utf-8")
    found: list[str] = []
    document.read(str(path), found)
    return found
