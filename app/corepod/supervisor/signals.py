"""What each signal means to the supervisor."""

from __future__ import annotations

import signal

from corepod.contract.exits import EXIT_OK
from corepod.supervisor.refusal import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.supervisor.io.log import StreamLog
    from corepod.supervisor.pool.pool import Pool
    from corepod.supervisor.steering import Steering

STOPS = {signal.SIGTERM, signal.SIGINT}
# Sent by the kernel as a matter of course; a line about each would be noise.
SILENT = {signal.SIGCHLD, signal.SIGWINCH, signal.SIGURG}


class Signals:
    """Acts on signals. That of a child's death is the loop's own."""

    def __init__(self, pool: Pool, steering: Steering, log: StreamLog, stop: Callable[[float, str], None]) -> None:
        """`stop(now, why)` drains the pool."""
        self._pool, self._log, self._stop = pool, log, stop
        self._steer: dict[int, Callable[[], object]] = {
            signal.SIGHUP: steering.reload,
            signal.SIGUSR1: steering.dump_or_reopen,
            signal.SIGUSR2: steering.reopen_log,
            signal.SIGTTIN: lambda: steering.scale("+1"),
            signal.SIGTTOU: lambda: steering.scale("-1"),
        }
        self._told: set[int] = set()

    def act(self, signum: int, now: float) -> None:
        if signum in STOPS:
            self._stop(now, signal.Signals(signum).name)
        elif signum == signal.SIGQUIT:
            self._pool.stop_now(EXIT_OK, now)
        elif signum in self._steer:
            try:
                self._steer[signum]()
            except Refused as refused:
                self._log.warning(f"a signal has no effect: {refused}")
        elif signum not in SILENT and signum not in self._told:
            self._told.add(signum)
            self._log.info(f"{_name(signum)} is ignored: it means nothing to the supervisor")


def _name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"
