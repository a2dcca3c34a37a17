"""Whether what the API server shows is plausible and recent enough to act on."""

from __future__ import annotations

from corepod.operator.sizing.stabilization import Peak

STALE = 120.0  # seconds without contact to the API server; a watch makes contact every minute
HOLD = 300.0  # seconds for which the loss of most nodes must last before it is acted on


class Plausibility:
    """Remembers how many nodes were ready."""

    def __init__(self) -> None:
        self._most = Peak(HOLD)
        self.due: float | None = None  # when to decide again, even without a change

    def why_not_plausible(self, *, ready: int, silence: float, now: float) -> str:
        """Why every number has to stay as it is, empty if the cluster looks plausible.

        `ready` is the number of ready nodes, `silence` the seconds since the API server last confirmed the facts.
        """
        self.due = None
        if silence > STALE:
            return f"no contact to the API server for {silence:.0f} s"
        most = self._most.add(ready, now)
        if not ready:
            return "no node is ready"
        if 2 * ready < most:
            self.due = self._most.ends
            return f"only {ready} of {most} nodes are ready; acted on if that lasts for {HOLD:.0f} s"
        return ""
