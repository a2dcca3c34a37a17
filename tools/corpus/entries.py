"""The configurations of tests/corpus, each with the command lines that it has."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

CORPUS = Path(__file__).parents[2] / "tests" / "corpus"
# The groups whose configurations are of gunicorn, as they were counted.
GUNICORN = ("F", "P", "C", "S")
_STARTS = re.compile(r"^\s*(?:ExecStart=|web:|command\s*[=:]|CMD|ENTRYPOINT)\s*(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """A configuration: a file, or a command line, which may name a file of gunicorn's settings (F and P)."""

    group: str
    name: str
    path: Path | None = None
    line: str = ""

    @cached_property
    def text(self) -> str:
        return self.path.read_text() if self.path else self.line

    @property
    def settings_file(self) -> Path | None:
        """Of gunicorn, in Python."""
        return self.path if self.group in ("F", "P") else None

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command line, read in a way that has nothing of `corepod migrate`."""
        if self.line:
            return [shlex.split(self.line)]
        lines = _STARTS.findall(self.text.replace("\\\n", " "))
        return [_words(line) for line in lines]


def _words(line: str) -> list[str]:
    words = json.loads(line) if line.startswith("[") else shlex.split(line)
    return shlex.split(words[-1]) if "-c" in words[1:2] else words  # of a shell


def of_gunicorn(entries: list[Entry]) -> list[tuple[str, Entry, list[str]]]:
    """Each configuration of gunicorn with its group and the words of its command line."""
    found = []
    for entry in entries:
        group = "S" if entry.group.startswith(("systemd", "supervisord")) else entry.group
        if group in GUNICORN:
            found += [(group, entry, words) for words in entry.commands if "gunicorn" in " ".join(words)]
    return found


def read() -> list[Entry]:
    """All configurations, in order."""
    return [
        *_python("F", "files"),
        *_python("P", "projects"),
        *_lines("C", "commands.txt"),
        *_files("C", "containers", "*"),
        *_files("systemd", "systemd", "*.service"),
        *_files("systemd_documented", "systemd_documented", "*.service"),
        *_files("supervisord", "supervisord", "*.conf"),
        *_lines("uvicorn", "uvicorn.txt"),
        *_lines("uvicorn_by_flag", "uvicorn_by_flag.txt"),
        *_files("pm2", "pm2", "*.js*"),
        *_files("kubernetes", "kubernetes", "*"),
    ]


def _files(group: str, folder: str, pattern: str) -> list[Entry]:
    return [Entry(group, path.name, path) for path in sorted((CORPUS / folder).glob(pattern)) if path.is_file()]


def _python(group: str, folder: str) -> list[Entry]:
    """The first line of each says how gunicorn is started with it."""
    paths = sorted((CORPUS / folder).glob("*.py"))
    return [Entry(group, path.name, path, path.read_text().split("\n", 1)[0].removeprefix("# $ ")) for path in paths]


def _lines(group: str, name: str) -> list[Entry]:
    lines = (CORPUS / name).read_text().splitlines()
    return [
        Entry(group, f"{name}:{number}", line=line)
        for number, line in enumerate(lines, 1)
        if line and not line.startswith("#")
    ]
