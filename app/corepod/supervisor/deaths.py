"""What follows when a process of the pool has died: the report, the budget, and who takes its place."""

from __future__ import annotations

import signal

from corepod.contract.exits import EXIT_APP, EXIT_BOOT, EXIT_BUDGET
from corepod.contract.scoreboard import TICK
from corepod.supervisor import obituary, policy
from corepod.supervisor.process import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.crew import Crew
    from corepod.supervisor.pool import Pool
    from corepod.supervisor.process import Process
    from corepod.supervisor.slot import Slot


class Deaths:
    """Takes in each death of a pool's process, once, in the order in which they are reaped."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._last_traceback = ""
        self._last_status = 0
        self._memory_kills = pool.cgroup.memory_kills()

    def take(self, process: Process, code: int, status: int, now: float) -> None:
        """`process` has ended with `code` and `status` as waitid(2) has them, and nothing of it is left to read."""
        oom = status == signal.SIGKILL and self._killed_for_memory()
        slot = process.slot
        if slot is None:
            self._on_crew_death(process, policy.describe(code, status), now)
            return
        report = obituary.write(process, self._pool.board, code, status, oom=oom, now=now)
        never_placed = process.stage is Stage.STARTING and not self._pool.board.word(process.record, TICK)
        obituary.settle(process, slot, self._pool.board, report)
        if process.stage is Stage.DRAINING:
            self._on_retired(process, slot, report)
        elif never_placed:
            self._on_unplaced(process, slot, report, now)
        elif process is slot.incoming:
            slot.incoming = None
            self._report_boot(process, report.words)
            self._pool.reload.on_failure(process, slot, now)
        else:
            self._on_loss(process, slot, report, now)

    def on_ready(self) -> None:
        """A worker is ready: the next traceback is news again."""
        self._last_traceback = ""

    def _killed_for_memory(self) -> bool:
        before, self._memory_kills = self._memory_kills, self._pool.cgroup.memory_kills()
        return self._memory_kills > before

    # Processes without a slot

    def _on_crew_death(self, process: Process, how: str, now: float) -> None:
        crew = self._pool.crew_of(process)
        if crew is None or crew.closed:
            return
        kind = ""
        if process.stage in (Stage.LOADING, Stage.ARMING):
            kind = self._report_boot(process, process.cause or how)
        crew.lost(process, how, now)
        if kind:
            self._check_boot(crew, kind)

    def _check_boot(self, crew: Crew, kind: str) -> None:
        pool = self._pool
        if crew is pool.reload.crew:
            if not crew.source.loaded or crew.setbacks.no_load:
                pool.reload.abort("the new code can't be loaded")
        elif kind == "missing" and not crew.source.loaded and not pool.ever_ready:
            pool.finish(EXIT_APP)
        elif crew.setbacks.no_load and self._final() and not any(slot.worker for slot in pool.slots):
            pool.finish(EXIT_BOOT, f"the application can't be loaded ({policy.BOOT_TRIES} tries)")

    def _final(self) -> bool:
        """Whether what fails BOOT_TRIES times in a row is given up: with budget 0, what was ready once never is."""
        limit, _ = self._pool.settings.crash_budget
        return bool(limit) or not self._pool.ever_ready

    def _report_boot(self, process: Process, how: str) -> str:
        """Log a failed boot, its traceback only where it is news. Returns its kind: missing, exception or died."""
        log, failure = self._pool.log, process.failure
        if failure is None:
            log.error(f"ended before it was ready: {how}", **process.who)
            return "died"
        traceback, text = failure.traceback, failure.message
        if traceback and traceback != self._last_traceback:
            text += "\n" + traceback.rstrip()
            self._last_traceback = traceback
        log.error(text, **process.who)
        return failure.kind

    # Workers

    def _on_retired(self, process: Process, slot: Slot, report: obituary.Report) -> None:
        if process in slot.retiring:
            slot.retiring.remove(process)
        if process.cause or report.lost or report.status:
            self._pool.log.warning(f"ended while it stopped: {report.text}", **process.who)
        else:
            self._pool.log.info("stopped", **process.who)

    def _on_unplaced(self, process: Process, slot: Slot, report: obituary.Report, now: float) -> None:
        # Dead before it knew that it had a slot: nothing of the application has run in it, so the slot hasn't lost
        # anything and only waits for another one.
        pool, crew = self._pool, self._pool.crew_of(process)
        if process is slot.incoming:
            slot.incoming = None  # the reload sees it and asks again
        else:
            self._vacate(process, slot)
        if crew is None or crew.closed:
            return
        pool.log.warning(f"the standby ended before it took its place: {report.words}", **process.who)
        crew.birth_failed(process, now)
        if slot.idle:
            pool.crew.want(slot)

    @staticmethod
    def _vacate(process: Process, slot: Slot) -> None:
        # A new worker that was about to take over does so now, ready or not.
        if process is slot.worker:
            slot.worker, slot.incoming = slot.incoming, None

    def _on_loss(self, process: Process, slot: Slot, report: obituary.Report, now: float) -> None:
        pool = self._pool
        self._vacate(process, slot)
        slot.last_exit = report.words
        self._last_status = report.status
        if pool.crew.closed:
            pool.log.error(f"died: {report.text}", **process.who)
        elif process.failure is not None:
            self._report_boot(process, report.words)
            self._after_boot_failure(process, slot, now)
        else:
            self._after_death(process, slot, report, now)
        if process.ready_at is None:
            pool.reload.on_failure(process, slot, now)

    def _after_boot_failure(self, process: Process, slot: Slot, now: float) -> None:
        slot.boot_failures += 1
        if slot.boot_failures >= policy.BOOT_TRIES and self._final():
            self._give_up(slot, EXIT_BOOT, f"its lifespan failed {policy.BOOT_TRIES} times")
        elif slot.idle:
            limit, _ = self._pool.settings.crash_budget
            slot.retry_at = now + max(policy.BOOT_PAUSE, 0.0 if limit else slot.row.add())

    def _after_death(self, process: Process, slot: Slot, report: obituary.Report, now: float) -> None:
        limit, window = self._pool.settings.crash_budget
        slot.restarts += 1
        slot.reasons[report.reason] = slot.reasons.get(report.reason, 0) + 1
        pause = 0.0
        if limit:
            slot.remember(now, window)
            count = f" (death {len(slot.deaths)} of {limit} in {window:g} s)"
        else:
            pause, count = slot.row.add(now - process.since if process.ready_at is not None else 0.0), ""
        if limit and not policy.within_budget(slot.deaths, now, limit, window):
            self._pool.log.error(f"died: {report.text}", **process.who)
            self._give_up(slot, EXIT_BUDGET, f"{len(slot.deaths)} deaths in {window:g} s, allowed are {limit}")
            return
        then = f"again in {pause:.1f} s" if pause else "restarting"
        self._pool.log.error(f"died: {report.text}; {then}{count}", **process.who)
        if not slot.idle:
            return
        if pause:
            slot.retry_at = now + pause
        else:
            self._pool.crew.want(slot)

    def _give_up(self, slot: Slot, code: int, why: str) -> None:
        pool = self._pool
        if slot.worker is not None:
            return  # the new code's worker has taken over: it has its own chance
        slot.failed = why
        pool.log.error(f"slot {slot.number} is given up: {why}")
        passed = code == EXIT_BUDGET and pool.settings.exit_code == "worker"
        pool.check_failed(self._last_status if passed else code)
