"""From the settings to the exit code: make the sockets, then wait, reap, act, until there is nothing left to do."""

from __future__ import annotations

import signal
import sys

from corepod.contract.exits import EXIT_INTERNAL, EXIT_OK
from corepod.contract.messages import Lame
from corepod.cpu import cores
from corepod.supervisor import reaper, sockets
from corepod.supervisor.admin.server import AdminServer
from corepod.supervisor.admin.status import PoolStatus
from corepod.supervisor.checks import Checks
from corepod.supervisor.notice import Notice
from corepod.supervisor.placement import MOST_SLOTS, Placement
from corepod.supervisor.pool import Pool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corepod.supervisor.log import Log
    from corepod.supervisor.loop import Loop
    from corepod.supervisor.settings import Settings

STOPS = {signal.SIGTERM, signal.SIGINT}
# Sent by the kernel as a matter of course; a line about each would tell nobody anything.
SILENT = {signal.SIGCHLD, signal.SIGWINCH, signal.SIGURG}
LEAST_DRAIN = 0.1  # seconds a worker gets to stop, however little is left of the budget
# timeout(1) and service managers signal a process and then its group: what comes this soon is the same signal.
ECHO = 0.25  # seconds
LAST_WORDS = 1.0  # seconds for what is still to be read and written when everybody else is gone


