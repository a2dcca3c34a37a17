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

from rich.console import Console
from rich.live import Live
from rich.text import Text

from corepod.contract.escaping import from_bytes
from corepod.local.client import status
from corepod.local.table import table

if TYPE_CHECKING:
    from collections.abc import Callable

REFRESH = 0.5  # seconds between two looks at the pool
LONGEST_LINE = 65536


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
    _forward_signals(supervisor)
    assert supervisor.stdout is not None
    os.set_blocking(supervisor.stdout.fileno(), False)
    console = Console(highlight=False)
    rest = b""
    with selectors.DefaultSelector() as selector, Live(console=console, auto_refresh=False, transient=True) as live:
        selector.register(supervisor.stdout, selectors.EVENT_READ)
        due = 0.0
        while True:
            if selector.select(max(0.0, due - time.monotonic())):
                data = os.read(supervisor.stdout.fileno(), LONGEST_LINE)
                if not data:
                    break
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    live.console.print(_styled(line), soft_wrap=True)
            if time.monotonic() >= due:
                live.update(table(status(control), time.time()), refresh=True)
                due = time.monotonic() + REFRESH
    return supervisor.wait()


def _styled(line: bytes) -> Text:
    text = Text(from_bytes(line))
    text.highlight_regex(r"^\S+Z (?=[A-Z]+ )", "dim")
    text.highlight_regex(r"(?<=Z )WARNING", "yellow")
    text.highlight_regex(r"(?<=Z )ERROR", "bold red")
    text.highlight_regex(r"\[(process|worker) [^]]*\]|^worker [^|]* \|", "cyan")
    return text


def _forward_signals(supervisor: subprocess.Popen[bytes]) -> None:
    def stop(signum: int, frame: object) -> None:
        # The first one drains, the second one stops at once: the supervisor counts them.
        supervisor.send_signal(signal.SIGTERM)

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, stop)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
