"""R31: of two operators one acts, whatever happens to the other."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.process.harness import until
from tests.process.operator.harness import Operator, scalings, until_replicas
from tools.fakeapi import FakeApi, faults
from tools.fakeapi.objects import deployment, node

if TYPE_CHECKING:
    from collections.abc import Callable

    Operate = Callable[..., Operator]

DURATION = 10  # seconds; the holder has six of them for a renewal, whatever a busy machine does meanwhile
ELECT = ("--leader-elect", "--lease-namespace", "ops", "--lease-seconds", str(DURATION))


@pytest.fixture
def two(api: FakeApi, operate: Operate) -> tuple[Operator, Operator]:
    """The one that acts, and the one that waits."""
    api.store.put("nodes", node("a", "4"))
    api.store.put("deployments", deployment("web", full="true"))
    first = operate(*ELECT).ready()
    until(lambda: first.acts, "the first acts")
    second = operate(*ELECT).ready()
    until(lambda: second.status()["lease"]["holder"], "the second knows who acts")
    until_replicas(api, "web", 4)
    # A process that is stopped before it has read the answer takes it for one that came too late.
    until(lambda: first.metric("writes_total") == 1, "its answer counted")
    assert not second.acts
    return first, second


def grow(api: FakeApi, name: str, number: int) -> None:
    api.store.put("nodes", node(name, "4"))
    until_replicas(api, "web", number)


def test_one_writes_for_both(api: FakeApi, two: tuple[Operator, Operator]) -> None:
    grow(api, "b", 8)
    assert len(scalings(api)) == 2
    until(lambda: two[0].metric("writes_total") >= 2, "its answer counted")
    assert [operator.metric("writes_total") for operator in two] == [2, 0]


@pytest.mark.serial
def test_a_stop_hands_over_within_a_second(api: FakeApi, two: tuple[Operator, Operator]) -> None:
    first, second = two
    began = time.monotonic()
    first.signal(signal.SIGTERM)
    until(lambda: second.acts, "the second acts")
    handed = time.monotonic() - began
    assert first.process.wait(30) == 0
    # The second it promises is a fifth of the lease; a lease that runs out takes all of it.
    assert handed < DURATION / 2
    assert "released the Lease" in first.log
    grow(api, "b", 8)
    assert len(scalings(api)) == 2


def test_a_kill_is_followed_when_the_lease_is_over(api: FakeApi, two: tuple[Operator, Operator]) -> None:
    first, second = two
    first.signal(signal.SIGKILL)
    first.process.wait(30)
    api.store.put("nodes", node("b", "4"))
    until(lambda: second.acts, "the second acts")
    until_replicas(api, "web", 8)
    assert len(scalings(api)) == 2


def test_one_that_was_stopped_doesnt_write_when_it_goes_on(api: FakeApi, two: tuple[Operator, Operator]) -> None:
    first, second = two
    first.signal(signal.SIGSTOP)
    try:
        until(lambda: second.acts, "the second acts")
        grow(api, "b", 8)
    finally:
        first.signal(signal.SIGCONT)
    until(lambda: "this operator waits" in first.log, "the first knows")
    assert not first.acts
    grow(api, "c", 12)
    assert len(scalings(api)) == 3
    assert first.metric("writes_total") == 1
    until(lambda: second.metric("writes_total") >= 2, "its answer counted")
    assert second.metric("writes_total") == 2


def test_an_api_server_that_hangs_for_the_holder_only(api: FakeApi, two: tuple[Operator, Operator]) -> None:
    first, second = two
    holder = first.status()["lease"]["identity"]

    def renewal(call: object) -> bool:
        body = getattr(call, "body", None)
        return isinstance(body, dict) and body.get("spec", {}).get("holderIdentity") == holder

    api.fail(faults.hang, times=1e9, match=renewal)

    def taken() -> bool:
        # Asked in this order: the first may lose it between the two questions, never get it back.
        acts = second.acts
        assert not (acts and first.acts)
        return acts

    until(taken, "the second acts")
    grow(api, "b", 8)
    assert len(scalings(api)) == 2


def test_both_restarted_find_everything_as_it_should_be(
    api: FakeApi, two: tuple[Operator, Operator], operate: Operate
) -> None:
    for operator in two:
        operator.stop()
    count = len(scalings(api))
    third = operate(*ELECT).ready()
    until(lambda: third.status()["workloads"], "a decision")
    assert third.status()["workloads"][0]["outcome"] == "sized"
    assert len(scalings(api)) == count


SLOW = 3.5  # seconds that a write takes where etcd's disk is too slow


def test_slow_writes_keep_nobody_from_acting(api: FakeApi, operate: Operate) -> None:
    """With the default Lease. Renewals that were given up after 3 s never succeeded, so nobody acted."""
    api.store.put("nodes", node("a", "4"))
    api.store.put("deployments", deployment("web", full="true"))
    api.fail(faults.slow(SLOW), times=1e9, match=lambda call: call.write)
    operator = operate("--leader-elect", "--lease-namespace", "ops").ready()
    until_replicas(api, "web", 4)
    lease = api.store.get("leases", "ops", "corepod-operator")
    assert lease is not None

    def renewed() -> bool:
        found = api.store.get("leases", "ops", "corepod-operator")
        assert found is not None
        return bool(found["spec"]["renewTime"] > lease["spec"]["renewTime"])

    until(renewed, "a renewal")
    until(lambda: operator.acts, "it acts")
    assert operator.get("/readyz").status_code == 200


def test_writes_that_are_too_slow_are_a_reason_not_to_be_ready(api: FakeApi, operate: Operate) -> None:
    """The negative control: at twice the limit nobody can hold the Lease, and the probe says so."""
    fault = api.fail(faults.slow(2 * DURATION / 3), times=1e9, match=lambda call: call.write)
    operator = operate(*ELECT)
    until(lambda: "couldn't be renewed for" in operator.get("/readyz").text, "that it isn't renewed")
    assert operator.get("/readyz").status_code == 503
    assert not operator.acts
    assert fault.seen
    api.heal()
    operator.ready()
    assert operator.acts
