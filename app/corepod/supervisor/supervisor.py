"""From the settings to the exit code: make the sockets, then wait, reap and act until nothing is left to do."""

from __future__ import annotations

import os
import signal
import sys
import time

from corepod.contract.exits import EXIT_INTERNAL, EXIT_OK
from corepod.cpu import cores
from corepod.supervisor.admin.server import AdminServer
from corepod.supervisor.admin.status import PoolStatus
from corepod.supervisor.health.checks import Checks
from corepod.supervisor.health.procfs import Cgroup
from corepod.supervisor.health.scoreboard import SharedScoreboard
from corepod.supervisor.io import whereto
from corepod.supervisor.io.notify import Notifier
from corepod.supervisor.launch import control, reaper, sockets
from corepod.supervisor.launch.launcher import SystemLauncher
from corepod.supervisor.launch.placement import Placement
from corepod.supervisor.launch.prometheus import LiveGauges
from corepod.supervisor.pool.pool import Pool
from corepod.supervisor.pool.state import Stage
from corepod.supervisor.refusal import Refused
from corepod.supervisor.scaling import Scaling
from corepod.supervisor.steering import Steering
from corepod.supervisor.stop import Asked, Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket
    from typing import Any

    from corepod.contract.messages import Malformed, Message
    from corepod.supervisor.health.recycling import Recycling
    from corepod.supervisor.io.log import StreamLog
    from corepod.supervisor.io.loop import Loop
    from corepod.supervisor.io.systemd import Manager
    from corepod.supervisor.pool.state import Process
    from corepod.supervisor.settings import Settings
    from corepod.supervisor.starter import Starter

STATE = "docs/workers-and-state.md, or use --workers 1"
STOPS = {signal.SIGTERM, signal.SIGINT}
# Sent by the kernel as a matter of course; a line about each would be noise.
SILENT = {signal.SIGCHLD, signal.SIGWINCH, signal.SIGURG}
FLUSH_TIMEOUT = 1.0  # seconds for output that is still to be read and written when every process has ended


