"""Why a worker died and what it was serving, in one line, and what its slot keeps of it."""

from __future__ import annotations

from corepod.contract.scoreboard import IN_FLIGHT, REQUESTS
from corepod.supervisor import board as boards
from corepod.supervisor import policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.process import Process
    from corepod.supervisor.slot import Slot

SHOWN = 3  # requests named in the line


class Report:
    """`words` for people ("signal SIGKILL"), `reason` for counting, `text` for the log, `status` to pass on."""

    __slots__ = ("code", "lost", "lost_text", "reason", "status", "text", "words")

    def __init__(self, code: int, status: int, words: str, reason: str, lost: int) -> None:
        self.code, self.words, self.reason, self.lost = code, words, reason, lost
        self.status = policy.exit_status(code, status)
        self.text = self.lost_text = ""


def write(process: Process, board: boards.Board, code: int, status: int, *, oom: bool, now: float) -> Report:
    """The report of a death. `oom`: the container's count of kills for memory has grown since the last death."""
    words = policy.describe(code, status)
    reason = words.removesuffix(" (core dumped)")
    if words != "signal SIGKILL":
        pass  # it ended by itself, at the last moment perhaps
    elif process.cause:
        words, reason = f"{process.cause} ({words})", process.cause.partition(":")[0]
    elif oom:
        words, reason = "killed for memory (signal SIGKILL)", "oom"
    in_flight = board.word(process.record, IN_FLIGHT)
    report = Report(code, status, words, reason, in_flight)
    serving = board.serving(process.record) if in_flight else []
    names = ", ".join(f"{name} ({max(0.0, now - start):.1f} s)" for start, name in serving[:SHOWN])
    more = f" and {in_flight - SHOWN} more" if in_flight > SHOWN and names else ""
    if in_flight:
        report.lost_text = f"; lost {in_flight} in flight: {names or 'unnamed'}{more}"
    requests = board.word(process.record, REQUESTS)
    report.text = f"{words} after {now - process.since:.1f} s and {requests} requests{report.lost_text}"
    return report


def settle(process: Process, slot: Slot, board: boards.Board, report: Report) -> None:
    """Add the dead worker's numbers to its slot's totals and free its record."""
    boards.add(slot.totals, board.words(process.record))
    slot.lost += report.lost
    slot.cpu_before += process.cpu_seen
    slot.cpu_sample = None
    board.give_back(process.record)
    process.record = -1
