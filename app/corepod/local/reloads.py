"""What is under way after a change of the code, read off the pool's status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod.contract.messages import BROKEN
from corepod.local import outcomes
from corepod.local.outcomes import Outcome

if TYPE_CHECKING:
    from typing import Any

DONE = "done"


class Reload:
    """`ended` returns an empty text as long as it is under way, then DONE or why it has failed."""

    loads = True  # a template
    verb = "reloaded"

    def __init__(self, began: float, what: str = "") -> None:
        self.began, self.what = began, what

    def ended(self, status: dict[str, Any]) -> str:
        raise NotImplementedError


class Start(Reload):
    verb = "started"

    def ended(self, status: dict[str, Any]) -> str:
        return DONE if all(slot["ready_at"] for slot in status["slots"]) else ""


class Restart(Reload):
    """`before` are the workers that make way, by slot; None where there was none."""

    loads = False

    def __init__(self, began: float, what: str, before: dict[int, int | None]) -> None:
        super().__init__(began, what)
        self._before = before

    def ended(self, status: dict[str, Any]) -> str:
        slots = status["slots"]
        if any(slot["being_replaced"] or not slot["ready_at"] for slot in slots):
            return ""
        stay = [slot for slot in slots if slot["worker"] == self._before.get(slot["slot"], 0)]
        return "the new worker didn't become ready, and the old one stays" if stay else DONE


class Rebuild(Reload):
    verb = "reloaded with its libraries"

    def __init__(self, began: float, what: str, number: int) -> None:
        super().__init__(began, what)
        self._number = number

    def ended(self, status: dict[str, Any]) -> str:
        outcome = outcomes.of_reload(status, self._number)
        if outcome is Outcome.UNDER_WAY:
            return ""
        return DONE if outcome is Outcome.DONE else f"not reloaded: {status['reloads']['failure']}"


def broken(slot: dict[str, Any]) -> str:
    """Why the application of a worker can't be loaded, empty where it can."""
    _, found, why = slot["why"].partition(BROKEN)
    return why if found else ""
