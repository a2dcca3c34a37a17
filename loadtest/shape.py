"""The shapes of `loadtest.plans`, as Locust runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from locust import LoadTestShape

from loadtest.plans import RAMP, Step, highest, next_rate, users_at
from loadtest.users import Arrivals
from loadtest.verdict import PASSED, judge

if TYPE_CHECKING:
    from loadtest.recorder import Recorder
    from loadtest.verdict import Thresholds

SPAWNED_IN = 2.0  # seconds in which all are there, where no faster rate is asked for
MOST_SPAWNED = 100  # a second; Locust warns of more
SETTLING = 2.0  # seconds at the start of a step that don't count: its users have to be there first


class Plan(LoadTestShape):
    """Users over time, of `--shape`, `--users` and `--run-time`; a ramp adds arrivals until they aren't served well."""

    use_common_options = True
    abstract = False
    recorder: Recorder
    limits: Thresholds

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self._begun = 0.0
        self._rate: float | None = None
        self._counting = False

    def reset_time(self) -> None:
        super().reset_time()
        self.steps, self._rate, self._counting = [], None, False

    def tick(self) -> Any:
        assert self.runner is not None
        options: Any = self.runner.environment.parsed_options
        elapsed = self.get_run_time()
        if options.shape == RAMP:
            return self._ramp(elapsed, options)
        users = users_at(options.shape, elapsed, options.num_users or 1, float(options.run_time or 0))
        return None if users is None else (users, max(options.spawn_rate or 0, min(users / SPAWNED_IN, MOST_SPAWNED)))

    def _ramp(self, elapsed: float, options: Any) -> Any:
        if self._rate is None or elapsed - self._begun >= options.step_time:
            if self._rate is not None:
                self.steps.append(self._judged(self._rate))
            self._rate = next_rate(self.steps, max(options.num_users or 1, 1) * options.rate)
            self._begun, self._counting = elapsed, False
        if self._rate is None:
            return None
        if not self._counting and elapsed - self._begun >= SETTLING:
            self._counting = True
            self.recorder.mark()
        users = max(1, round(self._rate / options.rate))
        return users, min(users, MOST_SPAWNED), [Arrivals]

    def _judged(self, rate: float) -> Step:
        found = judge(self.recorder.mark(), [], self.limits)
        why = ", ".join(check.name for check in found.checks if not check.good)
        return Step(rate, found.state == PASSED, why)

    @property
    def highest(self) -> float | None:
        return highest(self.steps) if self.steps else None
