"""`corepod run` on a terminal: the supervisor as a child, the live table below its log, and Ctrl-C."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from corepod.local.client import Client
from corepod.local.loglines import styled
from corepod.local.screen import Screen, window
from corepod.local.signals import caught, pause
from corepod.local.table import table

if TYPE_CHECKING:
    from collections.abc import Callable

REFRESH = 0.5  # seconds between two looks at the pool
LONGEST_LINE = 65536
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SIGNALS = (*STOPS, signal.SIGQUIT, signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)


def watch(command: Callable[[str, int], tuple[list[str], dict[str, str]]]) -> int:
    """Run the supervisor, and show its table and log until it ends; returns its exit code.

    `command(control, lifeline)` returns its arguments and environment. `control` is the path of the control socket;
    when the descriptor `lifeline` is closed the supervisor knows that this process is gone, and stops the pool.
    """
    with tempfile.TemporaryDirectory(prefix="corepod-") as folder:
        control = str(Path(folder, "control.sock"))
        theirs, ours = os.pipe()
        argv, environment = command(control, theirs)
        supervisor = subprocess.Popen(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(theirs,),
            start_new_session=True,  # the terminal sends Ctrl-C to this process alone, which passes it on
        )
        os.close(theirs)
        try:
            return _show(supervisor, control)
        finally:
            os.close(ours)
            supervisor.wait()


def _show(supervisor: subprocess.Popen[bytes], control: str) -> int:
    assert supervisor.stdout is not None
    with selectors.DefaultSelector() as selector, caught(SIGNALS) as (signals, _), Screen() as screen:
        selector.register(supervisor.stdout, selectors.EVENT_READ, _Lines(supervisor.stdout.fileno()))
        selector.register(signals, selectors.EVENT_READ)
        due = 0.0
        while True:
            for key, _ in selector.select(max(0.0, due - time.monotonic())):
                if isinstance(key.data, _Lines):
                    lines = key.data.read()
                    if lines is None:
                        return supervisor.wait()
                    screen.log([styled(line) for line in lines])
                else:
                    for signum in signals.recv(64):
                        _act(signum, supervisor, screen)
                    due = 0.0
            if time.monotonic() >= due:
                size = window()
                screen.show(table(Client(control).status(), time.time(), size.columns, size.lines))
                due = time.monotonic() + REFRESH


class _Lines:
    """The lines of the supervisor's output."""

    def __init__(self, fd: int) -> None:
        self._fd, self._rest = fd, b""
        os.set_blocking(fd, False)

    def read(self) -> list[bytes] | None:
        """Those that are complete by now; None when no more will come."""
        data = os.read(self._fd, LONGEST_LINE)
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines


def _act(signum: int, supervisor: subprocess.Popen[bytes], screen: Screen) -> None:
    if signum in STOPS:
        # The first one drains, the second one stops at once: the supervisor counts them.
        supervisor.send_signal(signal.SIGTERM)
    elif signum == signal.SIGQUIT:
        supervisor.send_signal(signal.SIGQUIT)
    elif signum == signal.SIGTSTP:
        # The pool goes on; only the drawing pauses, until SIGCONT.
        screen.leave()
        pause()
