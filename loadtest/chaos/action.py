"""The registry. An action is a function with a name: it strikes, and says how to see that all is as before."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from corepod.hit.exchange import NOBODY, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

Act = TypeVar("Act", bound="Callable[[Any], Strike]")
ACTIONS: dict[str, Callable[[Any], Strike]] = {}


class NothingToStrikeError(Exception):
    """There is no worker, or the action needs what the target hasn't got."""


@dataclass
class Strike:
    """What an action has done. `back` is asked again and again: when (Unix seconds) the place served, None until then.

    The other fields are those of `loadtest.recovery.Event`.
    """

    back: Callable[[], float | None]
    victim: Worker = NOBODY
    at: float = field(default_factory=time.time)
    lasts: float = 0.0
    outage: bool = False
    deadly: bool = True
    note: str = ""


def action(act: Act) -> Act:
    """Make a function an action; its name (`kill_supervisor`: kill-supervisor) is what the command line calls it."""
    ACTIONS[act.__name__.strip("_").replace("_", "-")] = act
    return act


def summary(name: str) -> str:
    return (ACTIONS[name].__doc__ or "").strip().splitlines()[0]
