"""Stories of a template that is slow, hangs, or dies with forks under way, told on a simulated system."""

from __future__ import annotations

import pytest
from corepod.contract.messages import Armed, Failed, Loaded
from corepod.supervisor.pool.generation import CALM, FORKS_AT_ONCE
from corepod.supervisor.pool.state import Stage
from corepod.supervisor.pool.template import FORK_TIMEOUT, PATIENCE

from tests.unit.supervisor.pool.system import System, running


def forking(slots: int) -> System:
    """A pool whose first template has been asked for a worker for each slot."""
    system = System(slots)
    system.says(system.at(Stage.LOADING)[0], Loaded(True, ""))
    assert len(system.forks) == slots
    return system


def orphaned() -> System:
    """A running pool whose worker and standby have died: its template owes a fork."""
    system = running()
    for _ in range(2):
        system.dies(system.worker())
    assert len(system.forks) == 1
    return system


def test_a_long_queue_of_forks_is_no_silence() -> None:
    system = forking(60)
    (template,) = system.at(Stage.TEMPLATE)
    for fork in list(system.forks):
        system.wait(0.9 * PATIENCE)
        system.hello(fork)
        system.says(fork, Armed())
    assert system.now - template.since > FORK_TIMEOUT
    system.settle()
    assert system.at(Stage.TEMPLATE) == [template]
    assert not system.killed
    assert not system.log.has("warning")


def test_a_slot_that_waits_for_a_silent_template_gets_another_one() -> None:
    system = orphaned()
    (silent,), (fork,) = system.at(Stage.TEMPLATE), list(system.forks)
    system.wait(PATIENCE - 0.01)
    assert not system.at(Stage.LOADING)
    system.wait(0.01)
    assert system.log.has("warning the template has not forked for 1.0 s: another one is loaded to take its place")
    (successor,) = system.at(Stage.LOADING)
    assert silent not in system.killed, "it may only be slow"
    system.says(successor, Loaded(True, ""))
    assert silent in system.killed
    assert fork not in system.open
    system.settle()
    assert system.at(Stage.TEMPLATE) == [successor]
    assert system.worker().stage is Stage.SERVING
    assert not system.log.has("is gone")


def test_a_silent_template_may_be_replaced_by_a_process_that_can_not_be_forked() -> None:
    system = orphaned()
    system.wait(PATIENCE)
    (silent,), (successor,) = system.at(Stage.TEMPLATE), system.at(Stage.LOADING)
    system.says(successor, Loaded(False, "2 threads"))
    assert silent in system.killed
    system.settle(forkable=False)
    assert system.worker() is successor
    assert not system.at(Stage.TEMPLATE)


def test_a_template_that_answers_after_all_stays_and_its_successor_goes() -> None:
    system = orphaned()
    (template,) = system.at(Stage.TEMPLATE)
    system.wait(2 * PATIENCE)
    (successor,) = system.at(Stage.LOADING)
    system.hello(system.forks[0])
    system.settle()
    assert successor in system.killed
    assert system.at(Stage.TEMPLATE) == [template]
    assert len(system.pool.workers) == len(system.at(Stage.ARMED)) == 1, "no worker too many"
    assert not system.log.has("ended before it was ready")


def test_a_template_that_has_been_slow_is_given_more_time() -> None:
    system = orphaned()
    system.wait(2 * PATIENCE)
    system.hello(system.forks[0])
    system.settle()
    for _ in range(2):
        system.dies(system.worker())
    system.wait(4 * PATIENCE - 0.01)
    assert not system.at(Stage.LOADING)
    system.wait(0.01)
    assert len(system.at(Stage.LOADING)) == 1


