"""When a number stays as it is: doubt, waiting, rivals and setbacks. All time is the test's own."""

from __future__ import annotations

from typing import Any

import pytest
from corepod.operator import read
from corepod.operator.capacity import REFUSED
from corepod.operator.decision import Outcome
from corepod.operator.doubt import HOLD, STALE, Doubt
from corepod.operator.rival import CHANGES, ECHO, MEMORY, REST, Rival
from corepod.operator.setbacks import FIRST, PATIENCE
from corepod.operator.sizing import WAIT
from corepod.operator.steady import Peak, Steady
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.operator.world import CORE, Json, World, deployment, node, spec

FULL: Json = {"full": "true"}


def nodes(count: int, cpu: int = 4 * CORE, **more: Any) -> list[Json]:
    return [node(f"n{index}", cpu, **more) for index in range(count)]


def sized(count: int = 10, **notes: Any) -> World:
    world = World(*nodes(count)).deploy(deployment(**(notes or FULL)))
    world.operate()
    world.writes.clear()
    return world


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), min_size=1), st.integers(1, 60))
def test_a_peak_is_the_greatest_of_its_span(steps: list[tuple[int, int]], span: int) -> None:
    peak, now, seen = Peak(span), 0, []
    for pause, number in steps:
        now += pause
        seen.append((now, number))
        assert peak.add(number, now) == max(value for at, value in seen if now - at < span)
        assert now < peak.ends <= now + span


def test_more_at_once_and_less_when_it_stays_less() -> None:
    steady = Steady(5, 60.0, now=0.0)
    assert steady.settle(9, current=5, running=5, now=1.0) == 9
    assert steady.settle(7, current=9, running=9, now=10.0) == 9
    assert steady.due == 61.0
    assert steady.settle(8, current=9, running=9, now=62.0) == 8, "the least that was wished for all the time"
    assert steady.settle(7, current=8, running=8, now=121.0) == 8
    assert steady.settle(7, current=8, running=8, now=123.0) == 7
    assert steady.due is None


def test_pods_without_a_place_are_given_up_at_once() -> None:
    steady = Steady(9, 60.0, now=0.0)
    assert steady.settle(5, current=9, running=7, now=1.0) == 7
    assert steady.settle(5, current=7, running=7, now=2.0) == 7


def test_a_flapping_number_is_written_once() -> None:
    world = sized(2)
    for _ in range(60):
        for cpu in (3000, 4000):
            world.nodes["n1"]["status"]["allocatable"]["cpu"] = f"{cpu}m"
            world.operate(5)
    assert world.writes == []


def test_a_start_is_no_reason_to_remove_pods_at_once() -> None:
    world = World(*nodes(2)).deploy(deployment(replicas=8))
    assert world.operate()["web"].outcome is Outcome.WAITS
    assert world.replicas() == 8
    due = world.decide()["web"].due
    assert due
    assert due == pytest.approx(WAIT, abs=2)
    world.now = due - 0.1
    world.operate(0)
    assert world.replicas() == 8
    world.now = due
    world.operate(0)
    assert world.replicas() == 7


@pytest.mark.parametrize("count", [1, 3, 10])
def test_an_empty_node_list_changes_nothing(count: int) -> None:
    world = sized(count)
    world.nodes.clear()
    world.rest(3600)
    assert world.writes == []
    assert world.decide()["web"].outcome is Outcome.DOUBT
    assert world.decide()["web"].message == "no node is ready"


@pytest.mark.parametrize("how", ["gone", "not ready"])
def test_most_nodes_lost_at_once_are_believed_after_a_while(how: str) -> None:
    world = sized(10)
    lost = list(world.nodes)[1:]
    for name in lost:
        if how == "gone":
            world.remove_node(name)
        else:
            world.nodes[name]["status"]["conditions"][0]["status"] = "Unknown"
            for uid in world.on(name):
                del world.pods[uid]
    end = world.now + HOLD - 10
    while world.now < end:
        decision = world.operate(10)["web"]
        assert decision.outcome is Outcome.DOUBT
        assert "only 1 of 10 nodes are left" in decision.message
    assert world.writes == []
    assert decision.due == pytest.approx(world.now, abs=12)
    world.rest(WAIT + 40)
    assert world.replicas() == 4


def test_half_of_the_nodes_may_go() -> None:
    world = sized(10)
    for name in list(world.nodes)[5:]:
        world.remove_node(name)
    world.rest(WAIT + 20)
    assert world.replicas() == 20


def test_old_facts_are_not_acted_on() -> None:
    world = sized(2)
    world.nodes["n2"] = node("n2")
    assert not world.decide(silence=STALE + 1)["web"].writes
    assert world.decide(silence=STALE + 1)["web"].message == "nothing has been heard from the API server for 121 s"
    assert world.decide(silence=STALE)["web"].number == 12


def test_after_a_silence_pods_are_not_removed_at_once() -> None:
    world = sized(4)
    world.remove_node("n0")
    for _ in range(100):
        world.now += 10
        world.decide(silence=STALE + 1)
    world.control()  # the pods are made anew, and wait for a place
    world.schedule()
    world.nodes["n1"]["status"]["allocatable"]["cpu"] = "2000m"
    found = world.decide()["web"]
    assert found.number == 12, "what has no place is given up, what runs is kept for a while"
    assert found.outcome is Outcome.WAITS


def test_doubt_ends_when_the_nodes_are_back() -> None:
    doubt = Doubt()
    assert not doubt.why(ready=10, silence=0, now=0)
    assert doubt.why(ready=4, silence=0, now=1)
    assert not doubt.why(ready=10, silence=0, now=2)
    assert doubt.due is None


