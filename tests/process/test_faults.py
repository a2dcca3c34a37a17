"""Faults of the supervisor's own: what it still does then."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

from tests.process.inplace import in_place_of_supervisor
from tests.procfs import alive
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

ONE = ("--workers", "1", "--lame-duck", "0", "--crash-budget", "1000/60")

IN_THE_LOOP = """
from corepod.supervisor import main
from corepod.supervisor import steering
def fault(self, to):
    raise RuntimeError("a bug")
steering.Steering.scale = fault  # what TTIN does
sys.exit(main.main())
"""

IN_A_CALLBACK = """
from corepod.supervisor.admin import status
from corepod.supervisor import main
real, calls = status.PoolStatus.document, []
def fault(self):
    calls.append(1)
    if len(calls) % 2:
        raise RuntimeError("a bug")
    return real(self)
status.PoolStatus.document = fault
from corepod.supervisor.io import relay
readable, lines = relay.Relay._readable, []
def fault(self, mask):
    readable(self, mask)
    lines.append(1)
    if len(lines) == 1:
        raise RuntimeError("another bug")
relay.Relay._readable = fault
sys.exit(main.main())
"""


def test_a_fault_of_the_loop_ends_the_pool_in_order(start: Start) -> None:
    """Told in the log, with the documented code, and nothing is left: whoever started it starts it again."""
    pool = start("ok:app", *ONE, prefix=in_place_of_supervisor(IN_THE_LOOP)).ready()
    grandchild = int(pool.get("/spawn?s=60").text)
    family = pool.family()
    pool.signal(signal.SIGTTIN)
    assert pool.wait() == 1
    assert "ERROR   internal error\n  | Traceback" in pool.log
    assert "RuntimeError: a bug" in pool.log
    assert pool.log.splitlines()[-1].endswith("stopped")
    until(lambda: not any(map(alive, {*family, grandchild})), "everybody gone")


def test_a_fault_of_one_callback_stays_its_own(start: Start) -> None:
    """An answer of the admin port, a worker's line: the pool serves and restarts, and the next one is in order."""
    pool = start("ok:app", *ONE, prefix=in_place_of_supervisor(IN_A_CALLBACK))
    assert pool.admin("/status").status_code == 500
    assert pool.admin("/status").status_code == 200
    assert "RuntimeError: a bug" in pool.log
    until(lambda: pool.admin("/readyz").status_code == 200, "ready")
    worker = int(pool.get("/say?text=first").text)
    pool.until_log("RuntimeError: another bug")
    assert pool.get("/say?text=second").json() == worker
    pool.until_log("\nsecond\n")
    os.kill(worker, signal.SIGKILL)
    until(lambda: "died: signal SIGKILL" in pool.log and pool.get("/pid").json() != worker, "the next worker")
    assert pool.stop() == 0


NOBODY_CAN_BE_KILLED = """
from corepod.supervisor.launch import child
child.Child.signal = lambda self, signum: None
from corepod.supervisor import main
sys.exit(main.main())
"""


def test_what_does_not_end_though_it_is_killed_does_not_keep_the_supervisor(start: Start) -> None:
    """As a process that waits for a dead network file system: whoever has asked for a stop gets it."""
    pool = start("ok:app", *ONE, "--stop-timeout", "0.5", prefix=in_place_of_supervisor(NOBODY_CAN_BE_KILLED)).ready()
    template, family = pool.status()["template"]["pid"], pool.family()
    assert pool.stop() == 0
    assert re.search(
        r"these processes have been killed and don't end, so nobody waits for them: .*\b" + str(template), pool.log
    )
    until(lambda: not any(map(alive, family)), "gone all the same, as what an application leaves behind")
