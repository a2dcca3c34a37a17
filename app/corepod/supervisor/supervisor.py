"""From the settings to the exit code: make the sockets, then wait, reap and act until nothing is left to do."""

from __future__ import annotations

import os
import signal
import sys
import time

from corepod.contract.exits import EXIT_INTERNAL, EXIT_OK
from corepod.cpu import cores
from corepod.supervisor import duties
from corepod.supervisor.admin.server import AdminServer
from corepod.supervisor.admin.status import PoolStatus
from corepod.supervisor.health.checks import Checks
from corepod.supervisor.health.procfs import Cgroup
from corepod.supervisor.health.scoreboard import SharedScoreboard
from corepod.supervisor.io import whereto
from corepod.supervisor.launch import control, reaper, sockets
from corepod.supervisor.launch.inboxes import Inboxes
from corepod.supervisor.launch.launcher import SystemLauncher
from corepod.supervisor.launch.placement import Placement
from corepod.supervisor.launch.prometheus import MetricFiles
from corepod.supervisor.pool.pool import Pool
from corepod.supervisor.scaling import Scaling
from corepod.supervisor.signals import Signals
from corepod.supervisor.steering import Steering
from corepod.supervisor.stop import Asked, Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket
    from typing import Any

    from corepod.contract.messages import Malformed, Message
    from corepod.supervisor.duties import Duty
    from corepod.supervisor.io.log import StreamLog
    from corepod.supervisor.io.loop import Loop
    from corepod.supervisor.pool.state import Process
    from corepod.supervisor.settings import Settings

STATE = "docs/workers-and-state.md, or use --workers 1"
FLUSH_TIMEOUT = 1.0  # seconds for output that is still to be read and written when every process has ended