def test_what_the_watch_shows_after_a_write_may_be_older() -> None:
    rival = Rival()
    rival.wrote(8, now=0.0)
    assert rival.see(5, now=1.0) == 8
    assert rival.due == ECHO
    assert rival.see(8, now=2.0) == 8
    assert rival.due is None
    assert rival.see(5, now=3.0) == 5, "this one is somebody's"
    assert rival.see(5, now=4.0) == 5


def test_a_generation_tells_older_from_newer() -> None:
    rival = Rival()
    rival.see(5, now=0.0, generation=7)
    rival.wrote(8, now=0.0)
    assert rival.see(5, now=1.0, generation=7) == 8, "from before"
    assert rival.see(5, now=1.0, generation=9) == 5, "changed again before anybody saw it"


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
        assert decision.outcome is Outcome.RIVAL
        assert "somebody else (argocd) keeps changing the number" in decision.message


def test_giving_way_is_tried_again_and_takes_longer_then() -> None:
    rival = Rival()
    now = 0.0
    starts: list[float] = []
    while len(starts) < 3:
        if rival.gives_way(now):
            starts.append(now)
            while rival.gives_way(now):
                now += 10
        rival.wrote(8, now)
        rival.see(8, now)
        rival.see(2, now)
        now += 1
    assert starts[1] - starts[0] == pytest.approx(REST, abs=20)
    assert starts[2] - starts[1] == pytest.approx(2 * REST, abs=20)


def test_changes_long_ago_are_forgotten() -> None:
    rival = Rival()
    for hour in range(10):
        now = hour * (MEMORY / (CHANGES - 1) + 1)
        rival.wrote(8, now)
        rival.see(8, now)
        rival.see(2, now)
        assert not rival.gives_way(now)


def refuse(world: World, uid: str, reason: str = "SMTAlignmentError") -> None:
    world.pods[uid]["status"] = {"phase": "Failed", "reason": reason, "message": "says the kubelet"}


def run_with_kubelets_that_let_in(world: World, most: int, seconds: int, reason: str = "SMTAlignmentError") -> int:
    """Their controller makes a new pod for each that is refused. Returns how many were refused."""
    refused = 0
    for _ in range(seconds):
        over = world.own()[most:]
        for uid in over:
            refuse(world, uid, reason)
        refused += len(over)
        world.operate()
    return refused


def test_pods_that_kubelets_refuse_are_not_multiplied() -> None:
    world = World(*nodes(2)).deploy(deployment(**FULL))
    world.operate()
    refused = run_with_kubelets_that_let_in(world, most=6, seconds=int(4 * FIRST))
    assert refused <= 2 + 1 + 1, "those of the first try, and one for each try that follows"
    assert world.replicas() in (6, 7)
    decision = world.decide()["web"]
    assert "refused a pod: SMTAlignmentError (says the kubelet)" in decision.message
    run_with_kubelets_that_let_in(world, most=8, seconds=3600)
    assert world.replicas() == 8, "it works again"


def test_without_looking_at_refusals_they_would_go_on() -> None:
    """The same, unseen: what the test above counts does happen."""
    world = World(*nodes(2)).deploy(deployment(**FULL))
    world.operate()
    assert run_with_kubelets_that_let_in(world, most=6, seconds=60, reason="Unheard-of") > 50


def test_one_node_that_refuses_does_not_stop_the_others() -> None:
    world = World(*nodes(2)).deploy(deployment(**FULL))
    for _ in range(20):
        world.operate()
        for uid in world.on("n1")[2:]:
            refuse(world, uid, "OutOfcpu")
    assert world.replicas() == 6
    world.nodes["n2"] = node("n2", 2 * CORE)
    decision = world.operate()["web"]
    assert world.replicas() == 8
    assert decision.room
    assert set(decision.room.dealt) == {"n2"}
    assert decision.room.excluded(read.node(world.nodes["n1"])) == REFUSED
    assert not decision.room.excluded(read.node(world.nodes["n2"]))


def test_no_running_pod_is_given_up_for_headroom_that_could_not_be_used() -> None:
    world = World(*nodes(2)).deploy(deployment())
    world.operate()
    run_with_kubelets_that_let_in(world, most=6, seconds=50)
    assert world.replicas() == 6
    assert len(world.own()) == 6


def test_another_template_forgets_setbacks() -> None:
    world = World(*nodes(2)).deploy(deployment(**FULL))
    world.operate()
    run_with_kubelets_that_let_in(world, most=6, seconds=5)
    assert world.replicas() == 6
    world.works["web"]["spec"]["template"]["spec"] = spec(2000)
    for uid in world.own():
        del world.pods[uid]
    world.operate()
    assert world.decide()["web"].room
    assert world.decide()["web"].message.startswith("room for 4 pods")


def test_a_scheduler_that_finds_no_place_is_believed_after_a_while() -> None:
    """Something that isn't known here keeps pods away from the second node."""
    world = World(*nodes(2)).deploy(deployment(**FULL))
    del world.nodes["n1"]
    world.works["web"]["spec"]["replicas"] = 8
    world.settle()
    hidden = node("n1")

    def round_of(seconds: float) -> Any:
        world.now += seconds
        world.nodes["n1"] = hidden
        decision = world.decide()["web"]
        del world.nodes["n1"]
        world.works["web"]["spec"]["replicas"] = decision.number
        world.sizing.wrote(decision, world.now)
        world.settle()
        return decision

    round_of(1)
    assert world.waiting() == 4
    decision = round_of(PATIENCE + 1)
    assert decision.message.startswith("the scheduler finds no place although there seems to be one: no room")
    assert world.replicas() == 4
    assert not world.waiting()
    tries = 0
    for _ in range(600):
        round_of(1)
        assert world.waiting() <= 1
        tries += world.waiting()
    assert tries < 200, "it is tried less and less"
