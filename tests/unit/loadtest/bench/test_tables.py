"""The tables of B6 and B8 that aren't costs: their ratios, and both sides of their goals."""

from __future__ import annotations

import pytest

from loadtest.bench import idle_connections, overhead, strangers
from loadtest.bench.mixture_tables import BASE, Mixed, Short, mixture_tables, short_table
from loadtest.bench.queue import DEFAULT, USUAL, Case, table_of


@pytest.mark.parametrize(("pss", "reached"), [(790.0, True), (810.0, False)])
def test_memory_of_an_idle_connection(pss: float, reached: bool) -> None:
    ours, base = {"pss": pss, "rss": 900.0}, {"pss": 1000.0, "rss": 1000.0}
    results = [{overhead.OURS.name: ours, overhead.UVICORN.name: base}]
    table = idle_connections.table_of(results, idle_connections.WANTED)
    assert [goal.reached for goal in table.goals] == [reached]
    assert table.rows[0][3:] == [f"{pss:.0f}", "900"]
    assert table.notes == []


def test_fewer_idle_connections_than_wanted_are_told() -> None:
    one = {overhead.UVICORN.name: {"pss": 1.0, "rss": 1.0}}
    table = idle_connections.table_of([one], 800)
    assert table.title.startswith("800 idle connections")
    assert table.notes == ["A process may open no more than 1000 files here."]


@pytest.mark.parametrize(("silent", "half", "reached"), [(0.9, 1.1, [True, False]), (1.1, 0.9, [False, True])])
def test_a_request_behind_strangers(silent: float, half: float, reached: list[bool]) -> None:
    base = strangers.BASE
    kinds = {"silent": silent, "half heads": half}
    results = [{kind: {overhead.OURS.name: ours, base: 1.0} for kind, ours in kinds.items()}]
    table = strangers.table_of(results)
    assert [goal.reached for goal in table.goals] == reached


@pytest.mark.parametrize(
    ("rate", "latency", "reached"),
    [(100.0, 0.01, [True, True]), (99.0, 0.009, [False, True]), (101.0, 0.011, [True, False])],
)
def test_short_requests_beside_computing_ones(rate: float, latency: float, reached: list[bool]) -> None:
    results = [{DEFAULT: Short(rate, 10.0, [latency] * 9, 1), BASE: Short(100.0, 20.0, [0.01] * 9, 0)}]
    table = short_table(results)
    assert [goal.reached for goal in table.goals] == reached
    assert table.rows[0][2] == "0.50 (0.50-0.50)"
    assert table.rows[0][5] == "1"


def test_mixtures_have_a_mean_and_show_what_the_others_got() -> None:
    results = [
        {
            "one": {DEFAULT: Mixed([0.04], 10, 0), BASE: Mixed([0.01], 40, 2)},
            "two": {DEFAULT: Mixed([0.01], None, 0), BASE: Mixed([0.01], None, 0)},
        }
    ]
    tail, beside = mixture_tables(results)
    assert tail.rows == [
        ["one", "4.00 (4.00-4.00)", "1.000 (1.000-1.000)", "10.0"],
        ["two", "1.000 (1.000-1.000)", "1.000 (1.000-1.000)", "10.0"],
        ["geometric mean", "2.00", "1.00", "-"],
    ]
    assert tail.notes == [f"Requests of the others that failed: {BASE}: 2."]
    assert beside.rows == [["one", "0.25 (0.25-0.25)", "1.000 (1.000-1.000)"]]


@pytest.mark.parametrize(("ours", "reached"), [(0.39, [True, True, True, True]), (0.55, [False, False, True, True])])
def test_one_kind_of_request_over_reuseport_and_over_those_beside(ours: float, reached: list[bool]) -> None:
    case = USUAL[0]
    tails = {DEFAULT: ours, "SO_REUSEPORT": 1.0, "uvicorn --workers": 0.5, "gunicorn --preload": 0.6}
    result = {name: {"latencies": [tail], "shares": {"1": 5, "2": 5}, "failed": 0} for name, tail in tails.items()}
    assert [goal.reached for goal in table_of(case, [result]).goals] == reached


def test_a_case_without_a_goal_needs_no_peers_beside() -> None:
    case = Case("/wait", "asynchronous handlers", 2, 0.7)
    result = {name: {"latencies": [1.0], "shares": {"1": 5, "2": 5}, "failed": 0} for name in (DEFAULT, "SO_REUSEPORT")}
    assert table_of(case, [result]).goals == []
