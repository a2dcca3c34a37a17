"""How many slots a pool has on a machine, and what it needs for them."""

from __future__ import annotations

import gc
import os
import resource
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.exits import EXIT_SETTINGS
from corepod.contract.scoreboard import RECORDS
from corepod.supervisor.io.loop import Loop
from corepod.supervisor.launch.placement import MOST_SLOTS, Placement
from corepod.supervisor.launch.sockets import StartError
from corepod.supervisor.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def limit() -> Iterator[None]:
    """The limit of open files is as before when the test ends."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def place(**settings: Any) -> Placement:
    return Placement(Settings({"workers": "auto", "pin": "never", "standbys": 1, **settings}), Loop())


@pytest.mark.usefixtures("limit")
@pytest.mark.parametrize(("cores", "slots"), [(300, 300), (512, 512), (513, 512), (1000, 512)])
def test_auto_is_a_slot_for_each_core_up_to_the_greatest_number(
    monkeypatch: pytest.MonkeyPatch, cores: int, slots: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)))
    monkeypatch.setattr("corepod.cpu.cores.read", lambda path: "")
    place_ = place()
    assert len(place_.cores) == slots
    assert place_.capped == (
        f"{cores} cores are usable, and a pool has at most {MOST_SLOTS} workers" if cores > slots else ""
    )


def test_more_workers_than_a_pool_has_room_for_are_an_error() -> None:
    with pytest.raises(StartError, match="513 workers are asked for, but a pool has 512 at most") as error:
        place(workers=513)
    assert error.value.code == EXIT_SETTINGS


def test_all_workers_of_a_reload_have_a_record() -> None:
    assert RECORDS >= 2 * MOST_SLOTS


@pytest.mark.usefixtures("limit")
def test_the_limit_of_open_files_is_raised_as_far_as_needed() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    place(workers=1)  # what it opens for the first time, it opens before the limit is low
    gc.collect()  # other tests may have left open descriptors, and the greatest number counts
    few = max(map(int, os.listdir("/proc/self/fd"))) + 50
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    place(workers=100)
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert few < soft
    assert 8 * 100 < soft < 16 * 100
    small = place(workers=10)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == soft, "never lowered"
    small.make_room(200)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 8 * 200, "slots that come later need it, too"


@pytest.mark.usefixtures("limit")
def test_a_limit_that_can_not_be_raised_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (1024, 4096))
    with pytest.raises(StartError, match=r"4096 open files is too low for 512 worker.*at least 5683 are needed"):
        place(workers=512)
