r"""Text that others have written, made safe to show: in a log, on a terminal, on a page.

A client chooses the path that an exception names, and an application what it prints. Control characters in it would
drive the reader's terminal, and line breaks would pass for lines of the log itself. What can do that is shown as an
escape such as \x1b; everything else, a tab among it, stays as it is.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

CONTINUED = "  | "  # in front of every line of an entry but the first: no entry of the log begins with a space
# C0 but the tab, DEL and C1 (NEL among it); line and paragraph separator; marks that reorder text (bidi); half a
# surrogate pair, which stands for a byte that isn't UTF-8.
_UNSAFE = re.compile("[\0-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_NAMES = {"\n": r"\n", "\r": r"\r"}


def line(text: str) -> str:
    """The text on one line."""
    return _UNSAFE.sub(_escape, text)


def lines(text: str) -> str:
    """The text with the line breaks that it has."""
    return "\n".join(map(line, text.split("\n"))) if "\n" in text else line(text)


def entry(text: str) -> str:
    """The text as an entry of a log: its line breaks stay, and every line but the first is marked as one of it."""
    return lines(text).replace("\n", "\n" + CONTINUED)


def from_bytes(data: bytes) -> str:
    """Bytes that should be UTF-8, on one line."""
    return line(data.decode("utf-8", "backslashreplace"))


def everything(value: Any, clean: Callable[[str], str] = line) -> Any:
    """A document of JSON in which every text is on one line, or has been through another function of these."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [everything(item, clean) for item in value]
    if isinstance(value, dict):
        return {line(str(key)): everything(item, clean) for key, item in value.items()}
    return value


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    return _NAMES.get(char) or (f"\\x{ord(char):02x}" if char <= "\xff" else f"\\u{ord(char):04x}")
