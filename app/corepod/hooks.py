"""What the functions of hooks are called with (settings on_ready, on_exit, on_reload and on_give_up; docs/hooks.md).
The JSON that webhooks and commands get has the same fields, and `event`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Event", "Exit", "GiveUp", "Ready", "Reload"]


@dataclass(frozen=True, kw_only=True)
class Event:
    """What every event has: the name of the pool, the time in seconds since 1970, and the supervisor's pid."""

    pool: str
    time: float
    supervisor: int


@dataclass(frozen=True, kw_only=True)
class Ready(Event):
    """The pool has its first worker that is ready, `seconds` after its start. Once in the life of a pool."""

    slot: int
    worker: int
    pid: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Exit(Event):
    """A worker has ended.

    `planned`: it was asked to, by a stop, a reload, a limit that it has reached, or a command. `reason` is what the log
    says of its end. `seconds` is how long ago it became ready, or where it never did, began to start; where it was
    asked to end, how long that took. `in_flight` is the number of requests that were lost with it, `requests` names
    them as far as they are known, such as "GET /orders/*". `restarts` counts the deaths in its slot before this one.
    """

    slot: int
    worker: int
    pid: int
    planned: bool
    kind: Literal["stopped", "exit", "signal", "oom", "stuck", "busy", "boot", "killed"]
    reason: str
    seconds: float
    in_flight: int
    requests: tuple[str, ...]
    restarts: int


@dataclass(frozen=True, kw_only=True)
class Reload(Event):
    """A reload is over after `seconds`. `reason` says why it was given up (aborted), and is empty where it is done."""

    outcome: Literal["done", "aborted"]
    reason: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class GiveUp(Event):
    """A slot gets no worker any more, or (`slot` is None) the pool ends by itself, with `exit_code`."""

    slot: int | None
    reason: str
    exit_code: int | None


EVENTS: dict[str, type[Event]] = {"ready": Ready, "exit": Exit, "reload": Reload, "give_up": GiveUp}
