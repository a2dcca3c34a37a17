"""Pauses that keep what fails from being tried in a circle. Times are seconds."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BOOT_TRIES = 3  # an exception in the user's import or lifespan may be a database that is late
BOOT_PAUSE = 0.25  # between two tries
FIRST_PAUSE = 0.5  # before the second restart of a streak
LONGEST_PAUSE = 30.0
STABLE = 60.0  # a process has to live this long before the next failure begins a new streak
REFUSAL_PAUSE = 1.0  # at least, until the system is asked again for a process that it has refused
FORK_PAUSE = 60.0  # without forks after BOOT_TRIES rows of them have failed; doubled each time, up to the next line
LONGEST_FORK_PAUSE = 600.0


def pause_after(failures: int, random: float) -> float:
    """The pause after failure number `failures` of a streak (1 is the first): none, then doubling up to a limit.

    `random` from 0 to 1 spreads it over the upper half of the pause, so that what fell together rises apart.
    """
    if failures <= 1:
        return 0.0
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 2, 16))
    return pause * (0.5 + 0.5 * random)


class FailureStreak:
    """Failures of one kind without a stable time between them."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def add(self, lived: float = 0.0) -> None:
        """Count one more failure, of something that had lived for `lived` seconds."""
        self.count = 1 if lived >= STABLE else self.count + 1

    def pause(self, random: float) -> float:
        """The pause that the streak asks for."""
        return pause_after(self.count, random)

    def end(self) -> None:
        self.count = 0

    def one_is_left(self) -> None:
        """One more failure is enough to make it as long as it was."""
        self.count = BOOT_TRIES - 1


class Backoff:
    """What goes wrong while a generation makes processes. Until `retry_at` no process is made, until `spare_at` no
    standby, until `fork_at` nothing is forked. Each kind of failure has a streak of its own: a standby that dies at
    night must not delay a worker that is missing now.

    One cause counts once, however many processes it ends. `row` is the number of failures so far, and each process
    remembers the row in which it was made. A failure of a process that belongs to an earlier row isn't counted: it was
    under way together with the one that was.
    """

    def __init__(self, random: Callable[[], float], loads: int = BOOT_TRIES) -> None:
        self.row = 0
        self.most_loads = loads  # in a row; somebody may watch the first one
        self.retry_at: float | None = None
        self.spare_at: float | None = None
        self.fork_at: float | None = None
        self._random = random
        self._loads = FailureStreak()  # of the application; where nothing is forked, candidates that died, too
        self._forks = FailureStreak()  # forks that ended before they were armed
        self._lifespans = FailureStreak()  # of live standbys
        self._templates = FailureStreak()  # that ended by themselves
        self._standbys = FailureStreak()  # likewise
        self._refusals = FailureStreak()  # of the system to make a process
        self._without_forks = 0  # how often forking has been stopped without a success in between

    @property
    def no_load(self) -> bool:
        """Whether loading has failed as often as it is tried."""
        return self._loads.count >= self.most_loads

    @property
    def no_forks(self) -> bool:
        """Whether forks keep ending before they are armed; executed processes might not."""
        return self._forks.count >= BOOT_TRIES

    @property
    def no_live(self) -> bool:
        """Whether the application's lifespan keeps failing in a standby."""
        return self._lifespans.count >= BOOT_TRIES

    def expire(self, now: float) -> bool:
        """Drop the pauses that are over. Returns whether `retry_at` was one of them."""
        if self.spare_at is not None and now >= self.spare_at:
            self.spare_at = None
        if self.retry_at is not None and now >= self.retry_at:
            self.retry_at = None
            return True
        return False

    def hold_spare(self, until: float) -> None:
        """Make no standby before `until`."""
        self.spare_at = max(self.spare_at or until, until)

    def load_failed(self, now: float, row: int | None = None) -> None:
        """A bootstrap process of this row has failed; None here and below for what is counted in any case."""
        if self._is_news(row):
            self._hold(now, self._loads, least=BOOT_PAUSE)

    def fork_failed(self, now: float, row: int | None = None) -> None:
        if self._is_news(row):
            self._hold(now, self._forks)

    def fork_refused(self, now: float, row: int | None = None) -> bool:
        """The system has refused the template a fork. Returns whether that is news. A limit may be the template's own,
        so that it counts as a fork that failed, too."""
        if not self._is_news(row):
            return False
        self._forks.add()
        self._hold(now, self._refusals, least=REFUSAL_PAUSE)
        return True

    def lifespan_failed(self, now: float, row: int | None = None) -> None:
        if self._is_news(row):
            self._lifespans.add()
            self.hold_spare(now + max(BOOT_PAUSE, self._lifespans.pause(self._random())))

    def template_lost(self, lived: float, now: float) -> None:
        if self._forks.count:  # the forks that it didn't bring to life were lost with it: many would mean a long pause
            self._forks.end()
            self.retry_at = None if not self._refusals.count else self.retry_at
        self.row += 1
        self._hold(now, self._templates, lived)

    def standby_lost(self, lived: float, now: float, row: int | None = None) -> None:
        if self._is_news(row):
            self._standbys.add(lived)
            self.hold_spare(now + self._standbys.pause(self._random()))

    def refused(self, now: float) -> None:
        self._hold(now, self._refusals, least=REFUSAL_PAUSE)

    def stop_forking(self, now: float) -> float:
        """Fork nothing for a while. Returns for how many seconds."""
        pause = min(LONGEST_FORK_PAUSE, FORK_PAUSE * 2.0 ** min(self._without_forks, 16))
        self._without_forks += 1
        self.fork_at = now + pause
        return pause

    def fork_again(self, now: float) -> bool:
        """Whether the time without forks ends now. The next failure begins another one."""
        if self.fork_at is None or now < self.fork_at:
            return False
        self.fork_at = None
        self._forks.one_is_left()
        return True

    def loaded(self) -> None:
        self._loads.end()

    def armed(self, *, forked: bool) -> tuple[bool, bool]:
        """A process is armed. Returns what that ends: a time of refusals, and one without forks."""
        self.most_loads = BOOT_TRIES  # the start that somebody may have watched is over
        ends = self._refusals.count > 0, forked and self._without_forks > 0
        for streak in (self._loads, self._refusals):
            streak.end()
        if forked:
            self._forks.end()
            self._without_forks = 0
        return ends

    def handed_over(self) -> None:
        self._lifespans.end()

    def _is_news(self, row: int | None) -> bool:
        news = row is None or row == self.row
        self.row += news
        return news

    def _hold(self, now: float, streak: FailureStreak, lived: float = 0.0, least: float = 0.0) -> None:
        streak.add(lived)
        until = now + max(least, streak.pause(self._random()))
        self.retry_at = max(self.retry_at or until, until)
