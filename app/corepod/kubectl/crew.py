"""Threads that each ask one pod at a time, so that a pod that doesn't answer holds up none of the others."""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from corepod.operator.api.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from corepod.kubectl.pods import Pod

T = TypeVar("T")
THREADS = 12  # that ask pods which have answered before, or were never asked
PATIENT = 4  # that ask pods which aren't ready or haven't answered the last time: these delay only each other


class Crew(Generic[T]):
    """`ask` is called with a pod in one of the threads. What it raises is the pod's answer, too."""

    def __init__(self, ask: Callable[[Pod], T]) -> None:
        self._ask = ask
        self._prompt: SimpleQueue[tuple[Pod, Future[T]]] = SimpleQueue()
        self._patient: SimpleQueue[tuple[Pod, Future[T]]] = SimpleQueue()
        self._asked: dict[str, Future[T]] = {}
        self.found: dict[str, T | Exception] = {}
        for queue, count in ((self._prompt, THREADS), (self._patient, PATIENT)):
            for _ in range(count):
                # Daemons: one may wait for a pod when the person leaves.
                threading.Thread(target=self._work, args=(queue,), daemon=True).start()

    def look(self, pods: Iterable[Pod], within: float) -> dict[str, T | Exception]:
        """The last answer of each pod, or its error, by uid, after `within` seconds at most. A pod that was never heard
        within that time has an error that says so, and is not asked again before its answer has come."""
        chosen = {pod.uid: pod for pod in pods}
        for uid in self.found.keys() - chosen.keys():
            del self.found[uid]
        self._asked = {uid: future for uid, future in self._asked.items() if uid in chosen}
        for uid, pod in chosen.items():
            if uid not in self._asked:
                self._asked[uid] = Future()
                slow = not pod.ready or isinstance(self.found.get(uid), Exception)
                (self._patient if slow else self._prompt).put((pod, self._asked[uid]))
        wait(self._asked.values(), timeout=within)
        for uid in [uid for uid, future in self._asked.items() if future.done()]:
            future = self._asked.pop(uid)
            error = future.exception()
            self.found[uid] = error if isinstance(error, Exception) else future.result()
        silent = Unreachable(f"no answer within {within:g} s")
        return {uid: self.found.get(uid, silent) for uid in chosen}

    def _work(self, queue: SimpleQueue[tuple[Pod, Future[T]]]) -> None:
        while True:
            pod, future = queue.get()
            try:
                future.set_result(self._ask(pod))
            except Exception as error:  # whatever a pod answers: a thread that ends would ask no other one
                future.set_exception(error)
