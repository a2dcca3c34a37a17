"""What is known of the pool that is watched, and what news change of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from corepod.local import outcomes
from corepod.local.outcomes import Outcome
from corepod.local.top.figures import identity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from corepod.local.top.figures import Look
    from corepod.local.top.view import Action

    Level = Literal["good", "bad", "none"]
EVENTS = 200  # as many as the pool keeps


class Seen(NamedTuple):
    """The pool has answered; `events` are those since its last answer."""

    look: Look
    events: list[dict[str, Any]]


class Lost(NamedTuple):
    """The pool hasn't answered. `silent`: it is there; otherwise nobody is at its address."""

    silent: bool


class Done(NamedTuple):
    """What the pool has answered to an action, or why it didn't do it. Events behind `since` came later."""

    action: Action
    answer: Mapping[str, Any]
    refusal: str = ""
    since: int = 0


class Message(NamedTuple):
    text: str
    level: Level = "none"


class Model(NamedTuple):
    """`number` of `pools` is the place of this one among all that run, `interval` the seconds between two looks at it.
    `begun` is what waits for its end."""

    name: str
    number: int = 1
    pools: int = 1
    interval: float = 1.0
    before: Look | None = None
    look: Look | None = None
    events: tuple[Mapping[str, Any], ...] = ()
    lost: Lost | None = None
    begun: Done | None = None
    message: Message = Message("")


def update(model: Model, news: Seen | Lost | Done) -> Model:
    if isinstance(news, Seen):
        return _ended(_seen(model, news))
    if isinstance(news, Lost):
        return model._replace(lost=news)
    return _done(model, news)


def _seen(model: Model, news: Seen) -> Model:
    same = model.look is not None and identity(model.look.status) == identity(news.look.status)
    return model._replace(
        before=model.look if same else None,
        look=news.look,
        events=(*(model.events if same else ()), *news.events)[-EVENTS:],
        lost=None,
        begun=model.begun if same else None,
    )


def _done(model: Model, done: Done) -> Model:
    if done.refusal:
        return model._replace(message=Message(f"{done.action.name}: {done.refusal}", "bad"))
    if "slots" in done.answer:
        before, slots = done.answer["before"], done.answer["slots"]
        return model._replace(message=Message(f"scaled: {before} -> {slots} slots", "good"))
    return model._replace(begun=done, message=Message(f"{done.action.name}: the pool has begun …"))


def _ended(model: Model) -> Model:
    """The model with the message of what was begun, if it has ended by now."""
    if model.begun is None or model.look is None:
        return model
    answer, status = model.begun.answer, model.look.status
    if "reload" in answer:
        message = _reload(answer, status)
    else:
        message = _restart(answer, status, [event for event in model.events if event["number"] > model.begun.since])
    return model if message is None else model._replace(begun=None, message=message)


def _reload(answer: Mapping[str, Any], status: Mapping[str, Any]) -> Message | None:
    outcome = outcomes.of_reload(status, answer["reload"])
    if outcome is Outcome.UNDER_WAY:
        return None
    if outcome is Outcome.DONE:
        return Message("reload: done", "good")
    return Message(f"reload failed, the old code goes on: {status['reloads']['failure']}", "bad")


def _restart(answer: Mapping[str, Any], status: Mapping[str, Any], later: list[Mapping[str, Any]]) -> Message | None:
    number, old = answer["slot"], answer["worker"]
    slot = next((slot for slot in status["slots"] if slot["slot"] == number), None)
    if slot is None:
        return Message(f"restart slot {number}: the slot was removed", "bad")
    outcome = outcomes.of_restart(slot, old)
    if outcome is Outcome.DONE:
        return Message(f"restart slot {number}: worker {slot['worker']} (pid {slot['pid']}) has taken over", "good")
    if outcome is Outcome.UNDER_WAY:
        return None
    whys = [event["message"] for event in later if event["kind"] == "died" and event.get("slot") in (None, number)]
    why = f": {whys[-1]}" if whys else "; its log says why"
    stays = ", the old one stays" if old is not None else ""
    return Message(f"restart slot {number}: the new worker didn't become ready{stays}{why}", "bad")
