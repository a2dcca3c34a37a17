"""Every command where its output can't go anywhere, where nobody reads it, and where the libraries for a terminal are
missing, as in the image of a worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.process.commands.client import QUICK, corepod, words
from tests.process.harness import APPS
from tests.process.terminal import Terminal
from tests.procfs import alive
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

# Each prints something on standard output.
LOOK = [
    *(["ps", *more] for more in ([], ["--json"], ["-q"])),
    *(["top", "shop", "--interval", "0.1", more] for more in ("--once", "--json")),
    *(["describe", name, *more] for name in ("shop", "shop/0") for more in ([], ["--json"])),
    *(["dump", "shop/0", "--timeout", "60", *more] for more in ([], ["--json"])),
    *(["events", "shop", *more] for more in ([], ["--json"])),
]
STEER = [
    *(["scale", "shop", "1", *more] for more in ([], ["--json"])),
    *(["restart", "shop/0", *more] for more in ([], ["--json"])),
    *(["reload", "shop", "--wait", *more] for more in ([], ["--json"])),
]
SET_UP = [
    *(["check", "ok:app", "--bind", "127.0.0.1:0", "--admin", "127.0.0.1:0", *more] for more in ([], ["--json"])),
    *(["config", "ok:app", *more] for more in ([], ["--json"])),
    *(["systemd", "ok:app", *more] for more in ([], ["--json"])),
    *(["init", "ok:app", "--print", *more] for more in ([], ["--json"])),
]
READ = [
    *(["completion", shell] for shell in ("bash", "zsh", "fish")),
    ["man"],
    ["logs", "LOG"],
    ["logs", "LOG", "--json"],
]
# One after another they take a while: a test for each group.
GROUPS = pytest.mark.parametrize("commands", [LOOK, STEER, SET_UP, READ], ids=["look", "steer", "set-up", "read"])


@pytest.fixture
def shop(start: Start) -> Pool:
    return start("ok:app", "--name", "shop", "--workers", "1", *QUICK).ready()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log file where those of pools in the background are."""
    path = tmp_path / "state" / "corepod" / "shop.log"
    path.parent.mkdir(parents=True)
    path.write_text("2026-01-02T03:04:05.678Z INFO    shop: 1 worker on 127.0.0.1:8000\n")
    return path


def with_log(commands: list[list[str]], log: Path) -> list[list[str]]:
    return [[str(log) if word == "LOG" else word for word in args] for args in commands]


def into(redirection: str, *args: str) -> tuple[int, str]:
    """Exit code and standard error of a command whose standard output a shell redirects."""
    done = subprocess.run(
        ["bash", "-c", f'"$@" {redirection}; exit "${{PIPESTATUS[0]}}"', "bash", *words(*args)],
        text=True, timeout=3 * DEADLINE, check=False, cwd=APPS,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("redirection", "code", "told"),
    [
        (">/dev/full", 7, "corepod: the output can't be written: No space left on device"),
        (">&-", 0, ""),
        ("| true", 0, ""),
    ],
)
@GROUPS
def test_a_full_disk_is_told_and_nobody_is_no_fault(
    shop: Pool, log: Path, commands: list[list[str]], redirection: str, code: int, told: str
) -> None:
    wrong = {}
    for args in with_log(commands, log):
        found, err = into(redirection, *args)
        if found != code or "Traceback" in err or not err.strip().endswith(told):
            wrong[" ".join(args)] = found, err
    assert not wrong


# As `corepod`, but for an interpreter in which these packages aren't installed.
BARE = """
import sys
sys.modules.update(dict.fromkeys(("rich", "rich.console", "rich.text", "shtab", "watchfiles")))
sys.argv[0] = "corepod"
from corepod.cli import main
sys.exit(main())
"""
MISSING = {"top": 2, "completion": 7}  # unless --json is asked for


