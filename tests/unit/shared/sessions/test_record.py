"""What is stored, what has changed, and when a session ends or is renewed."""

from __future__ import annotations

import datetime
import json
import math
from typing import Any

import pytest
from corepod.shared.sessions.record import (
    Lifetimes,
    NotJSON,
    Record,
    SessionTooLarge,
    changes,
    decode,
    encode,
)
from hypothesis import given
from hypothesis import strategies as st

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
DATA = st.dictionaries(st.text(max_size=3), JSON, max_size=4)
TIME = st.floats(0, 4e9)


@given(TIME, TIME, DATA)
def test_what_is_stored_comes_back(created: float, touched: float, data: dict[str, Any]) -> None:
    record = Record(created, touched, data)
    raw = encode(record, 1 << 20)
    assert decode(raw) == record
    assert json.loads(raw)["data"] == data


@given(st.binary() | st.text().map(str.encode) | JSON.map(lambda value: json.dumps(value).encode()))
def test_what_is_no_session_is_none(raw: bytes) -> None:
    assert decode(raw) is None
    assert decode(None) is None


def test_a_session_that_is_too_large_names_its_size_and_what_makes_it_so() -> None:
    data = {"small": 1, "cart": "x" * 100}
    size = len(json.dumps(data, separators=(",", ":")))
    encode(Record(0, 0, data), size)
    with pytest.raises(SessionTooLarge, match=rf"has {size} bytes of JSON, and max_size allows {size - 1}; .*'cart'"):
        encode(Record(0, 0, data), size - 1)


@pytest.mark.parametrize(
    "value",
    [datetime.datetime(2026, 1, 1), b"bytes", {1, 2}, math.nan, math.inf, object(), {"deep": [object()]}, {(1, 2): 3}],
)
def test_what_isnt_json_is_named_by_its_key(value: Any) -> None:
    with pytest.raises(NotJSON, match=rf"session\['when'\] is of type {type(value).__name__} and can't"):
        encode(Record(0, 0, {"fine": 1, "when": value}), 1 << 20)


def test_a_loop_isnt_json() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(NotJSON, match="loop"):
        encode(Record(0, 0, {"loop": loop}), 1 << 20)


def test_keys_are_text() -> None:
    with pytest.raises(NotJSON, match="keys of a session are text, but 7 is of type int"):
        encode(Record(0, 0, {7: "x"}), 1 << 20)  # type: ignore[dict-item]


@given(DATA, DATA)
def test_changes_lead_from_one_to_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    changed = changes(before, after)
    assert changed.applied_to(before) == after
    assert bool(changed) == (json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True)) or before == after


@given(DATA, DATA, DATA)
def test_what_another_request_has_changed_under_other_keys_stays(
    before: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any]
) -> None:
    merged = changes(before, mine).applied_to(theirs)
    for key in before.keys() | mine.keys() | theirs.keys():
        same = json.dumps(before.get(key)) == json.dumps(mine.get(key)) and (key in before) == (key in mine)
        expected = theirs if same else mine
        assert (key in merged) == (key in expected)
        assert merged.get(key) == expected.get(key)


def test_a_change_inside_of_a_value_and_one_of_its_type_are_noticed() -> None:
    assert changes({"cart": [{"n": 1}]}, {"cart": [{"n": 2}]}).set == {"cart": [{"n": 2}]}
    assert changes({"on": 1}, {"on": True}).set == {"on": True}
    assert not changes({"on": [1, {}]}, {"on": [1, {}]})


LIFETIMES = Lifetimes(idle=100, absolute=1000)


@pytest.mark.parametrize(
    ("touched", "now", "expired", "due"),
    [
        (0, 0, False, False),
        (0, 9.9, False, False),
        (0, 10, False, True),
        (0, 99.9, False, True),
        (0, 100, True, True),
        (900, 999.9, False, True),
        (950, 1000, True, True),
        (950, 955, False, False),
        (50, 0, False, False),  # another pod's clock is ahead
    ],
)
def test_expiry(touched: float, now: float, expired: bool, due: bool) -> None:
    record = Record(0, touched, {})
    assert record.expired(now, LIFETIMES) == expired
    assert record.touch_due(now, LIFETIMES) == due


@given(TIME, st.floats(0, 1e6), st.floats(1, 1e6), st.floats(1, 1e6))
def test_what_is_left_ends_with_the_first_of_both(created: float, age: float, idle: float, absolute: float) -> None:
    left = Lifetimes(idle, absolute).left(created, created + age)
    assert 0 < left <= idle
    assert left <= max(1, created + absolute - (created + age))
