"""The whole window for as long as the view lasts, key by key; afterwards the terminal is as it was."""

from __future__ import annotations

import os
import termios
from typing import TYPE_CHECKING

from rich.console import Console

from corepod.local.screen import CUT, FOLD, HIDE, SHOW, write
from corepod.local.signals import in_foreground
from corepod.local.top import cells

if TYPE_CHECKING:
    from typing import Any, Self

    from rich.text import Text

OTHER_SCREEN, FIRST_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
HOME, ERASE_LINE, ERASE_BELOW = "\x1b[H", "\x1b[2K", "\x1b[J"
STDIN = 0


class Display:
    """Draws, and reads keys, while the terminal is this process's; in the background it leaves both to others."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        # Of the beginning: later ones could be those of a view that was stopped without a chance to leave.
        self._modes = termios.tcgetattr(STDIN)
        self._entered = False  # its modes are those of the view
        self._other = False  # it shows its other screen: a second step there would forget the way back

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.leave()

    @property
    def glyphs(self) -> cells.Glyphs:
        return cells.UNICODE if self._console.encoding.startswith("utf") else cells.ASCII

    @property
    def readable(self) -> list[int]:
        """The descriptor to wait for."""
        return [STDIN] if self._entered else []

    def show(self, lines: list[Text]) -> None:
        if not in_foreground():
            self._entered = False  # what it looks like is for others to say until then
            return
        begin = "" if self._entered else self._enter()
        with self._console.capture() as text:
            for line in lines:
                self._console.print(line, soft_wrap=True)
        # Erased before they are written: behind a line as wide as the window the cursor is on its last character.
        drawn = "\r\n".join(ERASE_LINE + line for line in text.get().split("\n")[: len(lines)])
        write(f"{begin}{CUT}{HOME}{drawn}{FOLD}\r", self._console.encoding)

    def _enter(self) -> str:
        """Have each key at once, and don't show it. Ctrl-S is a key, too: it must not stop what is drawn."""
        modes: list[Any] = [*self._modes[:6], list(self._modes[6])]
        modes[0] &= ~termios.IXON
        modes[3] &= ~(termios.ICANON | termios.ECHO)
        modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
        self._entered = True
        termios.tcsetattr(STDIN, termios.TCSANOW, modes)
        begin = "" if self._other else OTHER_SCREEN
        self._other = True
        return begin + HIDE + HOME + ERASE_BELOW

    def leave(self) -> None:
        """Give the terminal back. The next drawing takes it again."""
        if self._other:
            self._other = False
            write(f"{FOLD}{SHOW}{FIRST_SCREEN}", self._console.encoding)
        if self._entered:
            self._entered = False
            try:
                termios.tcsetattr(STDIN, termios.TCSANOW, self._modes)
            except termios.error:
                pass  # the terminal is gone

    def forget(self) -> None:
        """Another program had the terminal."""
        self._entered = False

    def read(self) -> str | None:
        """What was typed; None where the terminal is gone."""
        try:
            typed = os.read(STDIN, 4096)
        except OSError:
            return None
        return typed.decode("utf-8", "replace") if typed else None
