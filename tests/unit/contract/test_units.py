"""Times and sizes for people: never more than they are, and never less than one unit below."""

from __future__ import annotations

import re

import pytest
from corepod.contract.units import DAY, GB, HOUR, KB, MB, MINUTE, duration, size
from hypothesis import given, settings
from hypothesis import strategies as st

TIMES = {"s": 1, "min": MINUTE, "h": HOUR, "d": DAY}
SIZES = {"kB": KB, "MB": MB, "GB": GB}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (59, "59 s"),
        (61, "1 min"),
        (3600, "1 h 0 min"),
        (90_000, "1 d 1 h"),
        (1440 * HOUR, "60 d 0 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "-"),
        (0, "0 kB"),
        (512 * KB, "512 kB"),
        (40 * MB, "40 MB"),
        (9000 * MB, "9000 MB"),
        (12 * GB + GB // 2, "12.5 GB"),
    ],
)
def test_sizes(count: int | None, text: str) -> None:
    assert size(count) == text


@settings(deadline=None)
@given(st.floats(0, 1e10))
def test_a_duration_is_exact_to_its_last_unit(seconds: float) -> None:
    parts = [(int(number), TIMES[unit]) for number, unit in re.findall(r"(\d+) (\w+)", duration(seconds))]
    assert 1 <= len(parts) <= 2
    assert 0 <= seconds - sum(number * unit for number, unit in parts) < parts[-1][1]


@settings(deadline=None)
@given(st.integers(0, 1 << 50))
def test_a_size_is_exact_to_its_last_digit(count: int) -> None:
    number, unit = size(count).split(" ")
    step = SIZES[unit] / (10 if "." in number else 1)
    assert abs(count - float(number) * SIZES[unit]) <= step / 2 * 1.000001
