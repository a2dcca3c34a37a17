"""A slot's worker is replaced by a new one of the same code, because somebody asks for it."""

from __future__ import annotations

from corepod.supervisor.pool.state import EXITS_KEPT, Stage

from tests.unit.supervisor.pool.system import System, running


def restart(system: System, number: int = 0) -> str:
    why = system.pool.restart(system.slot(number), "it was asked for", system.now)
    system.settle()
    return why


def test_the_new_worker_takes_over_and_nothing_has_died() -> None:
    system = running(2)
    old, other = system.worker(0), system.worker(1)
    assert restart(system) == ""
    assert system.worker(0) is not old
    assert system.worker(1) is other
    assert old.stage is Stage.DRAINING
    assert (system.slot(0).restarts, system.slot(0).reasons) == (0, {})


def test_without_overlap_the_old_one_goes_first() -> None:
    system = running(1, overlap=False)
    old = system.worker(0)
    system.pool.restart(system.slot(0), "it was asked for", system.now)
    assert old.stage is Stage.DRAINING
    assert system.slot(0).worker is None


def test_one_at_a_time_in_a_slot() -> None:
    system = running(1)
    system.pool.restart(system.slot(0), "it was asked for", system.now)
    assert "already" in system.pool.restart(system.slot(0), "again", system.now)


def test_not_in_a_reload_and_not_in_a_stop() -> None:
    system = running(1)
    system.pool.request_reload()
    system.tick()
    assert "reload" in system.pool.restart(system.slot(0), "it was asked for", system.now)
    system.settle()
    system.pool.lame()
    assert "stopping" in system.pool.restart(system.slot(0), "it was asked for", system.now)


def test_a_slot_that_was_given_up_gets_a_worker() -> None:
    system = running(2, crash_budget=(1, 60.0))
    for _ in range(2):
        system.dies(system.worker(0))
        system.settle()
    assert system.slot(0).failed
    assert restart(system) == ""
    assert system.worker(0).stage is Stage.SERVING


def test_a_standby_that_dies_as_it_takes_its_place_is_followed_by_another() -> None:
    """Before its first tick, which proves nothing against the code: the slot still is to get a new worker."""
    system = running(1)
    old = system.worker(0)
    system.pool.restart(system.slot(0), "it was asked for", system.now)
    system.tick()
    incoming = system.slot(0).incoming
    assert incoming is not None
    system.dies(incoming)
    assert system.log.has("the standby ended before it could take its place")
    assert system.worker(0) is old
    system.settle()
    assert system.worker(0) not in (old, incoming)
    assert system.worker(0).stage is Stage.SERVING


def test_each_end_is_remembered_and_the_latest_are_kept() -> None:
    system = running(1)
    system.dies(system.worker(0))
    system.settle()
    for _ in range(EXITS_KEPT):
        assert restart(system) == ""
        system.wait(60.0)
    exits = list(system.slot(0).exits)
    assert len(exits) <= EXITS_KEPT
    assert [end["worker"] for end in exits] == sorted(end["worker"] for end in exits)
    assert exits[-1]["asked"]
