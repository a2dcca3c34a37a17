"""The simulation of how requests reach pods: it loses and invents nothing, and agrees with what theory knows."""

from __future__ import annotations

import heapq
import itertools
from statistics import mean
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.bench.balancing.cells import Case, stays
from loadtest.bench.balancing.cookies import WAYS, busiest_over_mean
from loadtest.bench.balancing.formulas import many_servers, mean_stay, one_server
from loadtest.bench.balancing.policies import BY_NAME, IDEAL, POLICIES, RANDOM, LeastConnections, OneEach, Policy
from loadtest.bench.balancing.simulate import simulate
from loadtest.bench.balancing.workload import SECOND_MOMENTS, SERVICES, Workload, workload
from loadtest.bench.stats import one_queue

if TYPE_CHECKING:
    from random import Random

NAMES = [policy.name for policy in POLICIES]
# Whole numbers are exact as floats, and answers then often meet arrivals.
works = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9)), min_size=1, max_size=80)


def work(pairs: list[tuple[int, int]]) -> Workload:
    """Of gaps and service times."""
    now, times = 0.0, []
    for gap, _ in pairs:
        now += gap
        times.append(now)
    return Workload(times, [float(service) for _, service in pairs])


def intervals(found: Workload, policy: Policy, pods: int) -> list[tuple[int, float, float]]:
    """The pod of each request, and from when to when it was served."""
    stayed, chosen = simulate(policy, found, pods, 1)
    ends = [time + stay for time, stay in zip(found.times, stayed, strict=True)]
    return [(pod, end - service, end) for pod, end, service in zip(chosen, ends, found.services, strict=True)]


@pytest.mark.parametrize("name", NAMES)
@given(works, st.integers(1, 7))
def test_each_request_is_served_once_after_it_has_come_and_alone_on_its_pod(
    name: str, pairs: list[tuple[int, int]], pods: int
) -> None:
    found = work(pairs)
    served = intervals(found, BY_NAME[name], pods)
    assert len(served) == len(found)
    assert all(0 <= pod < pods for pod, _, _ in served)
    assert all(start >= time for (_, start, _), time in zip(served, found.times, strict=True))
    by_pod = sorted(served)
    for (pod, _, end), (other, start, _) in itertools.pairwise(by_pod):
        assert pod != other or start >= end


@pytest.mark.parametrize("name", NAMES)
@given(works, st.integers(1, 7))
def test_a_pod_never_waits_while_it_has_been_sent_something(name: str, pairs: list[tuple[int, int]], pods: int) -> None:
    """But where a front keeps requests for pods that it believes idle: those may start later."""
    if BY_NAME[name].chooser is OneEach:
        return
    found = work(pairs)
    free: dict[int, float] = {}
    for (pod, start, end), time in zip(intervals(found, BY_NAME[name], pods), found.times, strict=True):
        assert start == max(time, free.get(pod, 0.0))
        free[pod] = end


@given(works, st.integers(1, 7))
def test_the_ideal_queue_starts_each_request_as_soon_as_any_pod_is_free(
    pairs: list[tuple[int, int]], pods: int
) -> None:
    """In the order of arrival: the recursion of Kiefer and Wolfowitz."""
    found = work(pairs)
    free, expected = [0.0] * pods, []
    for time, service in zip(found.times, found.services, strict=True):
        end = max(time, heapq.heappop(free)) + service
        heapq.heappush(free, end)
        expected.append(end - time)
    assert simulate(IDEAL, found, pods, 1)[0] == expected


@given(works, st.integers(1, 7))
def test_least_connections_send_nothing_to_a_busy_pod_while_another_is_idle(
    pairs: list[tuple[int, int]], pods: int
) -> None:
    found = work(pairs)
    served = intervals(found, BY_NAME["least"], pods)
    for number, (time, (_, start, _)) in enumerate(zip(found.times, served, strict=True)):
        busy = {pod for pod, _, end in served[:number] if end > time}
        assert start == time or len(busy) == pods


@pytest.mark.parametrize("name", NAMES)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(1, 7))
def test_with_equal_service_times_nothing_beats_one_queue(name: str, gaps: list[int], pods: int) -> None:
    found = work([(gap, 4) for gap in gaps])
    best = one_queue(found.times, 4.0, pods)
    assert mean(simulate(BY_NAME[name], found, pods, 1)[0]) >= mean(best) - 1e-9


