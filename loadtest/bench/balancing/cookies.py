"""How evenly clients are bound to pods by a cookie that the first answer sets, when all come from one address."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from loadtest.bench.balancing.policies import LeastConnections, Policy, Random, RoundRobin
from loadtest.bench.balancing.simulate import simulate
from loadtest.bench.balancing.workload import workload

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from loadtest.bench.balancing.policies import Chooser

CLIENTS = 1000
REQUESTS = 20  # of each client, on average
LOAD = 0.7
WAYS: dict[str, tuple[Callable[[int, random.Random], Chooser], int]] = {
    "random": (Random, 1),
    "round robin, 2 fronts": (RoundRobin, 2),
    "leastconn": (LeastConnections, 1),
    "leastconn, 2 fronts": (LeastConnections, 2),
    "leastconn, 3 fronts": (LeastConnections, 3),
}


class Cookies:
    """Which client is bound to which pod: every front reads it from the cookie, so it is the same in all of them."""

    def __init__(self, first: Callable[[int, random.Random], Chooser]) -> None:
        """`first` chooses the pod for a client that has no cookie yet."""
        self._first = first
        self.bound: dict[int, int] = {}

    def chooser(self, pods: int, generator: random.Random) -> Chooser:
        return _Front(self._first(pods, generator), self.bound, generator)


class _Front:
    def __init__(self, first: Chooser, bound: dict[int, int], generator: random.Random) -> None:
        self._first, self._bound, self._generator = first, bound, generator

    def pick(self) -> int:
        client = self._generator.randrange(CLIENTS)
        pod = self._bound.get(client)
        if pod is None:
            pod = self._bound[client] = self._first.pick()
        elif isinstance(self._first, LeastConnections):
            self._first.take(pod)
        return pod

    def done(self, pod: int) -> None:
        self._first.done(pod)


def busiest_over_mean(way: str, pods: int, seed: int) -> float:
    """Clients that are bound to the pod with the most of them, over the mean of all pods."""
    first, fronts = WAYS[way]
    cookies = Cookies(first)
    policy = Policy(f"cookie, {way}", cookies.chooser, fronts)
    simulate(policy, workload("exp", LOAD, pods, CLIENTS * REQUESTS, seed), pods, seed)
    counts = Counter(cookies.bound.values())
    return max(counts.values()) * pods / sum(counts.values())
