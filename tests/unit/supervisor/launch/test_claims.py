"""Cores of slots that come and go, and the claims on them. The cores are numbers that no machine has."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from corepod.cpu.claims import CoreClaims, holder
from corepod.cpu.cores import MOST_CORES, Usable
from corepod.supervisor.io.loop import Loop
from corepod.supervisor.launch.placement import Placement
from corepod.supervisor.settings import Settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIRST = 2 * MOST_CORES + 10 * os.getpid()
CORES = (FIRST, FIRST + 1, FIRST + 2)

SQUATTER = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
socks = [socket.socket(socket.AF_UNIX) for _ in sys.argv[1:]]
for sock, core in zip(socks, sys.argv[1:]):
    sock.bind("\\0corepod/core/" + core)
    sock.listen()
print(flush=True)
sys.stdin.read()
"""


@contextmanager
def squatting(*cores: int) -> Iterator[int]:
    """Another user's process holds these cores; its pid."""
    command = [sys.executable, "-c", SQUATTER, *map(str, cores)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corepod.cpu.cores.usable", lambda: Usable(CORES, 3, "three cores", None))
    monkeypatch.setattr("corepod.cpu.pinning.in_container", lambda: False)


@pytest.fixture
def place(loop: Loop) -> Iterator[Callable[..., Placement]]:
    """Makes the placement of a pool, whose cores are given back at the end."""
    made: list[Placement] = []

    def make(workers: int = 1, pin: str = "auto") -> Placement:
        made.append(Placement(Settings({"workers": workers, "pin": pin, "standbys": 1}), loop))
        return made[-1]

    yield make
    for placement in made:
        for core in CORES:
            placement.give_back(core)


def test_a_slot_more_has_a_core_of_its_own_and_one_less_gives_it_back(place: Callable[..., Placement]) -> None:
    placement, other = place(), CoreClaims()
    assert (placement.cores, placement.why_not) == ([FIRST], "")
    assert placement.another([FIRST]) == (FIRST + 1, "")
    assert not other.claim(FIRST + 1)
    placement.give_back(FIRST + 1)
    assert other.claim(FIRST + 1)
    placement.give_back(None)
    assert placement.another([FIRST]) == (FIRST + 2, "")
    assert placement.another([FIRST, FIRST + 2]) == (None, ""), "the other one is a pool's"
    other.release(FIRST + 1)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_slot_more_has_a_squatters_core_where_no_other_is_left(place: Callable[..., Placement]) -> None:
    with squatting(*CORES[1:]) as squatter:
        placement = place()
        core, complaint = placement.another([FIRST])
        assert core == FIRST + 1
        assert complaint.startswith(f"core {core} is claimed by process {squatter} of user nobody, which is no pool")
        placement.give_back(core)  # it was never its own


def test_who_pins_always_or_never_claims_nothing(place: Callable[..., Placement]) -> None:
    assert place(1, "always").another([FIRST]) == (FIRST + 1, "")
    assert place(1, "never").another([None]) == (None, "")
    free = CoreClaims()
    for core in CORES:
        assert free.claim(core)
        free.release(core)


def test_whoever_asks_for_the_owner_of_a_claim_is_let_go_by_the_loop(
    loop: Loop, place: Callable[..., Placement]
) -> None:
    placement = place()
    for _ in range(5000):  # more than the longest queue
        assert holder(FIRST) == (os.getpid(), os.geteuid())
        loop.wait(loop.now())
    placement.give_back(FIRST)
    assert holder(FIRST) is None


def test_in_a_container_cores_that_are_left_are_claimed_again(
    place: Callable[..., Placement], loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a pod's cores change and change back."""
    monkeypatch.setattr("corepod.cpu.pinning.in_container", lambda: True)
    placement, other = place(3), CoreClaims()
    assert placement.cores == list(CORES)
    placement.use(Usable(CORES[:2], 2, "two cores", None))
    assert placement.reassign(list(CORES)) == [None, None, None], "their number differs from that of the slots"
    assert other.claim(FIRST), "who isn't on a core of its own has no claim on one"
    other.release(FIRST)
    placement.use(Usable(CORES, 3, "three cores", None))
    assert placement.reassign([None, None, None]) == list(CORES)


@given(st.lists(st.tuples(st.sets(st.sampled_from(CORES), min_size=1), st.integers(1, 4)), max_size=12), st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_cores_come_and_go_a_claim_has_one_slot(
    place: Callable[..., Placement],
    monkeypatch: pytest.MonkeyPatch,
    changes: list[tuple[set[int], int]],
    data: st.DataObject,
) -> None:
    in_container = data.draw(st.booleans())
    monkeypatch.setattr("corepod.cpu.pinning.in_container", lambda: in_container)
    placement = place(2)
    slots = list(placement.cores)
    for cores, wanted in changes:
        allowed = tuple(sorted(cores))
        placement.use(Usable(allowed, len(allowed), "some", None))
        while len(slots) > wanted:
            placement.give_back(slots.pop())
        while len(slots) < wanted:
            slots.append(placement.another(slots)[0])
        slots = placement.reassign(slots)
        pinned = [core for core in slots if core is not None]
        assert len(pinned) == len(set(pinned)), "two slots on a core"
        assert set(pinned) == set(placement._claims.held) <= cores
    for core in CORES:
        placement.give_back(core)
