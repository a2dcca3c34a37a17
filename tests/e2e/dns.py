"""The cluster's name servers, taken away for a while."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.kube import DEADLINE, items, kubectl, until

if TYPE_CHECKING:
    from collections.abc import Iterator

SYSTEM = ("-n", "kube-system")
PODS = (*SYSTEM, "-l", "k8s-app=kube-dns")


@contextlib.contextmanager
def away() -> Iterator[None]:
    """Nobody answers in the block: CoreDNS has no pods; where it is a process of this machine, that is paused."""
    deployments = items("deployments", *PODS)
    if deployments:
        before = deployments[0]["spec"]["replicas"]
        _scale(0)
        until(lambda: not items("pods", *PODS), "no pod of CoreDNS")
        try:
            yield
        finally:
            _scale(before)
        kubectl("rollout", "status", "deployment/coredns", *SYSTEM, f"--timeout={DEADLINE:g}s")
        return
    process = _process()
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def _scale(count: int) -> None:
    kubectl("scale", "deployment/coredns", *SYSTEM, f"--replicas={count}")


def _process() -> int:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if (process / "comm").read_text() == "coredns\n":
                return int(process.name)
    raise AssertionError("CoreDNS is neither a Deployment nor a process of this machine")
