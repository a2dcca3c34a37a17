"""What goes wrong while a crew makes processes, and the pauses that keep it from trying in a circle."""

from __future__ import annotations

from corepod.supervisor.policy import BOOT_PAUSE, BOOT_TRIES, Row

REFUSAL_PAUSE = 1.0  # least seconds until the system is asked again for a process that it has refused


class Setbacks:
    """Rows of failures and what follows from them: until `retry_at` no process is made, until `spare_at` no standby."""

    def __init__(self) -> None:
        self.retry_at: float | None = None
        self.spare_at: float | None = None
        self._loads = Row()  # loaders that failed; where nothing is forked, candidates too
        self._births = Row()  # forks that ended before they were armed
        self._lives = Row()  # standbys whose lifespan failed
        self._templates = Row()  # that ended by themselves
        self._standbys = Row()  # likewise
        self._refusals = Row()  # of the system to make a process

    @property
    def no_load(self) -> bool:
        """Loading has failed as often as it is tried."""
        return self._loads.count >= BOOT_TRIES

    @property
    def no_forks(self) -> bool:
        """Forks don't come to life: they would do so if they were executed, perhaps."""
        return self._births.count >= BOOT_TRIES

    @property
    def no_live(self) -> bool:
        """The application's lifespan doesn't start in a standby."""
        return self._lives.count >= BOOT_TRIES

    def expire(self, now: float) -> bool:
        """Drop the pauses that are over. True when it was the first of them, that of all processes."""
        if self.spare_at is not None and now >= self.spare_at:
            self.spare_at = None
        if self.retry_at is not None and now >= self.retry_at:
            self.retry_at = None
            return True
        return False

    def rest(self, until: float) -> None:
        """No standby before `until`."""
        self.spare_at = max(self.spare_at or until, until)

    def _pause(self, until: float) -> None:
        self.retry_at = max(self.retry_at or until, until)

    def load_failed(self, now: float) -> None:
        self._pause(now + max(BOOT_PAUSE, self._loads.add()))

    def birth_failed(self, now: float) -> None:
        self._pause(now + self._births.add())

    def life_failed(self, now: float) -> None:
        self.rest(now + max(BOOT_PAUSE, self._lives.add()))

    def template_lost(self, lived: float, now: float) -> None:
        self._births.clear()  # the forks that it didn't bring to life were lost with it
        self._pause(now + self._templates.add(lived))

    def standby_lost(self, lived: float, now: float) -> None:
        self.rest(now + self._standbys.add(lived))

    def refused(self, now: float) -> None:
        self._pause(now + max(REFUSAL_PAUSE, self._refusals.add()))

    def loaded(self) -> None:
        self._loads.clear()

    def armed(self) -> None:
        for row in (self._loads, self._births, self._refusals):
            row.clear()

    def handed_out(self) -> None:
        self._lives.clear()