def test_a_chooser_that_prefers_the_busy_is_worse() -> None:
    """Negative control: the simulation does depend on the choice."""

    class Most(LeastConnections):
        def pick(self) -> int:
            pod = max(range(len(self._open)), key=self._open.__getitem__)
            self.take(pod)
            return pod

    def most(pods: int, generator: Random) -> Most:
        return Most(pods, generator)

    found = workload("exp", 0.5, 4, 2000, 1)
    assert mean(simulate(Policy("most", most), found, 4, 1)[0]) > 10 * mean(simulate(RANDOM, found, 4, 1)[0])


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same(name: str) -> None:
    found = workload("heavy", 0.7, 10, 2000, 3)
    assert found == workload("heavy", 0.7, 10, 2000, 3)
    assert simulate(BY_NAME[name], found, 10, 3) == simulate(BY_NAME[name], found, 10, 3)
    assert found != workload("heavy", 0.7, 10, 2000, 4)


@pytest.mark.parametrize("service", SERVICES)
def test_requests_have_the_load_and_the_moments_they_are_said_to_have(service: str) -> None:
    found = workload(service, 0.7, 10, 100_000, 1)
    assert mean(found.services) == pytest.approx(1.0, rel=0.02)
    assert mean(s * s for s in found.services) == pytest.approx(SECOND_MOMENTS[service], rel=0.05)
    assert sum(found.services) / (10 * found.times[-1]) == pytest.approx(0.7, rel=0.03)


@pytest.mark.parametrize("load", [0.5, 0.7, 0.85])
@pytest.mark.parametrize(("service", "within"), [("fixed", 0.03), ("exp", 0.05), ("heavy", 0.15)])
def test_random_pods_are_as_slow_as_the_formula_for_one_server_says(service: str, within: float, load: float) -> None:
    found = workload(service, load, 10, 200_000, 5)
    simulated = mean(simulate(RANDOM, found, 10, 5)[0][50_000:])
    assert simulated == pytest.approx(one_server(load, SECOND_MOMENTS[service]), rel=within)


@pytest.mark.parametrize("load", [0.5, 0.7, 0.85])
@pytest.mark.parametrize("pods", [1, 4, 30])
def test_one_queue_is_as_slow_as_erlang_says(pods: int, load: float) -> None:
    found = workload("exp", load, pods, 150_000, 6)
    simulated = mean(simulate(IDEAL, found, pods, 6)[0][30_000:])
    assert simulated == pytest.approx(many_servers(load, pods), rel=0.05)


def test_the_formulas_agree_where_they_meet_and_with_a_table() -> None:
    assert many_servers(0.7, 1) == pytest.approx(one_server(0.7, 2.0)) == pytest.approx(1 / 0.3)
    # Erlang C for 2 servers and 1 erlang is 1/3, and so is the mean wait.
    assert many_servers(0.5, 2) == pytest.approx(1 + 1 / 3)
    assert mean_stay("p2c", "exp", 0.5, 10, 2.0) != mean_stay("p2c", "exp", 0.5, 10, 2.0)


def test_two_choices_of_many_pods_are_as_slow_as_their_limit() -> None:
    """Mitzenmacher's and Vvedenskaya's: the mean stay at load r is the sum of r to the power of 2^i - 2."""
    load = 0.7
    limit = sum(load ** (2**i - 2) for i in range(1, 12))
    found = workload("exp", load, 500, 250_000, 7)
    assert mean(simulate(BY_NAME["p2c"], found, 500, 7)[0][80_000:]) == pytest.approx(limit, rel=0.03)


@pytest.mark.parametrize(("one", "more"), [("p2c", "p2c, 3"), ("least", "least, 3"), ("one queue", "queue, 3")])
def test_more_proxies_know_less(one: str, more: str) -> None:
    found = workload("exp", 0.7, 20, 60_000, 8)
    assert mean(simulate(BY_NAME[one], found, 20, 8)[0]) < mean(simulate(BY_NAME[more], found, 20, 8)[0])


def test_what_is_said_of_stays() -> None:
    found = stays([float(n) for n in range(1, 101)])
    assert (found.mean, found.p50, found.p99) == (50.5, 50.0, 99.0)
    assert str(Case("exp", 10, 0.7)) == "exp, 10 pods, 70%"


def test_a_cookie_binds_clients_evenly_by_least_connections_and_not_by_chance() -> None:
    fair = [busiest_over_mean("leastconn, 2 fronts", 10, seed) for seed in range(5)]
    chance = [busiest_over_mean("random", 10, seed) for seed in range(5)]
    assert 1.0 <= max(fair) <= 1.2
    assert mean(chance) > mean(fair)
    assert all(busiest_over_mean(way, 1, 0) == 1.0 for way in WAYS)
