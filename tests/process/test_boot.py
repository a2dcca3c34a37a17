"""Boots that fail and input that is wrong: one clear message, the documented exit code, no traceback but the user's."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from corepod.contract.env import ADMIN_PORT
from corepod.contract.exits import EXIT_APP, EXIT_BIND, EXIT_BOOT, EXIT_SETTINGS

from tests.process.harness import APPS, Pool
from tests.process.traffic import ask
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Start = Callable[..., Pool]

CORES = len(os.sched_getaffinity(0))


def corepod(*args: str, env: dict[str, str] | None = None, **options: object) -> subprocess.CompletedProcess[str]:
    """`corepod` with these words only, to its end."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("COREPOD_")}
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-m", "corepod", *args],
        cwd=APPS,
        env={**clean, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE,
        **options,
    )


def ports_free() -> tuple[str, ...]:
    return ("--bind", "127.0.0.1:0", "--admin", "127.0.0.1:0")


# An application that raises an exception


@pytest.mark.parametrize(
    ("app", "flags", "said", "error"),
    [
        ("boot_error:app", (), "raised ValueError while it was imported", "ValueError: DATABASE_URL has no host"),
        ("missing_import:app", (), "raised ModuleNotFoundError", "No module named 'a_library_nobody_installed'"),
        ("factory:create_badly", ("--factory",), "raised LookupError", "no settings for stage 'prod'"),
    ],
)
def test_an_import_that_raises_is_tried_three_times(
    start: Start, app: str, flags: tuple[str, ...], said: str, error: str
) -> None:
    """The traceback is the user's alone, and shown once."""
    pool = start(app, "--workers", "1", *flags)
    for tries in (1, 2, 3):  # a new interpreter each time, which a busy machine may take many seconds for
        pool.until_log(said, tries)
    assert pool.wait() == EXIT_BOOT
    assert "the application can't be loaded (3 tries)" in pool.log
    # Not the stacks of a start that takes long.
    reports = [entry for entry in re.split(r"\n(?!  \| )", pool.log) if said in entry]
    assert len(reports) == 3
    text = "\n".join(reports)
    assert text.count("Traceback") == 1
    assert error in text
    assert "importlib" not in text
    assert "corepod/worker" not in text
    assert text.count("\n") < 20


@pytest.mark.parametrize(
    ("app", "said"),
    [
        ("lifespan_error:app", "the database does not answer"),
        ("lifespan_raise:app", "no database at 10.0.0.9"),
        ("lifespan_exit:app", "SystemExit: no license"),
        ("lifespan_exit:app", "KeyboardInterrupt"),
        ("lifespan_exit:app", "CancelledError"),
    ],
)
def test_a_lifespan_that_fails_is_tried_three_times(start: Start, app: str, said: str) -> None:
    pool = start(app, "--workers", "1", env={"LEAVE": said.partition(":")[0]})
    assert pool.wait() == EXIT_BOOT
    log = pool.log
    assert said in log
    assert log.count("the application's lifespan failed") == 3
    assert log.count("Traceback") <= 1
    assert "slot 0 is given up: its lifespan failed 3 times" in log
    assert log.count("\n") < 60


# The first try itself ends what it fails for: all three together take less than a second.
FAILS_AT_FIRST = """
import os
import ok

async def app(scope, receive, send):
    if scope["type"] == "lifespan" and os.path.exists("late"):
        os.unlink("late")
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "the queue is held by somebody else"})
        return
    await ok.app(scope, receive, send)
"""


def test_a_lifespan_that_fails_at_first_is_no_death(start: Start, tmp_path: Path) -> None:
    """The database is late: the second or third try finds it."""
    (tmp_path / "served.py").write_text(FAILS_AT_FIRST)
    (tmp_path / "late").touch()
    pool = start("served:app", "--workers", "1", cwd=tmp_path, env={"PYTHONPATH": str(APPS)})
    pool.until_log("the queue is held by somebody else")
    assert pool.ready().slot()["restarts"] == 0
    assert ask(pool.port, "/pid").isdigit()


def test_the_probes_tell_of_a_boot_that_takes_its_time(start: Start, tmp_path: Path) -> None:
    pool = start("duties:app", "--workers", "1", env={"START_WHEN": str(tmp_path / "go")})
    until(lambda: pool.slot()["pid"], "a worker in the slot")
    assert pool.slot()["state"] == "starting"
    assert pool.admin("/startupz").status_code == 503
    assert pool.admin("/readyz").status_code == 503
    assert pool.admin("/livez").status_code == 200
    (tmp_path / "go").touch()
    pool.ready()
    assert pool.admin("/startupz").status_code == 200
    assert pool.admin("/readyz").status_code == 200


