"""The deadlines of the Lease: why two processes can't act at the same time, and how slow a write may be."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest
from corepod.operator.api.leader import DEADLINE, RENEW, WITHIN, WRITE, LeaderElector
from corepod.operator.api.lease import DURATION, LeaseRecord
from corepod.operator.api.store import Store


def test_they_are_those_of_client_go() -> None:
    assert [round(part * DURATION, 3) for part in (1, DEADLINE, RENEW)] == [15, 10, 2]


def test_a_write_is_over_before_another_process_may_start() -> None:
    assert DEADLINE + WRITE < 1


@pytest.mark.parametrize("took", [0.1, 1.0, 3.5, 4.9])
def test_renewals_that_take_as_long_as_they_may_are_all_in_time(took: float) -> None:
    """Each begins when the one before it has ended, or a renewal's period after that one began."""
    assert took < WITHIN * DURATION
    sent, deadline = 0.0, DEADLINE * DURATION
    for _ in range(10):
        sent += max(took, RENEW * DURATION)
        assert sent + took < deadline
        deadline = sent + DEADLINE * DURATION


def test_a_holder_whose_machine_slept_does_not_act(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux's CLOCK_MONOTONIC stands still meanwhile, and another operator has had its time."""
    slept, read = 0.0, time.clock_gettime
    awake = {time.CLOCK_MONOTONIC: 0.0}
    monkeypatch.setattr(time, "clock_gettime", lambda clock: read(clock) + awake.get(clock, slept))

    def create(kind: object, namespace: str, body: dict[str, Any], within: float) -> dict[str, Any]:
        return {**body, "metadata": {**body["metadata"], "resourceVersion": "1"}}

    store: Store[LeaseRecord] = Store()
    store.retain(set())
    cluster = cast("Any", SimpleNamespace(create=create))
    elector = LeaderElector(cluster, store, namespace="a", name="b", identity="me", duration=1e6, log=lambda line: None)
    elector.step()
    assert elector.is_leader
    slept = 1e6
    assert not elector.is_leader
