"""The public functions and names of `corepod`: `set_ready`, `this_worker`, and what importing it costs."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import corepod
import pytest
from corepod.contract.messages import PACKET, Message, Readiness, decode
from corepod.worker.application import api
from corepod.worker.control import Control

if TYPE_CHECKING:
    from collections.abc import Iterator

IN_USE = """
import json, sys
import corepod
at_import = sorted(name for name in ("typing", "corepod.worker") if name in sys.modules)
from corepod import Worker
def name(worker: Worker | None) -> str:
    return f"{worker.slot}" if isinstance(worker, Worker) else "none"
print(json.dumps([at_import, name(corepod.this_worker()), name(Worker(4, 1, None, 0, 7)), "hypercorn" in sys.modules]))
"""


def test_the_type_costs_nothing_before_it_is_used() -> None:
    """PID 1 imports `corepod`, and must not import typing; applications get the server from their worker alone."""
    answer = subprocess.check_output([sys.executable, "-S", "-c", IN_USE], env={"PYTHONPATH": ":".join(sys.path)})
    assert json.loads(answer) == [[], "none", "4", False]


def test_public_names() -> None:
    found: dict[str, Any] = {}
    exec("from corepod import *", found)
    assert set(corepod.__all__) <= set(found)
    with pytest.raises(AttributeError, match="no attribute 'worker_of_the_month'"):
        _ = corepod.worker_of_the_month  # type: ignore[attr-defined]


def test_a_worker_is_frozen_and_a_mapping_is_made_of_it() -> None:
    worker = corepod.Worker(slot=0, worker=3, core=1, restarts=2, pid=4711)
    with pytest.raises(AttributeError):
        worker.slot = 1  # type: ignore[misc]
    assert worker._asdict() == {"slot": 0, "worker": 3, "core": 1, "restarts": 2, "pid": 4711}


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Control, socket.socket]]:
    """The two ends of a control socket; the worker isn't one yet."""
    for name, value in (("_control", None), ("_worker", None), ("_reasons", {})):
        monkeypatch.setattr(api, name, value)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control = Control(theirs.detach())
    ours.settimeout(20)
    yield control, ours
    control.close()
    ours.close()


def heard(sock: socket.socket) -> list[Message]:
    sock.setblocking(False)
    found: list[Message] = []
    try:
        while True:
            found.append(decode(sock.recv(PACKET)))
    except BlockingIOError:
        return found


def test_set_ready(supervisor: tuple[Control, socket.socket]) -> None:
    control, sock = supervisor
    assert corepod.this_worker() is None
    corepod.set_ready(False, "warming")  # at import, before there is a worker
    assert heard(sock) == []
    api.join_pool(corepod.Worker(0, 1, None, 0, 4711), control)
    assert heard(sock) == [Readiness(False, "warming")]
    assert corepod.this_worker() == corepod.Worker(slot=0, worker=1, core=None, restarts=0, pid=4711)
    corepod.set_ready(False, "warming")  # no news
    corepod.set_ready(True)
    corepod.set_ready(True)
    corepod.set_ready(False)
    assert heard(sock) == [Readiness(True, ""), Readiness(False, "not ready")]


def test_two_voices(supervisor: tuple[Control, socket.socket]) -> None:
    control, sock = supervisor
    api.join_pool(corepod.Worker(0, 1, None, 0, 4711), control)
    api.report_ready_path("/ready answered 503")
    corepod.set_ready(False, "busy")
    api.report_ready_path("")
    corepod.set_ready(True)
    assert heard(sock) == [
        Readiness(False, "/ready answered 503"),
        Readiness(False, "/ready answered 503; busy"),
        Readiness(False, "busy"),
        Readiness(True, ""),
    ]


def test_set_ready_in_a_thread_while_the_loop_reports(supervisor: tuple[Control, socket.socket]) -> None:
    """Both may report at once; the last report of each holds."""
    control, sock = supervisor
    api.join_pool(corepod.Worker(0, 1, None, 0, 4711), control)
    threads = [
        threading.Thread(target=lambda say=say: [say(n) for n in range(50)])
        for say in (lambda n: api.set_ready(bool(n % 2)), lambda n: api.report_ready_path("" if n % 2 else "no"))
    ]
    collected: list[Any] = []
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        collected += heard(sock)
    collected += heard(sock)
    assert collected[-1] == Readiness(True, "")
