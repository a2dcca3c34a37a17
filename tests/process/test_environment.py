"""What a worker's interpreter starts from, and what of it a reload reads again: folder, variables, options, files."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.process.anotheruser import python_of
from tests.process.harness import APPS
from tests.process.traffic import ask
from tests.procfs import alive
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

QUICK = ("--workers", "1", "--pin", "never", "--crash-budget", "1000/60")
# Two versions of one length written in one second have the same stamp: Python would take the old bytecode.
FRESH = {"PYTHONPATH": str(APPS), "PYTHONDONTWRITEBYTECODE": "1"}

RELEASE = """
import ok

def late(query, request):
    import late
    return late.RELEASE

ok.ROUTES["/late"] = late
ok.ROUTES["/release"] = lambda query, request: {release!r}
app = ok.app
"""


def reload(pool: Pool) -> None:
    old, done = pool.slot()["pid"], pool.log.count("reload: done")
    pool.signal(signal.SIGHUP)
    pool.until_log("reload: done", done + 1)
    until(lambda: not alive(old), "the old worker gone: it may still accept what was queued")


# The folder


def release(folder: Path, name: str) -> Path:
    """A release of the application; `current` is a symbolic link to the newest one."""
    made = folder / name
    made.mkdir()
    (made / "served.py").write_text(RELEASE.format(release=name))
    (made / "late.py").write_text(f"RELEASE = {name!r}\n")
    link = folder / "next"
    link.symlink_to(name)
    link.rename(folder / "current")
    return made


@pytest.mark.parametrize("how", ["absolute", "relative", "PWD"])
def test_a_reload_follows_the_symbolic_link_to_a_new_release(start: Start, tmp_path: Path, how: str) -> None:
    first = release(tmp_path, "r1")
    current = tmp_path / "current"
    if how == "PWD":  # as a shell leaves it after cd
        pool = start("served:app", *QUICK, cwd=current, env={**FRESH, "PWD": str(current)}).ready()
    else:
        folder = str(current) if how == "absolute" else "current"
        pool = start("served:app", *QUICK, "--chdir", folder, cwd=tmp_path, env=FRESH).ready()
    assert ask(pool.port, "/release") == '"r1"'
    second = release(tmp_path, "r2")
    # Until the reload everything is of the old release, also what is imported late.
    assert ask(pool.port, "/late") == '"r1"'
    assert pool.get("/identity").json()["path"][0] == str(first)
    reload(pool)
    assert ask(pool.port, "/release") == '"r2"'
    assert ask(pool.port, "/late") == '"r2"'
    identity = pool.get("/identity").json()
    assert identity["path"][0] == identity["cwd"] == str(second)


# The file of variables


def variables(pool: Pool) -> dict[str, str]:
    found: dict[str, str] = pool.get("/env?prefix=T_").json()
    return found


def test_a_reload_reads_the_file_of_variables_again(start: Start, tmp_path: Path) -> None:
    """Relative to where the pool was started, not to the application's folder; the environment has precedence."""
    file = tmp_path / "vars"
    file.write_text("T_CHANGED=1\nT_REMOVED=1\nT_OUTSIDE=1\n")
    flags = ("--env-file", "vars", "--chdir", str(APPS))
    pool = start("ok:app", *QUICK, *flags, cwd=tmp_path, env={"T_OUTSIDE": "0"}).ready()
    assert variables(pool) == {"T_CHANGED": "1", "T_REMOVED": "1", "T_OUTSIDE": "0"}
    file.write_text('T_CHANGED="2 # kept"  # not kept\nT_ADDED=2\nT_OUTSIDE=2\n')
    reload(pool)
    assert f"HUP: {file} is read again, and other settings stay as they were at the start" in pool.log
    expected = {"T_CHANGED": "2 # kept", "T_ADDED": "2", "T_OUTSIDE": "0"}
    assert variables(pool) == expected
    pool.kill_worker()
    assert variables(pool) == expected
    file.write_text("not a variable\n")
    pool.signal(signal.SIGHUP)
    pool.until_log("reload aborted")
    assert "the file of variables can't be read (env_file)" in pool.log
    assert "line 1: not NAME=VALUE" in pool.log
    assert variables(pool.ready()) == expected


def test_a_file_of_variables_that_can_be_read_once_is_read_once(start: Start, tmp_path: Path) -> None:
    """A pipe from a program that decrypts it."""
    shell = ("bash", "-c", 'exec "$@" --env-file <(printf "T_SECRET=1\\n")', "bash")
    pool = start("ok:app", *QUICK, prefix=shell).ready()
    assert variables(pool) == {"T_SECRET": "1"}
    reload(pool)
    assert "HUP: settings stay as they were at the start" in pool.log
    assert variables(pool) == {"T_SECRET": "1"}


# The interpreter

FLAGS = """
import asyncio, sys
import ok

async def flags(query, request):
    return {
        "optimize": sys.flags.optimize, "dev": sys.flags.dev_mode, "warnings": sys.warnoptions,
        "digits": sys.get_int_max_str_digits(), "debug": asyncio.get_running_loop().get_debug(),
    }

ok.ROUTES["/flags"] = flags
app = ok.app
"""


