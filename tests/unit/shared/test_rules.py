"""What a holder knows of its lease, what a limit lets pass, and the time of the file."""

from __future__ import annotations

import math

from corepod.shared.embedded.clock import Anchor, anchor
from corepod.shared.embedded.rules import admit
from corepod.shared.lease import Lease
from hypothesis import given
from hypothesis import strategies as st

TIMES = st.floats(0, 1e6)


@given(asked=TIMES, seconds=st.floats(0.1, 86400), late=st.floats(0, 2), failed=st.integers(0, 50))
def test_a_lease_is_renewed_before_its_end_and_seldom(asked: float, seconds: float, late: float, failed: int) -> None:
    lease = Lease(asked, seconds)
    now = asked + late * seconds
    pause = lease.next_renewal(now, failed)
    assert pause >= 0
    if lease.over(now):
        assert pause == 0
    else:
        assert now + pause <= lease.ends + 1e-6
        assert failed == 0 or pause >= min(seconds / 30, lease.ends - now) - 1e-6  # no storm of questions


@given(
    limit=st.integers(1, 20),
    per=st.floats(0.01, 1e5),
    pauses=st.lists(st.floats(0, 3), min_size=1, max_size=80),
    start=st.floats(0, 2e9),
)
def test_no_more_pass_than_the_limit_and_what_has_come_back(
    limit: int, per: float, pauses: list[float], start: float
) -> None:
    now, arrival, passed = start, None, 0
    for pause in pauses:
        now += pause * per / limit
        allowance, new = admit(arrival, limit, per, now)
        passed += allowance.allowed
        arrival = arrival if new is None else new
        assert 0 <= allowance.remaining < limit
        assert 0 <= allowance.retry_after <= per * (1 + 1e-6) + 1e-6
        # Every attempt that passes moves the arrival to a time that a float can express.
        rounding = len(pauses) * math.ulp(now + per) / (per / limit)
        assert passed <= limit + (now - start) / (per / limit) + rounding + 1e-6
        if not allowance.allowed:  # whoever waits for that long is let in
            assert admit(arrival, limit, per, now + allowance.retry_after + 1e-6)[0].allowed


@given(arrival=st.floats(0, 1e9), limit=st.integers(1, 10), per=st.floats(0.1, 100), now=st.floats(0, 1e9))
def test_a_limit_that_was_made_shorter_holds_nobody_longer(arrival: float, limit: int, per: float, now: float) -> None:
    allowance, _ = admit(arrival, limit, per, now)
    assert allowance.retry_after <= per


@given(
    stored=st.one_of(st.none(), st.builds(Anchor, st.sampled_from(["a", "b", ""]), st.floats(-1e6, 2e9))),
    last=st.floats(0, 4e9),
    boot=st.sampled_from(["a", "b", ""]),
    wall=st.floats(0, 4e9),
    running=TIMES,
)
def test_the_time_of_the_file_never_goes_back(
    stored: Anchor | None, last: float, boot: str, wall: float, running: float
) -> None:
    found = anchor(stored, last, boot, wall, running)
    if stored is not None and boot and boot == stored.boot:
        assert found == stored  # whatever the wall clock says
    else:
        assert found.offset + running >= max(last, wall) - 1e-3