class Supervisor:
    """The loop around a pool: what signals and time ask for."""

    def __init__(self, settings: Settings, loop: Loop, log: Log) -> None:
        self.settings, self.loop, self.log = settings, loop, log
        self.placement = Placement(settings)
        self.listeners = sockets.listeners(settings)
        admin = sockets.admin(settings)
        control = sockets.control(settings.control) if settings.control else None
        self.unlink = [s for s in (admin, control) if s is not None]
        subreaper = reaper.become_subreaper()
        self.pool = Pool(settings, loop, log, self.listeners, self.placement.cores, forkable=subreaper)
        self.checks = Checks(self.pool)
        self.notice = Notice(settings.notify)
        usable = self.placement.usable
        about = {
            "cores": {"usable": list(usable.cores), "limit": usable.limit},
            "binds": [sockets.name(s) for s in self.listeners],
            "admin": sockets.name(admin) if admin else "none",
        }
        view = PoolStatus(self.pool, self.checks, about)
        self.admin = AdminServer(loop, view, status_public=settings.admin_status == "all")
        for sock, trusted in ((admin, False), (control, True)):
            if sock is not None:
                self.admin.listen(sock, trusted=trusted)
        self._child_died = False
        self._asked: tuple[str, float] | None = None  # to stop: how and when
        self._stop_deadline: float | None = None
        self._lame_until: float | None = None
        self._told: set[int] = set()
        self._announce(about, subreaper)

    def _announce(self, about: dict[str, Any], subreaper: bool) -> None:
        count, usable, wanted = len(self.pool.slots), self.placement.usable, self.settings.admin
        self.log.info(
            f"{self.settings.pool_name}: {count} {'worker' if count == 1 else 'workers'} on "
            f"{', '.join(about['binds'])}, admin on {about['admin']}; "
            f"usable cores {cores.format_list(usable.cores)} (limit: {usable.limit})"
        )
        if self.placement.why_not:
            self.log.warning(self.placement.why_not)
        if about["admin"] != wanted and not wanted.endswith(":0"):
            self.log.warning(f"admin port {wanted} is taken; using {about['admin']}")
        if not subreaper:
            self.log.warning("no subreaper in this kernel or sandbox: workers are started one by one, not forked")

    def run(self) -> int:
        """Wait, reap, act; returns the exit code."""
        try:
            self._step(self.loop.now())
            while not self._finished():
                self.loop.wait(self._deadline())
                self._step(self.loop.now())
            code = self.pool.exit_code or EXIT_OK
        except Exception:
            sys.excepthook(*sys.exc_info())
            code = EXIT_INTERNAL
        self._leave()
        return code

    def _step(self, now: float) -> None:
        for signum in self.loop.take_signals():
            self._on_signal(signum, now)
        self._reap(now)
        self._stop_step(now)
        self.checks.look(now)
        self.pool.tick(now)
        self.notice.look(sum(slot.restarts for slot in self.pool.slots), now)

    def _deadline(self) -> float | None:
        now = self.loop.now()
        times = [
            self.pool.deadline(),
            self.checks.deadline(),
            self.notice.due,
            self.admin.expire(now),
            self._lame_until,
        ]
        return min((t for t in times if t is not None), default=None)

    def _reap(self, now: float) -> None:
        if not self._child_died:
            return
        self._child_died = False
        forking = self.pool.crew.forking or (self.pool.reload.crew is not None and self.pool.reload.crew.forking)
        for pid, code, status in reaper.take_dead(list(self.pool.living), forking):
            self.pool.on_death(pid, code, status, now)
        # Zombies left alone during a fork are looked at again when it has ended.
        self._child_died = forking

    def _on_signal(self, signum: int, now: float) -> None:
        if signum == signal.SIGCHLD:
            self._child_died = True
        elif signum in STOPS:
            self.stop(now, signal.Signals(signum).name)
        elif signum == signal.SIGQUIT:
            self.pool.finish(EXIT_OK)
        elif signum == signal.SIGHUP:
            self.pool.reload.start()
        elif signum == signal.SIGUSR1:
            self._dump_stacks()
        elif signum == signal.SIGTTIN:
            self._grow()
        elif signum == signal.SIGTTOU:
            self._shrink()
        elif signum not in SILENT and signum not in self._told:
            self._told.add(signum)
            self.log.info(f"{_name(signum)} means nothing to the supervisor and is ignored")

    def stop(self, now: float, why: str) -> None:
        """The first time drain and stop, the second time at once."""
        if self._asked is not None and self._asked[0] == why and now - self._asked[1] < ECHO:
            return
        self._asked = why, now
        if self.pool.stopping:
            self.log.info(f"{why} again: stopping at once")
            self.pool.finish(EXIT_OK)
            return
        self.pool.stopping = True
        self.log.info(f"{why}: draining, for {self.settings.stop_timeout:g} s at the most")
        self._stop_deadline = now + self.settings.stop_timeout
        # Before it was ready nobody sent it anything: there is nobody who has to learn that it goes.
        self._lame_until = now + (self.settings.lame_duck if self.pool.ever_ready else 0.0)
        for process in self._workers():
            process.send(Lame())

    def _stop_step(self, now: float) -> None:
        if self._lame_until is None or now < self._lame_until or self._stop_deadline is None:
            return
        self._lame_until = None
        self.pool.drain(max(LEAST_DRAIN, self._stop_deadline - now))
        # Closed here before the workers close theirs: from now on a new connection is refused at once, not queued.
        sockets.close(self.listeners)
        self.pool.listeners.clear()

    def _finished(self) -> bool:
        over = self.pool.exit_code is not None or (self.pool.stopping and self._lame_until is None)
        return over and not self.pool.living

    def _leave(self) -> None:
        self.admin.close()
        sockets.close(self.listeners)
        sockets.close(self.unlink)
        left = reaper.end_descendants()
        if left:
            names = ", ".join(left[:5]) + (", ..." if len(left) > 5 else "")
            self.log.info(f"ended {len(left)} process(es) that the application had left behind: {names}")
        # What the processes wrote last is still in their pipes.
        deadline = self.loop.now() + LAST_WORDS
        while self.loop.wait(self.loop.now()) and self.loop.now() < deadline:
            pass
        self.log.info("stopped")
        self.log.close(LAST_WORDS)

    def _workers(self) -> list[Any]:
        return [p for slot in self.pool.slots for p in slot.processes]

    def _dump_stacks(self) -> None:
        for process in self._workers():
            process.signal(signal.SIGQUIT)

    def _grow(self) -> None:
        if self.pool.stopping or len(self.pool.slots) >= MOST_SLOTS:
            self.log.warning("no slot more: the pool stops or has its greatest size")
            return
        core = self.placement.another([slot.core for slot in self.pool.slots])
        self.pool.add_slot(core)
        where = f"core {core}" if core is not None else "not pinned"
        self.log.info(f"one slot more, {where}; now {len(self.pool.slots)}")

    def _shrink(self) -> None:
        if self.pool.stopping or len(self.pool.slots) == 1:
            self.log.warning("no slot less: the pool stops or has only one")
            return
        self.placement.give_back(self.pool.slots[-1].core)
        self.pool.remove_slot()
        self.log.info(f"one slot less; now {len(self.pool.slots)}")


def _name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"
