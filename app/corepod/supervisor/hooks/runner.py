"""Runs hooks, each in a process of its own: here they are started, timed, ended and counted, and nothing of theirs is
executed in this process."""

from __future__ import annotations

import json
import os
import signal
import time

from corepod import __version__
from corepod.contract.hooks import HOOKS
from corepod.supervisor.hooks import events
from corepod.supervisor.hooks.queue import HookQueue
from corepod.supervisor.io.relay import Relay
from corepod.supervisor.launch.execute import execute
from corepod.supervisor.pool.observer import Observer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from corepod.supervisor.io.log import StreamLog
    from corepod.supervisor.io.loop import Loop
    from corepod.supervisor.pool.exits import Exit, ExitReport
    from corepod.supervisor.pool.state import Process, Slot
    from corepod.supervisor.settings import Settings

OUTPUT_MOST = 64 << 10  # bytes that a run may write to the log: it must not drive out what the log is for
END = 0.5  # seconds in which a process is gone that was killed


class Hooks(Observer):
    """All hooks of the pool. `pids` are those of their processes, which are children of this one."""

    def __init__(self, settings: Settings, loop: Loop, log: StreamLog) -> None:
        self._settings, self._loop, self._log = settings, loop, log
        self._queues = [
            HookQueue(name, value, settings.hook_timeout) for name in HOOKS for value in getattr(settings, name)
        ]
        self._since = loop.now()
        self._leave_by: float | None = None  # the pool has ended, and waits for hooks until then

    @property
    def pids(self) -> list[int]:
        return [queue.pid for queue in self._queues if queue.pid]

    def counts(self) -> dict[str, dict[str, int]]:
        """By setting: how often its hooks have done their work, have failed, and weren't run."""
        found: dict[str, dict[str, int]] = {}
        for queue in self._queues:
            of = found.setdefault(queue.name, {"done": 0, "failed": 0, "dropped": 0})
            for outcome in of:
                of[outcome] += getattr(queue, outcome)
        return found

    # What happens in the pool

    def first_ready(self, worker: Process) -> None:
        self._tell("on_ready", events.ready(worker, self._loop.now() - self._since))

    def exited(self, worker: Process, report: ExitReport, *, planned: bool) -> None:
        self._tell("on_exit", events.ended(worker, report, planned=planned))

    def reloaded(self, failure: str, seconds: float) -> None:
        self._tell("on_reload", events.reloaded(failure, seconds))

    def gave_up(self, slot: Slot | None, why: str, code: int | None) -> None:
        self._tell("on_give_up", events.gave_up(slot, why, code))

    def _tell(self, name: str, event: dict[str, Any]) -> None:
        common = {"pool": self._settings.pool_name, "time": time.time(), "supervisor": os.getpid()}
        for queue in self._queues:
            if queue.name == name:
                queue.add({**event, **common})

    # Time

    def deadline(self) -> float | None:
        times = [*(queue.kill_at for queue in self._queues), self._leave_by]
        return min((t for t in times if t is not None), default=None)

    def look(self, now: float) -> None:
        """End what takes too long, and start what is due."""
        for queue in self._queues:
            if queue.late(now):
                self._kill(
                    queue, f"killed, because it took longer than {self._settings.hook_timeout:g} s (hook_timeout)"
                )
            while (event := queue.take()) is not None:
                self._start(queue, event, now)
            if lost := queue.untold():
                self._complain(queue, f"not run for {lost} event(s): too many waited already")

    def _start(self, queue: HookQueue, event: dict[str, Any], now: float) -> None:
        try:
            queue.began(self._spawn(queue, event), now)
        except OSError as error:
            queue.refused()
            self._complain(queue, f"can't be started: {error.strerror}")

    # Their processes

    def _spawn(self, queue: HookQueue, event: dict[str, Any]) -> int:
        """Execute the program that becomes the worker's user and runs the hook. Raises OSError."""
        settings = self._settings
        told = {"version": __version__, "settings": settings.values, "name": queue.name, "value": queue.value}
        fds = [_filled(json.dumps({**told, "event": event}).encode())]
        try:
            actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_DUP2, fds[0], 0)]
            if settings.relays:
                fds += os.pipe2(os.O_CLOEXEC)
            outputs = [fds[2], fds[2]] if settings.relays else settings.outputs
            actions += [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(outputs, start=1)]
            pid = execute(settings, ["-m", "corepod.worker.hook"], actions)
            if settings.relays:
                full = f"killed, because it wrote more than {OUTPUT_MOST >> 10} KiB"
                Output(fds.pop(1), self._loop, self._log, queue.name, lambda: self._kill_run(queue, pid, full))
        finally:
            for fd in fds:
                os.close(fd)
        return pid

    def _kill_run(self, queue: HookQueue, pid: int, cause: str) -> None:
        if queue.pid == pid:  # else this run is over, and something that it has left behind writes
            self._kill(queue, cause)

    def _kill(self, queue: HookQueue, cause: str) -> None:
        queue.killed(cause)
        try:
            os.killpg(queue.pid, signal.SIGKILL)  # not reaped yet: no other group can have this number
        except OSError:
            pass  # of another user now, which only root may end

    def on_exit(self, pid: int, end: Exit, now: float) -> None:
        """A process of `pids` is dead and reaped."""
        queue = next(queue for queue in self._queues if queue.pid == pid)
        failure = queue.ended("" if end.status == 0 else end.description, now)
        if failure:
            self._complain(queue, failure)

    def _complain(self, queue: HookQueue, what: str) -> None:
        self._log.warning(f"{queue.shown}: {what}", hook=queue.name)

    # The end

    def finished(self, by: float, now: float) -> bool:
        """Whether the pool, whose processes are gone, may leave. The first time sets the bound."""
        if self._leave_by is None:
            self._leave_by = by
        return now >= self._leave_by or not any(queue.busy for queue in self._queues)

    def close(self) -> None:
        """End what still runs, and say what is left undone."""
        for queue in self._queues:
            queue.give_up()
            if lost := queue.untold():
                self._complain(queue, f"not run for {lost} event(s): the pool ends")
            if queue.pid:
                self._complain(queue, "killed, because the pool ends")
                self._kill(queue, "the pool ends")
        deadline = self._loop.now() + END
        while self.pids and self._loop.now() < deadline:
            for queue in self._queues:
                if queue.pid and os.waitid(os.P_PID, queue.pid, os.WEXITED | os.WNOHANG) is not None:
                    queue.ended("killed", self._loop.now())
            time.sleep(0.005)


class Output(Relay):
    """What a run writes, up to a bound."""

    def __init__(self, fd: int, loop: Loop, log: StreamLog, name: str, full: Callable[[], None]) -> None:
        super().__init__(fd, loop, log, log.err, Source(name))
        self._left, self._full = OUTPUT_MOST, full

    def _take(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left >= 0:
            super()._take(data)
        else:
            self.close()
            self._full()


class Source:
    """Who speaks, in the log."""

    def __init__(self, name: str) -> None:
        self.who: dict[str, Any] = {"hook": name}


def _filled(data: bytes) -> int:
    """A descriptor of memory from which this is read. A pipe has room for less than an event may have. Raises
    OSError."""
    fd = os.memfd_create("corepod-hook", os.MFD_CLOEXEC)
    try:
        while data:
            data = data[os.write(fd, data) :]
        os.lseek(fd, 0, os.SEEK_SET)
    except OSError:
        os.close(fd)
        raise
    return fd
