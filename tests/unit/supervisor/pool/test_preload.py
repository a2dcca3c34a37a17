"""Stories of what workers share: libraries, the application or nothing."""

from __future__ import annotations

import pytest
from corepod.contract.exits import EXIT_BOOT
from corepod.contract.messages import Armed, Imported, Loaded
from corepod.supervisor.pool.backoff import BOOT_TRIES
from corepod.supervisor.pool.generation import ARM_TIMEOUT, CALM
from corepod.supervisor.pool.state import Stage

from tests.unit.supervisor.pool.system import System, running


def test_a_fork_of_the_libraries_imports_the_application_before_it_is_armed() -> None:
    system = System(1, preload="libraries")
    system.says(system.at(Stage.LOADING)[0], Loaded(True, ""))
    fork = system.forks[0]
    system.hello(fork)
    assert system.at(Stage.IMPORTING) == [fork]
    system.says(fork, Imported())
    assert system.at(Stage.ARMING) == [fork]
    system.says(fork, Armed())
    assert system.worker() is fork


def test_an_import_in_a_fork_may_take_as_long_as_it_likes_and_its_warm_up_may_not() -> None:
    system = System(1, preload="libraries")
    fork = system.until(Stage.IMPORTING)
    system.wait(ARM_TIMEOUT * 20)
    assert fork not in system.killed
    system.says(fork, Imported())
    system.wait(ARM_TIMEOUT)
    assert fork in system.killed


def test_an_application_that_cannot_be_imported_any_more_does_not_end_forking() -> None:
    system = running(2, preload="libraries")
    system.dies(system.worker(0))
    for _ in range(5):
        system.fails(system.until(Stage.IMPORTING))
    assert system.pool.exit_code is None, "the other slot serves"
    system.settle()
    assert len(system.at(Stage.TEMPLATE)) == 1
    assert not system.log.has("one by one")


def test_imports_that_fail_side_by_side_count_once() -> None:
    system = System(8, preload="libraries")
    for number in range(BOOT_TRIES):
        assert system.pool.exit_code is None, f"{number} tries"
        system.until(Stage.FORKING)
        while system.forks:
            system.hello(system.forks[0])
        importing = system.at(Stage.IMPORTING)
        assert len(importing) == 8
        for process in importing:
            if system.pool.exit_code is None:
                system.fails(process)
    assert system.pool.exit_code == EXIT_BOOT


def test_forks_that_die_in_their_import_end_forking() -> None:
    system = System(1, preload="libraries")
    for _ in range(BOOT_TRIES):
        system.dies(system.until(Stage.IMPORTING))
    system.wait(5.0)
    assert system.log.has("3 forks in a row didn't get ready")
    system.settle(forkable=False)
    assert system.worker().stage is Stage.SERVING


def test_forks_without_the_memory_for_their_import_end_forking_and_not_the_pool() -> None:
    """They have the template's limits; executed processes have the supervisor's."""
    system = System(1, preload="libraries")
    for _ in range(BOOT_TRIES):
        system.fails(system.until(Stage.IMPORTING), "memory")
    system.wait(5.0)
    assert system.pool.exit_code is None
    assert system.log.has("3 forks in a row didn't get ready")
    system.settle(forkable=False)
    assert system.worker().stage is Stage.SERVING


@pytest.mark.parametrize("kind", ["exception", "memory"])
def test_a_live_standby_whose_import_fails_has_no_failing_lifespan(kind: str) -> None:
    system = running(standby="live", preload="libraries")
    system.dies(system.worker())
    for _ in range(BOOT_TRIES):
        system.fails(system.until(Stage.IMPORTING), kind)
    assert not system.log.has("lifespan keeps failing")


@pytest.mark.parametrize("preload", ["application", "nothing"])
def test_without_libraries_to_share_no_fork_imports_anything(preload: str) -> None:
    system = running(2, preload=preload)
    assert not system.at(Stage.IMPORTING)
    assert len(system.at(Stage.TEMPLATE)) == (preload == "application")


def test_nothing_shared_is_no_surprise_that_the_log_should_tell() -> None:
    system = running(2, preload="nothing")
    assert not system.log.has("one by one")
    system.dies(system.worker())
    system.wait(CALM)
    assert not system.forks
    system.settle()
    assert len(system.at(Stage.ARMED)) == 1


def test_a_new_load_of_code_that_cannot_be_imported_in_its_workers_is_given_up() -> None:
    system = running(2, preload="libraries")
    old = [system.worker(n) for n in (0, 1)]
    system.pool.request_reload()
    system.tick()
    for _ in range(BOOT_TRIES):
        process = system.until(Stage.IMPORTING)
        system.fails(process)
    assert system.log.has("reload aborted")
    system.settle()
    assert [system.worker(n) for n in (0, 1)] == old
