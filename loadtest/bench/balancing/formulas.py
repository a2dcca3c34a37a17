"""Closed formulas of queueing theory, which the simulation has to agree with. Times are in mean service times."""

from __future__ import annotations

import math


def one_server(load: float, second_moment: float) -> float:
    """The mean stay in M/G/1, by Pollaczek and Khinchine; M/M/1 with 2 for the mean of the square, M/D/1 with 1."""
    return 1.0 + load * second_moment / (2.0 * (1.0 - load))


def many_servers(load: float, servers: int) -> float:
    """The mean stay in M/M/c, by Erlang's formula C. `load` is the share of the time that each server is busy."""
    offered = load * servers
    blocked = 1.0  # Erlang B by its recursion, which doesn't overflow for many servers
    for number in range(1, servers + 1):
        blocked = offered * blocked / (number + offered * blocked)
    waits = blocked / (1.0 - load * (1.0 - blocked))
    return 1.0 + waits / (servers * (1.0 - load))


def mean_stay(policy: str, service: str, load: float, pods: int, second_moment: float) -> float:
    """NaN where there is no closed formula."""
    if policy == "random":
        return one_server(load, second_moment)
    if policy == "one queue" and service == "exp":
        return many_servers(load, pods)
    return math.nan
