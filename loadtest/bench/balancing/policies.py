"""Ways to choose a pod for a request. A chooser is one proxy: it knows only the requests that it has sent itself."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

WAIT = -1  # in place of a pod: keep the request until one of this chooser's own has been answered


class Chooser(Protocol):
    def pick(self) -> int:
        """The pod for the next request, or WAIT."""

    def done(self, pod: int) -> None:
        """A request that went to `pod` has been answered."""


class Random:
    """Any pod, as kube-proxy's iptables and nftables rules choose."""

    def __init__(self, pods: int, generator: random.Random) -> None:
        self._pods, self._random = pods, generator.random

    def pick(self) -> int:
        return int(self._random() * self._pods)

    def done(self, pod: int) -> None:
        pass


class RoundRobin:
    """One pod after the other."""

    def __init__(self, pods: int, generator: random.Random) -> None:
        self._pods, self._next = pods, generator.randrange(pods)

    def pick(self) -> int:
        self._next = (self._next + 1) % self._pods
        return self._next

    def done(self, pod: int) -> None:
        pass


class TwoChoices:
    """The one with fewer open requests of two random pods: Envoy's LEAST_REQUEST, Linkerd's and Traefik's p2c."""

    def __init__(self, pods: int, generator: random.Random) -> None:
        self._pods, self._random, self._open = pods, generator.random, [0] * pods

    def pick(self) -> int:
        one = int(self._random() * self._pods)
        if self._pods > 1:
            other = int(self._random() * (self._pods - 1))
            other += other >= one
            if self._open[other] < self._open[one]:
                one = other
        self._open[one] += 1
        return one

    def done(self, pod: int) -> None:
        self._open[pod] -= 1


class LeastConnections:
    """The pod with the fewest open requests; those with equally many take turns, as with HAProxy's leastconn."""

    def __init__(self, pods: int, generator: random.Random) -> None:
        order = list(range(pods))
        generator.shuffle(order)  # DNS answers in any order
        self._levels: list[OrderedDict[int, None]] = [OrderedDict.fromkeys(order)]  # pods by their open requests
        self._open, self._lowest = [0] * pods, 0

    def pick(self) -> int:
        while not self._levels[self._lowest]:
            self._lowest += 1
        pod = next(iter(self._levels[self._lowest]))
        self.take(pod)
        return pod

    def take(self, pod: int) -> None:
        """Count a request that goes to this pod whatever its open requests, as one with a cookie does."""
        self._move(pod, self._open[pod] + 1)

    def done(self, pod: int) -> None:
        self._move(pod, self._open[pod] - 1)
        self._lowest = min(self._lowest, self._open[pod])

    def _move(self, pod: int, level: int) -> None:
        """To the end of the level's line."""
        del self._levels[self._open[pod]][pod]
        if level == len(self._levels):
            self._levels.append(OrderedDict())
        self._levels[level][pod] = None
        self._open[pod] = level


class OneEach:
    """An idle pod, else the request waits: HAProxy's `maxconn 1` with the queue of the backend, Knative's
    `containerConcurrency: 1`. A single one of these is the ideal queue, M/G/c in the order of arrival."""

    def __init__(self, pods: int, generator: random.Random) -> None:
        order = list(range(pods))
        generator.shuffle(order)
        self._idle = deque(order)

    def pick(self) -> int:
        return self._idle.popleft() if self._idle else WAIT

    def done(self, pod: int) -> None:
        self._idle.append(pod)


@dataclass(frozen=True)
class Policy:
    """`proxies` choosers, each of which gets any request with the same probability."""

    name: str
    chooser: Callable[[int, random.Random], Chooser]
    proxies: int = 1


RANDOM = Policy("random", Random)
IDEAL = Policy("one queue", OneEach)
POLICIES = (
    RANDOM,
    Policy("round robin", RoundRobin),
    Policy("p2c", TwoChoices),
    Policy("p2c, 2", TwoChoices, 2),
    Policy("p2c, 3", TwoChoices, 3),
    Policy("least", LeastConnections),
    Policy("least, 2", LeastConnections, 2),
    Policy("least, 3", LeastConnections, 3),
    IDEAL,
    Policy("queue, 2", OneEach, 2),
    Policy("queue, 3", OneEach, 3),
)
BY_NAME = {policy.name: policy for policy in POLICIES}
