"""Which worker makes way next: the decision alone."""

from __future__ import annotations

import random
from typing import Any

import pytest
from corepod.supervisor.pool import recycle
from corepod.supervisor.pool.recycle import AGE, LEAST_LIFE, MEMORY, REQUESTS, SCHEDULE, Limits, Worker, decide

NONE = Limits(0, "", "")
MB = 1 << 20
SMALL = Limits(256 * MB, "", "")
CROWDED = Limits(0, "900 MB of 1000 MB", "")


def worker(slot: int = 0, **facts: Any) -> Worker:
    named = {
        "slot": slot,
        "served": 1000.0,
        "least": LEAST_LIFE,
        "requests": 0,
        "most_requests": 0,
        "oldest": 0.0,
        "memory": 100 * MB,
        "new_memory": 100 * MB,
        "scheduled": False,
        "failures": 0,
        "failed": 0.0,
        **facts,
    }
    return Worker(**named)


def chosen(*workers: Worker, limits: Limits = NONE) -> tuple[int, str] | None:
    choice = decide(workers, limits)
    return (choice.slot, choice.reason) if choice is not None else None


def test_without_a_limit_nobody_goes() -> None:
    assert chosen(worker(requests=10**9, memory=1 << 40)) is None
    assert chosen() is None


@pytest.mark.parametrize(
    ("facts", "limits", "reason"),
    [
        ({"requests": 100, "most_requests": 100}, NONE, REQUESTS),
        ({"requests": 99, "most_requests": 100}, NONE, None),
        ({"oldest": 1000.0}, NONE, AGE),
        ({"oldest": 1001.0}, NONE, None),
        ({"scheduled": True}, Limits(0, "", "0 4 * * *"), SCHEDULE),
        ({"memory": 257 * MB}, SMALL, MEMORY),
        ({"memory": 256 * MB}, SMALL, None),
    ],
)
def test_each_limit(facts: dict[str, Any], limits: Limits, reason: str | None) -> None:
    assert chosen(worker(**facts), limits=limits) == ((0, reason) if reason else None)


def test_a_reason_is_one_for_people_too() -> None:
    choice = decide([worker(requests=123, most_requests=100)], NONE)
    assert choice is not None
    assert choice.why == "it has served 123 requests, and its limit is 100"
    choice = decide([worker(scheduled=True)], Limits(0, "", "0 4 * * *"))
    assert choice is not None
    assert "0 4 * * *" in choice.why


def test_memory_goes_first_and_the_largest_of_these() -> None:
    many = worker(0, requests=5, most_requests=5, served=1e6)
    large, larger = worker(1, memory=300 * MB), worker(2, memory=400 * MB)
    assert chosen(many, large, larger, limits=SMALL) == (2, MEMORY)


def test_then_the_one_that_has_served_longest() -> None:
    young, old = worker(0, oldest=10.0, served=20.0), worker(1, requests=5, most_requests=5, served=30.0)
    assert chosen(young, old) == (1, REQUESTS)


def test_nobody_goes_who_has_just_come() -> None:
    """However low the limit is: the pool must not spend its time on replacing workers."""
    soon = worker(requests=5, most_requests=1, served=LEAST_LIFE - 0.1)
    assert chosen(soon) is None
    found = recycle.too_soon([soon], NONE)
    assert found is not None
    assert found.reason == REQUESTS
    assert recycle.too_soon([worker(requests=5, most_requests=1)], NONE) is None


def test_memory_that_is_used_up_fast_makes_the_next_one_serve_longer() -> None:
    lives = [recycle.least_life(fast) for fast in range(100)]
    assert lives[:3] == [5.0, 10.0, 20.0]
    assert max(lives) == recycle.LONGEST_LEAST_LIFE
    assert chosen(worker(memory=300 * MB, served=9.0, least=lives[1]), limits=SMALL) is None


def test_after_a_failure_there_is_a_pause_that_grows() -> None:
    due = {"requests": 5, "most_requests": 5}
    assert chosen(worker(**due, failures=1, failed=9.9)) is None
    assert chosen(worker(**due, failures=1, failed=10.0)) == (0, REQUESTS)
    assert chosen(worker(**due, failures=2, failed=10.0)) is None
    assert recycle.pause_after(1000) == recycle.LONGEST_PAUSE


def test_one_that_was_too_large_when_it_was_new_goes_when_it_has_grown() -> None:
    assert chosen(worker(memory=300 * MB, new_memory=290 * MB), limits=SMALL) is None
    assert recycle.in_vain([worker(memory=300 * MB, new_memory=290 * MB)], SMALL) is not None
    assert chosen(worker(memory=320 * MB, new_memory=290 * MB), limits=SMALL) == (0, MEMORY)
    assert recycle.in_vain([worker(memory=300 * MB)], SMALL) is None


def test_in_a_crowded_container_the_largest_worker_goes_if_that_helps() -> None:
    grown, large = worker(0, memory=150 * MB), worker(1, memory=200 * MB, new_memory=190 * MB)
    assert chosen(grown, large, limits=CROWDED) == (0, MEMORY)
    assert chosen(large, limits=CROWDED) is None
    assert chosen(grown, large) is None
    assert chosen(worker(0, memory=150 * MB, served=1.0), limits=CROWDED) is None


def test_whoever_is_chosen_is_due_and_may_go() -> None:
    dice = random.Random(12)
    found = 0
    for _ in range(3000):
        workers = [
            worker(
                slot,
                served=dice.choice([0.0, 4.0, 6.0, 100.0, 1e6]),
                least=dice.choice([5.0, 40.0]),
                requests=dice.randrange(100),
                most_requests=dice.choice([0, 50]),
                oldest=dice.choice([0.0, 50.0]),
                memory=dice.randrange(500) * MB,
                new_memory=dice.randrange(1, 500) * MB,
                scheduled=dice.random() < 0.1,
                failures=dice.randrange(3),
                failed=dice.choice([1.0, 15.0, 1e6]),
            )
            for slot in range(dice.randrange(5))
        ]
        limits = Limits(dice.choice([0, 256 * MB]), dice.choice(["", "much"]), "")
        choice = decide(workers, limits)
        if choice is None:
            continue
        found += 1
        one = workers[choice.slot]
        assert recycle.may_go(one)
        assert one.served >= one.least
        assert {
            MEMORY: bool(limits.memory and one.memory > limits.memory) or bool(limits.crowded),
            REQUESTS: one.most_requests > 0 and one.requests >= one.most_requests,
            AGE: one.oldest > 0 and one.served >= one.oldest,
            SCHEDULE: one.scheduled,
        }[choice.reason]
        assert decide([w for w in workers if w is one], limits) is not None, "it is due alone, too"
    assert found > 500
