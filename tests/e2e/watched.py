"""Every value that a field of an object has had, from a watch: what was there for a moment only is seen, too."""

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
    """A number of a Deployment. Complete after the block. `field` is a JSONPath; what is missing counts as 0."""
    numbers: list[int] = []
    with texts(namespace, "deployment", name, field) as seen:
        yield numbers
    numbers += [int(text or 0) for text in seen]


@contextlib.contextmanager
def texts(namespace: str, kind: str, name: str, field: str) -> Iterator[list[str]]:
    """A field of an object of any kind, empty where it is missing. Complete after the block."""
    target = (kind, name, "-n", namespace)
    columns = f'jsonpath={field}|{{.metadata.annotations.end}}{{"\\n"}}'
    seen: list[str] = []
    with subprocess.Popen(["kubectl", "get", *target, "-w", "-o", columns], stdout=-1, text=True) as watch:
        assert watch.stdout is not None
        seen.append(watch.stdout.readline().partition("|")[0])  # from here on it watches
        try:
            yield seen
            end = str(time.monotonic_ns())
            kubectl("annotate", *target, f"end={end}", "--overwrite")
            for line in watch.stdout:
                seen.append(line.partition("|")[0])
                if line.rstrip().endswith(f"|{end}"):
                    break
        finally:
            watch.terminate()


def course(seen: list[int]) -> list[int]:
    """The values without repetitions in a row."""
    return [number for number, _ in groupby(seen)]