def test_nobody_hurries_a_template_that_owes_the_standby_alone() -> None:
    system = running()
    system.dies(system.worker())
    system.ready(system.worker())
    system.wait(CALM + 5 * PATIENCE)
    (template,) = system.at(Stage.TEMPLATE)
    assert len(system.forks) == 1
    assert not system.at(Stage.LOADING)
    system.dies(system.worker())
    assert len(system.at(Stage.LOADING)) == 1, "now somebody waits, and it has been silent for long"
    assert template not in system.killed


def test_the_time_in_which_the_supervisor_did_not_run_is_not_the_templates() -> None:
    system = orphaned()
    for _ in range(3):
        system.now += 3600.0
        system.tick()
    assert not system.at(Stage.LOADING)
    assert not system.killed.intersection(system.at(Stage.TEMPLATE))
    system.wait(PATIENCE)
    assert len(system.at(Stage.LOADING)) == 1


def test_the_time_in_which_the_supervisor_did_not_run_is_no_candidates_either() -> None:
    system = System(1)
    process = system.until(Stage.ARMING)
    system.now += 3600.0
    system.tick()
    assert process not in system.killed


def test_a_template_that_is_killed_and_does_not_die_does_not_hold_up_a_slot() -> None:
    system = orphaned()
    (template,) = system.at(Stage.TEMPLATE)
    system.loses(template)
    system.now += FORK_TIMEOUT
    system.tick()
    assert template in system.killed
    assert len(system.at(Stage.LOADING)) == 1


def test_forks_whose_template_is_dead_are_not_waited_for() -> None:
    """Their sockets may stay open for a while, in the queue of a process that is being torn down."""
    system = forking(8)
    forks, system.orphans = list(system.forks), True
    system.dies(system.at(Stage.TEMPLATE)[0])
    assert not system.open.intersection(forks)
    assert len(system.at(Stage.LOADING)) == 1
    assert sum("template is gone" in line for line in system.log.lines) == 1


@pytest.mark.parametrize("stage", [Stage.FORKING, Stage.ARMING])
def test_one_cause_counts_once_however_many_forks_it_ends(stage: Stage) -> None:
    system = forking(8)
    forks = list(system.forks)
    if stage is Stage.ARMING:
        for fork in forks:
            system.hello(fork)
    with system.one_step():
        for fork in forks:
            system.loses(fork)
    if stage is Stage.ARMING:
        for fork in forks:
            system.dies(fork)
    assert len(system.forks) == 8, "without a pause"
    system.settle()
    assert not system.log.has("one by one")


def test_forks_that_are_seen_to_end_before_their_template_cost_no_pause() -> None:
    system = forking(8)
    for fork in list(system.forks):
        system.loses(fork)
    system.orphans = True
    system.dies(system.at(Stage.TEMPLATE)[0])
    assert len(system.at(Stage.LOADING)) == 1


def test_imports_that_fail_together_have_failed_once() -> None:
    system = System(8, forkable=False)
    assert len(system.at(Stage.LOADING)) == 8
    with system.one_step():
        for process in system.at(Stage.LOADING):
            system.says(process, Failed("exception", "no database", ""))
            system.dies(process)
    assert system.pool.exit_code is None, "there are two tries left"
    system.settle()
    assert len(system.pool.workers) == 8


def test_everything_that_dies_at_once_is_back_after_one_import() -> None:
    system = running(8)
    with system.one_step():
        for process in list(system.alive.values()):
            system.dies(process)
    assert len(system.at(Stage.LOADING)) == 1
    system.says(system.at(Stage.LOADING)[0], Loaded(True, ""))
    assert len(system.forks) == 8


def test_a_template_is_never_asked_for_more_forks_than_its_queue_holds() -> None:
    system = System(200, records=200)
    system.says(system.at(Stage.LOADING)[0], Loaded(True, ""))
    assert len(system.forks) == FORKS_AT_ONCE
    system.hello(system.forks[0])
    assert len(system.forks) == FORKS_AT_ONCE
    for _ in range(300):
        if system.forks:
            system.hello(system.forks[0])
    assert len(system.at(Stage.ARMING)) == 200
