"""The operators, and how each is started."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from loadtest.bench import host
from loadtest.bench.peers import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fakeapi import FakeApi

HERE = Path(__file__).parent
OURS = ["-m", "corepod", "operator", "--admin", "none", "--notify"]
PEERS = {
    "corepod operator": [*OURS, "127.0.0.1:0"],
    "kopf, by hand": ["-m", "kopf", "run", "--standalone", "--all-namespaces", "--quiet", str(HERE / "kopf_peer.py")],
    "kubernetes, typed lists": [str(HERE / "typed_peer.py")],
}
START = 120.0  # seconds until the first decision


class Running:
    """One operator on the server's core."""

    def __init__(self, name: str, api: FakeApi, folder: Path) -> None:
        self.name, self._api, self.began = name, api, time.monotonic()
        self.log = folder / f"{name.partition(',')[0].replace(' ', '-')}.log"
        environment = {**os.environ, "KUBECONFIG": str(api.kubeconfig(folder)), "PYTHONPATH": str(ROOT)}
        with self.log.open("ab") as log, host.pinned(host.SERVER):
            words = [sys.executable, *PEERS[name]]
            self.process = subprocess.Popen(words, stdout=log, stderr=log, env=environment)

    def until_writes(self, count: int, deadline: float = START) -> float:
        """Seconds since its start until it has written so many numbers."""
        end = time.monotonic() + deadline
        while len(found := self._api.writes(part="scale")) < count:
            self._check(end, f"{count} writes")
            time.sleep(0.001)
        return found[count - 1].at - self.began

    def until_ready(self) -> float:
        """Seconds since its start until it says that it has everything."""
        end = time.monotonic() + START
        while "ready" not in self.log.read_text(errors="replace").split():
            self._check(end, "word that it is ready")
            time.sleep(0.02)
        return time.monotonic() - self.began

    def peak(self) -> int:
        """Greatest resident memory so far, bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) << 10

    def cpu(self) -> float:
        return host.cpu(self.process.pid)

    def _check(self, end: float, what: str) -> None:
        if self.process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"{self.name}: no {what}; {self.log.read_text(errors='replace')[-500:]}")


@contextlib.contextmanager
def running(name: str, api: FakeApi, folder: Path) -> Iterator[Running]:
    """One operator for the length of a with block."""
    operator = Running(name, api, folder)
    try:
        yield operator
    finally:
        operator.process.kill()
        operator.process.wait()
