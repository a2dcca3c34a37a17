"""When not to believe what the API server shows, or what is remembered of it."""

from __future__ import annotations

from corepod.operator.steady import Peak

STALE = 120.0  # seconds without a sign of life from the API server; a watch gives one every minute
HOLD = 300.0  # seconds after which it is believed that most nodes are gone


class Doubt:
    """Remembers how many nodes there were."""

    def __init__(self) -> None:
        self._most = Peak(HOLD)
        self.due: float | None = None  # when to look again even if nothing happens

    def why(self, *, ready: int, silence: float, now: float) -> str:
        """Why every number has to stay as it is, empty where there is no reason.

        `ready` is the number of nodes that are ready, `silence` the seconds since the oldest of the lists was known
        to be right.
        """
        self.due = None
        if silence > STALE:
            return f"nothing has been heard from the API server for {silence:.0f} s"
        most = self._most.add(ready, now)
        if not ready:
            return "no node is ready"
        if 2 * ready < most:
            self.due = self._most.ends
            return f"only {ready} of {most} nodes are left; that is believed after {HOLD:.0f} s"
        return ""