class Supervisor:
    """The loop around a pool: what signals and time ask for."""

    def __init__(self, settings: Settings, loop: Loop, log: StreamLog) -> None:
        self.settings, self.loop, self.log = settings, loop, log
        self.placement = Placement(settings, loop)
        self.listeners = sockets.listeners(settings)
        if complaint := sockets.defer(self.listeners):
            log.info(complaint)
        admin = sockets.admin(settings)
        controls = control.open_all(settings)
        self.unlink = [s for s in (admin, *controls) if s is not None]
        subreaper = reaper.become_subreaper()
        self.cgroup, scoreboard = Cgroup(), SharedScoreboard()
        self.live_gauges = LiveGauges(os.environ, settings.cwd)
        self.live_gauges.forget_the_dead()
        self.launcher = SystemLauncher(loop, log, settings, scoreboard.fd, self.listeners, self._hear)
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
        )
        self.checks = Checks(self.pool, scoreboard, self.cgroup, log, loop.now())
        self.recycling = self._recycling(scoreboard)
        self.notifier = Notifier(settings.notify)
        self.manager = _service_manager(settings)
        self.steering = Steering(self.pool, self.placement, loop, log)
        self.scaling = Scaling(self.pool, self.placement, self.steering, self.checks, scoreboard, self.listeners, log)
        self.about: dict[str, Any] = {}  # what is known from the start, for whoever asks
        self.admin = self._open_admin(admin, controls, scoreboard)
        self._starter = self._find_starter()
        self._child_died = False
        self._stop = Stop(timeout=settings.stop_timeout, lame_duck=settings.lame_duck)
        self._told: set[int] = set()
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
        status.recycling = self.recycling
        server = AdminServer(self.loop, status, status_public=self.settings.admin_status == "all")
        if admin is not None:
            server.listen(admin, trusted=False)
        if controls:
            from corepod.supervisor.admin.commands import Commands  # costs nothing where nobody can use it

            server.resources.commands = Commands(
                self.steering,
                self.settings,
                self.log,
                self._asked_to_stop,
                lambda slot: self._detail(slot, scoreboard),
            )
        for sock in controls:
            server.listen(sock, trusted=True)
        return server

    def _recycling(self, scoreboard: SharedScoreboard) -> Recycling | None:
        if not self.settings.recycles:
            return None
        from corepod.supervisor.health.recycling import Recycling  # costs nothing where no limit is set

        return Recycling(self.pool, scoreboard, self.log, _random, self.loop.now())

    def _detail(self, slot: str, scoreboard: SharedScoreboard) -> dict[str, object]:
        from corepod.supervisor.admin import detail  # few pools are ever asked for it

        return detail.of_slot(self.pool.slots, slot, scoreboard, self.loop.now())

    def _asked_to_stop(self, at_once: bool) -> None:
        """Unlike a second signal, a second request changes nothing: scripts repeat what was done already."""
        now = self.loop.now()
        if not self.pool.stopping:
            self.stop(now, "corepod stop")
        if at_once:
            self.log.info("corepod stop --now: stopping at once")
            self.pool.stop_now(EXIT_OK, now)

    def _find_starter(self) -> Starter | None:
        if self.settings.starter is None:
            return None
        from corepod.supervisor.starter import Starter  # only a pool in the background has one

        return Starter(self.settings.starter, {"name": self.settings.pool_name, "pid": os.getpid(), **self.about})

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
        if admin != wanted and not wanted.endswith(":0"):
            self.log.warning(f"admin port {wanted} is taken; using {admin}")
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
        for signum in self.loop.pop_signals():
            self._on_signal(signum, now)
        self._reap(now)
        self._drain_if_due(now)
        self.checks.look(now)
        if self.recycling is not None:
            self.recycling.look(now)
        self.scaling.look(now)
        self.pool.tick(now)
        self.notifier.look(sum(slot.restarts for slot in self.pool.slots), now)
        if self._starter is not None and self._starter.look(self.pool):
            self._starter = None
        self._tell_manager(now)

    def _tell_manager(self, now: float) -> None:
        if self.manager is not None:
            from corepod.supervisor.io.systemd import Facts

            pool = self.pool
            ready = sum(slot.worker is not None and slot.worker.stage is Stage.SERVING for slot in pool.slots)
            facts = Facts(ready, len(pool.slots), pool.ever_ready, pool.stopping, pool.generations.reloads)
            self.manager.look(facts, now)

    def _deadline(self) -> float | None:
        now = self.loop.now()
        times = [
            self.pool.deadline(),
            self.checks.deadline(),
            self.recycling.deadline() if self.recycling is not None else None,
            self.scaling.deadline(),
            self.notifier.due,
            self.manager.due if self.manager else None,
            self.admin.expire(now),
            self._stop.lame_until,
            self._stop.leave_by,
        ]
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
        for pid, code, status in reaper.reap(list(living), forking):
            self.launcher.read_rest(living[pid])
            self.live_gauges.forget(pid)
            oom = (code, status) == (os.CLD_KILLED, signal.SIGKILL) and self.cgroup.killed_for_memory()
            self.pool.on_exit(pid, reaper.as_exit(code, status, oom=oom), now)
        # Zombies left alone during a fork are looked at again when it has ended.
        self._child_died = forking

    def _on_signal(self, signum: int, now: float) -> None:
        if signum == signal.SIGCHLD:
            self._child_died = True
        elif signum in STOPS:
            self.stop(now, signal.Signals(signum).name)
        elif signum == signal.SIGQUIT:
            self.pool.stop_now(EXIT_OK, now)
        elif signum == signal.SIGHUP:
            self._steer(self.steering.reload)
        elif signum == signal.SIGUSR1:
            self._steer(self.steering.dump)
        elif signum == signal.SIGUSR2:
            self._steer(self._reopen_log)
        elif signum == signal.SIGTTIN:
            self._steer(lambda: self.steering.scale("+1"))
        elif signum == signal.SIGTTOU:
            self._steer(lambda: self.steering.scale("-1"))
        elif signum not in SILENT and signum not in self._told:
            self._told.add(signum)
            self.log.info(f"{_name(signum)} is ignored: it means nothing to the supervisor")

    def _reopen_log(self) -> dict[str, Any]:
        if self.log.file is None:
            raise Refused("the log isn't a file of the pool's own (log_file), and can't be reopened")
        try:
            self.log.file.reopen()
        except OSError as error:
            raise Refused(f"the log file can't be reopened ({error.strerror}); the present one is kept") from error
        self.log.info("the log file is reopened")
        return {"log": self.about["log"]}

    def _steer(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Refused as refused:
            self.log.warning(f"a signal has no effect: {refused}")

    def stop(self, now: float, why: str) -> None:
        """Drain and stop; asked a second time, stop at once."""
        asked = self._stop.ask(why, now, stopping=self.pool.stopping, serves=self.pool.ever_ready)
        if asked is Asked.AT_ONCE:
            self.log.info(f"{why} again: stopping at once")
            self.pool.stop_now(EXIT_OK, now)
        elif asked is Asked.BEGIN:
            self.log.info(f"{why}: draining for at most {self.settings.stop_timeout:g} s", event="stopping")
            sockets.stop_deferring(self.listeners)
            self.pool.lame()

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
        return over and (not self.pool.processes.living or self._stop.overdue(self.loop.now()))

    def _leave(self) -> None:
        self.admin.close()
        if self.manager is not None:
            self.manager.close()
        sockets.close(self.listeners)
        sockets.close(self.unlink)
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
        self.log.info("stopped")
        self.log.close(FLUSH_TIMEOUT)


def _service_manager(settings: Settings) -> Manager | None:
    if "NOTIFY_SOCKET" not in os.environ:
        return None
    from corepod.supervisor.io import systemd

    return systemd.manager(stop_timeout=settings.stop_timeout)


def _random() -> float:
    """From 0 to 1. The module `random` would cost PID 1 a megabyte of imports."""
    return int.from_bytes(os.urandom(2), "big") / 65535


def _name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"
