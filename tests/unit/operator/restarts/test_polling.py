"""Every pod in its turn, who asks at once, and never more than RATE a second."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from corepod.operator.api import decode
from corepod.operator.restarts.polling import FEW, INTERVAL, RATE, READERS, SPACING, PollQueue, may_read
from hypothesis import given
from hypothesis import strategies as st

from tools.fakeapi import objects

if TYPE_CHECKING:
    from corepod.operator.model.facts import Pod


def pods(count: int, *, first: int = 0, ready: bool = False, namespace: str = "default") -> list[Pod]:
    found = []
    for number in range(first, first + count):
        made = objects.pod(f"web-{number}", "a", owner="web", ip=f"10.0.{number >> 8}.{number & 255}")
        made["metadata"] |= {"uid": str(number), "namespace": namespace}
        found.append(dataclasses.replace(decode.pod(made), ready=ready))
    return found


def course(polls: PollQueue, begin: float, end: float) -> list[tuple[float, str]]:
    """What is read from one time to another."""
    found, now = [], begin
    while now < end:
        pod, pause = polls.next(now)
        if pod is not None:
            polls.done(pod.uid)
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
    first, second, *_ = course(polls, 1.0 + 1 / RATE, 1.5)
    assert "2560" in (first[1], second[1])


def test_who_asks_all_the_time_is_read_once_in_a_while() -> None:
    polls = PollQueue()
    polls.replace(pods(3), (), 0.0)
    times = []
    for step in range(1000):
        now = step / 100
        polls.expedite("10.0.0.1", now)
        pod, _ = polls.next(now)
        if pod is not None:
            polls.done(pod.uid)
            times += [now] if pod.uid == "1" else []
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


def test_pods_that_share_an_address_are_not_read_because_any_of_them_may_have_answered() -> None:
    polls = PollQueue()
    shared = [dataclasses.replace(pod, ip="10.0.0.1") for pod in pods(2)]
    assert polls.replace([*shared, *pods(1, first=7)], (), 0.0) == {"7"}
    assert not polls.expedite("10.0.0.1", 0.0)
    assert {uid for _, uid in course(polls, 0.0, 2 * INTERVAL)} == {"7"}


def test_an_address_that_is_used_again_belongs_to_the_pod_that_stays() -> None:
    polls = PollQueue()
    gone, successor = (dataclasses.replace(pod, ip="10.0.0.1") for pod in pods(2))
    gone = dataclasses.replace(gone, deleting=True)
    assert polls.replace([gone], (), 0.0) == {"0"}
    assert polls.replace([gone, successor], (), 0.0) == {"1"}


def test_a_pod_of_both_families_asks_from_either_address() -> None:
    made = objects.pod("web-1", "a", owner="web", ip="10.0.0.1")
    made["metadata"]["uid"] = "both"
    made["status"]["podIPs"] = [{"ip": "10.0.0.1"}, {"ip": "2001:db8::1"}]
    polls = PollQueue()
    polls.replace([decode.pod(made), *pods(1)], (), 0.0)
    course(polls, 0.0, INTERVAL)
    assert not polls.knows("2001:db8::2")
    for number, address in enumerate(("10.0.0.1", "2001:db8::1"), 1):
        began = number * INTERVAL
        course(polls, began, began + INTERVAL / 4)  # one whose turn it is anyway
        asked = began + INTERVAL / 4
        assert polls.expedite(address, asked)
        assert [uid for _, uid in course(polls, asked, asked + SPACING)] == ["both"]


def test_an_address_of_the_other_family_belongs_to_the_pod_that_stays() -> None:
    gone, successor = pods(2)
    gone = dataclasses.replace(gone, deleting=True, other_ips=("2001:db8::1",))
    successor = dataclasses.replace(successor, other_ips=("2001:db8::1",))
    for order in ([gone, successor], [successor, gone]):
        polls = PollQueue()
        polls.replace(order, (), 0.0)
        asked = INTERVAL / 4
        course(polls, 0.0, asked)  # one whose turn it is anyway
        assert polls.expedite("2001:db8::1", asked)
        assert [uid for _, uid in course(polls, asked, asked + SPACING)] == [successor.uid]


def test_a_pod_that_is_gone_is_not_read() -> None:
    polls = PollQueue()
    polls.replace(pods(2), (), 0.0)
    polls.expedite("10.0.0.1", 0.0)
    polls.replace([], (), 0.0)
    assert course(polls, 0.0, 100.0) == []


def test_a_pod_that_is_being_read_is_read_again_only_afterwards() -> None:
    polls = PollQueue()
    polls.replace(pods(1), (), 0.0)
    reading, _ = polls.next(0.0)
    assert reading is not None
    polls.schedule(reading.uid, 1.0)
    for step in range(1, 200):
        assert polls.next(step)[0] is None
    polls.done(reading.uid)
    assert polls.next(200.0)[0] == reading


def held_by(polls: PollQueue, now: float, end: float) -> list[str]:
    """Namespaces whose pods get a reader in that time, if no read ends."""
    found = []
    while now < end:
        pod, pause = polls.next(now)
        found += [] if pod is None else [pod.namespace]
        now += max(pause, 1e-3)
    return found


def test_pods_that_do_not_respond_leave_half_of_the_readers_to_other_namespaces() -> None:
    polls = PollQueue()
    hostile, honest = pods(100, namespace="hostile"), pods(3, first=200, namespace="honest")
    polls.replace([*hostile, *honest], (), 0.0)
    for pod in hostile:
        polls.expedite(pod.ip, 0.0)
    assert held_by(polls, 0.0, 10.0).count("hostile") == READERS // 2
    polls.expedite(honest[0].ip, 10.0)
    assert "honest" in held_by(polls, 10.0, 11.0)


def test_namespaces_take_turns_however_many_pods_report() -> None:
    polls = PollQueue()
    hostile, honest = pods(1000, namespace="hostile"), pods(1, first=2000, namespace="honest")
    polls.replace([*hostile, *honest], (), 0.0)
    course(polls, 0.0, 1.0)
    for pod in hostile:
        polls.expedite(pod.ip, 1.0)
    polls.expedite(honest[0].ip, 1.0)
    when = next(now for now, uid in course(polls, 1.0, 3.0) if uid == honest[0].uid)
    assert when <= 1.0 + 6 / RATE


def test_pods_that_report_all_the_time_do_not_keep_others_from_their_turn() -> None:
    polls = PollQueue()
    hostile, honest = pods(200, namespace="hostile"), pods(20, first=500, namespace="honest")
    polls.replace([*hostile, *honest], (), 0.0)
    seen: set[str] = set()
    for second in range(int(1.5 * INTERVAL)):
        for pod in hostile:
            polls.expedite(pod.ip, float(second))
        seen |= {uid for _, uid in course(polls, float(second), second + 1.0)}
    assert {pod.uid for pod in honest} <= seen


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=200))
def test_no_namespace_takes_more_than_half_and_a_new_one_is_let_in_while_any_reader_is_free(
    course: list[tuple[str, bool]],
) -> None:
    held: list[str] = []
    for namespace, ends in course:
        if ends and namespace in held:
            held.remove(namespace)
        elif may_read(namespace, held, READERS):
            held.append(namespace)
        assert len(held) <= READERS
        assert all(held.count(each) <= READERS // 2 for each in held)
        assert may_read("new", held, READERS) == (len(held) < READERS)


@given(st.data())
def test_whatever_happens_no_pod_has_two_readers_and_none_waits_for_ever(data: st.DataObject) -> None:
    polls, now = PollQueue(), 0.0
    known = [dataclasses.replace(pod, namespace=f"n{number % 3}") for number, pod in enumerate(pods(12))]
    polls.replace(known, (), now)
    reading: set[str] = set()
    for what in data.draw(st.lists(st.sampled_from(["ask", "next", "done", "replace"]), max_size=60)):
        now += data.draw(st.sampled_from([0.0, 0.02, 1.0, 7.0]))
        if what == "ask":
            polls.expedite(data.draw(st.sampled_from(known)).ip, now)
        elif what == "replace":
            polls.replace(data.draw(st.lists(st.sampled_from(known), unique=True)), (), now)
        elif what == "done" and reading:
            polls.done(reading.pop())
        elif what == "next":
            pod, pause = polls.next(now)
            assert pause >= 0.0
            if pod is not None:
                assert pod.uid not in reading
                reading.add(pod.uid)
    for uid in reading:
        polls.done(uid)
    polls.replace(known, (), now)
    assert {uid for _, uid in course(polls, now, now + 2 * INTERVAL)} == {pod.uid for pod in known}
