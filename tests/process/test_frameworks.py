"""What people bring runs unchanged, after a crash too: their frameworks, libraries, folders and environments."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import procfs
from tests.process.harness import APPS
from tests.process.traffic import ask, standby
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

FORK, SPAWN = "fork", "spawn"
compat = pytest.mark.compat


def crash(pool: Pool) -> None:
    """Kill the worker, and see the next one serve."""
    before = pool.ready().slot()
    os.kill(before["pid"], signal.SIGKILL)
    assert ask(pool.port, "/") != ""
    assert pool.until_restarts(1)["pid"] != before["pid"]


@pytest.mark.parametrize(
    ("app", "flags", "path", "answer"),
    [
        ("ok:app", (), "/pid", ""),
        ("no_lifespan", (), "/", '"pid": '),
        pytest.param("fastapi_app:app", (), "/items/7", '"number":7', marks=compat("fastapi")),
        pytest.param("django_app:asgi", (), "/later", '"async": true', marks=compat("django")),
        pytest.param("django_app:wsgi", (), "/", '"kind": "WSGIRequest"', marks=compat("django")),
        ("flask_app:app", (), "/stream", "0\n1\n2\n"),
        ("wsgi_app:app", ("--interface", "wsgi"), "/environ", '"SERVER_PROTOCOL": "HTTP/1.1"'),
        ("factory:create_app", ("--factory",), "/pid", ""),
        ("factory:create_wsgi", ("--factory",), "/", '"slot": "0"'),
    ],
)
def test_frameworks(start: Start, app: str, flags: tuple[str, ...], path: str, answer: str) -> None:
    pool = start(app, "--workers", "1", *flags).ready()
    response = pool.get(path)
    assert response.status_code == 200
    assert answer in response.text
    assert pool.status()["mode"] == FORK
    crash(pool)
    assert answer in pool.get(path).text


@pytest.mark.parametrize(
    ("app", "mode", "why"),
    [
        pytest.param(
            "sqlalchemy_app:app", SPAWN, r"left the file \S+/shop\.db for writing open", marks=compat("sqlalchemy")
        ),
        pytest.param("boto_app:app", FORK, "", marks=compat("boto3")),
        pytest.param("grpc_app:app", SPAWN, r"started \d+ thread", marks=compat("grpc")),
        pytest.param("sentry_app:app", FORK, "", marks=compat("sentry_sdk")),
        pytest.param("numpy_app:app", FORK, "", marks=compat("numpy")),
        ("socket_at_import:app", SPAWN, r"left a UDP socket open"),
    ],
)
def test_libraries_at_import(start: Start, app: str, mode: str, why: str) -> None:
    """An application that may not be forked is executed, with one line that says why; the pool is used in the same way.
    Where only its libraries are forked, it may do what it likes."""
    for preload in ("application", "libraries"):
        pool = start(app, "--workers", "1", "--preload", preload).ready()
        executed = preload == "application" and mode == SPAWN
        assert pool.status()["mode"] == (SPAWN if executed else FORK)
        lines = [line for line in pool.log.splitlines() if "one by one" in line]
        assert len(lines) == executed
        if executed:
            assert re.search(f"workers are started one by one, not forked: the application's import {why}", lines[0])
        crash(pool)
        assert pool.get("/").status_code == 200
        pool.stop()


def test_a_file_opened_to_append_is_no_obstacle(start: Start, tmp_path: Path) -> None:
    """Log files are opened so; one that is written over is shared at its offset, and is."""
    file, flags = str(tmp_path / "open"), ("--workers", "1", "--preload", "application")
    assert start("file_at_import:app", *flags, env={"OPEN_FILE": file}).ready().status()["mode"] == FORK
    written = {"OPEN_FILE": file, "OPEN_MODE": "w"}
    assert start("file_at_import:app", *flags, env=written).ready().status()["mode"] == SPAWN


@compat("numpy")
def test_numpys_global_generator_differs_between_workers(start: Start) -> None:
    """For the one library that doesn't reseed its generator itself."""
    pool = start("numpy_app:app", "--workers", "1").ready()
    first = json.loads(ask(pool.port, "/"))
    crash(pool)
    second = json.loads(ask(pool.port, "/"))
    assert first["pid"] != second["pid"]
    assert not set(first["numbers"]) & set(second["numbers"])
    assert first["threads"] == 1, "OpenBLAS makes one a core where nobody tells it otherwise"


# Folders and environments


def test_a_package_called_app_from_another_folder(start: Start, tmp_path: Path) -> None:
    """corepod's own source folder is called app, too; --chdir is where the user's is found."""
    package = tmp_path / "project" / "app"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "main.py").write_text(
        textwrap.dedent("""
        import os
        from app import settings
        async def app(scope, receive, send):
            assert scope["type"] == "http"
            body = f"{settings.NAME} {os.getcwd()}".encode()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})
        """)
    )
    (package / "settings.py").write_text("NAME = 'the project'\n")
    pool = start("app.main:app", "--workers", "1", "--chdir", str(package.parent), cwd=Path("/"))
    assert pool.ready().get("/").text == f"the project {package.parent}"
    crash(pool)
    assert pool.get("/").text == f"the project {package.parent}"


