"""What pods make the operator write is limited, for a pod and for a namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod.operator.api import decode
from corepod.operator.restarts.budget import NAMESPACE, NAMESPACE_BURST, POD, POD_BURST, SPACING, Rate, WriteBudget
from hypothesis import given
from hypothesis import strategies as st

from tools.fakeapi import objects

if TYPE_CHECKING:
    from corepod.operator.model.facts import Pod


def pod(uid: str, namespace: str = "default") -> Pod:
    made = objects.pod("web-1", "a", owner="web")
    made["metadata"] |= {"uid": uid, "namespace": namespace}
    return decode.pod(made)


def writes(budget: WriteBudget, pods: list[Pod], seconds: int) -> int:
    """How often pods are written to that want it all the time."""
    number = 0
    for step in range(seconds * 10):
        for each in pods:
            if budget.earliest(each, step / 10) <= step / 10:
                budget.spend(each, step / 10)
                number += 1
    return number


def test_the_first_writes_to_a_pod_are_soon_and_later_ones_rare() -> None:
    assert writes(WriteBudget(), [pod("1")], int(POD_BURST * SPACING)) == POD_BURST
    assert writes(WriteBudget(), [pod("1")], 600) <= POD_BURST + 600 / POD


def test_a_namespace_has_a_limit_for_all_of_its_pods_and_takes_nothing_from_others() -> None:
    budget = WriteBudget()
    assert writes(budget, [pod(str(n)) for n in range(300)], 60) <= NAMESPACE_BURST + 60 / NAMESPACE
    assert budget.earliest(pod("1", "other"), 60.0) == 60.0


def test_what_is_paid_is_forgotten() -> None:
    rate = Rate(1.0, 3)
    rate.spend("a", 0.0)
    rate.forget(0.5)
    assert rate.earliest("a", 0.5) == 0.5
    rate.forget(1.0)
    assert not rate.__dict__["_paid"]


@given(st.lists(st.floats(0.0, 5.0), max_size=100), st.integers(1, 5))
def test_never_more_than_the_burst_and_one_in_an_interval(pauses: list[float], burst: int) -> None:
    rate, now, done = Rate(1.0, burst), 0.0, []
    for pause in pauses:
        now += pause
        if rate.allows("a", now):
            done.append(now)
    for index, began in enumerate(done):
        for number, ended in enumerate(done[index:], start=1):
            assert number <= burst + (ended - began) + 1e-6
