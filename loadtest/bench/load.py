"""What the cores do during a measurement, and how much of it isn't ours."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from loadtest.bench import host

TICKS = os.sysconf("SC_CLK_TCK")
FOREIGN_MOST = 0.05  # share of all cores that others, or the hypervisor, may use before a round counts as disturbed


@dataclass(frozen=True)
class Load:
    """What went on during a measurement. Shares are of one core."""

    seconds: float
    client: float  # share of the client
    foreign: float  # share that processes which aren't ours used
    steal: float

    @property
    def disturbed(self) -> bool:
        return max(self.foreign, self.steal) > FOREIGN_MOST * len(host.CORES)

    @property
    def client_busy(self) -> bool:
        """The client may have been what was measured."""
        return self.client > 0.85


class Meter:
    """Measures the load from its making until `stop`."""

    def __init__(self) -> None:
        self._at, self._client = time.monotonic(), time.process_time()
        self._busy, self._steal = _machine()
        self._own = _own()

    def stop(self) -> Load:
        own, (busy, steal) = _own(), _machine()
        seconds = time.monotonic() - self._at
        foreign = max(0.0, (busy - self._busy) - (own - self._own))
        client = time.process_time() - self._client
        return Load(seconds, client / seconds, foreign / seconds, (steal - self._steal) / seconds)


def _machine() -> tuple[float, float]:
    """Seconds that processes (not interrupts) have used of all usable cores, and that the hypervisor has taken."""
    busy = steal = 0.0
    for line in host.read("/proc/stat").splitlines():
        if line.startswith("cpu") and line[3:4].isdigit() and int(line.split()[0][3:]) in host.CORES:
            user, nice, system, _idle, _wait, _irq, _softirq, stolen, *_ = map(int, line.split()[1:])
            busy += (user + nice + system) / TICKS
            steal += stolen / TICKS
    return busy, steal


def _own() -> float:
    """CPU seconds of this process and all below it, dead ones included."""
    return sum(host.cpu(pid) + _dead_children(pid) for pid in host.tree(os.getpid()))


def _dead_children(pid: int) -> float:
    fields = host.read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / TICKS if fields else 0.0