def test_options_of_the_interpreter_reach_the_workers(start: Start, tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text(FLAGS)
    options = ["-O", "-X", "dev", "-X", "int_max_str_digits=9999", "-W", "error::FutureWarning"]
    # The harness says which interpreter to start; this one passes its words on to itself.
    passes_on = f"import os, sys; os.execv(sys.executable, [sys.executable, *{options!r}, *sys.argv[2:]])"
    pool = start("served:app", *QUICK, prefix=(sys.executable, "-c", passes_on), cwd=tmp_path, env=FRESH).ready()
    expected = {"optimize": 1, "dev": True, "digits": 9999, "debug": True}
    for _ in range(2):
        found = pool.get("/flags").json()
        assert {name: found[name] for name in expected} == expected
        assert "error::FutureWarning" in found["warnings"]
        pool.kill_worker()
    assert "Warning" not in pool.log


def test_variables_of_the_interpreter_reach_the_workers(start: Start, tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text(FLAGS)
    env = {"PYTHONOPTIMIZE": "1", "PYTHONASYNCIODEBUG": "1", "PYTHONWARNINGS": "error::FutureWarning"}
    pool = start("served:app", *QUICK, cwd=tmp_path, env={**FRESH, **env}).ready()
    found = pool.get("/flags").json()
    assert (found["optimize"], found["debug"]) == (1, True)
    assert "error::FutureWarning" in found["warnings"]


NAMES = ["asyncio", "config", "contract", "email", "http", "logging", "queue", "select", "socket", "ssl", "types"]


@pytest.mark.compat("fastapi")
@pytest.mark.parametrize("package", [False, True], ids=["modules", "packages"])
def test_modules_with_names_of_the_standard_library(start: Start, tmp_path: Path, package: bool) -> None:
    """Beside the application they take the place of nothing that the server and a framework need."""
    for name in [*NAMES, "worker", "h11", "uuid", "secrets"]:
        if package:
            (tmp_path / name).mkdir()
        (tmp_path / (f"{name}/__init__.py" if package else f"{name}.py")).write_text("MINE = True\n")
    text = (APPS / "fastapi_app.py").read_text()
    # Names that only an application uses are its own.
    (tmp_path / "served.py").write_text(f"{text}\nimport code\nassert code.MINE\nimport config\nassert config.MINE\n")
    (tmp_path / "code.py").write_text("MINE = True\n")
    # Not with the folder as the present one: python -m, with which these tests start, looks there first.
    pool = start("served:app", *QUICK, "--chdir", str(tmp_path)).ready()
    assert pool.get("/items/3").json()["number"] == 3
    pool.kill_worker()
    assert pool.get("/items/3").json()["number"] == 3


# Threads of native libraries


@pytest.mark.parametrize("pin", ["always", "never"])
def test_native_libraries_use_one_thread_where_a_worker_has_one_core(start: Start, pin: str) -> None:
    env = {"MKL_NUM_THREADS": "3"}
    pool = start("ok:app", "--workers", "1", "--pin", pin, env=env).ready()
    found = pool.get("/env").json()
    assert found["MKL_NUM_THREADS"] == "3"
    assert found.get("OMP_NUM_THREADS") == ("1" if pin == "always" else None)
    line = re.search(r"native libraries are told to use one thread in each worker: (.*)", pool.log)
    assert bool(line) == (pin == "always")
    if line:
        assert "OMP_NUM_THREADS=1" in line[1]
        assert "MKL" not in line[1]


# Certificates


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_files_that_root_alone_may_read(start: Start, tmp_path: Path) -> None:
    """Key and variables are read before the change of user, in a reload, too."""
    cert, key, file = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "vars"

    def renew(name: str) -> None:
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        names = ["-keyout", str(key), "-out", str(cert), "-subj", f"/CN={name}"]
        subprocess.run([*make, *names], check=True, capture_output=True)
        file.write_text(f"T_NAME={name}\n")
        for path in (key, file):
            path.chmod(0o600)

    def seen() -> str:
        return ssl.get_server_certificate(("127.0.0.1", pool.port), timeout=DEADLINE)

    renew("one")
    python, environment = python_of(65534)
    execute = f"import os, sys; os.execv({python!r}, [{python!r}, *sys.argv[2:]])"
    flags = ("--user", "nobody", "--tls-cert", str(cert), "--tls-key", str(key), "--env-file", str(file))
    pool = start("ok:app", *QUICK, *flags, env=environment, prefix=(sys.executable, "-c", execute)).ready()
    assert seen() == cert.read_text()
    first = cert.read_text()
    renew("two")
    pool.kill_worker()
    assert seen() == first  # forked from what was read before: no mixture of two certificates
    reload(pool)
    until(lambda: seen() == cert.read_text(), "the new certificate")
    key.write_text("not a key")
    pool.signal(signal.SIGHUP)
    pool.until_log("reload aborted")
    assert "certificate and key can't be used (tls_cert, tls_key)" in pool.log
    assert seen() == cert.read_text()
