"""The control loop: observe, decide, act, soon after every change, but without using more than a share of a core."""

from __future__ import annotations

import queue
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.operator.api.informers import Informers
    from corepod.operator.apply import Applier
    from corepod.operator.model.snapshot import Snapshot
    from corepod.operator.sizing.decision import Decision
    from corepod.operator.sizing.engine import Sizing

SETTLE = 0.05  # seconds to wait for related changes: a node and its pods, the next step of a rollout
CPU_SHARE = 0.2  # of one core that deciding may use while changes keep coming
LONGEST = 30.0  # seconds after which to decide again, even without a change
AFTER_ERROR = 5.0  # seconds to the next attempt after an internal error


class Wake:
    """Wakes the loop from any thread or signal handler, for which SimpleQueue.put is reentrant."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._called = False

    def call(self) -> None:
        if not self._called:
            self._called = True
            self._queue.put(None)

    def wait(self, seconds: float) -> None:
        """Wait until called, or for so many seconds."""
        try:
            self._queue.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return

    def clear(self) -> None:
        """Forget calls so far: the next one wakes the loop again."""
        while not self._queue.empty():
            self._queue.get()
        # Last: else a call in between would be removed from the queue and still suppress the next one.
        self._called = False


@dataclass(frozen=True, slots=True)
class Round:
    """What was decided at `at`, and the facts it was decided on."""

    snapshot: Snapshot
    decisions: list[Decision]
    at: float


class ControlLoop:
    """Runs in the main thread. Other threads read its public attributes."""

    def __init__(
        self,
        informers: Informers,
        sizing: Sizing,
        applier: Applier,
        wake: Wake,
        is_leader: Callable[[], bool],
        log: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`is_leader` says whether this operator is the one that acts. If not, it only observes."""
        self._informers, self._sizing, self._applier, self._wake = informers, sizing, applier, wake
        self._is_leader, self._log, self._clock = is_leader, log, clock
        self.stopped = False
        # In one: another thread that reads facts and decisions one after the other would get them of two rounds.
        self.last: Round | None = None
        self.alive_at = clock()  # when the loop was last active
        self.rounds = 0
        self.seconds = 0.0  # spent on rounds
        self.error = ""  # traceback of the last round, empty if it succeeded

    def run(self) -> None:
        """Reconcile until stopped."""
        pause = 0.0
        while not self.stopped:
            self._wake.wait(pause)
            self._wake.clear()
            pause = self.step()

    def step(self) -> float:
        """Reconcile once if possible. Returns the seconds until the next time."""
        self.alive_at = self._clock()
        if self.stopped or not self._informers.complete or not self._is_leader():
            return LONGEST
        self._sleep(SETTLE)
        used = time.thread_time()
        try:
            due = self.reconcile(self._informers.silence(self._clock()))
            self.error = ""
        except Exception:  # an internal error must not end the loop: the next round may succeed
            self.error = traceback.format_exc()
            self._log(self.error)
            due = self._clock() + AFTER_ERROR
        # CPU time only: a slow response to a write must not delay the next round further.
        took = time.thread_time() - used
        self._sleep(took / CPU_SHARE - took)
        return max(0.0, min(due - self._clock(), LONGEST))

    def reconcile(self, silence: float) -> float:
        """Observe, decide, act, once. `silence`: age of the facts in seconds. Returns when to do so again."""
        began = self._clock()
        self._wake.clear()
        snapshot = self._informers.snapshot()
        decisions = self._sizing.decide(snapshot, silence=silence, now=began)
        self.last = Round(snapshot, decisions, began)
        self._applier.forget({decision.key for decision in decisions})
        for decision in decisions:
            self.alive_at = self._clock()
            if self._applier.apply(decision, snapshot.workloads[decision.key], self._clock()):
                self._sizing.wrote(decision, self._clock())
        self.rounds += 1
        self.seconds += self._clock() - began
        dues = [decision.due for decision in decisions if decision.due is not None]
        dues += [failures.retry_at for failures in self._applier.failures.values()]
        return min(dues, default=began + LONGEST)

    def _sleep(self, seconds: float) -> None:
        """Sleep, whatever happens meanwhile, except for a stop."""
        end = self._clock() + seconds
        while not self.stopped and (left := end - self._clock()) > 0:
            time.sleep(min(left, 0.05))
