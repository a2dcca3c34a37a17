"""Where a pool listens and as whom it serves; what the queue holds while nobody takes from it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import stat
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.process.anotheruser import python_of
from tests.process.traffic import Queued
from tests.procfs import alive, command
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

ONE = ("--workers", "1", "--lame-duck", "0", "--crash-budget", "1000/60")


def over_unix(path: Path, target: str = "/pid") -> Any:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), timeout=DEADLINE) as client:
        return client.get(f"http://localhost{target}").json()


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(path)) == 0


def test_several_addresses(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    more = ("--bind", "[::1]:0", "--bind", f"unix:{path}", "--bind", "127.0.0.2:0")
    pool = start("ok:app", *ONE, *more).ready()
    pid = pool.slot()["pid"]
    assert pool.get("/pid").json() == pid
    v4, v6, unix, other = pool.status()["binds"]
    assert unix == f"unix:{path}"
    for address in (v4, v6, other):
        assert httpx.get(f"http://{address}/pid", timeout=DEADLINE).json() == pid
    assert over_unix(path) == pid
    os.kill(pid, signal.SIGKILL)
    pool.until_restarts(1)
    for address in (v4, v6, other):
        assert httpx.get(f"http://{address}/pid", timeout=DEADLINE).json() == pool.slot()["pid"]
    assert over_unix(path) == pool.slot()["pid"]


def test_unix_sockets(start: Start, tmp_path: Path) -> None:
    path, admin = tmp_path / "app.sock", tmp_path / "admin.sock"
    flags = ("--bind", f"unix:{path}", "--admin", f"unix:{admin}", "--socket-mode", "660")
    first = start("ok:app", *ONE, *flags)
    until(lambda: listens(path) and over_unix(path, "/pid"), "an answer")
    assert {stat.S_IMODE(p.stat().st_mode) for p in (path, admin)} == {0o660}
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(admin)), timeout=DEADLINE) as client:
        assert client.get("http://localhost/readyz").status_code == 200
    # A living one is an error, and stays.
    second = start("ok:app", *ONE, *flags)
    assert second.wait() == 6
    assert f"can't listen on unix:{path}: it is in use" in second.log
    assert over_unix(path)
    # Killed, it leaves its files behind, and the next one takes their place.
    os.kill(first.supervisor, signal.SIGKILL)
    first.wait()
    until(lambda: not listens(path), "the workers gone")
    assert path.exists()
    third = start("ok:app", *ONE, *flags)
    until(lambda: listens(path), "it listens")
    assert over_unix(path)
    assert third.stop() == 0
    assert not path.exists()
    assert not admin.exists()


def test_a_failed_start_leaves_no_socket(start: Start, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        flags = ("--bind", f"unix:{tmp_path}/app.sock", "--admin", f"127.0.0.1:{taken.getsockname()[1]}")
        pool = start("ok:app", *ONE, *flags)
        assert pool.wait() == 6
    assert "in use" in pool.log
    assert not (tmp_path / "app.sock").exists()


HAND_OVER = (
    sys.executable,
    "-c",
    "import fcntl, os, sys\n"
    "fds = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 50) for fd in sys.argv[1].split(',')]\n"
    "for place, fd in enumerate(fds, start=3): os.dup2(fd, place)\n"
    "for fd in fds: os.close(fd)\n"
    "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)))\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n",
)


def test_sockets_handed_over(start: Start, tmp_path: Path) -> None:
    """As systemd does it: they outlive the pool, and so does what queues in them."""
    path = tmp_path / "app.sock"
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen(5)
        unix.bind(str(path))
        unix.listen(5)
        fds = (tcp.fileno(), unix.fileno())
        prefix = (*HAND_OVER, ",".join(map(str, fds)))
        pool = start("ok:app", *ONE, "--backlog", "100", prefix=prefix, pass_fds=fds).ready()
        assert pool.port == tcp.getsockname()[1]
        assert pool.get("/pid").json() == over_unix(path) == pool.slot()["pid"]
        assert pool.status()["accept_queue"]["limit"] == 100
        environment = pool.get("/env?prefix=LISTEN").json()
        assert environment == {}
        os.kill(pool.slot()["pid"], signal.SIGKILL)
        pool.until_restarts(1)
        assert pool.get("/pid").status_code == 200
        assert pool.stop() == 0
        assert path.exists()
        queued = Queued(tcp.getsockname()[1], 3)
        second = start("ok:app", *ONE, prefix=prefix, pass_fds=fds).ready()
        assert queued.answers() == [str(second.slot()["pid"])] * 3
        assert second.stop() == 0


def test_sockets_for_somebody_else_are_not_taken(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        environment = {"LISTEN_PID": "1", "LISTEN_FDS": "1"}
        pool = start("ok:app", *ONE, env=environment, pass_fds=(other.fileno(),)).ready()
        assert pool.port != other.getsockname()[1]


def test_connections_wait_through_an_outage_and_are_all_served(start: Start, tmp_path: Path) -> None:
    """Without a standby and with a start that takes its time: nobody takes from the queue, and nobody is refused."""
    go = tmp_path / "go"
    go.touch()
    flags = ("--standby", "none", "--backlog", "700")
    pool = start("duties:app", *ONE, *flags, env={"START_WHEN": str(go)}).ready()
    assert pool.status()["accept_queue"] == {"length": 0, "limit": 700}
    for restarts in (1, 2):
        go.unlink()
        os.kill(pool.slot()["pid"], signal.SIGKILL)
        until(lambda restarts=restarts: pool.slot()["restarts"] == restarts, "the death seen")  # type: ignore[misc]
        queued = Queued(pool.port, 500)
        # A client may be connected before the last packet of its handshake has arrived.
        until(lambda: pool.status()["accept_queue"] == {"length": 500, "limit": 700}, "all of them in the queue")
        assert pool.admin("/readyz").status_code == 503
        assert pool.admin("/livez").status_code == 200
        go.touch()
        answers = queued.answers()
        assert set(answers) == {str(pool.until_restarts(restarts)["pid"])}
        # No worker's start has made the queue shorter.
        assert pool.status()["accept_queue"]["limit"] == 700


@pytest.mark.serial
def test_a_second_request_on_a_connection_is_not_late(start: Start) -> None:
    """With Nagle's algorithm on, the pieces of each later answer are 40 ms apart."""
    pool = start("ok:app", *ONE).ready()

    def ask(connection: http.client.HTTPConnection) -> float:
        started = time.monotonic()
        connection.request("GET", "/stream?n=3&s=0")  # in several pieces
        connection.getresponse().read()
        return time.monotonic() - started

    first, later = [], []
    for _ in range(15):
        connection = http.client.HTTPConnection("127.0.0.1", pool.port, timeout=DEADLINE)
        first.append(ask(connection))
        later += [ask(connection), ask(connection)]
        connection.close()
    assert statistics.median(later) < 3 * statistics.median(first)


