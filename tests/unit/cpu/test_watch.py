"""That other cores may be used is noticed, and followed when it lasts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from corepod.cpu.watch import Allowance, Settled
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_affinity_and_quota_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/shop\n")
    mount = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
    (tmp_path / "proc/self/mountinfo").write_text(mount)
    group = tmp_path / "sys/fs/cgroup/shop"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text("200000 100000\n")
    allowance = Allowance(str(tmp_path))
    first = allowance.look()
    assert allowance.look() == first
    (group / "cpu.max").write_text("100000 100000\n")
    second = allowance.look()
    assert second != first
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {77})
    third = allowance.look()
    assert third != second
    other = tmp_path / "sys/fs/cgroup/other"
    other.mkdir()
    (other / "cpu.max").write_text("max 100000\n")
    (tmp_path / "proc/self/cgroup").write_text("0::/other\n")
    assert allowance.look() != third, "it has been moved to another group"


def test_nothing_there_to_look_at(tmp_path: Path) -> None:
    assert Allowance(str(tmp_path)).look() == Allowance(str(tmp_path)).look()


def test_a_value_has_to_hold() -> None:
    settled = Settled(4, 3.0)
    assert not settled.see(2, 10.0)
    assert settled.due == 13.0
    assert not settled.see(2, 12.0)
    assert settled.see(2, 13.0)
    assert settled.see(2, 14.0), "until it is accepted"
    settled.accept()
    assert settled.due is None
    assert not settled.see(2, 15.0)


def test_a_value_that_comes_back_was_never_another() -> None:
    settled = Settled(4, 3.0)
    for now in range(100):
        assert not settled.see(4 - now % 2, float(now)), "it flaps"
    assert not settled.see(4, 200.0)
    assert settled.due is None


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0.01, 5.0)), max_size=100))
def test_no_more_changes_than_the_time_allows(looks: list[tuple[int, float]]) -> None:
    settled, now, accepted = Settled(0, 3.0), 0.0, 0
    for value, passed in looks:
        now += passed
        if settled.see(value, now):
            settled.accept()
            assert settled.value == value
            accepted += 1
    assert accepted <= now / 3.0
