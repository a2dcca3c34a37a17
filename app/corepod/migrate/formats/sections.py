"""Files of sections and KEY=VALUE lines (systemd's units, supervisord's configuration), changed where it is needed and
nowhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECTION = re.compile(r"\s*\[([^\]]+)\]\s*$")


@dataclass(frozen=True)
class Style:
    """How lines go on: systemd's end with a backslash, supervisord's are indented."""

    backslash: bool
    comments: tuple[str, ...]


SYSTEMD = Style(backslash=True, comments=("#", ";"))
SUPERVISORD = Style(backslash=False, comments=("#", ";"))


@dataclass(frozen=True)
class Entry:
    section: str
    key: str
    value: str
    first: int  # its lines: from this one
    last: int  # up to this one, not included


def entries(text: str, style: Style) -> list[Entry]:
    """Every KEY=VALUE, in its order."""
    lines = text.splitlines()
    found: list[Entry] = []
    section, at = "", 0
    while at < len(lines):
        line = lines[at]
        if match := _SECTION.match(line):
            section = match[1].strip()
        key, equals, value = line.partition("=")
        if not equals or not key.strip() or line.lstrip().startswith(style.comments) or _SECTION.match(line):
            at += 1
            continue
        first, at, value = at, *_continued(lines, at, value, style)
        found.append(Entry(section, key.strip(), value, first, at))
    return found


def _continued(lines: list[str], at: int, value: str, style: Style) -> tuple[int, str]:
    """The line after the entry, and the whole value."""
    parts = [value.strip()]
    at += 1
    if style.backslash:
        while parts[-1].endswith("\\") and at < len(lines):
            parts[-1] = parts[-1][:-1].rstrip()
            if not lines[at].lstrip().startswith(style.comments):
                parts.append(lines[at].strip())
            else:
                parts[-1] += "\\"  # a comment in between doesn't end the value
            at += 1
        return at, " ".join(part.removesuffix("\\").strip() for part in parts if part)
    while at < len(lines) and lines[at][:1] in (" ", "\t") and lines[at].strip():
        if not lines[at].lstrip().startswith(style.comments):
            parts.append(lines[at].strip())
        at += 1
    return at, "\n".join(part for part in parts if part)


def changed(text: str, section: str, changes: Mapping[str, str | None], style: Style) -> str:
    """The text in which the section has these values, None for no such key; all else is as it was.

    What is new stands after the last entry of the section.
    """
    lines: list[str | None] = list(text.splitlines())
    here = [entry for entry in entries(text, style) if entry.section == section]
    left = dict(changes)
    end = here[-1].last if here else next(at for at, line in enumerate(lines) if _is(line, section)) + 1
    for entry in here:
        if entry.key not in changes:
            continue
        value = left.pop(entry.key, None)
        lines[entry.first : entry.last] = [None] * (entry.last - entry.first)
        if value is not None:
            lines[entry.first] = f"{entry.key}={value}"
    new = [f"{key}={value}" for key, value in left.items() if value is not None]
    return "\n".join(line for line in [*lines[:end], *new, *lines[end:]] if line is not None) + "\n"


def _is(line: str | None, section: str) -> bool:
    match = _SECTION.match(line or "")
    return match is not None and match[1].strip() == section
