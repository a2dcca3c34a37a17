"""Descriptors: who has which, what a careless parent leaves, and what happens when there are none left."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import procfs
from tests.process.cgroup import control_group, inside
from tests.process.traffic import ask, end_all_but, held_ports, standby
from tests.procfs import comm
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

QUICK = ("--workers", "1", "--lame-duck", "0", "--crash-budget", "1000/60")
CLOEXEC = 0o2000000
STANDARD = {0: "/dev/null", 1: "pipe", 2: "pipe"}


def descriptors(pid: int) -> dict[int, tuple[str, bool]]:
    """Kind and whether a program that it executes would inherit it, of each descriptor."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            info = Path(f"/proc/{pid}/fdinfo/{name}").read_text()
            flags = int(info.partition("flags:")[2].split()[0], 8)
            target = os.readlink(f"/proc/{pid}/fd/{name}")
            kind = re.sub(r"^/proc/\d+/task/\d+/", "", target.partition(":[")[0].removesuffix(" (deleted)"))
            found[int(name)] = (kind, not flags & CLOEXEC)
    return found


def inherited(pid: int) -> dict[int, str]:
    return {fd: kind for fd, (kind, passed_on) in descriptors(pid).items() if passed_on}


def own(pid: int) -> list[str]:
    """Kinds of the descriptors that end with an exec, but the file that some builds of libffi map their code from."""
    return sorted(kind for kind, passed_on in descriptors(pid).values() if not passed_on and "/libffi.so" not in kind)


SCOREBOARD = "/memfd:corepod-scoreboard"  # mapped, and open for the lead of the pool
TEMPLATE = sorted(["socket", "socket", "pipe", SCOREBOARD, SCOREBOARD])  # control, listener, stacks
WORKER = sorted([*TEMPLATE, "anon_inode", "socket", "socket"])  # asyncio's loop and the pair that wakes it
SERVING = sorted([*WORKER, "schedstat"])  # what its thread has used, for stalls


def test_everybody_has_what_he_needs_and_nothing_else(start: Start) -> None:
    """Also where whoever started the pool has left descriptors open."""
    read, write = os.pipe()
    listener = socket.create_server(("127.0.0.1", 0))
    pool = start("ok:app", *QUICK, pass_fds=(write, listener.fileno())).ready()
    os.close(read)
    os.close(write)
    listener.close()
    for restarts in (1, 2):  # the first worker is forked like any other; the third is the child of a warm template
        os.kill(pool.slot()["pid"], signal.SIGKILL)
        pool.until_restarts(restarts)
    ready, template = standby(pool), pool.status()["template"]["pid"]
    worker = pool.slot()["pid"]
    grandchild = int(pool.get("/spawn?s=60").text)
    for pid in (worker, ready, template):
        assert inherited(pid) == STANDARD
    until(lambda: own(worker) == SERVING, f"the connection closed: {own(worker)}")
    assert own(ready) == WORKER
    # It may still have the descriptors of a standby that is ready already; sleep(1) opens libraries when it starts.
    until(lambda: own(template) == TEMPLATE, f"what it has passed on closed: {own(template)}")
    nothing_else = {fd: (kind, True) for fd, kind in STANDARD.items()}
    until(lambda: descriptors(grandchild) == nothing_else, f"nothing else: {descriptors(grandchild)}")
    assert set(inherited(pool.supervisor)) == {0, 1, 2}


def test_a_worker_that_is_not_forked_has_no_more(start: Start) -> None:
    pool = start("thread_at_import:app", *QUICK).ready()
    worker = pool.slot()["pid"]
    assert inherited(worker) == STANDARD
    until(lambda: own(worker) == SERVING, f"the connection closed: {own(worker)}")


def test_the_port_is_free_though_something_lives_on(start: Start) -> None:
    """Only a supervisor that is killed leaves it: else all are ended."""
    pool = start("ok:app", *QUICK).ready()
    end_all_but(pool, int(pool.get("/spawn?s=60").text))