def test_the_users_own_environment(start: Start, tmp_path: Path) -> None:
    """Workers run the interpreter that `corepod` was started with, and find what is installed there only."""
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=DEADLINE)
    (site,) = folder.glob("lib/python*/site-packages")
    theirs = next(path for path in map(Path, sys.path) if path.name == "site-packages")
    (site / "theirs.pth").write_text(f"import site; site.addsitedir({str(theirs)!r})\n")
    (site / "only_here.py").write_text("from ok import app\n")
    python = str(folder / "bin" / "python")
    # The harness says which interpreter to start; this one passes its words on to itself.
    prefix = (python, "-c", "import os, sys; os.execv(sys.executable, [sys.executable, *sys.argv[2:]])")
    pool = start("only_here:app", "--workers", "1", prefix=prefix).ready()
    answer = pool.get("/identity").json()
    assert answer["executable"] == python
    assert str(site) in answer["path"]
    crash(pool)


def test_an_agent_in_the_environment_is_the_workers_alone(start: Start, tmp_path: Path) -> None:
    """A sitecustomize on PYTHONPATH, as tracing agents bring it: the supervisor stays clean and one thread."""
    (tmp_path / "sitecustomize.py").write_text(
        textwrap.dedent("""
        import os, sys, threading
        if "-m" in sys.orig_argv and "corepod.worker" in sys.orig_argv or "supervisor" in " ".join(sys.orig_argv):
            with open(os.environ["AGENT_LOG"], "a") as log:
                log.write(" ".join(sys.orig_argv) + "\\n")
            threading.Thread(target=threading.Event().wait, name="agent", daemon=True).start()
        """)
    )
    log = tmp_path / "agent.log"
    pool = start("ok:app", "--workers", "1", env={"PYTHONPATH": str(tmp_path), "AGENT_LOG": str(log)}).ready()
    assert len(procfs.threads(pool.process.pid)) == 1
    assert pool.get("/threads").json()["names"].count("agent") == 1
    assert pool.status()["mode"] == SPAWN
    assert "started 1 thread(s) (agent)" in pool.log
    assert "corepod.worker" in log.read_text()
    assert "supervisor" not in log.read_text()
    crash(pool)


@compat("ddtrace", "fastapi")
def test_ddtrace_run(start: Start) -> None:
    """The agent itself, as its users start it."""
    quiet = {
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        "DD_TRACE_STARTUP_LOGS": "false",
        "DD_TRACE_AGENT_URL": "http://127.0.0.1:9",
    }
    runner = Path(sys.executable).parent / "ddtrace-run"
    pool = start("fastapi_app:app", "--workers", "1", env=quiet, prefix=(sys.executable, str(runner))).ready()
    assert len(procfs.threads(pool.process.pid)) == 1
    assert "ddtrace" not in procfs.maps(pool.process.pid)
    assert "ddtrace" in procfs.maps(pool.slot()["pid"])
    assert pool.get("/items/3").json()["number"] == 3
    crash(pool)


# Slots


def cores_of(pid: int) -> str:
    return procfs.status(pid, "Cpus_allowed_list")


def test_each_slot_has_a_core_of_its_own(start: Start) -> None:
    """Its worker and all threads of it, the next worker too; template, standby and supervisor have none."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("needs two cores")
    pool = start("ok:app", "--workers", "2", "--pin", "always").ready()
    slots = pool.status()["slots"]
    assert [cores_of(slot["pid"]) for slot in slots] == [str(slot["core"]) for slot in slots]
    assert len({slot["core"] for slot in slots}) == 2
    assert all(slot["pinned"] for slot in slots)
    everywhere = cores_of(os.getpid())
    for pid in (pool.process.pid, pool.status()["template"]["pid"], standby(pool)):
        assert cores_of(pid) == everywhere
    os.kill(slots[1]["pid"], signal.SIGKILL)
    after = pool.until_restarts(1, 1)
    assert after["core"] == slots[1]["core"]
    assert cores_of(after["pid"]) == str(after["core"])


def test_one_queue_for_all(start: Start) -> None:
    """A worker that is busy takes nothing from the other: each connection goes to who is free."""
    pool = start("ok:app", "--workers", "2", "--pin", "never").ready()
    seen = set()

    def both() -> bool:
        seen.add(ask(pool.port, "/pid"))
        return len(seen) == 2

    until(both, "an answer of both workers")
    assert seen == {str(slot["pid"]) for slot in pool.status()["slots"]}


def test_apps_are_found_from_where_the_user_stands(start: Start) -> None:
    """The folder in which `corepod run` is typed, without any flag."""
    pool = start("app.main:app", "--workers", "1", cwd=APPS).ready()
    assert pool.get("/").json()["module"] == "app.views"
