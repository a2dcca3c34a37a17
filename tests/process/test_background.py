"""`corepod start`: a pool in the background, ready when the command returns, or gone with the reason told."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from corepod.contract.exits import EXIT_APP, EXIT_BIND, EXIT_BOOT, EXIT_FAILED, EXIT_LATE, EXIT_SETTINGS
from corepod.local.client import Refused

from tests.process.background import ANY_PORT, ONE, Machine, get, sockets
from tests.process.harness import APPS
from tests.process.terminal import Terminal
from tests.procfs import alive
from tests.waiting import DEADLINE, until

TWO = ("-w", "2", "--pin", "never")
# Bytes that PID 1 may take. More than half are pages of the interpreter, which has grown since Python 3.14.
MOST = (17 if sys.version_info >= (3, 14) else 14) << 20


def start_by(user: Machine, code: str, *args: str) -> subprocess.CompletedProcess[str]:
    """`corepod start` by an interpreter that runs this code."""
    command = [sys.executable, "-c", code, "start", "ok:app", *args, *ANY_PORT, *ONE]
    return subprocess.run(
        command, env=user.environment, cwd=APPS, capture_output=True, text=True, check=False, timeout=2 * DEADLINE
    )


def slow(user: Machine, seconds: float = 300) -> dict[str, str]:
    return {**user.environment, "SLOW_START": str(seconds)}


def test_it_is_ready_when_the_command_returns(user: Machine) -> None:
    started = user.start("ok:app", *TWO)
    assert get(started)["pid"] != started["pid"]
    status = user.status()
    assert [slot["ready"] for slot in status["slots"]] == [True, True]
    assert status["pid"] == started["pid"]
    assert status["log"] == {"to": "file", "path": started["log"]}
    assert started["log"] == str(user.log())
    assert started["control"] == str(user.run / "corepod" / f"{user.name}.sock")


def test_its_log_is_for_its_owner_and_group(user: Machine) -> None:
    log = Path(user.start("ok:app", *ONE)["log"])
    assert stat.S_IMODE(log.stat().st_mode) == 0o640
    assert stat.S_IMODE(log.parent.stat().st_mode) == 0o700


def test_what_it_prints_for_people(user: Machine) -> None:
    done = user.corepod("start", "ok:app", *ANY_PORT, *ONE)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(
        rf"{user.name} is ready on http://127\.0\.0\.1:\d+ \(admin .*, pid \d+\)\nlog: .*\.log\n", done.stdout
    )
    assert done.stderr == ""


def test_it_is_detached(user: Machine) -> None:
    """From the session, the terminal, the streams and the descriptors of whoever started it; it keeps the folder."""
    with socket.socket() as inherited:
        os.set_inheritable(inherited.fileno(), True)
        started = user.start("ok:app", *ONE, close_fds=False)
    pid = started["pid"]
    assert os.getsid(pid) == pid == os.getpgid(pid)
    assert os.readlink(f"/proc/{pid}/cwd") == str(APPS)
    targets = _targets(pid)
    assert targets["0"] == os.devnull
    assert targets["1"] == targets["2"] == started["log"]
    # A library or module that it is just loading is open for a moment.
    until(lambda: not _strange(pid, started["log"]), lambda: f"nothing strange open: {_strange(pid, started['log'])}")
    told = {int(started["binds"][0].split(":")[1]), int(started["admin"].split(":")[1])}
    # The kernel's table may lack lines while it is read, and others come and go.
    until(lambda: _listening(pid) == told, lambda: f"it listens on {told}: {_listening(pid)}")


def _targets(pid: int) -> dict[str, str]:
    found = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[fd] = os.readlink(f"/proc/{pid}/fd/{fd}")
    return found


def _strange(pid: int, log: str) -> set[str]:
    """What it has open besides its log and what the supervisor makes itself."""
    kinds = ("socket:", "pipe:", "/memfd:", "/proc/", "/sys/", "pidfd", "anon_inode:[eventpoll]", "anon_inode:[pidfd]")
    others = {target for fd, target in _targets(pid).items() if int(fd) > 2}
    # libffi, behind ctypes, keeps its own file open on some systems: it maps its trampolines from there.
    return {target for target in others if target != log and not target.startswith(kinds) and "/libffi" not in target}


def _listening(pid: int) -> set[int]:
    inodes = set(_targets(pid).values())
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return {int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes}


def test_its_memory(user: Machine) -> None:
    """Noise is allowed for: it is the smallest of many looks that counts."""
    started = user.start("ok:app", *TWO, "--log-max-size", "2k")
    for _ in range(50):
        get(started, "/say?text=hello&n=20")
    looks = [user.status()["supervisor"]["rss_bytes"] for _ in range(20)]
    assert min(looks) <= MOST, f"{min(looks) / (1 << 20):.1f} MB"


def test_its_memory_after_many_commands(user: Machine) -> None:
    """What is asked for takes room for what is kept: the last events and lines, and pieces that the allocator keeps.
    That comes to an end: it isn't a leak."""
    user.start("ok:app", *TWO)
    client = user.client()

    def ask(times: int) -> int:
        for _ in range(times):
            for path in ("/status", "/slot?slot=0", "/settings", "/events", "/log", "/stacks", "/events?after=1"):
                client.get(path)
            with pytest.raises(Refused):
                client.post("/scale?to=nonsense")
        return min(int(user.status()["supervisor"]["rss_bytes"]) for _ in range(20))

    before = ask(100)
    grown = ask(300) - before
    assert grown < 300 * 8 * 100, f"{grown} bytes more after 2400 commands"


