"""Counts of in-pod restarts: exact over containers and operators, shown in steps."""

from __future__ import annotations

import pytest
from corepod.operator.model import names
from corepod.operator.restarts import counts
from corepod.operator.restarts.counts import DeathCounts, RestartRecord
from corepod.supervisor.admin.metrics import METRICS
from hypothesis import given
from hypothesis import strategies as st

METRICS_TEXT = """\
# HELP corepod_start_time_seconds When the supervisor started, Unix time.
corepod_start_time_seconds 1764000000.25
corepod_worker_restarts_total{slot="0",reason="exit code 0"} 0
corepod_worker_restarts_total{slot="0",reason="signal SIGKILL"} 2
corepod_worker_restarts_total{slot="1",reason="signal SIGKILL"} 1
corepod_worker_restarts_total{slot="1",reason="oom"} 4
"""


def test_the_names_are_those_of_the_supervisor() -> None:
    names = {name for name, *_ in METRICS}
    assert {counts.DEATHS, counts.STARTED} <= names


def test_reading() -> None:
    reading = counts.parse(METRICS_TEXT)
    assert reading.started == "1764000000.25"
    assert reading.reasons == {"exit code 0": 0, "signal SIGKILL": 3, "oom": 4}
    assert reading.count == 7


@pytest.mark.parametrize("text", ["", "<html>", "up 1\n", 'corepod_worker_restarts_total{slot="0",reason="oom"} x\n'])
def test_metrics_of_somebody_else(text: str) -> None:
    with pytest.raises(ValueError, match=r"aren't those|could not convert"):
        counts.parse(text)


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


STEPS = {0: "0", 1: "1-9", 9: "1-9", 10: "10-99", 99: "10-99", 100: "100-999", 12345: "10000-99999"}


@pytest.mark.parametrize(("total", "step"), STEPS.items())
def test_the_label_has_steps(total: int, step: str) -> None:
    assert counts.labels(total) == {"corepod.dev/worker-restarts": step}


@given(st.integers(0, 10**18))
def test_the_label_is_one_that_kubernetes_takes(total: int) -> None:
    assert len(counts.step(total)) <= 63
    assert all(part.isdecimal() for part in counts.step(total).split("-"))
