"""Pods that found no place that seemed to be there. All time is the test's own."""

from __future__ import annotations

from typing import Any

from corepod.operator.api import decode
from corepod.operator.sizing.backoff import FIRST, PATIENCE
from corepod.operator.sizing.capacity import REFUSED

from tests.unit.operator.world import CORE, FULL, World, deployment, node, nodes, spec


def refuse(world: World, uid: str, reason: str = "SMTAlignmentError") -> None:
    world.pods[uid]["status"] = {"phase": "Failed", "reason": reason, "message": "says the kubelet"}


def run_with_kubelets_that_let_in(
    world: World, most: int, seconds: int, reason: str = "SMTAlignmentError", step: int = 1
) -> int:
    """Their controller makes a new pod for each that is refused. Returns how many were refused."""
    refused = 0
    for _ in range(0, seconds, step):
        over = world.own()[most:]
        for uid in over:
            refuse(world, uid, reason)
        refused += len(over)
        world.operate(step)
    return refused


def test_pods_that_kubelets_refuse_are_not_multiplied() -> None:
    world = World(*nodes(2)).deploy(deployment(**FULL))
    world.operate()
    refused = run_with_kubelets_that_let_in(world, most=6, seconds=int(4 * FIRST))
    assert refused <= 2 + 1 + 1, "those of the first try, and one for each try that follows"
    assert world.replicas() in (6, 7)
    decision = world.decide()["web"]
    assert "refused a pod: SMTAlignmentError (says the kubelet)" in decision.message
    run_with_kubelets_that_let_in(world, most=8, seconds=3600, step=10)
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
    assert decision.capacity
    assert set(decision.capacity.allocated) == {"n2"}
    assert decision.capacity.why_not_usable(decode.node(world.nodes["n1"])) == REFUSED
    assert not decision.capacity.why_not_usable(decode.node(world.nodes["n2"]))


def test_no_running_pod_is_given_up_for_headroom_that_could_not_be_used() -> None:
    world = World(*nodes(2)).deploy(deployment())
    world.operate()
    run_with_kubelets_that_let_in(world, most=6, seconds=50)
    assert world.replicas() == 6
    assert len(world.own()) == 6


def test_another_template_resets_the_backoff() -> None:
    world = World(*nodes(2)).deploy(deployment(**FULL))
    world.operate()
    run_with_kubelets_that_let_in(world, most=6, seconds=5)
    assert world.replicas() == 6
    world.works["web"]["spec"]["template"]["spec"] = spec(2000)
    for uid in world.own():
        del world.pods[uid]
    world.operate()
    assert world.decide()["web"].capacity
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
    assert decision.message.startswith("the scheduler finds no node although one seems to have room: no room")
    assert world.replicas() == 4
    assert not world.waiting()
    tries = 0
    for _ in range(600):
        round_of(1)
        assert world.waiting() <= 1
        tries += world.waiting()
    assert tries < 200, "it is tried less and less"