class Supervisor:
    """The loop around a pool: what signals and time ask for."""

    def __init__(self, settings: Settings, loop: Loop, log: StreamLog) -> None:
        self.settings, self.loop, self.log = settings, loop, log
        if settings.access_log_file:
            duties.make_access_file(settings)
        self.placement = Placement(settings, loop)
        self.listeners = sockets.listeners(settings)
        if complaint := sockets.defer(self.listeners):
            log.info(complaint)
        admin = sockets.admin(settings)
        controls = control.open_all(settings)
        self.unlink = [s for s in (admin, *controls) if s is not None]
        subreaper = reaper.become_subreaper()
        self.cgroup, scoreboard = Cgroup(), SharedScoreboard()
        self.metric_files = MetricFiles(os.environ, settings.cwd)
        self.metric_files.begin_anew()
        self.launcher = SystemLauncher(
            loop, log, settings, scoreboard.fd, self.listeners, self._hear, Inboxes(scoreboard.membership_changed)
        )
        self.hooks = duties.hooks(settings, loop, log)
        self.pool = Pool(
            settings,
            self.launcher,
            scoreboard,
            log,
            self.placement.cores,
            forkable=subreaper,
            usable=len(self.placement.usable.cores),
            wall=time.time,
            random=_random,
            observer=self.hooks,
        )
        self.checks = Checks(self.pool, scoreboard, self.cgroup, log, loop.now())
        self.steering = Steering(self.pool, self.placement, loop, log)
        self.signals = Signals(self.steering, log, self.stop, self._stop_at_once)
        self.recycling = duties.recycling(self.pool, scoreboard, log, _random, loop.now())
        scaling = Scaling(self.pool, self.placement, self.steering, self.checks, scoreboard, self.listeners, log)
        self.about: dict[str, Any] = {}  # what is known from the start, for whoever asks
        self.admin = self._open_admin(admin, controls, scoreboard)
        overtime = duties.overtime(self.pool, scoreboard, log, loop.now())
        self.deciding: list[Duty] = [
            duty for duty in (self.checks, overtime, self.recycling, scaling) if duty is not None
        ]
        self.reporting = duties.reporting(self.pool, self.about)
        # The last of what can keep the pool from starting: nothing else removes these files.
        ready_file = duties.ready_file(settings.ready_file, self.pool)
        self.reporting += [ready_file] if ready_file else []
        self.marks = [mark for mark in (ready_file, duties.pid_file(settings.pid_file)) if mark is not None]
        if self.hooks is not None:
            self.reporting.append(self.hooks)
        self._child_died, self._waits_for_hooks = False, True
        self._stop = Stop(timeout=settings.stop_timeout, lame_duck=settings.lame_duck)
        self._announce(sockets.name(admin) if admin else "none", subreaper)

    def _open_admin(self, admin: socket | None, controls: list[socket], scoreboard: SharedScoreboard) -> AdminServer:
        self.about = {
            "cores": self.placement.shown,
            "workers": self.steering.shown,
            "binds": [sockets.name(s) for s in self.listeners],
            "admin": sockets.name(admin) if admin else "none",
            "control": sockets.name(controls[0]).removeprefix("unix:") if controls else "none",
            "profile": self.settings.profile,
            "log": whereto.describe(
                2, self.settings.log_file if self.log.file else "", os.environ, drawn=bool(self.settings.console)
            ),
        }
        status = PoolStatus(
            self.pool,
            self.checks,
            scoreboard,
            self.cgroup,
            self.log,
            self.listeners,
            about=self.about,
            clock=self.loop.now,
        )
        status.recycling, status.hooks = self.recycling, self.hooks
        server = AdminServer(self.loop, status, status_public=self.settings.admin_status == "all")
        if admin is not None:
            server.serve(admin, trusted=False)
        if controls:
            from corepod.supervisor.admin import detail
            from corepod.supervisor.admin.commands import Commands  # costs nothing where nobody can use it

            server.resources.commands = Commands(
                self.steering,
                self.settings,
                self.log,
                self._asked_to_stop,
                lambda slot: detail.of_slot(self.steering.slot(slot), scoreboard, self.loop.now()),
            )
        for sock in controls:
            server.serve(sock, trusted=True)
        return server

    def _asked_to_stop(self, at_once: bool) -> None:
        """Unlike a second signal, a second request changes nothing: scripts repeat what was done already."""
        now = self.loop.now()
        if not self.pool.stopping:
            self.stop(now, "corepod stop")
        if at_once:
            self.log.info("corepod stop --now: stopping at once")
            self._stop_at_once(now)

    def _announce(self, admin: str, subreaper: bool) -> None:
        count, usable, wanted = len(self.pool.slots), self.placement.usable, self.settings.admin
        self.log.info(
            f"{self.settings.pool_name}: {count} {'worker' if count == 1 else 'workers'} on "
            f"{', '.join(map(sockets.name, self.listeners))}, admin on {admin}; "
            f"usable cores {cores.format_list(usable.cores)} (limit: {usable.limit})",
            event="started",
        )
        if self.placement.capped:
            self.log.warning(f"{self.placement.capped}: the others stay unused by this pool")
        if count > 1 and isinstance(self.settings.workers, str) and self.settings.profile == "run":
            self.log.info(f"{count} workers: state kept in the process isn't shared between them; see {STATE}")
        if self.placement.why_not:
            self.log.warning(self.placement.why_not)
        if self.settings.take_turns and not self.settings.values["shared"]:
            self.log.warning("take_turns has no effect: `shared` names no state that other pools share, too")
        if admin != wanted and not wanted.endswith(":0"):
            self.log.warning(f"admin port {wanted} is taken; using {admin}")
        if not subreaper:
            self.log.warning("no subreaper in this kernel or sandbox: workers are started one by one, not forked")

    def run(self) -> int:
        """Wait, reap, act; returns the exit code."""
        try:
            self._step()
            while not self._finished():
                self.loop.wait(self._deadline())
                self._step()
            code = self.pool.exit_code or EXIT_OK
        except Exception:
            sys.excepthook(*sys.exc_info())
            code = EXIT_INTERNAL
        self._leave()
        return code

    def _step(self) -> None:
        signums = self.loop.pop_signals()
        now = self.loop.now()  # read behind them: nothing that a signal begins may be dated before it was sent
        for signum in signums:
            self._child_died = self._child_died or signum == signal.SIGCHLD
            self.signals.act(signum, now)
        self._reap(now)
        self._drain_if_due(now)
        for duty in self.deciding:
            duty.look(now)
        self.pool.tick(now)
        for duty in self.reporting:
            duty.look(now)

    def _deadline(self) -> float | None:
        times = [duty.deadline() for duty in (*self.deciding, *self.reporting)]
        times += [self.pool.deadline(), self.admin.expire(self.loop.now()), self._stop.lame_until]
        times.append(self._stop.leave_by if self.pool.processes.living else None)
        return min((t for t in times if t is not None), default=None)

    def _hear(self, process: Process, message: Message | Malformed | None, sender: int) -> None:
        if message is None:
            self.pool.on_eof(process, self.loop.now())
        else:
            self.pool.on_message(process, message, sender, self.loop.now())

    def _reap(self, now: float) -> None:
        if not self._child_died:
            return
        self._child_died = False
        forking, living = self.pool.generations.forking, self.pool.processes.living
        hooks = self.hooks.pids if self.hooks is not None else []
        for pid, code, status in reaper.reap([*living, *hooks], forking, hooks):
            if self.hooks is not None and pid in hooks:
                self.hooks.on_exit(pid, reaper.as_exit(code, status, oom=False), now)
                continue
            self.launcher.read_rest(living[pid])
            self.metric_files.forget(pid)
            oom = (code, status) == (os.CLD_KILLED, signal.SIGKILL) and self.cgroup.killed_for_memory()
            self.pool.on_exit(pid, reaper.as_exit(code, status, oom=oom), now)
        # Zombies left alone during a fork are looked at again when it has ended.
        self._child_died = forking

    def stop(self, now: float, why: str) -> None:
        """Drain and stop; asked a second time, stop at once."""
        asked = self._stop.ask(why, now, stopping=self.pool.stopping, serves=self.pool.ever_ready)
        if asked is Asked.AT_ONCE:
            self.log.info(f"{why} again: stopping at once")
            self._stop_at_once(now)
        elif asked is Asked.BEGIN:
            self.log.info(f"{why}: draining for at most {self.settings.stop_timeout:g} s", event="stopping")
            sockets.stop_deferring(self.listeners)
            self.pool.lame(now)

    def _stop_at_once(self, now: float) -> None:
        self._waits_for_hooks = False
        self.pool.stop_now(EXIT_OK, now)

    def _drain_if_due(self, now: float) -> None:
        within = self._stop.drain_within(now)
        if within is None:
            return
        sockets.stop_intake(self.listeners)
        self.pool.drain(within, now)
        sockets.close(self.listeners)
        self.listeners.clear()

    def _finished(self) -> bool:
        if self.pool.exit_code is not None and self._stop.leave_by is None:
            self._stop.at_once(self.loop.now())
        over = self.pool.exit_code is not None or (self.pool.stopping and self._stop.lame_until is None)
        if over and not self.pool.processes.living:
            return self._hooks_finished(self.loop.now())
        return over and self._stop.overdue(self.loop.now())

    def _hooks_finished(self, now: float) -> bool:
        if self.hooks is None or not self._waits_for_hooks:
            return True
        by = now + self.settings.hook_timeout
        return self.hooks.finished(by if self.pool.exit_code else min(by, self._stop.deadline), now)

    def _leave(self) -> None:
        self.admin.close()
        sockets.close(self.listeners)
        sockets.close(self.unlink)
        if self.hooks is not None:
            self.hooks.close()
        if self._stop.overdue(self.loop.now()) and (living := self.pool.processes.living):
            pids = ", ".join(map(str, living))
            self.log.error(f"these processes have been killed and don't end, so nobody waits for them: {pids}")
        left = reaper.end_descendants()
        if left:
            names = ", ".join(left[:5]) + (", ..." if len(left) > 5 else "")
            self.log.info(f"killed {len(left)} process(es) that the application had left behind: {names}")
        # What the processes wrote last is still in their pipes.
        deadline = self.loop.now() + FLUSH_TIMEOUT
        while self.loop.wait(self.loop.now()) and self.loop.now() < deadline:
            pass
        for mark in self.marks:
            mark.remove()
        self.log.info("stopped")
        self.log.close(FLUSH_TIMEOUT)


def _random() -> float:
    """From 0 to 1. The module `random` would cost PID 1 a megabyte of imports."""
    return int.from_bytes(os.urandom(2), "big") / 65535
