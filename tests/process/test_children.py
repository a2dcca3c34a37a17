"""Processes that the application starts in a worker: what they keep of it, and when they end."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest
from corepod.contract.stacks import STACKS_SIGNAL, STALL_SIGNAL

from tests import procfs
from tests.process.traffic import end_all_but, workers
from tests.procfs import alive, comm
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

QUICK = ("--workers", "1", "--pin", "never", "--crash-budget", "1000/60")
IN_THE_GROUP = ("/forked", "/executed", "/spawned")


@pytest.mark.parametrize("standby", ["armed", "none"])
def test_a_worker_leads_a_group_of_its_own(start: Start, standby: str) -> None:
    pool = start("children:app", *QUICK, "--standby", standby).ready()
    for _ in range(2):
        worker = pool.slot()["pid"]
        assert os.getpgid(worker) == worker
        assert os.getsid(worker) == os.getsid(pool.supervisor)
        pool.kill_worker()


@pytest.mark.parametrize("path", IN_THE_GROUP)
def test_children_end_with_a_worker_that_is_killed(start: Start, path: str) -> None:
    pool = start("children:app", *QUICK).ready()
    child = pool.get(path).json()
    assert alive(child)
    pool.kill_worker()
    until(lambda: not alive(child), "the child gone")
    assert len(workers(pool.ready())) == 1


def test_children_end_with_a_worker_that_crashes(start: Start) -> None:
    pool = start("children:app", *QUICK).ready()
    for restarts, (path, how) in enumerate((("/forked", "/segfault"), ("/executed", "/exit?code=3")), start=1):
        child = pool.get(path).json()
        with pytest.raises(OSError, match=r".*"):
            socket_ask(pool, how)
        pool.until_restarts(restarts)
        until(lambda child=child: not alive(child), "the child gone")  # type: ignore[misc]


def socket_ask(pool: Pool, path: str) -> None:
    """Raises OSError where the connection ends without an answer."""
    with socket.create_connection(("127.0.0.1", pool.port), timeout=30) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        if not sock.recv(100):
            raise ConnectionResetError("no answer")


@pytest.mark.parametrize("path", ["/executed", "/daemon"])
def test_children_of_a_worker_that_ends_in_order_are_the_applications(start: Start, path: str) -> None:
    """A job that a request has started goes on in a reload, and the pool ends it when it ends itself."""
    pool = start("children:app", *QUICK).ready()
    child, worker = pool.get(path).json(), pool.slot()["pid"]
    # Its hooks may not have run yet when the parent answers, and what is named like the pool's own isn't told of.
    until(lambda: not comm(child).startswith("corepod"), "a name of its own")
    pool.signal(signal.SIGHUP)
    pool.until_log("reload: done")
    until(lambda: not alive(worker), "the old worker gone")
    assert alive(child)
    assert pool.stop() == 0
    assert not alive(child)
    assert "killed 1 process(es) that the application had left behind" in pool.log


def test_a_child_that_has_left_the_group_outlives_a_crash(start: Start) -> None:
    pool = start("children:app", *QUICK).ready()
    child = pool.get("/daemon").json()
    pool.kill_worker()
    assert alive(child)
    assert pool.stop() == 0
    assert not alive(child)


@pytest.mark.parametrize("path", [*IN_THE_GROUP, "/daemon"])
def test_children_do_not_keep_the_port(start: Start, path: str) -> None:
    """Not even where the supervisor can't end them."""
    pool = start("children:app", *QUICK).ready()
    child = pool.get(path).json()
    # Its hooks may not have run yet when the parent answers.
    until(lambda: not comm(child).startswith("corepod"), "a name of its own")
    end_all_but(pool, child)


def test_a_stop_of_a_child_is_the_childs(start: Start) -> None:
    pool = start("children:app", *QUICK).ready()
    worker = pool.slot()["pid"]
    for _ in range(5):
        assert pool.get("/terminated").json() == -signal.SIGTERM
    child = pool.get("/forked").json()
    # Its hooks may not have run yet when the parent answers.
    own = {signal.SIGINT, STACKS_SIGNAL, STALL_SIGNAL}  # the last two do nothing in it; without them they would end it
    until(lambda: procfs.signals(child, "SigCgt") == own, "handlers of its own")
    for signum in (STACKS_SIGNAL, STALL_SIGNAL):
        os.kill(child, signum)
    until(lambda: not procfs.signals(child, "ShdPnd"), "the signals delivered")
    assert alive(child)
    assert pool.get("/pid").json() == worker
    assert pool.stop() == 0
    assert "died" not in pool.log


def test_pools_of_processes_in_a_wsgi_application(start: Start) -> None:
    pool = start("children:wsgi", *QUICK).ready()
    worker = pool.get("/").text
    for _ in range(8):
        assert pool.get("/pool").text == worker
    assert pool.slot()["restarts"] == 0


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_processes_of_the_standard_library(start: Start, method: str) -> None:
    pool = start("children:app", *QUICK).ready()
    for _ in range(2):
        assert pool.get(f"/pooled?method={method}").json() == [0, -1, -2] * 2
    assert pool.slot()["restarts"] == 0
    assert pool.stop() == 0
