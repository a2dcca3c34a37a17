"""Other writers of the same number. All time is the test's own."""

from __future__ import annotations

import pytest
from corepod.operator.sizing.conflicts import CHANGES, ECHO, MEMORY, REST, CompetingWriter
from corepod.operator.sizing.decision import Outcome

from tests.unit.operator.world import FULL, World, deployment, nodes, sized


def test_what_the_watch_shows_after_a_write_may_be_older() -> None:
    competing_writer = CompetingWriter()
    competing_writer.wrote(8, now=0.0)
    assert competing_writer.observe(5, now=1.0) == 8
    assert competing_writer.due == ECHO
    assert competing_writer.observe(8, now=2.0) == 8
    assert competing_writer.due is None
    assert competing_writer.observe(5, now=3.0) == 5, "this one is somebody's"
    assert competing_writer.observe(5, now=4.0) == 5


def test_a_generation_tells_older_from_newer() -> None:
    competing_writer = CompetingWriter()
    competing_writer.observe(5, now=0.0, generation=7)
    competing_writer.wrote(8, now=0.0)
    assert competing_writer.observe(5, now=1.0, generation=7) == 8, "from before"
    assert competing_writer.observe(5, now=1.0, generation=9) == 5, "changed again before anybody saw it"


def test_a_write_is_not_repeated_while_its_echo_is_under_way() -> None:
    world = World(*nodes(2)).deploy(deployment(**FULL))
    decision = world.decide()["web"]
    world.sizing.wrote(decision, world.now)
    assert not world.decide()["web"].writes
    world.now += ECHO
    assert world.decide()["web"].writes, "it has never come back"


def test_somebody_elses_number_is_corrected_once_or_twice() -> None:
    world = sized(2)
    for _ in range(CHANGES - 1):
        world.scale("web", 2)
        world.operate()
        assert world.replicas() == 8


@pytest.mark.parametrize("every", [1.0, 60.0, 600.0], ids=lambda every: f"every-{every:.0f}s")
def test_somebody_who_keeps_changing_it_gets_his_way_for_a_while(every: float) -> None:
    world = sized(2)
    world.works["web"]["metadata"]["managedFields"] = [
        {"manager": "argocd", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    ]
    for _ in range(10):
        world.scale("web", 2)
        decision = world.operate(every)["web"]
    assert len(world.writes) <= (3 if every < REST else 6), "not one for each of his"
    if every < REST:
        assert decision.outcome is Outcome.COMPETING_WRITER
        assert "another writer (argocd) keeps changing the number of pods" in decision.message


def test_giving_way_is_tried_again_and_takes_longer_then() -> None:
    competing_writer = CompetingWriter()
    now = 0.0
    starts: list[float] = []
    while len(starts) < 3:
        if competing_writer.gives_way(now):
            starts.append(now)
            while competing_writer.gives_way(now):
                now += 10
        competing_writer.wrote(8, now)
        competing_writer.observe(8, now)
        competing_writer.observe(2, now)
        now += 1
    assert starts[1] - starts[0] == pytest.approx(REST, abs=20)
    assert starts[2] - starts[1] == pytest.approx(2 * REST, abs=20)


def test_changes_long_ago_are_forgotten() -> None:
    competing_writer = CompetingWriter()
    for hour in range(10):
        now = hour * (MEMORY / (CHANGES - 1) + 1)
        competing_writer.wrote(8, now)
        competing_writer.observe(8, now)
        competing_writer.observe(2, now)
        assert not competing_writer.gives_way(now)
