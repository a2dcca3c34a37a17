"""What a supervisor's /metrics say about deaths of workers.

Their author may be a tenant or another program. Raising an error for what no supervisor writes costs only that pod its
column. Everything that passes is short enough to be written to the API server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Names of the supervisor's metrics.
DEATHS = "corepod_worker_restarts_total"
STARTED = "corepod_start_time_seconds"

MOST_SAMPLES = 20_000  # a pool has at most 512 slots, each with a sample per reason
LONGEST_LINE = 4096  # characters of a sample
LARGEST = 1 << 53  # counts above it are no longer exact in the format of the metrics, which is that of a double
MOST_REASONS = 50  # different ones; all further ones count as OTHER
LONGEST_REASON = 60  # characters
OTHER = "other"

_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_REASON = re.compile(r'[{,]reason="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class DeathCounts:
    """What one supervisor reports: when it started, and the deaths of its workers by reason."""

    started: str
    reasons: Mapping[str, int]

    @property
    def count(self) -> int:
        return sum(self.reasons.values())


def parse(metrics: str) -> DeathCounts:
    """Parse the supervisor's /metrics. Raises ValueError for metrics of another program."""
    started = ""
    for line in _samples(metrics, f"{STARTED} "):
        started = line.removeprefix(f"{STARTED} ")
        number(started)
    if not started:
        raise ValueError("the metrics aren't those of a corepod supervisor")
    reasons: dict[str, int] = {}
    for line in _samples(metrics, DEATHS + "{"):
        labels, _, value = line.rpartition("} ")
        reason = cleaned(labels)
        if reason not in reasons and len(reasons) >= MOST_REASONS:
            reason = OTHER
        reasons[reason] = reasons.get(reason, 0) + count(value)
    if sum(reasons.values()) > LARGEST:
        raise ValueError("the counts are too large")
    return DeathCounts(started, reasons)


def _samples(metrics: str, beginning: str) -> Iterator[str]:
    """The lines that begin so. Searching for them costs less than looking at each line of a large text."""
    at = 0 if metrics.startswith(beginning) else metrics.find("\n" + beginning) + 1
    for _ in range(MOST_SAMPLES):
        if not metrics.startswith(beginning, at):
            return
        end = metrics.find("\n", at)
        line = metrics[at : end if end >= 0 else len(metrics)]
        if len(line) > LONGEST_LINE:
            raise ValueError(f"a line of more than {LONGEST_LINE} characters")
        yield line
        at = metrics.find("\n" + beginning, at) + 1
        if not at:
            return
    raise ValueError(f"more than {MOST_SAMPLES} samples of {beginning[:-1]}")


def number(text: str) -> float:
    """A number that is finite and not negative. Raises ValueError for all other text."""
    if not _NUMBER.fullmatch(text) or not (value := float(text)) <= LARGEST:
        raise ValueError(f"{text[:30]!r} is not a number from 0 to 2**53")
    return value


def count(text: str) -> int:
    """A whole number of deaths. Raises ValueError for all other text."""
    if not (value := number(text)).is_integer():
        raise ValueError(f"{text[:30]!r} is not a whole number")
    return int(value)


def cleaned(labels: str) -> str:
    """The reason among the labels of a sample, short and printable: it is shown on terminals."""
    found = _REASON.search(labels)
    text = _ESCAPED.sub(lambda char: {"n": "\n"}.get(char[1], char[1]), found[1]) if found else ""
    text = "".join(char if char.isprintable() else "?" for char in text).strip()
    return text if len(text) <= LONGEST_REASON else text[:LONGEST_REASON] + "…"
