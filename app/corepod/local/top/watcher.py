"""A thread that asks the pool, so that one that doesn't answer holds up no key and no drawing."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from corepod.local.client import Refused, Unreachable
from corepod.local.top.figures import Look, cores, identity
from corepod.local.top.model import Done, Lost, Seen

if TYPE_CHECKING:
    from socket import socket

    from corepod.local.client import Client
    from corepod.local.top.view import Action

NOBODY = (FileNotFoundError, ConnectionRefusedError)  # at the address; anything else is a pool with difficulties
BELL = b"\0"  # no signal has this number


class Pool:
    """Looks at a pool, and keeps in mind which of its events have been seen."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._of: tuple[int, float] | None = None
        self.seen = 0

    def look(self) -> Seen:
        """Raises Unreachable or Refused."""
        status = self._client.get("/status")
        # A pool that was started anew counts its events from 1.
        after = self.seen if identity(status) == self._of else 0
        look = Look(time.monotonic(), status, _cores())
        events = self._client.get(f"/events?after={after}")["events"] if status["last_event"] > after else []
        self._of, self.seen = identity(status), events[-1]["number"] if events else after
        return Seen(look, events)


class Watcher:
    """What it finds out is in `news`; each time, a byte is written to `bell`."""

    def __init__(self, client: Client, interval: float, bell: socket) -> None:
        self._client, self._interval, self._bell = client, interval, bell
        self._pool, self._closed = Pool(client), False
        self._asked: queue.SimpleQueue[Action | None] = queue.SimpleQueue()
        self.news: queue.SimpleQueue[Seen | Lost | Done | Exception] = queue.SimpleQueue()
        # A daemon: it may be waiting for a pool that doesn't answer when the person leaves.
        threading.Thread(target=self._run, daemon=True).start()

    def ask(self, action: Action) -> None:
        """Ask the pool for this as soon as it has answered what it was asked before."""
        self._asked.put(action)

    def close(self) -> None:
        """Not at once: an answer may be under way."""
        self._closed = True
        self._asked.put(None)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._closed:
            try:
                self._tell(self._look())
                due = max(due + self._interval, time.monotonic())
                while action := self._next(due):
                    self._tell(self._do(action))
            except Exception as error:
                self._tell(error)
                return

    def _next(self, due: float) -> Action | None:
        """What is asked for before it is time for the next look."""
        try:
            return self._asked.get(timeout=max(0.0, due - time.monotonic()))
        except queue.Empty:
            return None

    def _look(self) -> Seen | Lost:
        try:
            return self._pool.look()
        except (Unreachable, Refused) as error:
            return Lost(silent=not isinstance(error.__cause__, NOBODY))

    def _do(self, action: Action) -> Done:
        try:
            return Done(action, self._client.post(action.path), since=self._pool.seen)
        except Refused as error:
            return Done(action, {}, refusal=str(error))
        except Unreachable as error:
            nobody = isinstance(error.__cause__, NOBODY)
            why = "nobody is at its address" if nobody else "no answer; it may be done when the pool answers again"
            return Done(action, {}, refusal=why)

    def _tell(self, news: Seen | Lost | Done | Exception) -> None:
        self.news.put(news)
        with contextlib.suppress(OSError):  # full: it will look anyway; closed: the person has left
            self._bell.send(BELL)


def _cores() -> dict[int, tuple[int, int]]:
    try:
        return cores(Path("/proc/stat").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return {}
