"""What becomes of a connection of sticky sessions: pure decisions from what is known of it. Times are seconds."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.worker.sticky.cookie import Look

PAUSE = 0.01  # until a head that isn't whole is looked at again; then twice as long, and so on
LOOKS = 7  # of these: a head may take 1.27 s, and is read by the worker that has accepted it then
ORPHANED = 0.25  # for which a connection waits for the next worker of a slot that nobody serves
PATIENCE = 5.0  # for which it waits for a worker that doesn't take it; then whoever sees it serves it


def look_again(look: Look | None, looks: int) -> float | None:
    """When to look again at a connection that has been looked at so often after its first byte: after this time, or
    (inf) when a byte has come; None where enough is known. `look` is None where nothing has come yet.

    Never when more has come: a head that isn't whole stays readable, and a loop that waits for it would spin.
    """
    if look is None:
        return inf
    return None if look.whole or looks >= LOOKS else PAUSE * 2.0**looks


def is_left(waited: float, *, served: bool) -> bool:
    """Whether any worker serves a connection that has waited so long for a slot. `served`: the slot has a worker."""
    return waited >= (PATIENCE if served else ORPHANED)


def renews(named: int | None, mine: int, is_served: Callable[[int], bool]) -> bool:
    """Whether a response sets the cookie of this worker's slot, `mine`, in place of one that names a slot, or none."""
    return named is None or (named != mine and not is_served(named))
