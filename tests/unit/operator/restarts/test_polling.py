"""Every pod in its turn, who asks at once, and never more than RATE a second."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from corepod.operator.api import decode
from corepod.operator.restarts.polling import FEW, INTERVAL, RATE, SPACING, PollQueue

from tools.fakeapi import objects

if TYPE_CHECKING:
    from corepod.operator.model.facts import Pod


def pods(count: int, *, first: int = 0, ready: bool = False) -> list[Pod]:
    found = []
    for number in range(first, first + count):
        made = objects.pod(f"web-{number}", "a", owner="web", ip=f"10.0.{number >> 8}.{number & 255}")
        made["metadata"]["uid"] = str(number)
        found.append(dataclasses.replace(decode.pod(made), ready=ready))
    return found


def course(polls: PollQueue, begin: float, end: float) -> list[tuple[float, str]]:
    """What is read from one time to another."""
    found, now = [], begin
    while now < end:
        pod, pause = polls.next(now)
        if pod is not None:
            found.append((now, pod.uid))
        now += max(pause, 1e-6)
    return found


def test_each_has_its_turn_in_a_round() -> None:
    polls = PollQueue()
    polls.replace(pods(10), (), 0.0)
    read_ = course(polls, 0.0, INTERVAL - 0.1)
    assert sorted(uid for _, uid in read_) == [str(number) for number in range(10)]


def test_many_pods_make_the_round_longer_and_not_the_rate_higher() -> None:
    polls = PollQueue()
    polls.replace(pods(5000), (), 0.0)
    read_ = course(polls, 0.0, 10.0)
    assert 0.9 * 10 * RATE <= len(read_) <= 10 * RATE + 1
    assert len({uid for _, uid in read_}) == len(read_)


def test_who_asks_is_next_however_many_wait() -> None:
    polls = PollQueue()
    polls.replace(pods(5000), (), 0.0)
    course(polls, 0.0, 1.0)
    polls.expedite("10.0.10.0", 1.0)
    (_, uid), *_ = course(polls, 1.0 + 1 / RATE, 1.5)
    assert uid == "2560"


def test_who_asks_all_the_time_is_read_once_in_a_while() -> None:
    polls = PollQueue()
    polls.replace(pods(3), (), 0.0)
    times = []
    for step in range(1000):
        now = step / 100
        polls.expedite("10.0.0.1", now)
        pod, _ = polls.next(now)
        if pod is not None and pod.uid == "1":
            times.append(now)
    assert len(times) <= 10 / SPACING + 2


def test_strangers_change_nothing() -> None:
    polls = PollQueue()
    polls.replace(pods(1), (), 0.0)
    course(polls, 0.0, 1.0)
    polls.expedite("192.0.2.1", 1.0)
    assert course(polls, 1.0, 10.0) == []
    assert not polls.knows("192.0.2.1")


def test_a_new_pod_is_read_when_it_is_ready_and_once() -> None:
    polls = PollQueue()
    polls.replace(pods(1), (), 0.0)
    course(polls, 0.0, 1.0)
    polls.replace([*pods(1), *pods(1, first=7, ready=True)], {"0"}, 1.0)
    assert [uid for _, uid in course(polls, 1.0, 2.0)] == ["7"]
    polls.replace([*pods(1), *pods(1, first=7, ready=True)], {"0", "7"}, 2.0)
    assert course(polls, 2.0, 10.0) == []


def test_a_start_with_many_is_an_ordinary_round() -> None:
    polls = PollQueue()
    polls.replace(pods(FEW + 1, ready=True), (), 0.0)
    assert len(course(polls, 0.0, 1.0)) < RATE


def test_pods_of_the_hosts_network_share_an_address() -> None:
    polls = PollQueue()
    shared = [dataclasses.replace(pod, ip="10.0.0.1") for pod in pods(2)]
    polls.replace(shared, (), 0.0)
    course(polls, 0.0, INTERVAL)
    polls.expedite("10.0.0.1", INTERVAL)
    assert {uid for _, uid in course(polls, INTERVAL + 0.1, INTERVAL + 1.0)} == {"0", "1"}


def test_a_pod_of_both_families_asks_from_either_address() -> None:
    made = objects.pod("web-1", "a", owner="web", ip="10.0.0.1")
    made["metadata"]["uid"] = "both"
    made["status"]["podIPs"] = [{"ip": "10.0.0.1"}, {"ip": "2001:db8::1"}]
    polls = PollQueue()
    polls.replace([decode.pod(made), *pods(1)], (), 0.0)
    course(polls, 0.0, INTERVAL)
    assert not polls.knows("2001:db8::2")
    for number, address in enumerate(("10.0.0.1", "2001:db8::1"), 1):
        began = number * 2 * INTERVAL
        while polls.next(began)[0] is not None:
            began += 1.0  # those whose turn it is anyway
        polls.expedite(address, began)
        pod, _ = polls.next(began + SPACING)
        assert pod is not None
        assert (pod.name, pod.ip) == ("web-1", "10.0.0.1")


def test_a_pod_that_is_gone_is_not_read() -> None:
    polls = PollQueue()
    polls.replace(pods(2), (), 0.0)
    polls.expedite("10.0.0.1", 0.0)
    polls.replace([], (), 0.0)
    assert course(polls, 0.0, 100.0) == []