# It fails, with the reason


@pytest.mark.parametrize(
    ("app", "code", "reason"),
    [
        ("boot_error:app", EXIT_BOOT, "ValueError: DATABASE_URL has no host"),
        ("missing_import:app", EXIT_BOOT, "No module named"),
        ("nowhere:app", EXIT_APP, "nowhere"),
        ("lifespan_raise:app", EXIT_BOOT, "Traceback"),
    ],
)
def test_code_that_fails_to_start(user: Machine, app: str, code: int, reason: str) -> None:
    done = user.corepod("start", app, *ANY_PORT, *ONE)
    assert done.returncode == code, done.stderr
    assert reason in done.stderr
    assert done.stderr.splitlines()[-1] == (
        f"corepod: {user.name}: didn't start (exit code {code}); its log is {user.log()}"
    )
    assert done.stdout == ""
    assert user.supervisors() == []
    assert sockets(user.run) == []


def test_the_log_of_an_earlier_start_is_not_its_reason(user: Machine) -> None:
    user.corepod("start", "boot_error:app", *ANY_PORT, *ONE)
    done = user.corepod("start", "nowhere:app", *ANY_PORT, *ONE)
    assert done.returncode == EXIT_APP
    assert "DATABASE_URL" not in done.stderr
    assert "DATABASE_URL" in user.log().read_text()


def test_a_taken_port(user: Machine) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        done = user.corepod("start", "ok:app", "--bind", address, "--admin", "none", *ONE)
    assert done.returncode == EXIT_BIND
    assert address in done.stderr


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_timeout_that_is_none(user: Machine, seconds: str) -> None:
    done = user.corepod("start", "ok:app", f"--timeout={seconds}")
    assert done.returncode == EXIT_SETTINGS
    assert f"--timeout: '{seconds}' is not a number of seconds above 0" in done.stderr


def test_bad_settings_start_nothing(user: Machine) -> None:
    done = user.corepod("start", "ok:app", "--wrokers", "2")
    assert done.returncode == EXIT_SETTINGS
    assert "did you mean --workers" in done.stderr
    assert not user.state.exists()


