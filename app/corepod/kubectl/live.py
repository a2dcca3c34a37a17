"""The loop of the live view. A thread looks at the cluster, so that a slow API server holds up no key."""

from __future__ import annotations

import contextlib
import select
import signal
import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from rich.text import Text

from corepod.contract.escaping import line
from corepod.contract.exits import EXIT_OK
from corepod.kubectl.access import told
from corepod.kubectl.draw import lines
from corepod.local.screen import window
from corepod.local.signals import caught, pause
from corepod.local.top.cells import cut
from corepod.local.top.display import Display
from corepod.local.top.view import keys
from corepod.operator.api.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from socket import socket

    from corepod.kubectl.fleet import Fleet
    from corepod.kubectl.grid import Look

STOPS = {signal.SIGINT: EXIT_OK, signal.SIGTERM: 128 + signal.SIGTERM, signal.SIGHUP: 128 + signal.SIGHUP}
OTHERS = (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)
STEPS = {"up": -1, "down": 1, "page up": -10, "page down": 10, "home": -(1 << 20), "end": 1 << 20}
HINT = "q quit   up, down, PgUp, PgDn scroll"


class Watcher:
    """What it finds is in `news`: a look, or why there is none. A byte in `bell` says that something has come."""

    def __init__(self, fleet: Fleet, interval: float, bell: socket) -> None:
        self._fleet, self._interval, self._bell = fleet, interval, bell
        self.news: SimpleQueue[Look | Exception] = SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            began = time.monotonic()
            try:
                self.news.put(self._fleet.look(self._interval))
            except ClusterError as error:
                self.news.put(told(error))
            except Exception as error:  # such as a pod that no API server describes: the next look may be better
                self.news.put(error)
            with contextlib.suppress(OSError):  # full: it will look anyway; closed: the person has left
                self._bell.send(b"\0")
            time.sleep(max(0.2, self._interval - (time.monotonic() - began)))


def watch(fleet: Fleet, first: Look, context: str, interval: float, *, namespaces: bool) -> int:
    """Show the cluster until the person leaves, or a signal comes; returns the exit code."""
    look, fault, top = first, "", 0
    with caught((*STOPS, *OTHERS)) as (signals, bell), Display() as display:
        watcher = Watcher(fleet, interval, bell)
        while True:
            size = window()
            drawn = lines(look, context, size.columns, namespaces=namespaces, glyphs=display.glyphs)
            top = max(0, min(top, len(drawn) - size.lines + 1))
            display.show([cut(line, size.columns, display.glyphs) for line in _window(drawn, fault, top, size.lines)])
            readable: list[socket | int] = [signals, *display.readable]
            ready = select.select(readable, [], [], None)[0]
            for signum in signals.recv(256) if signals in ready else b"":
                if signum in STOPS:
                    return STOPS[signal.Signals(signum)]
                if signum == signal.SIGTSTP:
                    display.leave()
                    pause()
                elif signum == signal.SIGCONT:
                    display.forget()
            with contextlib.suppress(Empty):
                while True:
                    news = watcher.news.get_nowait()
                    look, fault = (look, line(str(news))) if isinstance(news, Exception) else (news, "")
            typed = display.read() if any(fd in ready for fd in display.readable) else ""
            pressed = keys(typed) if typed is not None else ["q"]
            if "q" in pressed:
                return EXIT_OK
            top = max(0, top + sum(STEPS.get(key, 0) for key in pressed))


def _window(drawn: Sequence[Text], fault: str, top: int, height: int) -> list[Text]:
    """As much as fits from there on, and a line below it: the keys, or why what is shown is old."""
    foot = Text(f"what is shown is old: {fault}", "bold red") if fault else Text(HINT, "dim")
    body = list(drawn[top : top + max(0, height - 1)])
    return [*body, *[Text()] * (height - 1 - len(body)), foot][-height:]
