"""What follows the end of a slot's worker: a pure decision."""

from __future__ import annotations

from corepod.contract.exits import EXIT_BOOT, EXIT_BUDGET
from corepod.contract.record import Record
from corepod.supervisor.pool.backoff import BOOT_PAUSE, BOOT_TRIES, pause_after

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class RestartNow(Record):
    """The slot gets its next worker at once."""


class Wait(Record):
    """The slot gets its next worker after a pause."""

    seconds: float


class GiveUp(Record):
    """The slot gets no worker any more; `code` is the pool's exit code if it was the last one."""

    code: int
    why: str


class Budget(Record):
    """How many deaths a slot may have: `limit` in any `window` seconds, or any number where `limit` is 0."""

    limit: int
    window: float

    def used(self, deaths: Sequence[float], now: float) -> int:
        """How many of these deaths count."""
        return sum(1 for death in deaths if now - death < self.window)

    def final(self, ever_ready: bool) -> bool:
        """Whether a boot that fails BOOT_TRIES times is given up. Without a limit, what was ready once never is."""
        return bool(self.limit) or not ever_ready


class Loss(Record):
    """A slot that has just lost its worker."""

    failed_boot: bool  # the application reported that it couldn't start, in place of dying
    boot_failures: int  # in a row, this one included
    deaths: Sequence[float]  # times of the deaths in the budget's window, this one included
    streak: int  # deaths and failed boots without a stable time between them
    ever_ready: bool  # a worker of the pool has been ready before


def decide(loss: Loss, budget: Budget, now: float, random: float) -> RestartNow | Wait | GiveUp:
    """The verdict on the slot. `random` from 0 to 1 spreads the pauses."""
    used = budget.used(loss.deaths, now)
    if budget.limit and used > budget.limit:
        return GiveUp(EXIT_BUDGET, f"{used} deaths in {budget.window:g} s, and the crash budget allows {budget.limit}")
    backoff = 0.0 if budget.limit else pause_after(loss.streak, random)
    if loss.failed_boot:
        if loss.boot_failures >= BOOT_TRIES and budget.final(loss.ever_ready):
            return GiveUp(EXIT_BOOT, f"its lifespan failed {BOOT_TRIES} times")
        return Wait(max(BOOT_PAUSE, backoff))
    return Wait(backoff) if backoff else RestartNow()


def outlook(verdict: RestartNow | Wait | GiveUp, loss: Loss, budget: Budget, now: float) -> str:
    """What a line about a death says of what follows."""
    if isinstance(verdict, GiveUp):
        return ""
    count = f" (death {budget.used(loss.deaths, now)} of {budget.limit} in {budget.window:g} s)" if budget.limit else ""
    return (f"; restarting in {verdict.seconds:.1f} s" if isinstance(verdict, Wait) else "; restarting") + count
