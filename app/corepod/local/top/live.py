"""The loop of the live view: news, signals and keys change what is shown."""

from __future__ import annotations

import select
import signal
import time
from queue import Empty
from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_OK
from corepod.local.client import running
from corepod.local.screen import window
from corepod.local.signals import caught, pause
from corepod.local.top.display import Display
from corepod.local.top.figures import figures
from corepod.local.top.frame import frame
from corepod.local.top.model import Message, Model, update
from corepod.local.top.view import NEXT, PREVIOUS, QUIT, View, keys, ordered, press
from corepod.local.top.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Sequence
    from socket import socket
    from types import FrameType

    from corepod.local.client import Client
    from corepod.local.top.view import Action

REDRAW = 1.0  # seconds without news after which the times on the screen are shown anew
# Ctrl-C is how a view that lasts is left, and no failure.
STOPS: dict[int, int] = {
    signal.SIGINT: EXIT_OK,
    signal.SIGTERM: 128 + signal.SIGTERM,
    signal.SIGHUP: 128 + signal.SIGHUP,
    signal.SIGQUIT: 128 + signal.SIGQUIT,
}
OTHERS = (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)


def watch(client: Client, interval: float) -> int:
    """Show the pool until the person leaves, or a signal comes; returns the exit code."""
    with caught((*STOPS, *OTHERS)) as (signals, bell), Display() as display:
        for signum in STOPS:
            signal.signal(signum, _only_once)
        session = _Session(client, interval, bell)
        while True:
            size = window()
            now, wall = time.monotonic(), time.time()
            display.show(frame(session.model, session.view, size.columns, size.lines, now, wall, display.glyphs))
            readable: list[socket | int] = [signals, *display.readable]
            ready = select.select(readable, [], [], REDRAW)[0]
            for signum in signals.recv(256) if signals in ready else b"":
                if signum in STOPS:
                    return STOPS[signum]
                if signum == signal.SIGTSTP:
                    display.leave()
                    pause()
                elif signum == signal.SIGCONT:
                    display.forget()
            session.learn()
            typed = display.read() if any(fd in ready for fd in display.readable) else ""
            if typed is None:
                return EXIT_OK
            if any(session.press(key) is QUIT for key in keys(typed)):
                return EXIT_OK


def _only_once(signum: int, frame: FrameType | None) -> None:
    """The second one ends the process at once: the terminal may take nothing any more, not even its own end."""
    signal.signal(signum, signal.SIG_DFL)


class _Session:
    """The pool that is watched now, and what is known of it."""

    def __init__(self, client: Client, interval: float, bell: socket) -> None:
        self._interval, self._bell = interval, bell
        self.view = View()
        self._attach(client, pools())

    def _attach(self, client: Client, others: Sequence[Client]) -> None:
        self._client = client
        self._watcher = Watcher(client, self._interval, self._bell)
        addresses = [other.address for other in others]
        number = addresses.index(client.address) + 1 if client.address in addresses else 1
        self.model = Model(client.name, number, max(1, len(addresses)), self._interval)
        self.view = self.view._replace(selected=None, asking=None)

    def learn(self) -> None:
        """Take in what the watcher has found out."""
        while True:
            try:
                news = self._watcher.news.get_nowait()
            except Empty:
                return
            if isinstance(news, Exception):
                raise news
            self.model = update(self.model, news)

    def press(self, key: str) -> Action | None:
        look = self.model.look
        rows = ordered(figures(self.model.before, look).rows, self.view) if look else []
        self.model = self.model._replace(message=Message(""))
        self.view, action = press(self.view, key, [row.slot["slot"] for row in rows])
        if action in (NEXT, PREVIOUS):
            self._go(1 if action is NEXT else -1)
        elif action is not None and action is not QUIT:
            self.model = self.model._replace(message=Message(f"{action.name}: the pool is asked …"))
            self._watcher.ask(action)
        return action

    def _go(self, step: int) -> None:
        found = pools()
        addresses = [client.address for client in found]
        here = addresses.index(self._client.address) if self._client.address in addresses else -1
        if not [address for address in addresses if address != self._client.address]:
            self.model = self.model._replace(message=Message("no other pool of yours runs here"))
            return
        self._watcher.close()
        self._attach(found[(here + step) % len(found)], found)


def pools() -> list[Client]:
    """The pools of this user that run, whether they answer now or not."""
    return [client for client in running() if client.listens()]
