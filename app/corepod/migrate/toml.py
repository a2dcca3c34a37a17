"""Writes corepod.toml, with the reason for each value as a comment."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

from corepod.config.document import NAME, OURS, VARIABLE
from corepod.config.spec import BY_NAME
from corepod.migrate.model import Fate, quoted, toml_value

if TYPE_CHECKING:
    from corepod.migrate.model import Migration, Program

WIDTH = 110


def document(migration: Migration) -> str:
    """The file: one program at the top level, several as tables."""
    head = [f"# From {_one_line(migration.source)} by corepod migrate. All settings: corepod run --help"]
    programs = migration.programs
    if len(programs) == 1:
        return "\n".join([*head, "", *_table(programs[0], "")]) + "\n"
    lines = head
    for name, program in zip(names(programs), programs, strict=True):
        lines += ["", f"[apps.{_key(name)}]", *_table(program, f"apps.{_key(name)}.")]
    return "\n".join(lines) + "\n"


def names(programs: list[Program]) -> list[str]:
    """One for each program, as tables may be called, and no two the same."""
    taken: list[str] = []
    for program in programs:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", program.name).strip("-._") or "app"
        found, number = name, 2
        while found in taken:
            found, number = f"{name}-{number}", number + 1
        taken.append(found)
    return taken


def _key(name: str) -> str:
    assert NAME.fullmatch(name)
    return name if "." not in name else quoted(name)


def _table(program: Program, prefix: str) -> list[str]:
    lines: list[str] = []
    if "app" not in program.settings:
        lines.append('# app = "MODULE:ATTRIBUTE"  # or on the command line: corepod run MODULE:ATTRIBUTE')
    order = list(BY_NAME)
    for name in sorted(program.settings, key=lambda name: order.index(name) if name in order else len(order)):
        value = program.settings[name]
        lines += [*_reasons(program, name), f"{name} = {toml_value(value)}"]
    if program.variables:
        lines += ["", f"[{prefix}env]"]
        lines += [_variable(name, value) for name, value in program.variables.items()]
    for environment, variables in program.environments.items():
        if NAME.fullmatch(environment):
            lines += ["", f"[{prefix}env.{_key(environment)}]"]
            lines += [_variable(name, value) for name, value in variables.items()]
    todo = program.of(Fate.NEEDS_YOU)
    if todo:
        lines += ["", "# These need you:"]
    for item in todo:
        lines += _comment(" ".join(filter(None, (f"{item.setting}:", item.note))), first="# - ", then="#   ")
    return lines


def _reasons(program: Program, name: str) -> list[str]:
    """Comments above a setting: what it was, and why it is this."""
    lines: list[str] = []
    for item in program.items:
        if item.note and item.ours.startswith(f"{name} = "):
            mark = "check: " if item.fate is Fate.CHECK else ""
            lines += _comment(f"{mark}{item.setting} ({item.value}): {item.note}")
    return lines


def _comment(text: str, first: str = "# ", then: str = "# ") -> list[str]:
    return textwrap.wrap(_one_line(text), WIDTH, initial_indent=first, subsequent_indent=then, break_on_hyphens=False)


def _one_line(text: str) -> str:
    """Without what would end a comment, or isn't allowed in one."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text).split())


def _variable(name: str, value: str) -> str:
    if VARIABLE.fullmatch(name) and "\0" not in value and name not in OURS:
        return f"{name} = {quoted(value)}"
    return f"# {_one_line(name)} can't be set here; use env_file"
