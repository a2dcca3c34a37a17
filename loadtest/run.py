"""A run: its options, measurements and verdict. It is stored as JSON; reports are made from that."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loadtest.recovery import Event, Toll, back_by_answers, toll
from loadtest.tally import Tally
from loadtest.verdict import Thresholds, Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VERSION = 1


@dataclass
class Run:
    """Times in Unix seconds. `about`: shown to people (target, shape …); `cpu`: the generator's busiest seconds;
    `workers`: how many should answer, 0 if unknown; `steps`, `highest`: what a ramp tried and found."""

    started: float
    ended: float
    tally: Tally
    events: list[Event] = field(default_factory=list)
    about: dict[str, str] = field(default_factory=dict)
    limits: Thresholds = field(default_factory=Thresholds)
    cpu: float | None = None
    workers: int = 0
    steps: list[dict[str, Any]] = field(default_factory=list)
    highest: float | None = None

    @property
    def verdict(self) -> Verdict:
        return judge(self.tally, self.events, self.limits, cpu=self.cpu, workers=self.workers, highest=self.highest)

    @property
    def toll(self) -> Toll:
        return toll(self.tally.failures, self.events)

    @property
    def duration(self) -> float:
        return max(self.ended - self.started, 1e-9)

    def settle(self) -> None:
        """Without a status document or a cluster to ask, the responses tell when a place served again."""
        for event in self.events:
            if event.back is None and not event.outage:
                event.back = back_by_answers(event, self.tally.workers)

    def as_dict(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            **{key: value for key, value in vars(self).items() if key not in ("tally", "events", "limits")},
            "limits": vars(self.limits),
            "events": [event.as_dict() for event in self.events],
            "verdict": self.verdict.as_dict(),
            "tally": self.tally.as_dict(),
        }

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_dict()))

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Run:
        """Raises ValueError for a document of another version."""
        if found.get("version") != VERSION:
            raise ValueError(f"no run of version {VERSION}: version is {found.get('version')!r}")
        plain = {key: value for key, value in found.items() if key not in ("version", "verdict")}
        return cls(
            **{
                **plain,
                "tally": Tally.from_dict(found["tally"]),
                "events": [Event.from_dict(event) for event in found["events"]],
                "limits": Thresholds(**found["limits"]),
            }
        )

    @classmethod
    def read(cls, path: Path) -> Run:
        """Raises ValueError with the file's name where it isn't a run, and OSError."""
        try:
            return cls.from_dict(json.loads(path.read_text()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is no result of the load test: {error}") from error
