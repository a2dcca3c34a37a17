"""What becomes of a connection: decisions of sticky sessions."""

from __future__ import annotations

from math import inf

import pytest
from corepod.worker.sticky.cookie import Look
from corepod.worker.sticky.decisions import LOOKS, ORPHANED, PATIENCE, is_left, look_again, renews
from hypothesis import given
from hypothesis import strategies as st

PART = Look(whole=False, slot=None)


def test_a_head_in_pieces_is_looked_at_a_few_times_and_no_more() -> None:
    pauses = [look_again(PART, looks) for looks in range(LOOKS)]
    assert all(pause is not None and 0 < pause < inf for pause in pauses)
    assert sum(pause or 0.0 for pause in pauses) == pytest.approx(1.27)
    assert look_again(PART, LOOKS) is None


@given(st.integers(0, 100), st.booleans(), st.none() | st.integers(0, 9))
def test_what_is_known_is_not_looked_at_again(looks: int, whole: bool, slot: int | None) -> None:
    again = look_again(Look(whole=whole, slot=slot), looks)
    assert (again is None) == (whole or looks >= LOOKS)
    assert look_again(None, looks) == inf  # nothing has come: the next byte is waited for, without a timer


@given(st.floats(0, 100), st.floats(0, 100), st.booleans())
def test_who_has_waited_longer_is_never_worse_off(one: float, other: float, served: bool) -> None:
    assert is_left(max(one, other), served=served) >= is_left(min(one, other), served=served)
    assert is_left(one, served=False) >= is_left(one, served=True)
    assert is_left(ORPHANED, served=False)
    assert is_left(PATIENCE, served=True)


@given(st.none() | st.integers(0, 9), st.integers(0, 9), st.sets(st.integers(0, 9)))
def test_a_client_is_moved_only_from_a_slot_that_nobody_serves(named: int | None, mine: int, served: set[int]) -> None:
    assert renews(named, mine, served.__contains__) == (named is None or (named != mine and named not in served))
