"""One worker, one core, one pod. Imports nothing: PID 1 passes through here."""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["Worker", "__version__", "set_ready", "this_worker"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.worker.application.api import Worker
else:

    def __getattr__(name: str) -> object:
        """`corepod.Worker`, imported when it is used: it needs typing, which PID 1 doesn't have."""
        if name == "Worker":
            from corepod.worker.application.api import Worker

            return Worker
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def this_worker() -> Worker | None:
    """The worker that this process is: its slot, number, core, restarts and pid.

    None in every other process, and in a worker before it has its slot: while the application is imported, and in the
    lifespan of a live standby.
    """
    from corepod.worker.application import api

    return api.this_worker()


def set_ready(ready: bool, why: str = "") -> None:
    """Tell the pool whether this worker's application is ready for requests; `why` shows in /readyz and /status.

    A worker that isn't ready still answers requests: readiness steers probes and load balancers. Outside a pool the
    call has no effect. It may be made from any thread.
    """
    from corepod.worker.application import api

    api.set_ready(ready, why)