# An application that does not exist


@pytest.mark.parametrize(
    ("app", "said"),
    [
        ("nowhere:app", "there is no module 'nowhere'; looked in "),
        ("nowhere.main:app", "there is no module 'nowhere'; looked in "),
        ("app.nothing:app", "there is no module 'app.nothing'; looked in "),
        ("ok.py:app", "'ok.py' is not a module's name; a Python module is named with dots, without .py"),
        ("folder/ok:app", "a Python module is named with dots, without .py"),
        ("ok:ap", "module 'ok' has no attribute 'ap'; did you mean 'app'?"),
        ("ok:app.router", "module 'ok' has no attribute 'app.router'"),
        ("factory", "module 'factory' has neither app nor application; name it: factory:create_app(); it has "),
        ("not_app:app", "not_app:app is an int, neither an ASGI nor a WSGI application"),
        ("not_app:nothing", "neither an ASGI nor a WSGI application"),
        ("not_app:no_argument", "neither an ASGI nor a WSGI application; is it a factory (--factory), or is"),
        ("not_app:Application", "not_app:Application is the class Application"),
    ],
)
def test_what_is_no_application_ends_at_once(start: Start, app: str, said: str) -> None:
    """One line, no traceback, no second try."""
    pool = start(app, "--workers", "1")
    assert pool.wait() == EXIT_APP
    errors = [line for line in pool.log.splitlines() if " ERROR " in line]
    assert len(errors) == 1, pool.log
    assert said in errors[0]
    assert "Traceback" not in pool.log


# Settings


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("run", "ok:app", "--wrokers", "2"), ["there is no flag --wrokers; did you mean --workers?"]),
        (("run", "ok:app", "--workers", "many"), ["--workers: 'many' is not"]),
        (("run", "ok:app", "--crash-budget", "5"), ["--crash-budget: '5' is not"]),
        (("run", "ok:app", "--stop-timeout", "-1"), ["--stop-timeout: '-1' is not"]),
        (("run", "ok:app", "--bind", "nowhere"), ["--bind: 'nowhere' is not an address"]),
        (("run", "ok:app", "--standby", "warm"), ["--standby: 'warm' is not"]),
        (("run", "ok:app", "more"), ["the argument 'more' is one too many"]),
        (("run",), ["no application is given: corepod run MODULE:ATTRIBUTE"]),
        (("run", "ok:app", "--chdir", "/nowhere"), ["--chdir: there is no folder /nowhere"]),
        (
            ("run", "ok:app", "--workers", "0", "--backlog", "x", "--colour", "red"),
            ["--workers: '0'", "--backlog: 'x'", "there is no flag --colour"],
        ),
    ],
)
def test_bad_settings_are_reported_together(args: tuple[str, ...], said: list[str]) -> None:
    done = corepod(*args)
    assert done.returncode == EXIT_SETTINGS
    for phrase in said:
        assert phrase in done.stdout
    assert "Traceback" not in done.stdout
    assert len(done.stdout.splitlines()) <= len(said) + 2


def test_a_bad_variable_and_a_bad_file_name_their_place(tmp_path: Path) -> None:
    file = tmp_path / "corepod.toml"
    file.write_text('stanby = "live"\nbacklog = "long"\n')
    done = corepod("run", "ok:app", "--config", str(file), env={"COREPOD_WORKERS": "some"})
    assert done.returncode == EXIT_SETTINGS
    assert f"{file}: there is no setting 'stanby'; did you mean standby?" in done.stdout
    assert f"{file}: backlog: " in done.stdout
    assert "COREPOD_WORKERS: 'some' is not" in done.stdout
    assert "Traceback" not in done.stdout


def test_more_workers_than_cores() -> None:
    done = corepod("run", "ok:app", "--workers", str(CORES + 1), *ports_free())
    assert done.returncode == EXIT_SETTINGS
    assert f"{CORES + 1} workers are asked for" in done.stdout
    assert "use --workers auto, or --pin never" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_more_workers_than_cores_where_that_is_wanted(start: Start) -> None:
    assert len(start("ok:app", "--workers", str(CORES + 1), "--pin", "never").ready().status()["slots"]) == CORES + 1


