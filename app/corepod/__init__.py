"""One worker, one core, one pod. Imports nothing: PID 1 passes through here."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"


def set_ready(ready: bool, why: str = "") -> None:
    """Tell the pool whether this worker's application is ready for requests; `why` shows in /readyz and /status.

    A worker that isn't ready still answers what it accepts: readiness steers probes and load balancers. Outside a pool
    it does nothing.
    """
    from corepod.worker.application import api

    api.set_ready(ready, why)


def this_worker() -> dict[str, Any] | None:
    """This worker's slot, number, core, restarts and pid, or None outside a pool and before it has its slot."""
    from corepod.worker.application import api

    return api.this_worker()