def test_the_port_is_free_at_once_after_a_stop(start: Start) -> None:
    pool = start("ok:app", *QUICK).ready()
    port, admin = pool.port, pool.admin_port
    pool.get("/spawn?s=60")
    assert pool.stop() == 0
    for number in (port, admin):
        socket.create_server(("127.0.0.1", number)).close()


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_started_without_standard_descriptors(start: Start, closed: tuple[int, ...]) -> None:
    """The next thing opened would get the number, and the application's output go into it."""
    code = f"import os, sys\nfor fd in {closed}: os.close(fd)\nos.execv(sys.argv[1], sys.argv[1:])"
    with held_ports(2) as (port, admin):
        flags = ("--bind", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}")
        pool = start("ok:app", *QUICK, *flags, prefix=(sys.executable, "-c", code))

        def answered() -> bool:
            with contextlib.suppress(ConnectionRefusedError):
                return ask(admin, "/readyz") == "ok\n"
            return False

        until(answered, "ready")
    pid = int(ask(port, "/say?text=hello&n=3"))
    assert inherited(pid) == STANDARD
    os.kill(pid, signal.SIGKILL)
    until(lambda: ask(port, "/pid").isdigit() and answered(), "the next one")
    assert set(inherited(pool.supervisor)) == {0, 1, 2}
    assert pool.stop() == 0
    if 1 not in closed:
        assert pool.log.splitlines().count("hello") == 3


def limited(files: int) -> dict[str, object]:
    return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))}


def test_a_flood_of_connections_with_few_descriptors(start: Start) -> None:
    """The worker can't accept any more; probes go on, nobody is ended, nobody spins, and it serves when it is over."""
    pool = start("ok:app", *QUICK, **limited(64)).ready()
    before = pool.slot()
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", pool.port)))
            sock.sendall(b"GET /never HTTP/1.1\r\nHost: x\r\n")  # never complete
        pool.until_log("can't accept a connection: Too many open files")
        assert pool.admin("/livez").status_code == 200
        assert pool.admin("/readyz").status_code == 200
        first = procfs.cpu_seconds(before["pid"]), procfs.cpu_seconds(pool.supervisor)
        for _ in range(20):
            assert pool.admin("/livez").status_code == 200
        pool.until_log("can't accept", 2)  # it pauses a second between two tries
        used = procfs.cpu_seconds(before["pid"]) - first[0], procfs.cpu_seconds(pool.supervisor) - first[1]
        assert max(used) < 0.5, f"{used} CPU seconds in about one: it spins"
    assert pool.get("/pid").json() == before["pid"]
    assert pool.slot()["restarts"] == before["restarts"]


def test_a_flood_of_probes_with_few_descriptors(start: Start) -> None:
    pool = start("ok:app", *QUICK, **limited(64)).ready()
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(socket.create_connection(("127.0.0.1", pool.admin_port)))
        os.kill(pool.slot()["pid"], signal.SIGKILL)
        pool.until_restarts(1)
        assert pool.admin("/livez").status_code == 200


def test_too_few_descriptors_are_an_error(start: Start) -> None:
    pool = start("ok:app", *QUICK, **limited(40))
    assert pool.wait() == 2
    assert "the limit of 40 open files is too low for 1 worker(s)" in pool.log
    assert "ulimit -n" in pool.log
    assert "Traceback" not in pool.log


def test_a_soft_limit_is_raised(start: Start) -> None:
    """It is there for select(2), which isn't used; with many cores the usual one would not do."""
    pool = start("ok:app", *QUICK, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 4096))).ready()
    assert pool.get("/pid").status_code == 200


# A limit on processes