def test_what_the_supervisor_itself_writes_is_the_reason_too(user: Machine) -> None:
    """A broken interpreter, a library that can't be loaded: nothing of corepod runs then that could tell it."""
    code = (
        "import sys; from corepod.local import launch; launch.SUPERVISOR = '/nonexistent/supervisor.py'\n"
        "from corepod.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = start_by(user, code)
    assert done.returncode == 2
    assert "can't open file '/nonexistent/supervisor.py'" in done.stderr
    assert "/nonexistent/supervisor.py" in user.log().read_text()


# It is stopped while it starts


def test_a_start_that_takes_too_long_is_stopped(user: Machine) -> None:
    done = user.corepod("start", "slow_lifespan:app", *ANY_PORT, *ONE, "--timeout", "1", env=slow(user))
    assert done.returncode == EXIT_LATE
    assert "not ready after 1 s (--timeout), and stopped" in done.stderr
    assert user.supervisors() == []


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_start(user: Machine, signum: int) -> None:
    command = subprocess.Popen(
        user.command("start", "slow_lifespan:app", *ANY_PORT, *ONE),
        cwd=APPS,
        env=slow(user),
        stderr=subprocess.PIPE,
        text=True,
    )
    user.until_log("usable cores")
    command.send_signal(signum)
    _, errors = command.communicate(timeout=DEADLINE)
    assert command.returncode == 128 + signum
    assert f"{user.name}: the start was stopped" in errors
    assert user.supervisors() == []


def test_ctrl_c_on_a_terminal_that_shows_how_far_it_is(user: Machine) -> None:
    words = [
        "env",
        *(f"{k}={user.environment[k]}" for k in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "COREPOD_NAME")),
        "SLOW_START=300",
    ]
    terminal = Terminal(command=[*words, *user.command("start", "slow_lifespan:app", *ANY_PORT, *ONE)])
    try:
        terminal.shows(rf"{user.name} starts \(\d+ s\) \d{{4}}-")
        terminal.type(b"\x03")
        terminal.shows(f"{user.name}: the start was stopped")
        assert terminal.process.wait(DEADLINE) == 130
        assert not terminal.cursor_hidden
    finally:
        terminal.close()
    assert user.supervisors() == []


def test_a_signal_while_the_line_of_progress_goes_disturbs_it_not(user: Machine) -> None:
    """Half of its way back, the cursor would stay hidden. The pool is ready by then, and stays."""
    code = """
import contextlib, os, signal, sys
from corepod.cli import main
from corepod.local import background

@contextlib.contextmanager
def progress():
    yield print
    os.kill(os.getpid(), signal.SIGINT)
    os.write(2, b"the line is gone")

background._progress = progress
sys.exit(main(sys.argv[1:]))
"""
    done = start_by(user, code)
    assert "the line is gone" in done.stderr
    assert done.returncode == 130
    assert user.status()["state"] == "ready"


# It outlives what started it


def test_the_end_of_the_terminal_is_none_of_its_business(user: Machine) -> None:
    """The shell that started it exits, and the terminal hangs up: no reload, no stop."""
    words = ["env", *(f"{k}={user.environment[k]}" for k in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "COREPOD_NAME"))]
    line = " ".join(user.command("start", "ok:app", *ANY_PORT, *ONE))
    with contextlib.closing(Terminal(command=[*words, "bash", "-c", f"{line}; echo left with $?"])) as terminal:
        terminal.shows("left with 0")
    status = user.status()
    user.look(status["pid"])
    os.kill(status["pid"], signal.SIGUSR1)  # a signal that comes after that of the terminal has a line in the log
    log = user.until_log("the log file is reopened")
    assert "reload" not in log
    assert user.status()["reloads"]["asked"] == 0


def test_a_terminal_that_is_gone_while_it_starts(user: Machine) -> None:
    words = [
        "env",
        *(f"{k}={user.environment[k]}" for k in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "COREPOD_NAME")),
        "SLOW_START=2",
    ]
    command = user.command("start", "slow_lifespan:app", *ANY_PORT, *ONE)
    with contextlib.closing(Terminal(command=[*words, *command])) as terminal:
        user.until_log("usable cores")
        os.kill(terminal.process.pid, signal.SIGKILL)
        terminal.process.wait(DEADLINE)
        until(lambda: user.status()["state"] == "ready", "ready all the same")
    assert user.status()["reloads"]["asked"] == 0


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_streams_that_are_closed(user: Machine, closed: tuple[int, ...]) -> None:
    redirections = " ".join(f"{fd}>&-" for fd in closed)
    line = " ".join(user.command("start", "ok:app", *ANY_PORT, *ONE))
    done = subprocess.run(
        ["bash", "-c", f"{line} {redirections}"],
        cwd=APPS,
        env=user.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * DEADLINE,
    )
    assert done.returncode == 0, done.stderr
    pid = user.status()["pid"]
    assert [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)] == [os.devnull, *[str(user.log())] * 2]


# Names


def test_a_name_that_runs_already(user: Machine) -> None:
    started = user.start("ok:app", *ONE)
    done = user.corepod("start", "ok:app", *ANY_PORT, *ONE)
    assert done.returncode == EXIT_FAILED
    assert f"a pool called {user.name} runs already (pid {started['pid']}): corepod reload {user.name}" in done.stderr
    assert get(started)
    assert len(user.supervisors()) == 1
    other = user.start("ok:app", "--name", f"{user.name}-b", *ONE)
    assert other["name"] == f"{user.name}-b"


