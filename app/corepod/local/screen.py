"""A terminal with log lines that scroll by and a table below them, in whatever size the window has.

After each drawing the cursor stands at the beginning of the table, so "erase from here on" removes the table even when
the terminal has folded its lines anew after a change of size.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rich.console import Console

from corepod.local.signals import in_foreground

if TYPE_CHECKING:
    from typing import Self

    from rich.console import RenderableType
    from rich.text import Text

ERASE = "\r\x1b[J"  # from the beginning of this line to the end of the screen
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"  # the cursor
CUT, FOLD = "\x1b[?7l", "\x1b[?7h"  # what is done with a line that is too long: a window may shrink at any time
FALLBACK = os.terminal_size((80, 24))


class Screen:
    """Writes to standard output, all of a step at once. A terminal that is gone is no error: the pool's end follows."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._table = ""
        self._hidden = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.leave()

    def show(self, table: RenderableType) -> None:
        """Draw the table in place of the last one."""
        before, self._table = self._table, self._drawn(table) if in_foreground() else ""
        write((ERASE if before else "") + self._table, self._console.encoding)

    def log(self, lines: list[Text]) -> None:
        """Print lines above the table."""
        with self._console.capture() as text:
            for line in lines:
                self._console.print(line, soft_wrap=True)
        write((ERASE if self._table else "") + text.get() + self._table, self._console.encoding)

    def leave(self) -> None:
        """Give the terminal back as it was: without the table, with its cursor."""
        write((ERASE if self._table else "") + (SHOW if self._hidden else ""), self._console.encoding)
        self._table, self._hidden = "", False

    def _drawn(self, table: RenderableType) -> str:
        with self._console.capture() as text:
            self._console.print(table, width=window().columns, no_wrap=True)
        # More would scroll the first lines away, and "up" would not come to the beginning.
        lines = text.get().splitlines()[: max(1, window().lines - 1)]
        self._hidden = True
        up = f"\x1b[{len(lines) - 1}A" if len(lines) > 1 else ""
        return HIDE + CUT + "\r\n".join(lines) + FOLD + up + "\r"


def window() -> os.terminal_size:
    """The size of the terminal at standard output."""
    try:
        size = os.get_terminal_size(1)
    except OSError:
        return FALLBACK
    return size if size.columns and size.lines else FALLBACK


def write(text: str, encoding: str) -> None:
    """To standard output, whole. A terminal that is gone takes nothing."""
    data = text.encode(encoding, "replace")
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        pass
