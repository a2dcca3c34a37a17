"""Under a service manager: its protocol of readiness, its watchdog and its sockets. The manager is a real datagram
socket, and the real systemd-socket-activate."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.process.harness import APPS, CLIENT
from tests.process.inplace import in_place_of_supervisor
from tests.process.traffic import held_ports
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

QUICK = ("--workers", "1", "--pin", "never", "--lame-duck", "0", "--standby", "none", "--control", "none")


class Manager:
    """What systemd has at the other end: the messages so far, and when each of them came."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)
        self.messages: list[str] = []

    def take(self) -> list[str]:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.messages.append(self._socket.recv(4096).decode())
        return self.messages

    def until(self, text: str, after: int = 0) -> int:
        """Wait for a message with this text; returns the number of messages up to it."""

        def found() -> int:
            return next((at for at, m in enumerate(self.take()[after:], after + 1) if text in m), 0)

        # The first one comes when the application has been loaded, after a reload once more.
        return until(found, lambda: f"{text!r} after {after} messages in {self.messages}", 2 * DEADLINE)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@corepod-test-{os.getpid()}-{tmp_path.name}"
    manager = Manager(address)
    yield manager
    manager.close()


def test_start_reload_and_stop_are_told(start: Start, manager: Manager) -> None:
    pool = start("ok:app", *QUICK, env={"NOTIFY_SOCKET": manager.address})
    ready = manager.until("READY=1")
    assert pool.get("/pid").status_code == 200
    assert not any("READY" in message for message in manager.messages[: ready - 1])
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    pool.signal(signal.SIGHUP)
    begun = manager.until("RELOADING=1", ready)
    assert dated(manager, begun) >= before  # systemd takes an older one for the answer to an earlier request
    ended = manager.until("READY=1", begun)
    assert "reload: done" in pool.log
    assert pool.stop() == 0
    assert manager.until("STOPPING=1", ended)


# The supervisor, which is held up in front of taking its signals while there is a file.
HELD_UP = """
import os, time
from corepod.supervisor.io.loop import Loop
take = Loop.pop_signals

def held_up(loop):
    while os.path.exists({flag!r}):
        open({here!r}, "w").close()
        time.sleep(0.01)
    return take(loop)

Loop.pop_signals = held_up
from corepod.supervisor.main import main
sys.exit(main())
"""


def test_a_reload_is_never_dated_before_it_was_asked_for(start: Start, manager: Manager, tmp_path: Path) -> None:
    """However long the supervisor doesn't get a core between its look at the clock and that at its signals."""
    flag, here = tmp_path / "flag", tmp_path / "here"
    code = HELD_UP.format(flag=str(flag), here=str(here))
    env = {"NOTIFY_SOCKET": manager.address}
    pool = start("ok:app", *QUICK, env=env, prefix=in_place_of_supervisor(code))
    ready = manager.until("READY=1")
    flag.touch()
    pool.signal(signal.SIGWINCH)  # wakes it, and means nothing
    until(here.exists, "the supervisor is held up")
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    pool.signal(signal.SIGHUP)
    flag.unlink()
    assert dated(manager, manager.until("RELOADING=1", ready)) >= before
    assert manager.until("READY=1", ready)


def dated(manager: Manager, count: int) -> int:
    """The time in the last of so many messages, in microseconds."""
    stamp = re.search(r"MONOTONIC_USEC=(\d+)", manager.messages[count - 1])
    assert stamp
    return int(stamp[1])


def test_a_reload_that_fails_ends_and_the_status_says_so(start: Start, manager: Manager, tmp_path: Path) -> None:
    served = tmp_path / "served.py"
    served.write_text("from ok import app\n")
    env = {"NOTIFY_SOCKET": manager.address, "PYTHONPATH": str(APPS), "PYTHONDONTWRITEBYTECODE": "1"}
    pool = start("served:app", *QUICK, cwd=tmp_path, env=env)
    ready = manager.until("READY=1")
    served.write_text("raise RuntimeError('broken release')\n")
    pool.signal(signal.SIGHUP)
    begun = manager.until("RELOADING=1", ready)
    ended = manager.until("READY=1", begun)
    assert "the last reload failed" in manager.messages[ended - 1]
    assert pool.get("/pid").status_code == 200


def test_a_pool_that_fails_to_start_is_never_ready(start: Start, manager: Manager) -> None:
    pool = start("boot_error:app", *QUICK, env={"NOTIFY_SOCKET": manager.address})
    assert pool.wait(2 * DEADLINE) == 3
    assert manager.take()
    assert not any("READY=1" in message for message in manager.messages)


def test_the_watchdog_is_fed_by_the_loop(start: Start, manager: Manager) -> None:
    """A supervisor that is stopped, as one that is wedged, feeds it no more."""
    pool = start("ok:app", *QUICK, env={"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "200000"})
    seen = manager.until("READY=1")
    for _ in range(3):
        seen = manager.until("WATCHDOG=1", seen)
    pool.signal(signal.SIGSTOP)
    try:
        until(lambda: stopped(pool.process.pid), "the supervisor stopped")
        silent = len(manager.take())
        time.sleep(0.5)
        assert len(manager.take()) == silent
    finally:
        pool.signal(signal.SIGCONT)
    manager.until("WATCHDOG=1", silent)


def stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


def test_a_watchdog_of_another_process_is_not_fed(start: Start, manager: Manager) -> None:
    variables = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"}
    pool = start("ok:app", *QUICK, env=variables)
    manager.until("READY=1")
    assert pool.stop() == 0
    manager.until("STOPPING=1")
    assert not any("WATCHDOG" in message for message in manager.messages)


def test_the_application_inherits_nothing_of_the_manager(start: Start, manager: Manager) -> None:
    variables = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "60000000", "LISTEN_PID": "1", "LISTEN_FDS": "1"}
    pool = start("ok:app", *QUICK, env={**variables, "KEPT_ALL_THE_SAME": "1"})
    manager.until("READY=1")
    seen = json.loads(pool.get("/env").text)
    assert "KEPT_ALL_THE_SAME" in seen
    assert not {name for name in seen if name.startswith(("NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_"))}


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="needs systemd-socket-activate")
def test_the_request_that_activates_the_socket_is_answered(tmp_path: Path) -> None:
    corepod = [sys.executable, "-m", "corepod", "run", "ok:app", *QUICK, "--admin", "none"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    variables = ["-E", "PYTHONPATH", "-E", "PATH"]
    with held_ports(1) as (port,), (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            ["systemd-socket-activate", *variables, "-l", f"127.0.0.1:{port}", *corepod],
            cwd=APPS,
            env=environment,
            stderr=log,
        )
        try:

            def listens() -> bool:
                return "Listening on" in (tmp_path / "log").read_text() or process.poll() is not None

            until(listens, "systemd-socket-activate listens")
            found = CLIENT.get(f"http://127.0.0.1:{port}/env?prefix=LISTEN", timeout=2 * DEADLINE)
            assert (found.status_code, found.json()) == (200, {})
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                assert process.wait(DEADLINE) == 0, (tmp_path / "log").read_text()
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