@pytest.mark.root
def test_no_process_can_be_made(start: Start) -> None:
    """Tried again after a pause; what serves goes on, and so do the probes."""
    with control_group("pids", {"pids.max": "100"}, {"pids.max": "100"}) as group:
        pool = start("ok:app", *QUICK, prefix=inside(group)).ready()
        (group / "pids.max").write_text("4")  # supervisor, template, worker, standby
        os.kill(pool.slot()["pid"], signal.SIGKILL)
        pool.until_restarts(1)  # the standby took the place; the next one can't be made
        pool.until_log("Resource temporarily unavailable")
        before = procfs.cpu_seconds(pool.supervisor)
        assert pool.get("/pid").status_code == 200
        # Not one more than by now: there are three, then it doesn't fork any more, and what it starts has room.
        pool.until_log("Resource temporarily unavailable", 2)
        assert procfs.cpu_seconds(pool.supervisor) - before < 0.5, "it spins"
        assert pool.admin("/readyz").status_code == 200
        (group / "pids.max").write_text("100")
        pool.ready()
        os.kill(pool.slot()["pid"], signal.SIGKILL)
        pool.until_restarts(2)
        pool.ready()
        assert pool.stop() == 0


# PID 1 stays clean


AGENT = """
import os, threading, time
with open(os.environ["SEEN"], "a") as seen:
    seen.write(f"{os.getpid()} {name}\\n")
threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
"""


def test_agents_of_the_environment_get_into_the_workers_alone(start: Start, tmp_path: Path) -> None:
    """sitecustomize on PYTHONPATH, PYTHONSTARTUP, a library to preload: one thread and none of it in the supervisor."""
    (tmp_path / "sitecustomize.py").write_text("name = 'sitecustomize'\n" + AGENT)
    (tmp_path / "startup.py").write_text("name = 'startup'\n" + AGENT)
    library = next(Path("/").glob("lib/*-linux-*/libBrokenLocale.so.1"), None)
    environment = {
        "PYTHONPATH": str(tmp_path),
        "PYTHONSTARTUP": str(tmp_path / "startup.py"),
        "PYTHONINSPECT": "1",
        "SEEN": str(tmp_path / "seen"),
        **({"LD_PRELOAD": str(library)} if library else {}),
    }
    pool = start("ok:app", *QUICK, env=environment).ready()
    worker = pool.slot()["pid"]
    assert len(procfs.threads(pool.supervisor)) == 1
    seen = [line.split() for line in (tmp_path / "seen").read_text().splitlines()]
    assert [str(worker), "sitecustomize"] in seen
    # The command line was the same process before; it came through there once, and the supervisor didn't.
    assert seen.count([str(pool.supervisor), "sitecustomize"]) == 1
    environ = json.loads(pool.get("/env").text)
    assert {name: environ.get(name) for name in environment} == environment
    if library:
        assert str(library.resolve()) in procfs.maps(worker)
        assert str(library.resolve()) not in procfs.maps(pool.supervisor)
    assert "corepod" in comm(worker)
    # Its thread is one that nobody forks: the log says so.
    assert "workers are started one by one, not forked" in pool.log


def test_a_path_file_of_the_environment_is_not_read(start: Start, tmp_path: Path) -> None:
    """.pth files run code at every start of the interpreter: a virtual environment of its own has one here."""
    import venv

    home = tmp_path / "venv"
    venv.create(home, symlinks=True)
    site = next(home.glob("lib/python*/site-packages"))
    ours = next(Path(sys.prefix).glob("lib/python*/site-packages"))
    (site / "ours.pth").write_text(f"import site; site.addsitedir({str(ours)!r})\n")
    (site / "agent.pth").write_text(
        "import os, threading, time; open(os.environ['SEEN'], 'a').write(f'{os.getpid()}\\n'); "
        "threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()\n"
    )
    code = "import os, sys; os.execv(sys.argv[1], [sys.argv[1], *sys.argv[3:]])"
    pool = start(
        "ok:app",
        *QUICK,
        prefix=(sys.executable, "-c", code, str(home / "bin/python")),
        env={"SEEN": str(tmp_path / "seen")},
    ).ready()
    assert len(procfs.threads(pool.supervisor)) == 1
    seen = (tmp_path / "seen").read_text().split()
    worker = str(pool.slot()["pid"])
    assert worker in seen
    # Only as the command line, which was the same process before.
    assert seen.count(str(pool.supervisor)) == seen.count(worker)
