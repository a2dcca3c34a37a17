"""What has become of a reload, or of the restart of a slot, read off the pool's status: one decision for every client
that waits for it."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Outcome(Enum):
    UNDER_WAY = "under way"
    DONE = "done"
    FAILED = "failed"


def of_reload(status: Mapping[str, Any], number: int) -> Outcome:
    """Of the reload with this number. Why it has failed is in `reloads.failure`."""
    reloads = status["reloads"]
    if reloads["ended"] < number:
        return Outcome.UNDER_WAY
    return Outcome.FAILED if reloads["failure"] else Outcome.DONE


def of_restart(slot: Mapping[str, Any], old: int | None) -> Outcome:
    """Of a slot that had this worker when it was asked for; None: it had none, and waits for one until it is given
    up."""
    if slot["worker"] not in (None, old) and slot["ready"]:
        return Outcome.DONE
    if old is None:
        return Outcome.FAILED if slot["state"] == "failed" else Outcome.UNDER_WAY
    stays = slot["worker"] == old and not slot["being_replaced"]
    return Outcome.FAILED if stays else Outcome.UNDER_WAY
