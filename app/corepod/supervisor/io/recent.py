"""The last lines of the log, for a client that describes the pool. Bounded: PID 1 keeps 72 kB of them at most."""

from __future__ import annotations

from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OWN, RELAYED = 30, 60  # lines kept
LONGEST = 800  # bytes of each


class Recent:
    """The supervisor's own lines and those of workers are kept apart, so that no chatty worker drives out the lines
    that say why another one died."""

    def __init__(self) -> None:
        self._own: deque[tuple[int, object, bytes]] = deque(maxlen=OWN)
        self._relayed: deque[tuple[int, object, bytes]] = deque(maxlen=RELAYED)
        self._count = 0

    def own(self, line: bytes, who: dict[str, object]) -> None:
        self._keep(self._own, line, who)

    def relayed(self, line: bytes, who: dict[str, object]) -> None:
        self._keep(self._relayed, line, who)

    def _keep(self, lines: deque[tuple[int, object, bytes]], line: bytes, who: dict[str, object]) -> None:
        self._count += 1
        lines.append((self._count, who.get("slot"), line if len(line) <= LONGEST else line[:LONGEST] + b" ..."))

    def lines(self, slot: Any = None) -> list[str]:
        """The lines in the order in which they came; with a slot's number only those that name it."""
        kept = sorted([*self._own, *self._relayed])
        return [text.decode("utf-8", "replace").rstrip("\n") for _, of, text in kept if slot is None or of == slot]
