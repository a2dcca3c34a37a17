"""What a generation wants to be done to processes; the pool does it."""

from __future__ import annotations

from corepod.contract.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.pool.state import Process, Slot


class HandOver(Record):
    """Make an armed process the worker of a slot."""

    process: Process
    slot: Slot


class MakeFork(Record):
    """Ask the template for a candidate. One that no slot waits for has time to warm up."""

    template: Process
    warm: bool
    live: bool


class MakeBootstrap(Record):
    """Execute an interpreter that loads the application."""

    role: str  # what it becomes: template, or worker where nothing is forked
    live: bool


class Dismiss(Record):
    """Let a live standby end its lifespan, and kill one that isn't live. It stays a candidate until it is gone: the
    lifespan of a live one must not meet that of its successor."""

    process: Process
    within: float


class Kill(Record):
    process: Process
    cause: str


class Forget(Record):
    """Close the control socket of a fork whose pid isn't known: whatever was forked ends by itself then."""

    process: Process