# Addresses


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = corepod("run", "ok:app", "--bind", address, "--admin", "127.0.0.1:0")
    assert done.returncode == EXIT_BIND
    assert f"can't listen on {address}: it is in use; stop what listens there or choose another address" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_an_address_of_somebody_else() -> None:
    done = corepod("run", "ok:app", "--bind", "192.0.2.1:8000", "--admin", "none")
    assert done.returncode == EXIT_BIND
    assert "can't listen on 192.0.2.1:8000: this machine has no such address" in done.stdout


def test_a_chosen_admin_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = corepod("run", "ok:app", "--bind", "127.0.0.1:0", "--admin", address)
    assert done.returncode == EXIT_BIND
    assert f"can't listen on {address}: it is in use" in done.stdout
    assert "address of probes, metrics and status" in done.stdout
    assert f"another address with --admin (it belongs to pid {os.getpid()}, " in done.stdout


def test_the_default_admin_port_moves_on(tmp_path: Path) -> None:
    """To the next free one, with a line that says so."""
    moved = until(lambda: admin_port_beside_another(tmp_path / "log"), "a start while the port was taken")
    assert moved is not None
    assert int(moved[1]) == ADMIN_PORT < int(moved[2])


def admin_port_beside_another(log: Path) -> re.Match[str] | None:
    """What a pool says of its admin port while the default one is taken; None where it wasn't: somebody else had it
    before, and gave it up."""
    taken = socket.socket()
    with taken, log.open("wb") as file:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", ADMIN_PORT))
            taken.listen()
            ours = True
        except OSError:
            ours = False  # somebody else has it, which is as good
        clean = {k: v for k, v in os.environ.items() if not k.startswith("COREPOD_")}
        command = [sys.executable, "-m", "corepod", "run", "ok:app", "--workers", "1", "--bind", "127.0.0.1:0"]
        with subprocess.Popen(command, cwd=APPS, env=clean, stdout=file, stderr=subprocess.STDOUT) as process:
            try:
                until(lambda: "] ready" in log.read_text() or process.poll() is not None, "a worker")
            finally:
                process.terminate()
    assert process.returncode == 0
    moved = re.search(r"admin port 127\.0\.0\.1:(\d+) is taken; using 127\.0\.0\.1:(\d+)", log.read_text())
    assert moved or not ours, log.read_text()
    return moved


# Limits


def test_a_limit_of_files_that_is_too_low() -> None:
    done = corepod(
        "run",
        "ok:app",
        "--workers",
        "1",
        *ports_free(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20)),
    )
    assert done.returncode == EXIT_SETTINGS
    assert "the limit of 20 open files is too low for 1 worker(s): at least " in done.stdout
    assert "ulimit -n" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_a_soft_limit_of_files_is_no_obstacle(start: Start) -> None:
    pool = start(
        "ok:app",
        "--workers",
        "1",
        preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_NOFILE, (20, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        ),
    )
    assert ask(pool.ready().port, "/pid").isdigit()


def test_no_permission_to_pin(start: Start) -> None:
    """It runs on, not pinned, and says so once, however many workers follow."""
    pool = start("ok:app", "--workers", "1", "--pin", "always", preexec_fn=forbid_pinning).ready()
    assert "slot 0 is not pinned: no permission to pin to core" in pool.log
    assert pool.slot()["pinned"] is False
    os.kill(pool.slot()["pid"], signal.SIGKILL)
    assert ask(pool.port, "/pid").isdigit()
    pool.until_restarts(1)
    assert pool.log.count("is not pinned") == 1


def forbid_pinning() -> None:
    """From now on sched_setaffinity fails here and in what is executed: a seccomp filter as sandboxes have them."""
    number = {"x86_64": 203, "aarch64": 122}.get(os.uname().machine)
    libc = ctypes.CDLL(None, use_errno=True)

    def instruction(code: int, jt: int, jf: int, k: int) -> bytes:
        return struct.pack("HBBI", code, jt, jf, k)

    program = b"".join(
        (
            instruction(0x20, 0, 0, 0),  # load the number of the call
            instruction(0x15, 0, 1, number or 0),  # is it this one?
            instruction(0x06, 0, 0, 0x00050000 | errno.EPERM),  # fail
            instruction(0x06, 0, 0, 0x7FFF0000),  # allow
        )
    )
    buffer = ctypes.create_string_buffer(program, len(program))
    filter_ = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    NO_NEW_PRIVS, SECCOMP, FILTER = 38, 22, 2
    if number is None or libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(SECCOMP, FILTER, filter_, 0, 0):
        raise OSError(errno.ENOSYS, "no seccomp here")
