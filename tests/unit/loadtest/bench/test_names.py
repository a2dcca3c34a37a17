"""The names of benchmarks on the command line."""

from __future__ import annotations

import pytest

from loadtest.bench.__main__ import BENCHMARKS, GROUPS, chosen


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["b6"], ["b6-keep", "b6-new", "b6-log", "b6-idle", "b6-silent"]),
        (["b8"], ["b8-queue", "b8-short", "b8-mix"]),
        (["b2", "b1"], ["b1"]),
        (["b9", "b8"], ["b8-queue", "b8-short", "b8-mix"]),
        (["b6-log", "b3"], ["b6-log", "b3"]),
        ([], list(BENCHMARKS)),
    ],
)
def test_a_name_means_one_benchmark_or_a_group(names: list[str], found: list[str]) -> None:
    assert chosen(names) == found


def test_groups_hold_benchmarks() -> None:
    assert all(name in BENCHMARKS for group in GROUPS.values() for name in group)
    assert not set(GROUPS) & set(BENCHMARKS)
