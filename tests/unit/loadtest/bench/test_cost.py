"""Costs of requests, and which of their goals are reached."""

from __future__ import annotations

import pytest

from loadtest.bench import overhead
from loadtest.bench.cost import Cost, Pair, Round, compare


def result(client: float = 0.5, **micros: tuple[float, float]) -> Round:
    """A round: for each work ours and theirs, in microseconds a request."""
    return {
        work: {"ours": Cost(ours / 1e6, 1000.0, client), "theirs": Cost(theirs / 1e6, 1000.0, client)}
        for work, (ours, theirs) in micros.items()
    }


def test_a_cell_is_the_median_of_the_ratios_inside_the_rounds() -> None:
    rounds = [result(page=(40.0, 50.0)), result(page=(400.0, 400.0)), result(page=(45.0, 50.0))]
    table = compare("key", "title", [Pair("ours", "theirs")], rounds)
    assert table.columns == ["server", "over", "page", "page, both (µs)"]
    assert table.rows == [["ours", "theirs", "0.90 (0.80-1.000)", "45, 50"]]


@pytest.mark.parametrize(("ours", "reached"), [(89.0, True), (90.0, True), (91.0, False)])
def test_a_goal_is_reached_up_to_its_number(ours: float, reached: bool) -> None:
    table = compare("key", "title", [Pair("ours", "theirs", {"page": 0.9})], [result(page=(ours, 100.0))])
    assert [(goal.text, goal.reached) for goal in table.goals] == [("ours over theirs, page, at most 0.9", reached)]


def test_each_work_has_its_own_goal() -> None:
    pair = Pair("ours", "theirs", {"page": 0.9, "post": 0.5})
    table = compare("key", "title", [pair], [result(page=(80.0, 100.0), post=(80.0, 100.0), other=(1.0, 1.0))])
    assert [goal.reached for goal in table.goals] == [True, False]


def test_what_was_not_measured_is_no_number() -> None:
    table = compare("key", "title", [Pair("ours", "absent")], [result(page=(1.0, 1.0))])
    assert table.rows == [["ours", "absent", "-", "-"]]


@pytest.mark.parametrize("pair", [Pair("ours", "absent", {"page": 1.0}), Pair("ours", "theirs", {"absent": 1.0})])
def test_a_goal_of_something_that_was_not_measured_is_an_error(pair: Pair) -> None:
    with pytest.raises(KeyError, match="absent"):
        compare("key", "title", [pair], [result(page=(1.0, 1.0))])


def test_a_client_without_time_to_spare_is_named() -> None:
    table = compare("key", "title", [], [result(0.9, page=(1.0, 1.0)), result(0.95, page=(1.0, 1.0))])
    assert table.notes == ["page: the client's core was the limit beside ours (92%), theirs (92%)."]
    assert compare("key", "title", [], [result(0.8, page=(1.0, 1.0))]).notes == []


@pytest.mark.parametrize(
    ("stages", "pairs"),
    [
        (overhead.KEEP, overhead.KEEP_PAIRS),
        (overhead.NEW, overhead.NEW_PAIRS),
        (overhead.LOG, overhead.LOG_PAIRS),
    ],
    ids=["keep", "new", "log"],
)
def test_every_pair_is_measured_and_every_server_has_a_name_of_its_own(stages: object, pairs: object) -> None:
    assert isinstance(stages, tuple)
    assert isinstance(pairs, tuple)
    measured: Round = {}
    for stage in stages:
        names = [peer.name for peer in stage.peers]
        assert len(set(names)) == len(names)
        measured |= {work.title: {name: Cost(1e-6, 1.0, 0.5) for name in names} for work in stage.works}
    table = compare("key", "title", pairs, [measured])
    assert all(any(cell != "-" for cell in row[2:]) for row in table.rows)
    assert len(table.goals) == sum(len(pair.most) for pair in pairs) > 0
