"""One worker, one core, one pod. Imports nothing: PID 1 passes through here."""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["Worker", "__version__", "leader", "run", "set_ready", "this_worker", "wait_until_leader"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, Unpack

    from corepod.local.program import Keywords
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


def leader() -> bool:
    """Whether this worker leads the pool: at most one does at any time, through deaths, reloads and changes of scale.

    The first worker that asks takes the lead, and has it until its process ends, also while it drains. The next one
    takes it when it asks after that and isn't draining: for a moment there may be no leader, and there are never two.
    False in a process that has no slot (while the application is imported, in the lifespan of a live standby) and in
    children of workers; True outside of a pool, where the only process leads. Any thread may call it, at the cost of
    microseconds.

    Raises RuntimeError in a sandbox that has no locks for this (fcntl).
    """
    from corepod.worker.application import leadership

    return leadership.leader()


async def wait_until_leader() -> None:
    """Return when this worker leads the pool, see `leader`; it looks five times a second. Outside of a pool at once."""
    from corepod.worker.application import leadership

    await leadership.wait_until_leader()


def run(app: object, **settings: Unpack[Keywords]) -> NoReturn:
    """Start a pool in the place of this program, with the settings of corepod.toml as keywords:
    `corepod.run("main:app", workers=2, bind="127.0.0.1:8000")`.

    `app` is "MODULE:ATTRIBUTE", an application that is a variable of a module, or the name of an application in
    corepod.toml. Each worker imports its module anew, so a program calls this below `if __name__ == "__main__":`. A
    keyword takes the precedence of a flag: over variables and over corepod.toml.

    It doesn't return: the program becomes the supervisor, as with `corepod run`, or shows its table and exits with its
    code where it has a terminal. Raises TypeError for an unknown keyword, ValueError with all faults of the settings,
    and RuntimeError in a worker, in a thread and while an event loop runs.
    """
    from corepod.local import program

    program.run(app, settings)
