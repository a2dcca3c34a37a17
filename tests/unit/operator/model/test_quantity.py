"""Kubernetes quantities as integers."""

from __future__ import annotations

from fractions import Fraction

import pytest
from corepod.operator.model.quantity import BINARY, DECIMAL, MOST, QuantityError, amount, milli, whole
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "thousandths", "units"),
    [
        ("15890m", 15890, 16),
        ("1.5", 1500, 2),
        ("16", 16000, 16),
        ("1e3", 1_000_000, 1000),
        ("1E3", 1_000_000, 1000),
        ("5e+2", 500_000, 500),
        ("1e-3", 1, 1),
        ("128Mi", 128 * 2**20 * 1000, 128 * 2**20),
        ("1Ei", MOST, 2**60),
        ("1E", MOST, 10**18),
        ("0.5Gi", 2**29 * 1000, 2**29),
        ("1.3Ki", 1_331_200, 1332),
        ("100u", 1, 1),
        ("1n", 1, 1),
        ("3.92", 3920, 4),
        (".5", 500, 1),
        ("5.", 5000, 5),
        ("1.G", 10**12, 10**9),
        ("0", 0, 0),
        ("000", 0, 0),
        ("0.0Ki", 0, 0),
        ("+1", 1000, 1),
        ("-1.5", -1500, -2),
        ("16Ei", MOST, MOST),
        ("-16Ei", -MOST, -MOST),
        ("1e999999999", MOST, MOST),
        ("1e-999999999", 1, 1),
        (4, 4000, 4),
        (0.25, 250, 1),
    ],
)
def test_upstreams_values_and_rounding(text: object, thousandths: int, units: int) -> None:
    assert (milli(text), whole(text)) == (thousandths, units)


def test_cpu_counts_in_thousandths_and_the_rest_in_units() -> None:
    assert amount("cpu", "2") == 2000
    assert amount("memory", "2Ki") == 2048
    assert amount("nvidia.com/gpu", "2") == 2


NUMBERS = ("", ".", "-", " 1", "1\n", "\u0661", "--1", "1..2", "1+1.0M", "0x10", "1_000", "nan", "1" * 101)
UNITS = ("m", "Mi", "1e", "e3", "1ki", "1KI", "1 Gi", "1m3", "1Mi3", "1.1.M", "0.1am", "aoeu", ".5i", "1i", "-3.01e-")
OBJECTS: tuple[object, ...] = (None, True, [], {}, float("nan"), float("inf"))


@pytest.mark.parametrize("text", [*NUMBERS, *UNITS, *OBJECTS])
def test_what_is_no_quantity_is_named(text: object) -> None:
    with pytest.raises(QuantityError, match="isn't a quantity; write a number and a unit"):
        milli(text)


@settings(deadline=None)
@given(
    st.booleans(),
    st.from_regex(r"[0-9]{1,18}(\.[0-9]{0,9})?", fullmatch=True),
    st.sampled_from([*DECIMAL, *BINARY]),
)
def test_nothing_is_lost_but_the_rounding(negative: bool, number: str, unit: str) -> None:
    factor = Fraction(2) ** BINARY[unit] if unit in BINARY else Fraction(10) ** DECIMAL[unit]
    exact = Fraction(number.rstrip(".")) * factor
    sign = "-" if negative else ""
    for parse, scale in ((milli, 1000), (whole, 1)):
        found = abs(parse(sign + number + unit))
        assert found == MOST or 0 <= found - exact * scale < 1
        assert parse(number + unit) == found


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_other_text_is_an_error_and_nothing_worse(text: str) -> None:
    try:
        milli(text)
    except QuantityError:
        pass


@settings(deadline=None)
@given(st.integers(0, 10**15))
def test_what_the_api_writes_comes_back(thousandths: int) -> None:
    assert milli(f"{thousandths}m") == thousandths
