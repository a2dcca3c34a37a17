"""`corepod run` on a terminal: the table, the log above it, Ctrl-C, and its own sudden end."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

import httpx
import pytest
from corepod.contract.exits import EXIT_BOOT

from tests.process.terminal import Terminal
from tests.procfs import alive, comm, state
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    shown = Terminal("ok:app", "--bind", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--workers", "1")
    yield shown
    shown.close()


def worker_shown(terminal: Terminal) -> int:
    """The pid in the newest row of slot 0."""
    terminal.shows(r"│ +0 │ +(\d+|-) │ +\d+ │ ready")
    return int(re.findall(r"│ +0 │ +(?:\d+|-) │ +(\d+) │ ready", terminal.text)[-1])


def test_the_table_shows_the_slot_and_its_restart_and_ctrl_c_drains(terminal: Terminal) -> None:
    pid = worker_shown(terminal)
    for column in ("slot", "core", "pid", "state", "restarts", "requests", "cpu", "memory"):
        assert column in terminal.text
    terminal.shows(rf"pid {pid}\] ready")  # the log is there, too
    port = terminal.shows(r"on 127\.0\.0\.1:(\d+)")[1]
    httpx.get(f"http://127.0.0.1:{port}/say?text=said", timeout=DEADLINE)
    terminal.shows(rf"pid {pid} \| said")  # named, for a terminal has no other way to tell
    os.kill(pid, signal.SIGKILL)
    terminal.shows("died: signal SIGKILL")
    terminal.shows(r"│ +0 │ +(\d+|-) │ +\d+ │ ready +│ +1 │")
    assert worker_shown(terminal) != pid
    terminal.type(b"\x03")
    assert terminal.process.wait(DEADLINE) == 0
    terminal.shows("SIGTERM: draining")


def test_no_worker_is_in_the_terminals_process_group(terminal: Terminal) -> None:
    worker_shown(terminal)
    groups = {}
    for pid in terminal.family():
        with contextlib.suppress(ProcessLookupError):  # the process between template and standby ends at once
            groups[pid] = os.getpgid(pid)
    assert len(groups) >= 3
    assert os.getpgid(terminal.process.pid) not in groups.values()


def test_the_pool_ends_when_its_terminal_side_is_killed(terminal: Terminal) -> None:
    worker_shown(terminal)
    family = terminal.family()
    assert "corepod" in map(comm, family)
    terminal.process.kill()
    until(lambda: not any(map(alive, family)), f"gone with their terminal: {family}")


def test_an_import_that_fails_is_not_tried_again_before_somebody_who_watches() -> None:
    shown = Terminal("boot_error:app", "--bind", "127.0.0.1:0", "--admin", "none")
    try:
        assert shown.process.wait(DEADLINE) == EXIT_BOOT
        shown.shows("the application can't be loaded")
        assert shown.text.count("while it was imported") == 1
        assert "tries" not in shown.text
    finally:
        shown.close()


def test_a_fault_is_shown_and_its_exit_code_passed_on() -> None:
    shown = Terminal("nowhere:app", "--bind", "127.0.0.1:0", "--admin", "none")
    try:
        assert shown.process.wait(DEADLINE) == 4
        shown.shows("there is no module 'nowhere'")
    finally:
        shown.close()


# The window


def rows(screen: list[str]) -> list[str]:
    return [line for line in screen if line.startswith("│")]


def whole(terminal: Terminal, columns: int) -> list[str]:
    """The screen, if it has exactly one table, nothing of another one, and the table is this wide at most. A moment
    later the table may be half drawn again."""
    screen = terminal.screen
    frames = [line for line in screen if re.match("[┏┡└]", line)]
    fits = all(len(line) <= columns for line in frames)
    strays = [line for line in screen if re.search("[┏┓┡┩└┘│┃━─]", line) and not re.match("[┏┃┡│└]", line)]
    return screen if len(frames) == 3 and len(rows(screen)) == 1 and fits and not strays else []


def ready(terminal: Terminal, columns: int) -> list[str]:
    """The whole screen, once the worker is ready."""
    screen = whole(terminal, columns)
    return screen if screen and " ready " in rows(screen)[0] else []


@pytest.mark.parametrize("columns", [60, 80, 100, 160])
def test_pid_and_state_are_whole_in_every_window(columns: int) -> None:
    shown = Terminal("ok:app", "--bind", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--workers", "1", columns=columns)
    try:
        screen = until(partial(ready, shown, columns), "the table")
        head = next(line for line in screen if line.startswith("┃"))
        names = [cell.strip() for cell in head.strip("┃").split("┃")]
        row = dict(zip(names, [cell.strip() for cell in rows(screen)[0].strip("│").split("│")], strict=True))
        assert comm(int(row["pid"])) == "corepod-worker"
        assert row["state"] == "ready"
    finally:
        shown.close()


def test_a_change_of_size_leaves_nothing_behind(terminal: Terminal) -> None:
    pid = worker_shown(terminal)
    for columns in (100, 60, 140, 45, 80):
        terminal.resize(columns)
        shown = partial(whole, terminal, columns)
        until(shown, f"one table of {columns} columns")
    log = "".join(line for line in terminal.screen if not line.startswith("│"))
    assert f"pid{pid}]ready" in log.replace(" ", "")


def test_log_lines_scroll_by_above_the_table(terminal: Terminal) -> None:
    pid = worker_shown(terminal)
    for times in range(1, 11):
        os.kill(pid, signal.SIGQUIT)  # its stacks, which are many lines
        until(partial(has_shown, terminal, "stacks:", times), "its stacks")
    until(lambda: whole(terminal, 160), "one table")
    assert sum(bool(line) for line in terminal.screen) > 30


def has_shown(terminal: Terminal, text: str, times: int) -> bool:
    return terminal.text.count(text) >= times


# The cursor


def test_the_cursor_is_back_after_ctrl_c(terminal: Terminal) -> None:
    worker_shown(terminal)
    assert terminal.cursor_hidden
    terminal.type(b"\x03")
    assert terminal.process.wait(DEADLINE) == 0
    until(lambda: not terminal.cursor_hidden, "the cursor")
    assert not rows(terminal.screen)
    assert any("stopped" in line for line in terminal.screen)


def test_ctrl_backslash_stops_at_once_and_gives_the_cursor_back(terminal: Terminal) -> None:
    worker_shown(terminal)
    terminal.type(b"\x1c")
    terminal.process.wait(DEADLINE)
    until(lambda: not terminal.cursor_hidden, "the cursor")


@pytest.fixture
def shell() -> Iterator[Terminal]:
    if shutil.which("bash") is None:
        pytest.skip("no bash for job control")
    made = Terminal(command=["bash", "--norc", "--noprofile", "--noediting", "-i"])
    yield made
    made.type(b"exit\nexit\n")
    made.close()


def test_the_terminal_is_the_shells_after_ctrl_z_and_the_tables_again_after_fg(shell: Terminal) -> None:
    arguments = "run ok:app --bind 127.0.0.1:0 --admin 127.0.0.1:0 --workers 1"
    shell.type(f"{sys.executable} -m corepod {arguments}\n".encode())
    worker = worker_shown(shell)
    assert shell.cursor_hidden
    shell.type(b"\x1a")
    until(lambda: any("Stopped" in line for line in shell.screen), "the shell's word")
    assert not shell.cursor_hidden
    assert not rows(shell.screen)
    assert state(worker) in ("S", "R", "D")  # the pool goes on
    shell.type(b"bg; echo in the background\n")
    shell.shows("\nin the background")
    os.kill(worker, signal.SIGKILL)
    shell.shows("died: signal SIGKILL.*restarting")
    shell.shows(r"\[worker 2 .*ready")
    assert not rows(shell.screen)
    shell.type(b"fg\n")
    until(lambda: whole(shell, 160) and shell.cursor_hidden, "the table again")
    shell.type(b"\x03")
    shell.shows("stopped")
    until(lambda: not shell.cursor_hidden, "the cursor")
