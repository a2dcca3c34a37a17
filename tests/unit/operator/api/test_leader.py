"""The deadlines of the Lease: why two processes can't act at the same time, and how slow a write may be."""

from __future__ import annotations

import pytest
from corepod.operator.api.leader import DEADLINE, RENEW, WITHIN, WRITE
from corepod.operator.api.lease import DURATION


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
