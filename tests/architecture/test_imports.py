"""What the supervisor has in memory: what it imports, and what everything it does imports late."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import corepod
import pytest

from tests.process.harness import Pool, running
from tests.process.inplace import in_place_of_supervisor

SOURCES = Path(corepod.__file__).parents[1]
MODULES = sorted((SOURCES / "corepod/supervisor").rglob("*.py"))

# Each costs memory of every pod, or starts threads, or is another room.
FORBIDDEN = {
    *(
        "asyncio",
        "argparse",
        "concurrent",
        "configparser",
        "dataclasses",
        "email",
        "html",
        "http",
        "importlib.metadata",
    ),
    *("inspect", "ipaddress", "logging", "multiprocessing", "pathlib", "queue", "random", "shutil", "ssl", "string"),
    *("subprocess", "tempfile", "threading", "tomllib", "typing", "unittest", "urllib", "uuid", "xml"),
    *("hypercorn", "h11", "h2", "starlette", "anyio", "rich", "kubernetes", "a2wsgi"),
    *("corepod.cli", "corepod.config", "corepod.local", "corepod.operator", "corepod.worker", "corepod.demo"),
}


def heavy(modules: list[str]) -> set[str]:
    """Those of the modules that belong to a forbidden one."""
    return {m for m in modules if any(m == name or m.startswith(name + ".") for name in FORBIDDEN)}


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(SOURCES).with_suffix("").parts)


def test_what_is_imported_at_the_start() -> None:
    names = [dotted(path) for path in MODULES if path.stem not in ("__init__", "__main__")]
    assert "corepod.supervisor.main" in names
    code = f"import sys\nsys.path.append({str(SOURCES)!r})\n" + "".join(f"import {name}\n" for name in names)
    command = [sys.executable, "-I", "-S", "-c", code + "import json; print(json.dumps(sorted(sys.modules)))"]
    modules = json.loads(subprocess.check_output(command))
    assert set(names) <= set(modules)
    assert heavy(modules) == set()


def brought_by(module: str) -> list[str]:
    """The supervisor needs ctypes for prctl, and from Python 3.14 on that imports sysconfig and threading."""
    command = [sys.executable, "-I", "-S", "-c", f"import {module}, json, sys; print(json.dumps(sorted(sys.modules)))"]
    found: list[str] = json.loads(subprocess.check_output(command))
    return found


def test_the_list_of_the_forbidden_can_be_met() -> None:
    command = [sys.executable, "-I", "-S", "-c", "import json, sys, logging; print(json.dumps(sorted(sys.modules)))"]
    assert "logging" in heavy(json.loads(subprocess.check_output(command)))


RECORDING = """
import json, os
from corepod.supervisor.main import main
code = main()
with open(os.environ["MODULES"], "w") as file:
    json.dump([sorted(sys.modules), len(os.listdir("/proc/self/task"))], file)
sys.exit(code)
"""


# Modules that only a pool with such limits pays for.
RECYCLING = {"corepod.supervisor.health.recycling", "corepod.supervisor.pool.recycle", "corepod.contract.cron"}
# Modules for which there has to be somebody who is told: an operator, a command that waits, a service manager.
REPORTING = {"corepod.supervisor.io.notify", "corepod.supervisor.starter", "corepod.supervisor.io.systemd"}
LIMITS = ("--max-requests", "1000000", "--max-memory", "90%", "--recycle-at", "0 4 * * *")


@pytest.mark.parametrize(("command", "limits"), [("run", ()), ("pid1", ()), ("run", LIMITS)])
def test_what_is_imported_by_all_it_does(tmp_path: Path, command: str, limits: tuple[str, ...]) -> None:
    """A reload, a death, every page, stacks, a slot more, a stop: nothing of it brings a forbidden module in."""
    found = tmp_path / "modules.json"
    flags = ("--workers", "1", "--pin", "never", "--lame-duck", "0", "--log-format", "json", *limits)
    prefix = in_place_of_supervisor(RECORDING)
    environment = {"MODULES": str(found)}
    with running("ok:app", *flags, log=tmp_path / "log", prefix=prefix, env=environment, command=command) as pool:
        exercise(pool)
        assert pool.stop() == 0
    modules, threads = json.loads(found.read_text())
    assert "corepod.supervisor.main" in modules
    assert heavy(modules) <= heavy(brought_by("ctypes"))
    assert RECYCLING & set(modules) == (RECYCLING if limits else set())
    assert REPORTING & set(modules) == set()
    assert threads == 1


def exercise(pool: Pool) -> None:
    pool.ready()
    for path in ("/livez", "/readyz", "/startupz", "/metrics", "/status", "/"):
        assert pool.admin(path).status_code == 200
    os.kill(pool.slot()["pid"], signal.SIGKILL)
    pool.until_restarts(1)
    for signum, text in (
        (signal.SIGHUP, "reload: done"),
        (signal.SIGUSR1, "stacks:"),
        (signal.SIGTTIN, "added a slot"),
        (signal.SIGTTOU, "removed a slot"),
        (signal.SIGUSR2, "can't be reopened"),
    ):
        pool.signal(signum)
        pool.until_log(text)
