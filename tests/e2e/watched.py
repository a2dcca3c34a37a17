"""Every value that a number of a Deployment has had, from a watch: what was there for a moment only is seen, too."""

from __future__ import annotations

import contextlib
import subprocess
import time
from itertools import groupby
from typing import TYPE_CHECKING

from tests.e2e.kube import kubectl

if TYPE_CHECKING:
    from collections.abc import Iterator

REPLICAS, AVAILABLE = "{.spec.replicas}", "{.status.availableReplicas}"


@contextlib.contextmanager
def watched(namespace: str, name: str, field: str = REPLICAS) -> Iterator[list[int]]:
    """Complete after the block. `field` is a JSONPath; what is missing counts as 0."""
    deployment = ("deployment", name, "-n", namespace)
    columns = f'jsonpath={field}|{{.metadata.annotations.end}}{{"\\n"}}'
    seen: list[int] = []
    with subprocess.Popen(["kubectl", "get", *deployment, "-w", "-o", columns], stdout=-1, text=True) as watch:
        assert watch.stdout is not None
        seen.append(_number(watch.stdout.readline()))  # from here on it watches
        try:
            yield seen
            end = str(time.monotonic_ns())
            kubectl("annotate", *deployment, f"end={end}", "--overwrite")
            for line in watch.stdout:
                seen.append(_number(line))
                if line.rstrip().endswith(f"|{end}"):
                    break
        finally:
            watch.terminate()


def _number(line: str) -> int:
    return int(line.partition("|")[0] or 0)


def course(seen: list[int]) -> list[int]:
    """The values without repetitions in a row."""
    return [number for number, _ in groupby(seen)]
