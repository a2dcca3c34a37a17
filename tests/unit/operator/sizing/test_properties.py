"""What holds for every cluster, however it is made."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from corepod.operator.api import decode
from corepod.operator.model.quantity import milli
from corepod.operator.model.snapshot import Snapshot
from corepod.operator.sizing.decision import Outcome
from corepod.operator.sizing.engine import WAIT, Sizing
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.operator.world import World, deployment, node, spec

if TYPE_CHECKING:
    from corepod.operator.sizing.decision import Decision

    from tests.unit.operator.world import Json

SIZES = st.sampled_from([200, 700, 1000, 1300, 2000])
CPU = st.integers(0, 8000)
TAINT = {"key": "t", "value": "", "effect": "NoSchedule"}


@st.composite
def machines(draw: st.DrawFn) -> list[Json]:
    found = []
    for index in range(draw(st.integers(1, 5))):
        memory, pods = draw(st.integers(1, 8)), draw(st.integers(0, 9))
        closed = {"cordoned": draw(st.booleans()), "ready": draw(st.booleans())} if draw(st.integers(0, 3)) == 0 else {}
        taints = [TAINT] if draw(st.integers(0, 4)) == 0 else []
        found.append(node(f"n{index}", draw(CPU), memory=f"{memory}Gi", pods=pods, taints=taints, **closed))
    return found


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """With other pods in it, and a scheduler with its own idea of which node is best."""
    seed = draw(st.integers(0, 99))
    world = World(*draw(machines()), rank=lambda name: random.Random(f"{seed} {name}").random())
    for name in draw(st.lists(st.sampled_from(sorted(world.nodes)), max_size=6)):
        world.foreign(name, draw(st.integers(0, 3000)), memory=f"{draw(st.integers(0, 3000))}Mi")
    return world


@st.composite
def works(draw: st.DrawFn, /, name: str = "web", **notes: Any) -> Json:
    if draw(st.booleans()):
        notes["headroom"] = str(draw(st.integers(0, 3)))
    if draw(st.booleans()):
        notes["reserve_cores_per_node"] = f"{draw(st.integers(0, 2000))}m"
    if draw(st.booleans()):
        notes["max"] = str(draw(st.integers(1, 12)))
    tolerations = [{"operator": "Exists"}] if draw(st.booleans()) else []
    pod = spec(draw(SIZES), f"{draw(st.sampled_from([64, 900, 2000]))}Mi", tolerations=tolerations)
    return deployment(name, draw(st.integers(1, 4)), pod, **notes)


@settings(deadline=None)
@given(worlds(), works())
def test_it_never_asks_for_a_pod_that_cannot_be_placed(world: World, work: Json) -> None:
    world.deploy(work)
    world.rest(2 * WAIT, step=20)
    if world.decide()["web"].outcome is Outcome.CLUSTER_IMPLAUSIBLE:
        return
    assert world.waiting() == 0 or world.replicas() == 1, "one is always asked for"
    assert len(world.own()) == world.replicas()


@settings(deadline=None)
@given(worlds(), works())
def test_what_fits_is_used(world: World, work: Json) -> None:
    """Without headroom and limits another pod would find no place."""
    work["metadata"]["annotations"] = {"corepod.dev/full": "true"}
    world.deploy(work)
    world.rest(2 * WAIT, step=20)
    if world.decide()["web"].outcome is Outcome.CLUSTER_IMPLAUSIBLE:
        return
    world.scale("web", world.replicas() + 1)
    world.settle()
    assert world.waiting() >= 1


@settings(deadline=None)
@given(worlds(), works(), CPU)
def test_another_node_never_makes_it_less(world: World, work: Json, cpu: int) -> None:
    world.deploy(work)
    before = _fresh(world)["web"]
    world.nodes["x"] = node("x", cpu)
    after = _fresh(world)["web"]
    assert before.outcome is Outcome.CLUSTER_IMPLAUSIBLE or after.number >= before.number
    assert not (before.capacity and after.capacity) or after.capacity.total >= before.capacity.total


@settings(deadline=None)
@given(worlds(), works("a"), works("b"), works("c"), st.randoms(use_true_random=False))
def test_the_order_of_facts_changes_nothing(world: World, a: Json, b: Json, c: Json, chance: random.Random) -> None:
    world.deploy(a, b, c)
    wanted = {name: (each.number, each.message) for name, each in _fresh(world).items()}
    for _ in range(3):
        assert {name: (each.number, each.message) for name, each in _fresh(world, chance).items()} == wanted


@settings(deadline=None)
@given(worlds(), works("a"), works("b", weight="3"), works("c", full="true"))
def test_no_place_is_dealt_twice(world: World, a: Json, b: Json, c: Json) -> None:
    """On no node and of no resource more than there was."""
    world.deploy(a, b, c)
    free = world.snapshot().left
    for decision in _fresh(world).values():
        if decision.capacity is None:
            continue
        for name, count in decision.capacity.allocated.items():
            for resource, much in decision.capacity.request.demand.requests:
                free[name][resource] -= much * count
                assert free[name][resource] >= 0
            assert free[name]["cpu"] >= decision.capacity.request.rules.reserve or count == 0


@settings(deadline=None)
@given(worlds(), SIZES, st.integers(2, 4))
def test_several_of_one_size_find_a_place_for_every_pod(world: World, cpu: int, count: int) -> None:
    names = [f"w{index}" for index in range(count)]
    world.deploy(*(deployment(name, pod=spec(cpu)) for name in names))
    world.rest(3 * WAIT, step=20)
    if any(each.outcome is Outcome.CLUSTER_IMPLAUSIBLE for each in world.decide().values()):
        return
    asked = [name for name in names if world.replicas(name) > 1]
    assert not any(world.waiting(name) for name in asked) or len(asked) < count


EVENTS = ("node", "remove", "cordon", "uncordon", "lost", "found", "foreign", "gone", "evict", "crash", "rest")


@settings(deadline=None)
@given(worlds(), works(), st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 99)), max_size=12))
def test_whatever_happens_it_comes_to_rest_without_a_pod_that_waits(world: World, work: Json, events: Any) -> None:
    world.deploy(work)
    for event, number in events:
        happen(world, event, number)
        world.operate(5)
        assert world.replicas() >= 1
    for each in world.nodes.values():  # no doubt is left
        each["status"]["conditions"][0]["status"] = "True"
    world.nodes["last"] = node("last")
    world.end_deleted()
    world.rest(1200, step=20)
    world.writes.clear()
    world.rest(300, step=20)
    assert world.writes == []
    assert world.waiting() == 0 or world.replicas() == 1


def happen(world: World, event: str, number: int) -> None:
    names, own = sorted(world.nodes), world.own()
    name = names[number % len(names)] if names else ""
    uid = own[number % len(own)] if own else ""
    match event:
        case "node":
            world.nodes[f"x{number}"] = node(f"x{number}", 80 * number)
        case "remove" if name:
            world.remove_node(name)
        case "cordon" | "uncordon" if name:
            world.nodes[name]["spec"]["unschedulable"] = event == "cordon"
        case "lost" | "found" if name:
            world.nodes[name]["status"]["conditions"][0]["status"] = "True" if event == "found" else "Unknown"
        case "foreign" if name:
            world.foreign(name, 30 * number)
        case "gone":
            world.pods = {key: pod for key, pod in world.pods.items() if key in own or number % 2}
        case "evict" if uid:
            world.delete_pod(uid)
        case "crash":
            world.end_deleted()
        case "rest":
            world.rest(10.0 * number, step=10.0 + number)
    world.settle()


@settings(deadline=None)
@given(worlds(), works(), st.randoms(use_true_random=False))
def test_a_cordon_deletes_no_pod(world: World, work: Json, chance: random.Random) -> None:
    world.deploy(work)
    world.rest(2 * WAIT, step=20)
    before = set(world.own())
    running = before - {uid for uid in before if "nodeName" not in world.pods[uid]["spec"]}
    name = chance.choice(sorted(world.nodes))
    there, used = world.on(name), [each for each in world.nodes if world.on(each)]
    world.nodes[name]["spec"]["unschedulable"] = True
    world.rest(2 * WAIT, step=20)
    notes = work["metadata"]["annotations"]
    # A node with nothing on it but the place that was left free is like one that is gone: another place is made.
    lost = 0 if there else int(notes.get("corepod.dev/headroom", 1))
    # The scheduler knows nothing of the reserve and may have put pods into it, which count nowhere.
    reserve = milli(notes.get("corepod.dev/reserve-cores-per-node", "0"))
    request = milli(work["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"])
    lost += -(-reserve // request) * len(used)
    assert len(running & set(world.own())) >= len(running) - lost


def _fresh(world: World, chance: random.Random | None = None) -> dict[str, Decision]:
    """What an operator without a past would decide, with the facts in another order."""
    facts: tuple[list[Any], list[Any], list[Any]] = (
        [decode.node(each) for each in world.nodes.values()],
        [decode.pod(each) for each in world.pods.values()],
        [decode.workload(each, "Deployment") for each in world.works.values()],
    )
    if chance:
        for each in facts:
            chance.shuffle(each)
    return {each.key.name: each for each in Sizing().decide(Snapshot(*facts), silence=0.0, now=0.0)}
