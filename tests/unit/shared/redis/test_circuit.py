from __future__ import annotations

from corepod.shared.redis.circuit import FIRST, MOST, SPREAD, Circuit, Pass
from hypothesis import given
from hypothesis import strategies as st


def test_operations_pass_until_one_fails() -> None:
    circuit = Circuit()
    assert [circuit.enter(now) for now in (0.0, 0.0, 1.0)] == [Pass.FREE] * 3
    circuit.failed(1.0, Pass.FREE, 0.0)
    assert circuit.open
    assert circuit.enter(1.0 + FIRST / 2) is Pass.REFUSED


def test_one_probe_at_a_time() -> None:
    circuit = Circuit()
    circuit.failed(0.0, Pass.FREE, 0.0)
    assert [circuit.enter(FIRST) for _ in range(3)] == [Pass.PROBE, Pass.REFUSED, Pass.REFUSED]
    circuit.abandoned(Pass.PROBE)
    assert circuit.enter(FIRST) is Pass.PROBE
    circuit.succeeded()
    assert [circuit.enter(FIRST) for _ in range(2)] == [Pass.FREE, Pass.FREE]


def test_many_that_fail_together_are_one_failure() -> None:
    circuit = Circuit()
    for _ in range(100):
        circuit.failed(0.0, Pass.FREE, 0.0)
    assert circuit.enter(FIRST) is Pass.PROBE


def test_one_that_went_out_before_the_failure_tells_that_the_server_is_back() -> None:
    circuit = Circuit()
    circuit.failed(0.0, Pass.FREE, 0.0)
    circuit.succeeded()
    assert circuit.enter(0.0) is Pass.FREE


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_pauses_grow_and_end(jitters: list[float]) -> None:
    """After any number of failures a probe is let through within MOST seconds, and not before its pause."""
    circuit, now, passed, pause = Circuit(), 0.0, Pass.FREE, FIRST
    for jitter in jitters:
        circuit.failed(now, passed, jitter)
        assert circuit.enter(now + pause * (1 - SPREAD) * 0.99) is Pass.REFUSED
        now += pause
        passed = circuit.enter(now)
        assert passed is Pass.PROBE
        pause = min(MOST, pause * 2)
    circuit.succeeded()
    assert circuit.enter(now) is Pass.FREE


@given(st.lists(st.floats(0.001, 0.5), min_size=100, max_size=400), st.floats(0, 1))
def test_an_outage_costs_few_attempts(gaps: list[float], jitter: float) -> None:
    """Of all operations in an outage, a few go out: no more than one in the shortest pause at the end."""
    circuit, now, attempts = Circuit(), 0.0, 0
    for gap in gaps:
        now += gap
        if (passed := circuit.enter(now)) is not Pass.REFUSED:
            attempts += 1
            circuit.failed(now, passed, jitter)
    assert attempts <= 8 + now / (MOST * (1 - SPREAD))
