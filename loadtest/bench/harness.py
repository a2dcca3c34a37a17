"""Parts that every benchmark needs: servers that are stopped at the end, undisturbed rounds, deadlines, progress."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from loadtest.bench import apps, host
from loadtest.bench.load import Meter
from loadtest.bench.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from loadtest.bench.load import Load
    from loadtest.bench.peers import Peer

T = TypeVar("T")
ROUND = 180.0  # seconds a round may take, servers' starts included
WORK = 0.010  # seconds of computing that BENCH_LOOPS stands for


class TooLongError(Exception):
    """A step has not ended within its deadline."""


@dataclass(frozen=True)
class Rounds(Generic[T]):
    """Results of the rounds that count, and what has to be said of them."""

    results: list[T]
    loads: list[Load]
    note: str

    @property
    def notes(self) -> list[str]:
        return [self.note] if self.note else []


class Bench:
    """One run. `scale` chooses between the quick number of rounds and the thorough one."""

    def __init__(
        self, console: Console, rounds: int | None, *, thorough: bool, patience: float, cpa: Path | None = None
    ) -> None:
        """`cpa`: the binary of cluster-proportional-autoscaler, where there is one."""
        self.console, self.cpa = console, cpa
        self._rounds, self.thorough, self._patience = rounds, thorough, patience
        self.raw: dict[str, Any] = {}
        self._logs = tempfile.TemporaryDirectory(prefix="bench-")
        self._started = 0
        self.progress = Progress(
            TextColumn("{task.description:<58}"), BarColumn(), TimeElapsedColumn(),
            console=console, auto_refresh=False, transient=True,
        )  # fmt: skip
        self._task = self.progress.add_task("", total=None)
        self.env = {"BENCH_LOOPS": str(_calibrate())}

    def close(self) -> None:
        self._logs.cleanup()

    # Rounds

    def count(self, quick: int, thorough: int) -> int:
        return self._rounds or (thorough if self.thorough else quick)

    def rounds(self, key: str, wanted: int, run: Callable[[int], T]) -> Rounds[T]:
        """`wanted` undisturbed rounds, or as many as a quarter more rounds yield.

        A round is disturbed when other processes, or the hypervisor, have used more than a share of the cores.
        """
        every: list[tuple[T, Load]] = []
        quiet: list[tuple[T, Load]] = []
        most = wanted + (wanted + 3) // 4
        while len(quiet) < wanted and len(every) < most:
            self._wait_for_calm(key)
            self.tell(f"{key} round {len(every) + 1} ({len(quiet)} of {wanted} quiet)", len(quiet) / wanted)
            meter = Meter()
            with deadline(ROUND, f"{key}, round {len(every) + 1}"):
                result = run(len(every))
            every.append((result, meter.stop()))
            if not every[-1][1].disturbed:
                quiet.append(every[-1])
        chosen = quiet if 2 * len(quiet) >= wanted else every
        note = ""
        if chosen is every and quiet != every:
            note = f"Only {len(quiet)} of {len(every)} rounds were undisturbed by other load; all of them are counted."
        elif len(quiet) < len(every):
            note = f"{len(every) - len(quiet)} of {len(every)} rounds were disturbed by other load and left out."
        self.raw.setdefault(key, {})["rounds"] = [
            {"result": result, "load": vars(load), "counts": (result, load) in chosen} for result, load in every
        ]
        return Rounds([result for result, _ in chosen], [load for _, load in chosen], note)

    def _wait_for_calm(self, key: str) -> None:
        end = time.monotonic() + self._patience
        while time.monotonic() < end:
            meter = Meter()
            time.sleep(0.25)
            if not meter.stop().disturbed:
                return
            self.tell(f"{key} waits for other load to end")

    def tell(self, text: str, share: float | None = None) -> None:
        """Show what is being done. Refreshed only here: a thread that redraws would be load of our own."""
        self.progress.update(self._task, description=text, completed=share or 0.0, total=1.0)
        self.progress.refresh()

    # Servers

    @contextlib.contextmanager
    def running(self, *peers: Peer, cores: set[int] = host.SERVER) -> Iterator[list[Server]]:
        """These servers, ready and settled."""
        with contextlib.ExitStack() as stack:
            servers = []
            for peer in peers:
                self._started += 1
                log = Path(self._logs.name) / f"{self._started}-{peer.name.replace(' ', '_').replace('/', '')}.log"
                server = Server(peer, cores, log, self.env)
                stack.callback(server.stop)
                servers.append(server.start())
            yield servers


@contextlib.contextmanager
def deadline(seconds: float, what: str) -> Iterator[None]:
    """Raise TooLongError in the block after this time."""

    def late(signum: int, frame: object) -> None:
        raise TooLongError(f"{what}: not done within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def neighbour(cores: set[int]) -> Iterator[None]:
    """A process that burns one of these cores."""
    with host.pinned(cores):
        process = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
        host.prefer(process.pid, host.SERVER_NICE)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _calibrate() -> int:
    """Loops of `apps.work` that take WORK seconds here, on the server's core."""
    with host.pinned(host.SERVER):
        best = min(_timed(20_000) for _ in range(20))
    return int(20_000 * WORK / best)


def _timed(loops: int) -> float:
    start = time.thread_time()
    apps.work(loops)
    return time.thread_time() - start


def on_term() -> None:
    """TERM ends the bench as Ctrl-C does: through every `finally`."""

    def stop(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)
    os.environ.pop("WEB_CONCURRENCY", None)  # some peers would take their number of workers from it


def ignore_signals() -> None:
    """The end of the bench must not be interrupted: it is what ends the servers."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(signum, signal.SIG_IGN)
