"""More than one process is gone, or the template doesn't do its part: how soon somebody answers again."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.process.harness import APPS
from tests.process.inplace import in_place_of_supervisor
from tests.process.traffic import ask, standby
from tests.procfs import alive, descendants
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

FLAGS = ("--pin", "never", "--crash-budget", "1000/60")
LIMITS = """
from corepod.supervisor.pool import template
template.PATIENCE, template.FORK_TIMEOUT = {}, {}
from corepod.supervisor.main import main
sys.exit(main())
"""
HANGS_AFTER = 100.0  # seconds: more than it may take on a busy machine to load another template
HUNG = f"it has not forked for {HANGS_AFTER:g} s"
REPLACED_SOON = in_place_of_supervisor(LIMITS.format(1.0, HANGS_AFTER))
NOT_REPLACED = in_place_of_supervisor(LIMITS.format(HANGS_AFTER, HANGS_AFTER))


def kill(*pids: int, signum: int = signal.SIGKILL) -> None:
    for pid in pids:
        os.kill(pid, signum)


def template(pool: Pool) -> int:
    pid: int | None = pool.status()["template"]["pid"]
    assert pid is not None
    return pid


def leave_nobody(pool: Pool) -> None:
    """End the workers and what takes their places, until every slot waits for the template, which doesn't fork."""
    # As the supervisor says: between a death and the start of the next one the kernel shows none.
    while pids := in_slots(pool):
        kill(*pids)
        until(lambda pids=pids: not pids & in_slots(pool), "seen")  # type: ignore[misc]


def in_slots(pool: Pool) -> set[int]:
    return {slot["pid"] for slot in pool.status()["slots"] if slot["pid"]}


def test_a_template_that_is_stopped_is_replaced_while_a_slot_waits(start: Start) -> None:
    """It isn't killed before another one is loaded: a template that is merely slow goes on."""
    pool = start("ok:app", "--workers", "1", *FLAGS, prefix=REPLACED_SOON).ready()
    stopped = template(pool)
    standby(pool)
    kill(stopped, signum=signal.SIGSTOP)
    leave_nobody(pool)
    assert ask(pool.port, "/pid").isdigit()
    until(lambda: not alive(stopped), "the template that was stopped gone")
    assert f"pid {stopped}] the template has not forked for " in pool.log
    assert HUNG not in pool.log
    assert template(pool.ready()) != stopped
    kill(pool.slot()["pid"])
    assert ask(pool.port, "/pid").isdigit()
    pool.ready()
    until(lambda: len(descendants(pool.supervisor)) == 3, "template, worker, standby")


def test_a_template_that_dies_with_forks_outstanding_has_failed_once(start: Start) -> None:
    pool = start("ok:app", "--workers", "4", *FLAGS, prefix=NOT_REPLACED).ready()
    old = template(pool)
    kill(old, signum=signal.SIGSTOP)
    leave_nobody(pool)
    kill(old)
    assert ask(pool.port, "/pid").isdigit()
    pool.ready()
    assert pool.log.count("the template is gone") == 1
    assert "is started in " not in pool.log, "there was no pause"
    assert "one by one" not in pool.log


def test_all_children_die_at_once(start: Start) -> None:
    """As `pkill -9 -P` does it, or the kernel, which ends a whole control group for its memory."""
    pool = start("ok:app", "--workers", "4", *FLAGS).ready()
    for _ in range(3):
        children = [pid for pid in descendants(pool.supervisor) if alive(pid)]
        for pid in children:
            with contextlib.suppress(ProcessLookupError):  # one that only forks another ends by itself
                kill(pid)
        assert ask(pool.port, "/pid").isdigit()
        until(lambda children=children: not any(map(alive, children)), "gone")  # type: ignore[misc]
        pool.ready()
    assert "one by one" not in pool.log
    assert pool.stop() == 0


def test_forks_that_a_limit_of_the_template_kills_do_not_keep_a_slot_empty(start: Start, tmp_path: Path) -> None:
    """Its forks inherit the limit and can't allocate anything; executed processes have the supervisor's."""
    # From its source: with bytecode, the import may fit into what is free already, and the worker then can't read.
    shutil.copy(APPS / "ok.py", tmp_path / "source.py")
    env = {"PYTHONDONTWRITEBYTECODE": "1"}
    pool = start("source:app", "--workers", "1", *FLAGS, cwd=tmp_path, env=env).ready()
    resource.prlimit(template(pool), resource.RLIMIT_AS, (1 << 20, 1 << 20))
    for _ in range(2):
        kill(pool.slot()["pid"])
        # One that has got as far as accepting this may run out of memory then.
        until(lambda: ask(pool.port, "/pid").isdigit(), "an answer")
    pool.ready()
    for _ in range(3):
        kill(pool.slot()["pid"])
        assert ask(pool.port, "/pid").isdigit()


def test_several_standbys_are_kept(start: Start) -> None:
    pool = start("ok:app", "--workers", "1", "--standbys", "3", *FLAGS).ready()
    until(lambda: pool.status()["standby"]["count"] == 3, "three standbys")
    assert pool.status()["standby"] == {"mode": "armed", "ready": True, "count": 3, "wanted": 3}
    assert "corepod_standbys 3\n" in pool.admin("/metrics").text
    ready = set(descendants(pool.supervisor)) - {template(pool), pool.slot()["pid"]}
    for _ in range(3):
        kill(pool.slot()["pid"])
        assert int(ask(pool.port, "/pid")) in ready
    until(lambda: pool.status()["standby"]["count"] == 3, "three standbys again")


def test_a_death_after_the_response_loses_no_request(start: Start) -> None:
    pool = start("dies_after_answer:app", "--workers", "1", *FLAGS).ready()
    assert pool.get("/after").text == "done"
    slot = pool.until_restarts(1)
    assert slot["lost"] == 0
    pool.until_log("died: exit code 0")
    assert "lost" not in pool.log
    with pytest.raises(httpx.TransportError):
        pool.get("/before")
    assert pool.until_restarts(2)["lost"] == 1
    assert "; lost 1 in flight: GET /before" in pool.log


def test_a_pool_that_gives_up_after_exits_with_0_does_not_exit_with_0(start: Start) -> None:
    """`restartPolicy: OnFailure` would take that for a success."""
    pool = start("dies_after_answer:app", "--workers", "1", "--crash-budget", "1/60", "--exit-code", "worker").ready()
    pool.get("/after")
    pool.until_restarts(1)
    pool.get("/after")
    assert pool.wait() == 5
