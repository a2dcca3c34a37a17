"""The discrete events of pods that serve one request after the other, in the order in which these reach them."""

from __future__ import annotations

import heapq
import random
from collections import deque
from typing import TYPE_CHECKING

from loadtest.bench.balancing.policies import WAIT

if TYPE_CHECKING:
    from loadtest.bench.balancing.policies import Policy
    from loadtest.bench.balancing.workload import Workload


class _Run:
    """One simulation. What a pod will have finished when is known as soon as a request is sent to it, so the only
    events are arrivals and answers."""

    def __init__(self, policy: Policy, work: Workload, pods: int, generator: random.Random) -> None:
        self._work, self._choose = work, generator.random
        self._choosers = [policy.chooser(pods, generator) for _ in range(policy.proxies)]
        self._waiting: list[deque[int]] = [deque() for _ in self._choosers]
        self._free = [0.0] * pods  # when each pod has served all that it was sent
        self._answers: list[tuple[float, int, int, int]] = []  # a heap: time, request, chooser, pod
        self.stays = [0.0] * len(work)
        self.pods = [WAIT] * len(work)

    def run(self) -> None:
        answers, proxies = self._answers, len(self._choosers)
        for request, now in enumerate(self._work.times):
            while answers and answers[0][0] <= now:
                self._answer(*heapq.heappop(answers))
            proxy = int(self._choose() * proxies) if proxies > 1 else 0
            pod = self._choosers[proxy].pick()
            if pod == WAIT:
                self._waiting[proxy].append(request)
            else:
                self._send(request, proxy, pod, now)
        while answers:
            self._answer(*heapq.heappop(answers))

    def _send(self, request: int, proxy: int, pod: int, now: float) -> None:
        free = self._free[pod]
        end = (free if free > now else now) + self._work.services[request]
        self._free[pod] = end
        self.stays[request], self.pods[request] = end - self._work.times[request], pod
        heapq.heappush(self._answers, (end, request, proxy, pod))

    def _answer(self, now: float, _: int, proxy: int, pod: int) -> None:
        if self._waiting[proxy]:
            self._send(self._waiting[proxy].popleft(), proxy, pod, now)  # the pod's place goes to the next in line
        else:
            self._choosers[proxy].done(pod)


def simulate(policy: Policy, work: Workload, pods: int, seed: int) -> tuple[list[float], list[int]]:
    """For each request, how long it stays (waiting and service, in mean service times), and the pod that serves it."""
    run = _Run(policy, work, pods, random.Random(f"{policy.name} {seed}"))
    run.run()
    return run.stays, run.pods
