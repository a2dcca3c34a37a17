"""How a process ended: the fact, a description for people, and what was lost with it."""

from __future__ import annotations

import signal

from corepod.contract.record import Record
from corepod.contract.scoreboard import HANDED, OWED, REQUESTS, TAKEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.pool.ports import Log, Scoreboard
    from corepod.supervisor.pool.state import Process

SHOWN = 3  # requests named in a report


class Exit(Record):
    """What the kernel says of a process's end."""

    code: int  # of its own exit; of no meaning where a signal ended it
    signum: int  # 0 where it exited by itself
    dumped: bool  # left a core dump
    oom: bool  # the container's count of kills for memory has grown since the last death

    @property
    def description(self) -> str:
        """For people, such as "signal SIGKILL"."""
        if not self.signum:
            return f"exit code {self.code}"
        try:
            name = signal.Signals(self.signum).name
        except ValueError:
            name = f"number {self.signum}"
        return f"signal {name}" + (" (core dumped)" if self.dumped else "")

    @property
    def status(self) -> int:
        """The exit code that passes the end on: the process's own, or 128 + signal as shells do."""
        return 128 + self.signum if self.signum else self.code


class ExitReport(Record):
    """A worker's end: `description` and `text` for people, `reason` for counting, `status` to pass on."""

    description: str
    reason: str
    text: str
    lost: int  # requests that were in flight
    requests: list[str]  # these, as far as they are known
    seconds: float  # since it was ready, or entered the stage in which it has ended
    status: int
    unheard: int  # messages that it had taken from its slot's inbox, and the application hadn't got


def report(process: Process, scoreboard: Scoreboard, end: Exit, now: float) -> ExitReport:
    """The report of the end of a process that had a slot."""
    description = end.description
    reason = description.removesuffix(" (core dumped)")
    if description != "signal SIGKILL":
        pass  # it ended by itself, perhaps just before it would have been killed
    elif process.cause:
        description, reason = f"{process.cause} ({description})", process.cause.partition(":")[0]
    elif end.oom:
        description, reason = "killed for memory (signal SIGKILL)", "oom"
    lost = scoreboard.word(process.record, OWED)
    requests = scoreboard.word(process.record, REQUESTS)
    serving = scoreboard.serving(process.record) if lost else []
    # A process that was killed in the middle may have counted a message that it hadn't taken yet.
    unheard = max(0, scoreboard.word(process.record, TAKEN) - scoreboard.word(process.record, HANDED))
    # It may have said that it is ready while it was reaped, an instant after the time of this step.
    seconds = max(0.0, now - process.since)
    served = f"{description} after {seconds:.1f} s and {requests} requests"
    text = f"{served}{_lost(lost, serving, now)}{_unheard(unheard)}"
    return ExitReport(description, reason, text, lost, [name for _, name in serving], seconds, end.status, unheard)


def _lost(count: int, serving: list[tuple[float, str]], now: float) -> str:
    if not count:
        return ""
    names = ", ".join(f"{name} ({max(0.0, now - start):.1f} s)" for start, name in serving[:SHOWN])
    more = f" and {count - SHOWN} more" if count > SHOWN and names else ""
    return f"; lost {count} in flight: {names or 'unnamed'}{more}"


def _unheard(count: int) -> str:
    return f"; lost up to {count} message(s) from its slot's inbox" if count else ""


def log_retired(log: Log, process: Process, report: ExitReport) -> None:
    """A worker that was asked to stop has ended."""
    if process.cause or report.lost or report.unheard or report.status:
        log.warning(f"ended while it stopped: {report.text}", **process.who)
    else:
        log.info("stopped", **process.who)


class BootReports:
    """Logs failed boots. A traceback is logged where it is news, for the same one comes with every try."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._last_traceback = ""

    def write(self, process: Process, how: str) -> str:
        """Log the failed boot of a process that ended as `how` says. Returns its kind: missing, exception or died."""
        failure = process.failure
        if failure is None:
            self._log.error(f"ended before it was ready: {how}", event="died", **process.who)
            return "died"
        text = failure.message
        if failure.traceback and failure.traceback != self._last_traceback:
            text += "\n" + failure.traceback.rstrip()
            self._last_traceback = failure.traceback
        self._log.error(text, event="died", **process.who)
        return failure.kind

    def forget(self) -> None:
        """A worker is ready: the next traceback is news again."""
        self._last_traceback = ""