def test_a_pool_without_a_control_socket_has_its_log_for_itself(user: Machine) -> None:
    """No command finds it by its name, and the name isn't taken; its log is."""
    flags = (*ONE, "--control", "none")
    started = user.start("ok:app", *flags, "--log-max-size", "2k")
    get(started, "/say?text=hello&n=200")
    until(lambda: user.log().with_name(f"{user.log().name}.1").exists(), "another file")
    for second in (flags, ONE):
        done = user.corepod("start", "ok:app", *ANY_PORT, *second)
        assert done.returncode == EXIT_FAILED, done.stderr
        assert f"a pool called {user.name} runs already, and its log is {user.log()}" in done.stderr
    assert user.supervisors() == [started["pid"]]
    other = user.start("ok:app", *flags, "--log-file", str(user.log("other")))
    assert other["log"] == str(user.log("other"))
    user.stop(started["pid"])
    assert user.start("ok:app", *flags)["log"] == str(user.log())


def test_two_starts_at_once(user: Machine) -> None:
    """One of them wins; the other one takes no other name, and leaves nothing behind."""
    command = user.command("start", "ok:app", "--json", *ANY_PORT, *ONE)
    both = [
        subprocess.Popen(command, cwd=APPS, env=user.environment, stdout=-1, stderr=-1, text=True) for _ in range(2)
    ]
    outputs = [one.communicate(timeout=2 * DEADLINE) for one in both]
    assert sorted(one.returncode for one in both) == [0, EXIT_FAILED], outputs
    loser = next(errors for one, (_, errors) in zip(both, outputs, strict=True) if one.returncode)
    assert f"a pool called {user.name} runs already" in loser
    assert sockets(user.run) == [f"{user.name}.sock"]
    assert len(user.supervisors()) == 1


def test_what_a_dead_pool_has_left_is_in_nobodys_way(user: Machine) -> None:
    started = user.start("ok:app", *ONE)
    family = user.living()
    os.kill(started["pid"], signal.SIGKILL)
    until(lambda: not any(map(alive, family)), "the end of the pool and its workers")
    assert sockets(user.run) == [f"{user.name}.sock"]
    again: dict[str, Any] = user.start("ok:app", *ONE)
    assert again["pid"] != started["pid"]
    assert user.status()["pid"] == again["pid"]


def test_a_name_that_is_no_file_name(user: Machine) -> None:
    started = user.start("ok:app", "--name", f"my {user.name}/1", *ONE)
    assert (started["name"], started["log"]) == (f"my-{user.name}-1", str(user.log(f"my-{user.name}-1")))
    assert user.status(f"my-{user.name}-1")["name"] == f"my {user.name}/1"


# Places


def test_without_a_home_the_log_is_in_the_runtime_folder(user: Machine) -> None:
    for name in ("XDG_STATE_HOME", "HOME"):
        del user.environment[name]
    code = "import os; os.geteuid = lambda: 4711\n" if os.geteuid() == 0 else ""
    code += "import sys; from corepod.cli import main; sys.exit(main(sys.argv[1:]))"
    done = start_by(user, code, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["log"] == str(user.run / "corepod" / f"{user.name}.log")


def test_where_nothing_can_be_written_the_flag_is_named(user: Machine, tmp_path: Path) -> None:
    """A file in place of each folder refuses root, too."""
    (tmp_path / "file").touch()
    places = {name: str(tmp_path / "file") for name in ("XDG_STATE_HOME", "XDG_RUNTIME_DIR", "HOME")}
    code = (
        "import sys; from corepod.local import logfiles; from corepod.contract import runtime\n"
        "logfiles.SYSTEM = runtime.SYSTEM = '/proc/nowhere/'\n"
        "from corepod.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "start", "ok:app", *ANY_PORT, *ONE],
        env={**user.environment, **places},
        cwd=APPS,
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * DEADLINE,
    )
    assert done.returncode == EXIT_SETTINGS
    assert "choose one with --log-file" in done.stderr
    assert user.supervisors() == []


def test_a_log_file_that_can_not_be_written(user: Machine) -> None:
    done = user.corepod("start", "ok:app", "--log-file", "/proc/nowhere/shop.log", *ANY_PORT, *ONE)
    assert done.returncode == EXIT_SETTINGS
    assert "/proc/nowhere/shop.log can't be written" in done.stderr
