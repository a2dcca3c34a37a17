"""A file of NAME=VALUE lines, as Docker's --env-file and systemd's EnvironmentFile= read it."""

from __future__ import annotations

import re
from pathlib import Path

LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")


def read(path: str) -> dict[str, str]:
    """The variables of the file. Comments and empty lines don't count; a value may stand in quotes.

    Raises ValueError naming the line that is neither, without its text, which may be a secret.
    """
    found = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = LINE.fullmatch(stripped)
        if match is None:
            raise ValueError(f"{path}, line {number}: not NAME=VALUE")
        name, value = match.groups()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        found[name] = value
    return found
