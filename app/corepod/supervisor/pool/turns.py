"""Workers of all pools that share their state make way for new ones in turn: at most so many at a time.

The supervisor has no way to the shared state. A worker that is to be replaced takes one of the places there itself and
keeps it until its process ends, so that nobody has to give it back for one that dies. A worker that gets no place is
replaced without one in the end: order is not worth a worker that is never replaced. Times are seconds.
"""

from __future__ import annotations

from corepod.contract.messages import TurnRequest
from corepod.supervisor.pool.state import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.contract.messages import TurnAnswer
    from corepod.supervisor.pool.ports import Log
    from corepod.supervisor.pool.processes import Processes
    from corepod.supervisor.pool.state import Process

LONGEST = 600.0  # that a worker waits for its turn; a new one may take as long to be ready
SHOWN = 1.0  # after which it is said that it waits
UNWANTED = 5.0  # without anybody who wants it to be replaced, after which its turn is given back


class Turn:
    """What has become of one worker's turn. `why` is why the shared state can't give it."""

    __slots__ = ("expired", "number", "shown", "since", "taken", "used", "wanted_at", "why", "worker")

    def __init__(self, worker: Process, number: int, now: float) -> None:
        self.worker, self.number = worker, number
        self.since = self.wanted_at = now
        self.taken = False
        self.used = False  # it is being replaced
        self.shown = False  # it has been said that it waits
        self.expired = False  # it has waited for too long
        self.why = ""


class Turns:
    """Of one pool, which replaces one worker after the other and therefore needs one turn at a time."""

    def __init__(self, places: int, processes: Processes, log: Log) -> None:
        """`places` are the setting `take_turns`."""
        self._places, self._processes, self._log = places, processes, log
        self._turn: Turn | None = None
        self._asked = 0
        self._unavailable = False  # said already

    def may_replace(self, worker: Process, now: float, *, urgent: bool = False) -> bool:
        """Whether a worker may be replaced now. Its turn is asked for if not, and who wants it asks again. What is
        `urgent` takes a turn, too, for others to wait, but doesn't wait itself."""
        if worker.stage is not Stage.SERVING:
            return True  # nobody misses it
        turn = self._turn
        if turn is None or turn.worker is not worker:
            self._give_back()
            turn = self._ask(worker, now)
        turn.wanted_at = now
        return turn.taken or self._goes_without(turn, urgent=urgent)

    def _goes_without(self, turn: Turn, *, urgent: bool) -> bool:
        if turn.why and not self._unavailable:
            self._unavailable = True
            self._log.warning(f"workers are replaced without a turn (take_turns): {turn.why}")
        elif turn.expired:
            why = f"none was free for {LONGEST:g} s (take_turns = {self._places})"
            self._log.warning(f"is replaced without a turn: {why}", **turn.worker.who)
        elif urgent and not turn.why:
            self._log.info("is replaced without waiting for a turn (take_turns)", **turn.worker.who)
        return bool(turn.why) or turn.expired or urgent

    def waits(self, worker: Process) -> bool:
        """Whether this worker would be replaced now if it had a turn."""
        turn = self._turn
        return turn is not None and turn.worker is worker and not (turn.taken or turn.why or turn.expired or turn.used)

    def on_answer(self, process: Process, answer: TurnAnswer) -> None:
        """A worker has got its turn, or can't get one. An answer to an older request is void."""
        turn = self._turn
        if turn is not None and turn.worker is process and turn.number == answer.number:
            turn.taken, turn.why = not answer.why, answer.why
            self._unavailable = self._unavailable and bool(answer.why)

    def deadline(self) -> float | None:
        """When `pass_time` or `tick` has something to do by itself."""
        turn = self._turn
        if turn is None or turn.used:
            return None
        times = [turn.wanted_at + UNWANTED]
        if not (turn.taken or turn.why or turn.expired):
            times.append(turn.since + (LONGEST if turn.shown else SHOWN))
        return min(times)

    def pass_time(self, now: float) -> None:
        """Who waits for long is told of, and in the end doesn't wait any more."""
        turn = self._turn
        if turn is None or turn.used or turn.taken or turn.why:
            return
        turn.expired = now >= turn.since + LONGEST
        if now >= turn.since + SHOWN and not turn.shown:
            turn.shown = True
            most = f"for {LONGEST:g} s at the most (take_turns = {self._places})"
            self._log.info(f"waits for its turn to be replaced, {most}", **turn.worker.who)

    def tick(self, now: float) -> None:
        """Give back what isn't needed any more, after whoever wants a turn has said so."""
        turn = self._turn
        if turn is None:
            return
        slot = turn.worker.slot
        if slot is None or slot.worker is not turn.worker:
            self._turn = None  # it drains, or is dead: its turn ends with it
        elif slot.being_replaced:
            turn.used = True
        elif turn.used or now >= turn.wanted_at + UNWANTED:
            self._give_back()  # its successor has failed, or nobody wants one any more

    def _ask(self, worker: Process, now: float) -> Turn:
        self._asked += 1
        self._turn = Turn(worker, self._asked, now)
        self._processes.tell_turn(worker, TurnRequest(self._asked, self._places))
        return self._turn

    def _give_back(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            self._processes.tell_turn(turn.worker, TurnRequest(turn.number, 0))
