"""What the loop looks after besides the processes of the pool. What only some pools need is loaded only for them,
and when they start: later on, another version of the package may be installed in its place."""

from __future__ import annotations

import os

from corepod.contract.exits import EXIT_SETTINGS
from corepod.supervisor.launch.sockets import StartError
from corepod.supervisor.pool.state import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from corepod.supervisor.health.overtime import Overtime
    from corepod.supervisor.health.recycling import Recycling
    from corepod.supervisor.health.scoreboard import SharedScoreboard
    from corepod.supervisor.io.log import StreamLog
    from corepod.supervisor.io.systemd import Manager
    from corepod.supervisor.launch.marks import PidFile, ReadyFile
    from corepod.supervisor.pool.pool import Pool
    from corepod.supervisor.settings import Settings

    class Duty(Protocol):
        """The loop calls `look` each time it turns, and turns at the `deadline` at the latest."""

        def look(self, now: float) -> None: ...

        def deadline(self) -> float | None: ...


def make_access_file(settings: Settings) -> None:
    """Raises StartError where workers couldn't write it."""
    from corepod.supervisor.launch import access_file

    access_file.make_at_start(settings)


def recycling(
    pool: Pool, scoreboard: SharedScoreboard, log: StreamLog, random: Callable[[], float], now: float
) -> Recycling | None:
    """None where no limit is set."""
    if not pool.settings.recycles:
        return None
    from corepod.supervisor.health.recycling import Recycling

    return Recycling(pool, scoreboard, log, random, now)


def overtime(pool: Pool, scoreboard: SharedScoreboard, log: StreamLog, now: float) -> Overtime | None:
    """None where threads may take as long as they like, or with `debug`: a debugger may sit in one."""
    if not pool.settings.wsgi_timeout or pool.settings.debug:
        return None
    from corepod.supervisor.health.overtime import Overtime

    return Overtime(pool, scoreboard, log, now)


def reporting(pool: Pool, about: dict[str, Any]) -> list[Duty]:
    """Those that tell the operator, the command that started the pool, or the service manager how it is: whoever is
    there. `about` is for the command."""
    settings = pool.settings
    found: list[Duty] = []
    if settings.notify:
        from corepod.supervisor.io.notify import Notifier

        found.append(Notifier(settings.notify, lambda: sum(slot.restarts for slot in pool.slots)))
    if settings.starter is not None:
        from corepod.supervisor.starter import Starter

        found.append(Starter(settings.starter, pool, {"name": settings.pool_name, "pid": os.getpid(), **about}))
    if "NOTIFY_SOCKET" in os.environ:
        manager = _service_manager(pool)
        found += [manager] if manager is not None else []
    return found


def pid_file(path: str) -> PidFile | None:
    """None where it isn't wanted. Raises StartError."""
    if not path:
        return None
    from corepod.supervisor.launch.marks import MarkError, PidFile

    try:
        return PidFile(path)
    except MarkError as error:
        raise StartError(f"--pid-file: {error}", EXIT_SETTINGS) from error


def ready_file(path: str, pool: Pool) -> ReadyFile | None:
    """None where it isn't wanted. Raises StartError."""
    if not path:
        return None
    from corepod.supervisor.launch.marks import MarkError, ReadyFile

    def ready() -> bool:
        workers = [slot.worker for slot in pool.slots if slot.worker is not None]
        return not pool.stopping and any(w.stage is Stage.SERVING and w.willing for w in workers)

    try:
        return ReadyFile(path, ready)
    except MarkError as error:
        raise StartError(f"--ready-file: {error}", EXIT_SETTINGS) from error


def _service_manager(pool: Pool) -> Manager | None:
    from corepod.supervisor.io.systemd import Facts, manager

    def facts() -> Facts:
        ready = sum(slot.worker is not None and slot.worker.stage is Stage.SERVING for slot in pool.slots)
        return Facts(ready, len(pool.slots), pool.ever_ready, pool.stopping, pool.generations.reloads)

    return manager(facts, stop_timeout=pool.settings.stop_timeout)
