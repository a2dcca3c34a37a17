"""Prometheus' text format, read back by the parser of Prometheus' own client."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from corepod.contract.exposition import Exposition
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client import Metric

FAMILIES = (
    ("jobs_total", "counter", "Jobs by kind.", ("kind", "place")),
    ("load", "gauge", "The load.", ()),
    ("wait_seconds", "histogram", "Seconds waited.", ("kind",)),
)


def parse(text: str) -> dict[str, Metric]:
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families), "samples of one metric must stand together"
    return {family.name: family for family in families}


# The parser strips lines, which may end with what Unicode calls a space; Prometheus' own format has no such rule.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"))


@settings(deadline=None)
@given(TEXT, TEXT, st.floats() | st.integers(-(2**62), 2**62) | st.booleans())
def test_values_and_labels_come_back(kind: str, place: str, value: float) -> None:
    written = Exposition(FAMILIES)
    written.put("jobs_total", value, kind, place)
    [sample] = parse(written.text())["jobs"].samples
    assert sample.labels == {"kind": kind, "place": place}
    assert sample.value == value or (math.isnan(value) and math.isnan(sample.value))


@settings(deadline=None)
@given(TEXT.map(str.strip))
def test_a_help_text_comes_back(meaning: str) -> None:
    written = Exposition([("load", "gauge", meaning, ())])
    written.put("load", 1)
    assert parse(written.text())["load"].documentation == meaning


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**9), min_size=4, max_size=4), st.floats(0, 1e9))
def test_a_histogram_is_cumulative(counts: Sequence[int], total: float) -> None:
    written = Exposition(FAMILIES)
    written.histogram("wait_seconds", (0.1, 1, 10), counts, total, "quick")
    family = parse(written.text())["wait_seconds"]
    assert (family.type, family.documentation) == ("histogram", "Seconds waited.")
    values = {(sample.name, sample.labels.get("le")): sample.value for sample in family.samples}
    assert values == {
        ("wait_seconds_bucket", "0.1"): counts[0],
        ("wait_seconds_bucket", "1"): sum(counts[:2]),
        ("wait_seconds_bucket", "10"): sum(counts[:3]),
        ("wait_seconds_bucket", "+Inf"): sum(counts),
        ("wait_seconds_sum", None): total,
        ("wait_seconds_count", None): sum(counts),
    }
    assert {sample.labels["kind"] for sample in family.samples} == {"quick"}


def test_samples_of_a_metric_stand_together_in_the_order_of_the_families() -> None:
    written = Exposition(FAMILIES)
    written.put("load", 0.5)
    for kind in ("a", "b"):
        written.put("jobs_total", 1, kind, "x")
    written.put("load", None)
    assert written.text() == (
        "# HELP jobs_total Jobs by kind.\n"
        "# TYPE jobs_total counter\n"
        'jobs_total{kind="a",place="x"} 1\n'
        'jobs_total{kind="b",place="x"} 1\n'
        "# HELP load The load.\n"
        "# TYPE load gauge\n"
        "load 0.5\n"
    )


def test_an_unknown_value_leaves_no_trace() -> None:
    written = Exposition(FAMILIES)
    written.put("load", None)
    assert written.text() == ""


def test_nothing_is_written_that_is_not_among_the_families() -> None:
    written = Exposition(FAMILIES)
    with pytest.raises(KeyError):
        written.put("unheard_of", 1)
    with pytest.raises(ValueError, match="zip"):
        written.put("load", 1, "a label")
    with pytest.raises(ValueError, match="zip"):
        written.put("jobs_total", 1, "one of two")
    with pytest.raises(ValueError, match="zip"):
        written.histogram("wait_seconds", (1,), [1, 2, 3], 1.0, "quick")
