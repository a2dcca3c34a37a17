"""The registry. An action is a named function: it injects a fault and says how to tell that the pool has recovered."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from corepod.hit.exchange import NOBODY, Responder

if TYPE_CHECKING:
    from collections.abc import Callable

Act = TypeVar("Act", bound="Callable[[Any], Fault]")
ACTIONS: dict[str, Callable[[Any], Fault]] = {}


class CannotInjectError(Exception):
    """There is no worker to inject the fault into, or the target lacks something that the action needs."""


@dataclass
class Fault:
    """What an action has done. `back` is polled: it returns when the victim's place served again, in Unix seconds, and
    None until then.

    The other fields are those of `loadtest.recovery.Event`.
    """

    back: Callable[[], float | None]
    victim: Responder = NOBODY
    at: float = field(default_factory=time.time)
    lasts: float = 0.0
    outage: bool = False
    deadly: bool = True
    note: str = ""


def action(act: Act) -> Act:
    """Make a function an action; its name (`kill_supervisor`: kill-supervisor) is its name on the command line."""
    ACTIONS[act.__name__.strip("_").replace("_", "-")] = act
    return act


def summary(name: str) -> str:
    return (ACTIONS[name].__doc__ or "").strip().splitlines()[0]
