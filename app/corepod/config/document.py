"""corepod.toml: the settings of all applications, those of each, and what an environment changes of them.

workers = 2                     # of all applications
[env]                           # variables of all applications
[env.production]                # settings and variables of all of them in production
[apps.shop]                     # the same four for one application
[apps.shop.env]
[apps.shop.env.production]
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corepod.config.kinds import parse
from corepod.config.spec import BY_NAME, SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "corepod.toml"
APPS, ENV = "apps", "env"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# Settings are written in small letters, so that both may stand in one table.
VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
OURS = {setting.variable: setting for setting in SETTINGS}


@dataclass
class Table:
    """One table of the file, parsed. `place` says where it is: "corepod.toml [apps.shop]"."""

    place: str
    values: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)


@dataclass
class Section:
    """The top level or an application, and what each environment changes of it."""

    table: Table
    environments: dict[str, Table] = field(default_factory=dict)

    def layers(self, environment: str) -> list[Table]:
        """The tables that count; the first one that has a value decides."""
        changed = self.environments.get(environment)
        return [changed, self.table] if changed else [self.table]


@dataclass
class Document:
    """The whole file. Without one it is empty."""

    path: str
    common: Section
    apps: dict[str, Section] = field(default_factory=dict)

    @property
    def environments(self) -> list[str]:
        """Names of all environments that are in the file."""
        sections = [self.common, *self.apps.values()]
        return list(dict.fromkeys(name for section in sections for name in section.environments))

    def layers(self, app: str, environment: str) -> list[Table]:
        """The tables of an application (empty: of none) from the one that takes precedence on."""
        own = self.apps[app].layers(environment) if app else []
        return [*own, *self.common.layers(environment)]


def read(file: str | None, faults: list[str]) -> Document:
    """The file, or corepod.toml where None is given and it exists. What is wrong in any table is added to `faults`."""
    path = file or FILE
    content = _load(path, file is not None, faults)
    apps = content.pop(APPS, {})
    document = Document(path, _section(path, "", content, faults))
    if not isinstance(apps, dict):
        faults.append(f"{path}: {APPS} has to be tables, [{APPS}.NAME]")
        return document
    for name, table in apps.items():
        if not isinstance(table, dict):
            faults.append(f"{path}: {APPS}.{name} has to be a table, [{APPS}.{name}]")
        elif not NAME.fullmatch(name):
            faults.append(f"{path}: [{APPS}.{name!r}]: a name has letters, digits, dots, dashes and underscores")
        else:
            document.apps[name] = _section(path, f"{APPS}.{name}", table, faults)
    return document


def asked_for(flags: dict[str, Any], environ: Mapping[str, str]) -> str | None:
    """Take the settings file that was asked for out of the flags; None where none was."""
    return flags.pop("config") or environ.get("COREPOD_CONFIG")


def hint(name: str, known: Any) -> str:
    """A phrase that proposes the known name that was probably meant, empty where none is close."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _load(path: str, must_exist: bool, faults: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if must_exist:
            faults.append(f"{path}: there is no such file (--config, COREPOD_CONFIG)")
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"{path}: can't be read: {error}")
    except tomllib.TOMLDecodeError as error:
        faults.append(f"{path}: is not TOML: {error}")
    return {}


def _section(path: str, title: str, content: dict[str, Any], faults: list[str]) -> Section:
    """`title` is that of the table in the file, empty for the top level."""
    inner = content.pop(ENV, {})
    section = Section(_table(f"{path} [{title}]" if title else path, content, faults, variables=False))
    title = f"{title}.{ENV}" if title else ENV
    if not isinstance(inner, dict):
        faults.append(f"{path}: {title} has to be a table, [{title}]")
        return section
    for name in [name for name, value in inner.items() if isinstance(value, dict)]:
        if NAME.fullmatch(name):
            place = f"{path} [{title}.{name}]"
            section.environments[name] = _table(place, inner.pop(name), faults, variables=True)
        else:
            faults.append(f"{path}: [{title}.{name!r}]: a name has letters, digits, dots, dashes and underscores")
    section.table.variables = _variables(f"{path} [{title}]", inner, faults)
    return section


def _table(place: str, content: dict[str, Any], faults: list[str], *, variables: bool) -> Table:
    """`variables`: whether the table may have these beside settings."""
    table = Table(place)
    if variables:
        named = {name: content.pop(name) for name in list(content) if VARIABLE.fullmatch(name)}
        table.variables = _variables(place, named, faults)
    for name, raw in content.items():
        if name not in BY_NAME:
            what = hint(name, BY_NAME) or ("; variables are written in capitals" if variables else "")
            faults.append(f"{place}: there is no setting {name!r}{what}")
            continue
        try:
            table.values[name] = parse(BY_NAME[name], raw)
        except ValueError as error:
            faults.append(f"{place}: {name}: {error}")
    return table


def _variables(place: str, content: dict[str, Any], faults: list[str]) -> dict[str, str]:
    found = {}
    for name, value in content.items():
        if name in BY_NAME:
            faults.append(f"{place}: {name} is a setting, and here are variables; it belongs in the table above")
        elif not VARIABLE.fullmatch(name):
            faults.append(f"{place}: {name!r} is not the name of a variable: write it in capitals, or use env_file")
        elif name in OURS:
            faults.append(f"{place}: {name} is the setting {OURS[name].name}; set that in its place")
        elif isinstance(value, bool) or not isinstance(value, str | int | float) or "\0" in str(value):
            faults.append(f'{place}: {name}: the value of a variable is a text, such as "1"')
        else:
            found[name] = str(value)
    return found
