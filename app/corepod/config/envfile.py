"""A file of NAME=VALUE lines, as dotenv libraries and Docker Compose read it."""

from __future__ import annotations

import re
from pathlib import Path

_BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_ASSIGNMENT = re.compile(
    r"[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)[ \t]*="
    # Quoted values may go on over several lines, and only a comment may follow them.
    r"(?:[ \t]*(?:\"(?P<double>(?:[^\"\\]|\\.)*)\"|'(?P<single>(?:[^'\\]|\\.)*)')[ \t]*(?:#[^\n]*)?"
    r"|(?P<plain>(?![ \t]*[\"'])[^\n]*))(?:\n|\Z)",
    re.DOTALL,
)
_COMMENT = re.compile(r"[ \t]+#.*")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MEANINGS = dict(zip("nrtabfv\\\"'", "\n\r\t\a\b\f\v\\\"'", strict=True))


def read(path: str) -> dict[str, str]:
    """The variables of the file.

    Empty lines and comments don't count, also behind a value. A value in quotes may go on over several lines; in double
    quotes, `\\n` and its like are what they are in Python. Nothing is expanded: a `$` stands for itself.

    Raises ValueError naming the line that can't be read, without its text, which may be a secret; OSError.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")  # Windows editors put a byte order mark in front
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not UTF-8 ({error.reason} at byte {error.start})") from None
    if "\0" in text:
        raise ValueError(f"{path}: a variable can't have a NUL in it")
    found, at = {}, 0
    while at < len(text):
        if blank := _BLANK.match(text, at):
            at = blank.end()
            continue
        match = _ASSIGNMENT.match(text, at)
        if match is None:
            line = text.count("\n", 0, at) + 1
            raise ValueError(f"{path}, line {line}: not NAME=VALUE, or a quoted value doesn't end as it should")
        found[match["name"]] = _value(match)
        at = match.end()
    return found


def _value(match: re.Match[str]) -> str:
    if match["double"] is not None:
        return _ESCAPED.sub(lambda escaped: _MEANINGS.get(escaped[1], escaped[0]), match["double"])
    if match["single"] is not None:
        return _ESCAPED.sub(lambda escaped: escaped[1] if escaped[1] in "\\'" else escaped[0], match["single"])
    return _COMMENT.sub("", match["plain"]).strip()
