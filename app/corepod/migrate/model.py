"""What a configuration asks for, and what becomes of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from corepod.config.kinds import parse
from corepod.config.spec import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class MigrateError(Exception):
    """The configuration can't be read: what is wrong, where, and what to do."""


class Fate(Enum):
    """What becomes of a setting of another program.

    MAPPED: corepod does the same. CHECK: it does the same if an assumption holds, which the note names. DROPPED:
    nothing is lost without it, and the note says why. NEEDS_YOU: it has no equivalent, or only a person can decide.
    """

    MAPPED = "mapped"
    CHECK = "check"
    DROPPED = "dropped"
    NEEDS_YOU = "needs you"


@dataclass(frozen=True)
class Item:
    """One setting as its program calls it ("timeout", "--workers", "livenessProbe") with its value as text.

    `ours` is what takes its place ("wsgi_timeout = 30"), empty where nothing does; `note` is a phrase for people. A
    mapping that needs no explanation has none.
    """

    fate: Fate
    setting: str
    value: str
    ours: str = ""
    note: str = ""


@dataclass
class Program:
    """One application that the configuration runs: a corepod.toml, or a table of one.

    `server` is what ran it ("gunicorn", "uvicorn", "pm2", ...). `settings` have the names of `corepod.config.spec`,
    and values as corepod.toml has them; `variables` are the application's, and `environments` those that an environment
    such as production has beside them. `files` are those that the program needs, by name.
    """

    name: str
    server: str
    settings: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    def use(self, setting: str, value: str, ours: str, to: Any, note: str = "", *, check: bool = False) -> None:
        """The setting becomes `ours`. Raises ValueError where `to` is no value of ours."""
        parse(BY_NAME[ours], to)
        self.settings[ours] = to
        fate = Fate.CHECK if check else Fate.MAPPED
        self.items.append(Item(fate, setting, value, f"{ours} = {toml_value(to)}", note))

    def map(self, setting: str, value: str, ours: str, note: str = "", *, check: bool = False) -> None:
        """Something else than one of our settings takes its place: a variable, a file, a command."""
        self.items.append(Item(Fate.CHECK if check else Fate.MAPPED, setting, value, ours, note))

    def drop(self, setting: str, value: str, why: str) -> None:
        """Nothing is lost without the setting."""
        self.items.append(Item(Fate.DROPPED, setting, value, note=why))

    def ask(self, setting: str, value: str, what: str) -> None:
        """A person has to do `what`."""
        self.items.append(Item(Fate.NEEDS_YOU, setting, value, note=what))

    def of(self, *fates: Fate) -> list[Item]:
        return [item for item in self.items if item.fate in fates]

    @property
    def covered(self) -> bool:
        """Whether corepod does everything that the configuration asks for, assumptions included."""
        return not self.of(Fate.NEEDS_YOU)


@dataclass
class Migration:
    """Everything that one file or command line asks for.

    `files` are others that take the place of the source, by name: a unit of systemd, values of the chart. `notes` are
    what holds for all programs, and what was found and isn't a web application ("celery stays as it is").
    """

    source: str
    kind: str  # "gunicorn.conf.py", "command line", "Procfile", "systemd", ...
    programs: list[Program] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Context:
    """Where the configuration is read: variables (expressions of shells and of Python read them), the folder that
    relative paths are relative to, whether Python files may be executed, and the usable cores (0: those here).
    `platform`: whether a hosting platform runs it, which sets PORT, and some WEB_CONCURRENCY. `images` are
    Dockerfiles of containers whose manifest doesn't say what they start."""

    environ: Mapping[str, str]
    folder: Path
    execute: bool = True
    cores: int = 0
    platform: bool = False
    images: tuple[Path, ...] = ()


def toml_value(value: Any) -> str:
    """A value as it stands in corepod.toml."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(toml_value, value))}]"
    return quoted(value) if isinstance(value, str) else str(value)


def quoted(text: str) -> str:
    """A basic string of TOML: it has the escapes of JSON, and needs one for DEL, too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
