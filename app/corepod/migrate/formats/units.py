"""What only units of systemd have: drop-ins, and specifiers."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from corepod.migrate.model import Migration, Program

_SPECIFIER = re.compile(r"%[A-Za-z]")


def drop_ins(folder: Path, migration: Migration) -> str:
    """What systemd adds to the unit: later lines take precedence."""
    paths = sorted(folder.glob("*.conf")) if folder.is_dir() else []
    if paths:
        migration.notes.append(f"{folder.name} ({', '.join(one.name for one in paths)}) is in the new unit; remove it")
    return "".join(f"\n# {one.name}\n{one.read_text(encoding='utf-8', errors='replace')}" for one in paths)


def specifiers(program: Program) -> list[str]:
    """Flags for the settings that have specifiers (%i): systemd fills them in on a command line, and not in
    corepod.toml. Elsewhere %% is a percent sign."""
    flags: list[str] = []
    for name, value in list(program.settings.items()):
        values = [str(one) for one in value] if isinstance(value, list) else [str(value)]
        if any(_SPECIFIER.search(one.replace("%%", "")) for one in values):
            del program.settings[name]
            words = (
                [values[0]] if name == "app" else [w for one in values for w in (f"--{name.replace('_', '-')}", one)]
            )
            flags += words
            before = f"{name} = "
            program.items = [
                replace(item, ours=" ".join(words), note="systemd fills it in, on the command line")
                if item.ours.startswith(before)
                else item
                for item in program.items
            ]
        elif any("%%" in one for one in values):
            plain = [one.replace("%%", "%") for one in values]
            program.settings[name] = plain if isinstance(value, list) else plain[0]
    return flags
