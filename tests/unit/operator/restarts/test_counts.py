"""Counts of in-pod restarts: exact over containers and operators, shown in steps."""

from __future__ import annotations

import pytest
from corepod.operator.model import names
from corepod.operator.options import EXACT, OFF, RESTART_LABELS
from corepod.operator.restarts import counts
from corepod.operator.restarts.counts import RestartRecord
from corepod.operator.restarts.deaths import LARGEST, DeathCounts
from hypothesis import given
from hypothesis import strategies as st


def test_only_what_is_new_counts() -> None:
    first, reasons = RestartRecord().after(DeathCounts("s1", {"oom": 2}))
    assert (first.total, reasons) == (2, ["oom"])
    same, reasons = first.after(DeathCounts("s1", {"oom": 2}))
    assert (same.total, reasons) == (2, [])
    more, reasons = same.after(DeathCounts("s1", {"oom": 3, "stuck": 4}))
    assert (more.total, reasons) == (7, ["stuck", "oom"])


def test_another_container_begins_at_nothing_and_the_total_goes_on() -> None:
    record, _ = RestartRecord().after(DeathCounts("s1", {"oom": 5}))
    after, reasons = record.after(DeathCounts("s2", {"oom": 1}))
    assert (after.total, reasons) == (6, ["oom"])
    quiet, reasons = record.after(DeathCounts("s2", {"oom": 0}))
    assert (quiet.total, reasons) == (5, [])


def test_annotations_that_another_operator_has_written_count_and_not_what_this_one_knows() -> None:
    known, _ = RestartRecord().after(DeathCounts("s1", {"oom": 2}))
    own = counts.record(counts.published(known, "oom"))
    assert counts.continued(known, own).after(DeathCounts("s1", {"oom": 2, "stuck": 1}))[1] == ["stuck"]
    others, _ = known.after(DeathCounts("s2", {"oom": 4}))
    shown = counts.record(counts.published(others, "oom"))
    for mine in (known, None):
        assert counts.continued(mine, shown).after(DeathCounts("s2", {"oom": 5}))[0].total == 7


COUNTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), max_size=20)


@given(COUNTS)
def test_the_total_never_falls_and_another_operator_goes_on_with_it(course: list[tuple[int, int]]) -> None:
    record, container, deaths, expected = RestartRecord(), 0, 0, 0
    for restarted, more in course:
        if restarted == 3:
            container, deaths = container + 1, 0
        deaths += more
        expected += more
        record, _ = record.after(DeathCounts(f"s{container}", {"oom": deaths}))
        assert record.total == expected
        # Another operator knows only the annotations.
        record = counts.record(counts.published(record, "oom"))


@pytest.mark.parametrize(
    "annotations",
    [
        {},
        {names.RESTARTS_TOTAL: "many", names.RESTARTS_SEEN: "s/1"},
        {names.RESTARTS_TOTAL: "3"},
        {names.RESTARTS_TOTAL: "3", names.RESTARTS_SEEN: "x"},
    ],
    ids=str,
)
def test_what_people_made_of_the_annotations_counts_as_nothing(annotations: dict[str, str]) -> None:
    assert counts.record(annotations) == RestartRecord()


def test_counts_that_fall_and_rise_again_are_counted_once() -> None:
    """A pod that claims a thousand million deaths, then none, and so on."""
    record = RestartRecord()
    for claimed in (10**9, 0, 10**9, 5, 10**9):
        record, reasons = record.after(DeathCounts("s1", {"oom": claimed}))
    assert record.total == 10**9
    assert not reasons


def test_the_total_has_a_limit_however_often_a_pod_says_that_it_was_started() -> None:
    record = RestartRecord()
    for start in range(5):
        record, _ = record.after(DeathCounts(str(start), {"oom": LARGEST}))
    assert record.total == LARGEST
    assert counts.record(counts.published(record, "oom")).total == LARGEST


@pytest.mark.parametrize("edited", ["9" * 5000, "-1", "1_0", "nan", "1e999", "٣"])
def test_a_total_that_people_made_up_is_bounded(edited: str) -> None:
    assert counts.record({names.RESTARTS_TOTAL: edited, names.RESTARTS_SEEN: "1/1"}) == RestartRecord()


def test_only_the_first_reasons_are_listed() -> None:
    assert counts.listed(["oom", ""]) == "oom, unknown"
    assert counts.listed([str(number) for number in range(8)]) == "0, 1, 2, 3, 4 and 3 more"


STEPS = {
    0: "0",
    1: "1",
    2: "2-4",
    4: "2-4",
    5: "5-9",
    10: "10-19",
    19: "10-19",
    20: "20-49",
    50: "50-99",
    99: "50-99",
    100: "100-199",
    12345: "10000-19999",
}


@pytest.mark.parametrize(("total", "step"), STEPS.items())
def test_the_label_has_steps(total: int, step: str) -> None:
    assert counts.labels(total) == {names.RESTARTS: step}


def test_the_label_shows_the_number_or_nothing_if_that_is_wanted() -> None:
    assert counts.labels(17, EXACT) == {names.RESTARTS: "17"}
    assert counts.labels(17, OFF) == {}


@given(st.integers(1, LARGEST), st.sampled_from(RESTART_LABELS))
def test_the_label_is_one_that_kubernetes_takes_and_says_no_more_than_is_true(total: int, mode: str) -> None:
    for value in counts.labels(total, mode).values():
        assert len(value) <= 63
        parts = [int(part) for part in value.split("-")]
        assert parts[0] <= total <= parts[-1]
