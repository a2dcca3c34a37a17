"""What news change: rates, events, and the message about what was asked for."""

from __future__ import annotations

from typing import Any

from corepod.local.top.figures import Look
from corepod.local.top.model import EVENTS, Done, Lost, Message, Model, Seen, update
from corepod.local.top.view import MORE, RELOAD, restart

from tests.unit.local.top.looks import event, slot, status, watched


def seen(model: Model, *slots: dict[str, Any], events: list[dict[str, Any]] | None = None, **changed: Any) -> Model:
    at = (model.look.at if model.look else 100.0) + 1
    return update(model, Seen(Look(at, status(slots, **changed)), events or []))


def test_two_looks_at_the_same_pool_are_kept() -> None:
    model = watched([slot(0)], [slot(0, requests=1)])
    assert (model.before and model.before.at, model.look and model.look.at) == (100.0, 101.0)


def test_a_pool_that_comes_back_begins_anew() -> None:
    model = update(watched([slot(0)], [slot(0)], [event(1)]), Lost(silent=False))
    assert model.lost == Lost(silent=False)
    assert [e["number"] for e in model.events] == [1]  # what came last may say why it is gone
    model = seen(model, slot(0), events=[event(1, "started")], pid=8)
    assert (model.before, model.lost) == (None, None)
    assert [e["kind"] for e in model.events] == ["started"]


def test_the_same_pool_that_answers_again_goes_on() -> None:
    model = seen(update(watched([slot(0)], [slot(0)], [event(1)]), Lost(silent=True)), slot(0), events=[event(2)])
    assert [e["number"] for e in model.events] == [1, 2]
    assert model.before is not None
    assert model.lost is None


def test_not_more_events_than_a_pool_keeps() -> None:
    model = watched([slot(0)], [slot(0)], [event(n) for n in range(EVENTS)])
    model = seen(model, slot(0), events=[event(EVENTS)])
    assert (len(model.events), model.events[-1]["number"]) == (EVENTS, EVENTS)


def test_a_refusal_is_shown_with_its_reason() -> None:
    model = update(watched([slot(0)], [slot(0)]), Done(restart(0), {}, refusal="the pool is stopping"))
    assert model.message == Message("restart slot 0: the pool is stopping", "bad")
    assert model.begun is None


def test_scaling_is_done_at_once() -> None:
    model = update(watched([slot(0)], [slot(0)]), Done(MORE, {"slots": 3, "before": 2}))
    assert model.message == Message("scaled: 2 -> 3 slots", "good")


def test_a_reload_that_ends() -> None:
    model = update(watched([slot(0)], [slot(0)]), Done(RELOAD, {"reload": 4}))
    going = seen(model, slot(0), reloads={"asked": 4, "ended": 3, "failure": "of the one before"})
    assert going.message.text == "reload: the pool has begun …"
    done = seen(going, slot(0), reloads={"asked": 4, "ended": 4, "failure": ""})
    assert (done.message, done.begun) == (Message("reload: done", "good"), None)
    failed = seen(going, slot(0), reloads={"asked": 4, "ended": 4, "failure": "NameError"})
    assert failed.message == Message("reload failed, the old code goes on: NameError", "bad")


def test_a_restart_that_ends() -> None:
    model = update(watched([slot(0)], [slot(0)]), Done(restart(0), {"slot": 0, "worker": 1}, since=5))
    for going in (slot(0, being_replaced=True), slot(0, worker=None, ready=False), slot(0, worker=2, ready=False)):
        assert seen(model, going).begun is not None
    assert seen(model, slot(0, worker=2, pid=9)).message == Message(
        "restart slot 0: worker 2 (pid 9) has taken over", "good"
    )
    events = [event(5, "died", "long ago"), event(6, "died", "exit code 3"), event(7, "died", "another", slot=1)]
    failed = seen(model, slot(0), events=events).message
    assert failed.level == "bad"
    assert failed.text.endswith("didn't become ready, the old one stays: exit code 3")
    assert seen(model, slot(1)).message == Message("restart slot 0: the slot was removed", "bad")


def test_a_restart_of_a_slot_without_a_worker_waits_for_its_first_one() -> None:
    model = update(watched([slot(0)], [slot(0)]), Done(restart(0), {"slot": 0, "worker": None}, since=5))
    assert seen(model, slot(0, worker=None, ready=False, state="starting")).begun is not None
    failed = seen(model, slot(0, worker=None, ready=False, state="failed")).message
    assert failed == Message("restart slot 0: the new worker didn't become ready; its log says why", "bad")


def test_what_was_begun_ends_with_its_pool() -> None:
    model = update(watched([slot(0)], [slot(0)]), Done(RELOAD, {"reload": 4}))
    assert seen(model, slot(0), pid=8, reloads={"asked": 9, "ended": 9, "failure": ""}).begun is None
