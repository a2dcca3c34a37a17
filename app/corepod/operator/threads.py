"""Threads that are watched: one that hangs or fails is a fault in the operator's readiness, and is replaced."""

from __future__ import annotations

import threading
import time
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 60.0  # seconds that one step may take: several times what its requests and reads may take together
PERIOD = 1.0  # seconds between two checks
AFTER_ERROR = 1.0  # seconds to the next step after an error
MOST = 3  # threads that may hang at a time, in one place or in all; with more only a restart helps


class WatchedThread:
    """A thread that repeats a step for ever. Steps have to end within PATIENCE, also where there is nothing to do."""

    def __init__(self, name: str, step: Callable[[], None], log: Callable[[str], None]) -> None:
        self.name = name
        self._step, self._log = step, log
        self._current: threading.Thread | None = None
        self.active_at = time.monotonic()  # when the present step began
        self.replaced = 0  # threads that were given up and haven't come back
        self.fault = ""  # why it doesn't do its work; empty again as soon as a step has succeeded

    def start(self) -> None:
        self.active_at = time.monotonic()
        self._current = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._current.start()

    def check(self, now: float) -> None:
        """Replace the thread if it hangs or has ended."""
        if self._current is None:
            return
        if not self._current.is_alive():
            self.fault = f"the thread {self.name} has ended"
        elif now - self.active_at > PATIENCE and self.replaced <= MOST:
            self.replaced += 1
            self.fault = f"the thread {self.name} has been stuck for {now - self.active_at:.0f} s"
        else:
            return
        self._log(f"{self.fault}; another one takes its place")
        try:
            self.start()
        except RuntimeError as error:  # a limit of processes; the next check tries again
            self._log(str(error))

    def _run(self) -> None:
        mine = threading.current_thread()
        while self._current is mine:
            self.active_at = time.monotonic()
            try:
                self._step()
            except Exception:  # a fault in one step must not end all further ones
                self._fail(traceback.format_exc())
                time.sleep(AFTER_ERROR)
            else:
                if self._current is mine:
                    self.fault = ""
        self.replaced -= 1

    def _fail(self, text: str) -> None:
        self.fault = f"the thread {self.name} has failed, see the traceback in the log"
        self._log(text)


class WatchedThreads:
    """All of them, and the thread that checks them."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._all: list[WatchedThread] = []

    def run(self, name: str, step: Callable[[], None]) -> None:
        """Repeat a step in a thread of its own."""
        thread = WatchedThread(name, step, self._log)
        self._all.append(thread)
        thread.start()

    def start(self) -> None:
        threading.Thread(target=self._check, name="watch", daemon=True).start()

    def why_not_ready(self) -> str:
        """Which thread doesn't do its work, empty if all do."""
        return next((thread.fault for thread in self._all if thread.fault), "")

    def why_not_alive(self) -> str:
        """Which threads hang although others have taken their places, empty if they are few.

        All count together: each may hold what its successor needs, as a reader holds its place among the readers.
        """
        hung = [thread.name for thread in self._all for _ in range(thread.replaced)]
        return f"threads hang, and others have taken their places: {', '.join(hung)}" if len(hung) > MOST else ""

    def _check(self) -> None:
        checked = time.monotonic()
        while True:
            time.sleep(PERIOD)
            now = time.monotonic()
            for thread in self._all:
                if now - checked > PATIENCE / 2:
                    thread.active_at = now  # the whole process was paused, and no thread hangs because of that
                thread.check(now)
            checked = now