@GROUPS
def test_on_a_terminal_without_the_libraries_for_one(shop: Pool, log: Path, commands: list[list[str]]) -> None:
    wrong = {}
    for args in with_log(commands, log):
        terminal = Terminal(command=[sys.executable, "-c", BARE, *args])
        try:
            code = terminal.ended(3 * DEADLINE)
            text = terminal.text
        finally:
            terminal.close()
        expected = 0 if "--json" in args else MISSING.get(args[0], 0)
        if code != expected or "Traceback" in text or (expected and "pip install 'corepod[local]'" not in text):
            wrong[" ".join(args)] = code, text
    assert not wrong


def test_the_log_of_a_frozen_pool_is_shown(shop: Pool, log: Path) -> None:
    os.kill(shop.process.pid, signal.SIGSTOP)
    try:
        done = corepod("logs", "shop", env={"XDG_STATE_HOME": str(log.parent.parent)})
        asked = corepod("restart", "shop/0")
    finally:
        os.kill(shop.process.pid, signal.SIGCONT)
    assert (done.code, "shop: 1 worker on" in done.out) == (0, True)
    assert "shop doesn't answer" in done.err
    assert "it is frozen or very busy" in done.err
    assert (asked.code, "it may do what was asked for when it goes on" in asked.err) == (8, False)  # it only looked


@pytest.mark.root
def test_a_frozen_pool_keeps_no_other_from_being_stopped(shop: Pool, start: Start, alone: tuple[str, ...]) -> None:
    blog = start("ok:app", "--name", "blog", "--workers", "1", *QUICK).ready()
    os.kill(blog.process.pid, signal.SIGSTOP)
    try:
        done = corepod("stop", "--all", "--json", prefix=alone)
        assert shop.process.wait(DEADLINE) == 0
    finally:
        os.kill(blog.process.pid, signal.SIGCONT)
    assert done.code == 8
    assert [(pool["pool"], pool["stopped"]) for pool in done.document] == [("shop", True), ("blog", False)]
    assert "blog doesn't answer" in done.err
    assert "it may do what was asked for when it goes on" in done.err
    assert blog.process.wait(DEADLINE) == 0  # as it says


def test_a_pool_is_found_by_the_name_that_it_was_given(start: Start) -> None:
    start("ok:app", "--name", "my shop/é", "--workers", "1", *QUICK).ready()
    done = corepod("scale", "my shop/é", "2", "--json")
    assert (done.code, done.err) == (0, "")
    assert done.document["slots"] == 2


def test_digits_of_another_script_are_no_slot(shop: Pool) -> None:
    done = corepod("describe", "shop/\u0663")
    assert (done.code, "no pool called shop/\u0663 runs here" in done.err) == (8, True)


@pytest.mark.parametrize("args", [("check", "ok:app"), ("dump", "shop/0"), ("stop", "shop"), ("start", "ok:app")])
@pytest.mark.parametrize("seconds", ["nan", "-1", "soon"])
def test_a_time_that_is_none_is_the_only_fault(args: tuple[str, ...], seconds: str) -> None:
    done = corepod(args[0], "--timeout", seconds, *args[1:])
    assert done.code == 2
    said = done.out + done.err
    assert f"{seconds!r} is not a number of seconds" in said
    assert "one too many" not in said


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_check_and_its_import(tmp_path: Path, signum: int) -> None:
    (tmp_path / "endless.py").write_text(
        "import os, pathlib, time\n"
        "pathlib.Path('half').write_text(str(os.getpid()))\n"
        "os.rename('half', 'pid')\n"
        "time.sleep(10000)\n"
    )
    process = subprocess.Popen(words("check", "endless"), cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        until((tmp_path / "pid").exists, "it is imported")
        process.send_signal(signum)
        _, err = process.communicate(timeout=DEADLINE)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert (process.returncode, err) == (128 + signum, "")
    assert not alive(int((tmp_path / "pid").read_text()))
