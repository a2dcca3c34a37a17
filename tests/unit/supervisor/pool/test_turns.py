"""Workers make way in turn: what the supervisor asks of them, how long it waits, and when it goes on all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod.contract.messages import TurnAnswer, TurnRequest
from corepod.supervisor.pool.state import Stage
from corepod.supervisor.pool.turns import LONGEST, UNWANTED
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.supervisor.pool.system import System, running

if TYPE_CHECKING:
    from corepod.supervisor.pool.state import Process

WAITS = "it waits for its turn"


def pool(cores: int = 1, places: int = 1, **more: object) -> System:
    return running(cores, take_turns=places, **more)


def recycle(system: System, number: int = 0, *, urgent: bool = False) -> str:
    """As the look at limits does it, each second."""
    not_now = system.pool.recycle(system.slot(number), "age", "it is old", system.now, urgent=urgent)
    system.tick()
    return not_now


def requests(system: System, process: Process) -> list[TurnRequest]:
    """What it was told, oldest first."""
    return [message for told, message in system.told if told is process and isinstance(message, TurnRequest)]


def grant(system: System, process: Process) -> None:
    """The worker has its turn."""
    system.says(process, TurnAnswer(requests(system, process)[-1].number, ""))


def keep_asking(system: System, seconds: float, number: int = 0) -> str:
    """Each second, until it is replaced or this time has passed. Returns the last answer."""
    for _ in range(int(seconds)):
        if not (why := recycle(system, number)):
            return why
        system.wait(1.0)
    return WAITS


def test_nothing_is_asked_where_the_setting_is_0() -> None:
    system = pool(places=0)
    old = system.worker()
    assert recycle(system) == ""
    assert requests(system, old) == []


def test_a_worker_is_replaced_when_it_has_its_turn() -> None:
    system = pool(places=3)
    old = system.worker()
    assert recycle(system) == WAITS
    assert [request.places for request in requests(system, old)] == [3]
    assert recycle(system) == WAITS
    assert len(requests(system, old)) == 1, "it is asked once"
    grant(system, old)
    assert recycle(system) == ""
    system.settle()
    assert old.stage is Stage.DRAINING or old.pid not in system.pool.processes.living
    # Its process keeps the turn: nobody takes it from a worker that finishes its requests.
    assert [request.places for request in requests(system, old)] == [3]


def test_an_answer_to_an_older_request_is_void() -> None:
    system = pool()
    old = system.worker()
    recycle(system)
    system.says(old, TurnAnswer(requests(system, old)[-1].number - 1, ""))
    assert recycle(system) == WAITS


def test_it_is_said_that_one_waits_and_only_once() -> None:
    system = pool()
    recycle(system)
    assert not system.log.has("waits for its turn")
    keep_asking(system, 30)
    assert sum("waits for its turn" in line for line in system.log.lines) == 1


def test_a_turn_that_never_comes_is_not_waited_for_for_ever() -> None:
    system = pool()
    old = system.worker()
    assert keep_asking(system, LONGEST - 5) == WAITS
    assert system.worker() is old
    assert keep_asking(system, 10) == ""
    assert system.log.has(f"without a turn: none was free for {LONGEST:g} s")


def test_a_state_that_is_unavailable_is_not_waited_for_and_said_once() -> None:
    system = pool()
    for _ in range(2):
        old = system.worker()
        recycle(system)
        system.says(old, TurnAnswer(requests(system, old)[-1].number, "no route to redis"))
        assert recycle(system) == ""
        system.settle()
        assert system.worker() is not old
    assert sum("no route to redis" in line for line in system.log.lines) == 1


def test_that_is_said_again_after_it_was_there() -> None:
    system = pool()
    for answer in ("no route", "", "no route"):
        old = system.worker()
        recycle(system)
        system.says(old, TurnAnswer(requests(system, old)[-1].number, answer))
        assert recycle(system) == ""
        system.settle()
    assert sum("no route" in line for line in system.log.lines) == 2


def test_what_is_urgent_takes_a_turn_and_does_not_wait() -> None:
    system = pool()
    old = system.worker()
    assert recycle(system, urgent=True) == ""
    assert len(requests(system, old)) == 1
    assert system.log.has("without waiting for a turn")


def test_the_turn_of_a_worker_that_stays_is_given_back() -> None:
    system = pool()
    old = system.worker()
    recycle(system)
    grant(system, old)
    assert recycle(system) == ""
    system.fails(system.until(Stage.STARTING))
    assert system.worker() is old
    system.wait(0.1)
    assert [request.places for request in requests(system, old)] == [1, 0]


def test_a_turn_that_nobody_wants_any_more_is_given_back() -> None:
    system = pool()
    old = system.worker()
    recycle(system)
    system.wait(UNWANTED + 1)
    assert [request.places for request in requests(system, old)] == [1, 0]


def test_another_worker_that_is_more_urgent_gets_the_turn() -> None:
    system = pool(2)
    first, second = system.worker(0), system.worker(1)
    recycle(system, 0)
    recycle(system, 1)
    assert [request.places for request in requests(system, first)] == [1, 0]
    grant(system, second)
    assert recycle(system, 1) == ""


def test_a_worker_that_dies_needs_no_turn_for_its_successor() -> None:
    system = pool()
    recycle(system)
    system.dies(system.worker())
    system.settle()
    assert system.worker().stage is Stage.SERVING
    assert requests(system, system.worker()) == []


def test_each_step_of_a_reload_needs_a_turn() -> None:
    for overlap in (True, False):
        system = pool(2, overlap=overlap)
        old = [system.worker(0), system.worker(1)]
        system.pool.request_reload()
        system.settle(quiet=1.5)
        assert [system.worker(0), system.worker(1)] == old
        for worker in old:
            assert worker.stage is Stage.SERVING
            assert len(requests(system, worker)) == 1, "one after the other"
            grant(system, worker)
            system.settle(quiet=1.5)
        assert system.pool.generations.reloads == {"asked": 1, "ended": 1, "failure": ""}


def test_a_reload_goes_on_without_turns_in_the_end() -> None:
    system = pool(2)
    old = {system.worker(0), system.worker(1)}
    system.pool.request_reload()
    system.settle(quiet=LONGEST + 1)
    assert not old & {system.worker(0), system.worker(1)}
    assert system.pool.generations.reloads["ended"] == 1


def test_a_stop_waits_for_no_turn() -> None:
    system = pool()
    recycle(system)
    system.pool.lame(system.now)
    system.pool.drain(5.0, system.now)
    system.settle()
    assert not system.pool.processes.living


MOVES = st.lists(
    st.sampled_from(["recycle", "urgent", "grant", "refuse", "die", "fail", "wait", "reload"]), max_size=40
)


@given(st.integers(1, 3), st.booleans(), MOVES)
@settings(deadline=None)
def test_whatever_happens_the_pool_settles_and_holds_at_most_one_turn(
    cores: int, overlap: bool, moves: list[str]
) -> None:
    """A turn is held by a worker that was asked for one, was not told to give it back, and lives."""
    system = pool(cores, overlap=overlap, crash_budget=(0, 0.0))
    for at, move in enumerate(moves):
        number = at % cores
        worker = system.slot(number).worker
        if move in ("recycle", "urgent"):
            recycle(system, number, urgent=move == "urgent")
        elif move in ("grant", "refuse") and worker is not None and requests(system, worker):
            answer = "" if move == "grant" else "unavailable"
            system.says(worker, TurnAnswer(requests(system, worker)[-1].number, answer))
        elif move == "die" and worker is not None and worker.pid:
            system.dies(worker)
        elif move == "fail" and (starting := system.at(Stage.STARTING)):
            system.fails(starting[0])
        elif move == "reload":
            system.pool.request_reload()
            system.tick()
        else:
            system.wait(1.0)
        serving = [p for slot in system.pool.slots if (p := slot.worker) and p.stage is Stage.SERVING]
        asked = [p for p in serving if (r := requests(system, p)) and r[-1].places]
        assert len(asked) <= 1, "a pool replaces one worker after the other"
    system.settle(quiet=2 * LONGEST)
    for slot in system.pool.slots:
        assert slot.worker is not None
        assert slot.worker.stage is Stage.SERVING
        held = [request.places for request in requests(system, slot.worker)][-1:]
        assert held in ([], [0]), "a turn that nobody needs is given back"
