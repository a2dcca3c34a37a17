"""Observe, decide, act: whenever something has changed, soon after it, and not more often than there is time for."""

from __future__ import annotations

import queue
import time
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.operator.act import Actor
    from corepod.operator.decision import Decision
    from corepod.operator.known import Known
    from corepod.operator.sizing import Sizing
    from corepod.operator.view import View

SETTLE = 0.05  # seconds in which what belongs together arrives: a node and its pods, a rollout's next step
SHARE = 0.2  # of one core that deciding may take while changes never end
LONGEST = 30.0  # seconds after which it is decided anew even if nothing happens
AFTER_ERROR = 5.0  # seconds to the next try after a fault of our own


class Wake:
    """Wakes the loop, from any thread and from signal handlers: a SimpleQueue's put may interrupt itself."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._called = False

    def call(self) -> None:
        if not self._called:
            self._called = True
            self._queue.put(None)

    def wait(self, seconds: float) -> None:
        """Until called, or for so long."""
        try:
            self._queue.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return

    def clear(self) -> None:
        """From here on a call is news again."""
        while not self._queue.empty():
            self._queue.get()
        # Last: a call in between would be taken out of the queue and still be remembered as one that wakes.
        self._called = False


class Loop:
    """The operator's own thread. Whatever others ask about it they read from these attributes."""

    def __init__(
        self,
        known: Known,
        sizing: Sizing,
        actor: Actor,
        wake: Wake,
        may: Callable[[], bool],
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`may` says whether this process is the one that acts; another one only watches."""
        self._known, self._sizing, self._actor, self._wake = known, sizing, actor, wake
        self._may, self._tell, self._clock = may, tell, clock
        self.stopped = False
        self.view: View | None = None
        self.decisions: list[Decision] = []
        self.decided_at: float | None = None
        self.alive_at = clock()  # when the loop last went round
        self.turns = 0
        self.seconds = 0.0  # spent on turns
        self.error = ""  # of the last turn, empty for none

    def run(self) -> None:
        """Until stopped."""
        pause = 0.0
        while not self.stopped:
            self._wake.wait(pause)
            self._wake.clear()
            pause = self.step()

    def step(self) -> float:
        """Decide and act, if there is something to decide on. Returns the seconds until something is due."""
        self.alive_at = self._clock()
        if self.stopped or not self._known.complete or not self._may():
            return LONGEST
        self._rest(SETTLE)
        burnt = time.thread_time()
        try:
            due = self.turn(self._known.silence(self._clock()))
            self.error = ""
        except Exception:  # a fault of our own must not end the loop: the next change may be without it
            self.error = traceback.format_exc()
            self._tell(self.error)
            due = self._clock() + AFTER_ERROR
        # Of CPU: a server that takes its time to answer a write must not make the next one later still.
        took = time.thread_time() - burnt
        self._rest(took / SHARE - took)
        return max(0.0, min(due - self._clock(), LONGEST))

    def turn(self, silence: float) -> float:
        """Observe, decide, act, once. `silence`: how long ago it was as it is known. Returns when to do so again."""
        began = self._clock()
        self._wake.clear()
        view = self._known.view()
        decisions = self._sizing.decide(view, silence=silence, now=began)
        self.view, self.decisions, self.decided_at = view, decisions, began
        self._actor.forget({decision.key for decision in decisions})
        for decision in decisions:
            self.alive_at = self._clock()
            if self._actor.carry_out(decision, view.workloads[decision.key], self._clock()):
                self._sizing.wrote(decision, self._clock())
        self.turns += 1
        self.seconds += self._clock() - began
        dues = [decision.due for decision in decisions if decision.due is not None]
        dues += [failures.until for failures in self._actor.failures.values()]
        return min(dues, default=began + LONGEST)

    def _rest(self, seconds: float) -> None:
        """Pause, whatever happens meanwhile, except a stop."""
        end = self._clock() + seconds
        while not self.stopped and (left := end - self._clock()) > 0:
            time.sleep(min(left, 0.05))
