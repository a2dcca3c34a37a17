"""Collects the results of a run: in a single process, or in workers that report to their master."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from loadtest.plans import busiest
from loadtest.tally import Sample, Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadtest.recovery import Event

SAMPLE = "sample"  # key in the context of Locust's request events
REPORTED = "corepod"  # key in what a worker sends to its master


class Recorder:
    """`tally` has all results; `window` has those since the last `mark()`, by which a ramp judges its steps."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.started = time.time()
        self.ended = 0.0
        self.tally, self.window, self._unsent = Tally(), Tally(), Tally()
        self.events: list[Event] = []
        self._cpu: list[tuple[float, float]] = []
        self._cpu_of_workers: dict[str, float] = {}

    def mark(self) -> Tally:
        """Begin a new window; returns the one that ends."""
        self.window, before = Tally(), self.window
        return before

    def measure(self) -> None:
        """Note how much CPU this process has used. Called about once a second."""
        self._cpu.append((time.monotonic(), time.process_time()))

    @property
    def cpu(self) -> float | None:
        """The share of a core that the busiest process of the generator used in its busiest seconds."""
        own = busiest(self._cpu)
        return max([*([] if own is None else [own]), *self._cpu_of_workers.values()], default=None)

    def listen(self, events: Any) -> None:
        """To Locust's events: requests, and what workers send."""
        listeners: dict[str, Callable[..., None]] = {
            "request": self._on_request,
            "report_to_master": self._on_report,
            "worker_report": self._on_worker,
            "test_start": self._on_start,
            "reset_stats": self.clear,
        }
        for name, listener in listeners.items():
            getattr(events, name).add_listener(listener)

    def _on_start(self, **_: Any) -> None:
        self.clear()

    def _on_request(self, context: dict[str, Any], **_: Any) -> None:
        sample = context.get(SAMPLE)
        if isinstance(sample, Sample):
            for tally in (self.tally, self.window, self._unsent):
                tally.add(sample)

    def _on_report(self, client_id: str, data: dict[str, Any]) -> None:
        data[REPORTED] = {"tally": self._unsent.as_dict(), "cpu": self.cpu}
        self._unsent = Tally()

    def _on_worker(self, client_id: str, data: dict[str, Any]) -> None:
        if found := data.get(REPORTED):
            more = Tally.from_dict(found["tally"])
            self.tally.merge(more)
            self.window.merge(more)
            if found["cpu"] is not None:
                self._cpu_of_workers[client_id] = found["cpu"]