# As whom


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_user_group_and_umask(start: Start, tmp_path: Path) -> None:
    """Workers serve as another user; the supervisor may still end and restart them."""
    nobody = 65534
    python, environment = python_of(nobody)
    execute = f"import os, sys; os.execv({python!r}, [{python!r}, *sys.argv[2:]])"
    flags = ("--user", "nobody", "--umask", "027")
    pool = start("ok:app", *ONE, *flags, env=environment, prefix=(sys.executable, "-c", execute)).ready()
    identity = pool.get("/identity").json()
    assert (identity["uid"], identity["gid"], identity["umask"]) == (nobody, nobody, 0o027)
    assert 0 not in identity["groups"]
    assert command(pool.slot()["pid"])[0].startswith("corepod: worker ")
    os.kill(pool.slot()["pid"], signal.SIGKILL)
    pool.until_restarts(1)
    assert pool.ready().get("/identity").json()["uid"] == nobody
    pool.signal(signal.SIGUSR1)
    pool.until_log("stacks:")
    # Its death signal was set again after the change of user, which had undone it.
    worker = pool.slot()["pid"]
    os.kill(pool.supervisor, signal.SIGKILL)
    until(lambda: not alive(worker), "the worker gone with its supervisor")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change the group")
def test_group_alone(start: Start) -> None:
    pool = start("ok:app", *ONE, "--group", "65534").ready()
    identity = pool.get("/identity").json()
    assert (identity["uid"], identity["gid"]) == (0, 65534)
