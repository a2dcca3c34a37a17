"""The lines of a pool's log, as people and as programs read them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from corepod.contract.escaping import CONTINUED, from_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.text import Text

_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
_OWN = re.compile(rf"({_TIME}) (DEBUG|INFO|WARNING|ERROR) +(?:\[((?:worker|process) [^]]*)\] )?(.*)")
_WORKERS = re.compile(rf"(?:({_TIME}) )?((?:worker|process) [^|]*) \| (.*)")


class Entry(NamedTuple):
    """One line of the log, with those that continue it."""

    lines: list[str]

    def record(self) -> dict[str, Any]:
        """What it says: time, level, worker, slot, core, pid and message, as far as it has them."""
        first = self.lines[0]
        if first.startswith("{"):
            try:
                record = json.loads(first)
            except (ValueError, RecursionError):
                record = None
            if isinstance(record, dict):
                return record
        more = [line.removeprefix(CONTINUED) for line in self.lines[1:]]
        if own := _OWN.fullmatch(first):
            known = {"time": own[1], "level": own[2].lower(), **_who(own[3] or "")}
            return {**known, "message": "\n".join([own[4], *more])}
        if workers := _WORKERS.fullmatch(first):
            return {"time": workers[1], **_who(workers[2]), "message": "\n".join([workers[3], *more])}
        return {"time": None, "message": "\n".join([first, *more])}

    def is_about(self, slot: int) -> bool:
        """Whether a worker of the slot has written it, or the supervisor wrote it about the slot."""
        record = self.record()
        if "slot" in record or "worker" in record:
            return record.get("slot") == slot
        return "level" in record and re.search(rf"\bslot {slot}\b", str(record.get("message"))) is not None


def entries(lines: Iterable[bytes]) -> Iterator[Entry]:
    """The entries of these lines, in the same order."""
    entry: list[str] = []
    for line in map(from_bytes, lines):
        if entry and not line.startswith(CONTINUED):
            yield Entry(entry)
            entry = []
        entry.append(line)
    if entry:
        yield Entry(entry)


def entries_backwards(lines: Iterable[bytes]) -> Iterator[Entry]:
    """The entries of lines that come in reverse order, the last one first."""
    after: list[str] = []
    for line in map(from_bytes, lines):
        after.append(line)
        if not line.startswith(CONTINUED):
            yield Entry(after[::-1])
            after = []
    if after:
        yield Entry(after[::-1])


def styled(line: bytes) -> Text:
    """The line for a terminal."""
    from rich.text import Text

    text = Text(from_bytes(line))
    text.highlight_regex(rf"^{_TIME} ", "dim")
    text.highlight_regex(r"(?<=Z )WARNING", "yellow")
    text.highlight_regex(r"(?<=Z )ERROR", "bold red")
    text.highlight_regex(rf"\[(process|worker) [^]]*\]|^({_TIME} )?(worker|process) [^|]* \|", "cyan")
    return text


def _who(tag: str) -> dict[str, Any]:
    words = tag.split()
    return {
        key: int(value) if value.isdecimal() else value for key, value in zip(words[::2], words[1::2], strict=False)
    }
