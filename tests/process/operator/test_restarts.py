"""Restarts within a pod are shown where `kubectl` shows them. The pods are real pools on this machine."""

from __future__ import annotations

import copy
import time
from typing import TYPE_CHECKING, Any

import pytest
from corepod.operator.restarts.budget import SPACING

from tests.process.harness import Pool, until
from tests.process.operator.fakepods import FakePods, deaths
from tests.process.operator.harness import Operator, events
from tests.process.traffic import held_ports
from tools.fakeapi import FakeApi, faults
from tools.fakeapi.objects import deployment, node, pod

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Operate = Callable[..., Operator]
    Start = Callable[..., Pool]

PATIENT = ("--workers", "1", "--crash-budget", "1000/60")
LABEL, TOTAL, LAST = (
    f"corepod.dev/{name}" for name in ("worker-restarts", "worker-restarts-total", "last-worker-restart")
)


@pytest.fixture
def cluster(api: FakeApi) -> FakeApi:
    api.store.put("nodes", node("a", "4"))
    api.store.put("deployments", deployment("web", paused="true"))
    return api


@pytest.fixture
def port() -> Iterator[int]:
    """For the pool's admin address."""
    with held_ports(1) as (held,):
        yield held


def place(api: FakeApi, ip: str = "127.0.0.1") -> None:
    api.store.put("pods", pod("web-1", "a", owner="web", ip=ip))


def meta(api: FakeApi) -> dict[str, Any]:
    found = api.store.get("pods", "default", "web-1")
    assert found is not None
    whole: dict[str, Any] = found["metadata"]
    return whole


def total(api: FakeApi) -> str:
    return str((meta(api).get("annotations") or {}).get(TOTAL, ""))


def serve(start: Start, operate: Operate, port: int) -> tuple[Pool, Operator]:
    """A pool that tells an operator, and the operator that reads it. Each has to know the other's port."""
    operator = operate("--pods-admin-port", str(port)).ready()
    notify = f"127.0.0.1:{operator.notify_port}"
    return start("ok:app", *PATIENT, "--admin", f"127.0.0.1:{port}", "--notify", notify).ready(), operator


def test_a_death_is_published_at_once(cluster: FakeApi, start: Start, operate: Operate, port: int) -> None:
    pool, operator = serve(start, operate, port)
    place(cluster)
    until(lambda: operator.metric("pods_read_total") >= 1, "a first read, by itself")
    assert not cluster.writes("pods")
    pool.kill_worker()
    until(lambda: total(cluster) == "1", f"the count; {operator.log}")
    assert meta(cluster)["labels"][LABEL] == "1"
    assert "SIGKILL" in meta(cluster)["annotations"][LAST]
    until(lambda: events(cluster, "WorkerRestarted"), "an event")
    assert "SIGKILL" in events(cluster, "WorkerRestarted")[0]["message"]
    assert events(cluster, "WorkerRestarted")[0]["involvedObject"]["name"] == "web-1"
    until(lambda: operator.metric("datagrams_total") >= 1, "the datagram")


def test_many_deaths_are_few_writes_and_an_exact_count(
    cluster: FakeApi, start: Start, operate: Operate, port: int
) -> None:
    pool, _ = serve(start, operate, port)
    place(cluster)
    began = time.monotonic()
    for _ in range(12):
        pool.kill_worker()
    until(lambda: total(cluster) == "12", "the count")
    took = time.monotonic() - began
    assert meta(cluster)["labels"][LABEL] == "10-19"
    assert len(cluster.writes("pods")) <= 1 + took / SPACING


def test_the_next_operator_goes_on_with_the_count(cluster: FakeApi, start: Start, operate: Operate, port: int) -> None:
    pool, operator = serve(start, operate, port)
    place(cluster)
    pool.kill_worker()
    until(lambda: total(cluster) == "1", "the count")
    operator.stop()
    pool.kill_worker()
    operate("--pods-admin-port", str(pool.admin_port)).ready()
    until(lambda: total(cluster) == "2", "the count")
    assert len(cluster.writes("pods")) == 2


def test_a_pod_is_read_by_one_reader_at_a_time(cluster: FakeApi, start: Start, operate: Operate, port: int) -> None:
    """At the start its turn comes twice, as a new pod and as the first of all. A second reader that didn't know yet
    what the first one publishes would publish it again."""

    def take_long(handler: Any) -> bool:
        time.sleep(0.5)
        return False

    pool = start("ok:app", *PATIENT, "--admin", f"127.0.0.1:{port}").ready()
    pool.kill_worker()
    place(cluster)
    cluster.fail(take_long, times=10, match=lambda call: call.plural == "pods" and call.write)
    operator = operate("--pods-admin-port", str(port)).ready()
    until(lambda: operator.metric("pods_read_total") >= 2, "two reads")
    until(lambda: operator.metric("restarts_published_total") >= 1, "the count published")
    assert len(cluster.writes("pods")) == 1


def test_the_count_outlives_the_container(cluster: FakeApi, start: Start, operate: Operate, port: int) -> None:
    pool, operator = serve(start, operate, port)
    place(cluster)
    pool.kill_worker()
    until(lambda: total(cluster) == "1", "the count")
    pool.stop()
    notify = f"127.0.0.1:{operator.notify_port}"
    again = start("ok:app", *PATIENT, "--admin", f"127.0.0.1:{port}", "--notify", notify).ready()
    again.kill_worker()
    until(lambda: total(cluster) == "2", "the count")


def test_a_write_that_fails_is_made_up_for(cluster: FakeApi, start: Start, operate: Operate, port: int) -> None:
    pool, operator = serve(start, operate, port)
    place(cluster)
    fault = cluster.fail(faults.status(500), match=lambda call: call.plural == "pods" and call.write)
    pool.kill_worker()
    until(lambda: fault.seen, "the failure")
    pool.kill_worker()
    until(lambda: total(cluster) == "2", "the count")
    until(lambda: "could not be published: 500" in operator.log, "the failure, which another thread may log later")


def test_a_write_that_was_overtaken_by_another_operator_changes_nothing(cluster: FakeApi, operate: Operate) -> None:
    """The operator may be stopped between its last look at the Lease and its write, and then another one acts."""
    written = {TOTAL: "7", "corepod.dev/worker-restarts-seen": "5/7"}

    def overtake(handler: Any) -> bool:
        found = copy.deepcopy(cluster.store.get("pods", "default", "web-1"))
        assert found is not None
        found["metadata"]["annotations"] = dict(written)
        cluster.store.put("pods", found)
        return False

    pods = FakePods({"127.0.0.2": deaths(3)})
    try:
        fault = cluster.fail(overtake, match=lambda call: call.plural == "pods" and call.write)
        place(cluster, ip="127.0.0.2")
        operator = operate("--pods-admin-port", str(pods.port)).ready()
        until(lambda: fault.seen, "its write")
        before = operator.metric("pods_read_total")
        until(lambda: operator.metric("pods_read_total") > before, "a further read")
        assert meta(cluster)["annotations"] == written
        assert not events(cluster, "WorkerRestarted")
        pods.answers["127.0.0.2"] = deaths(8)

        def shown() -> bool:
            pods.knock("127.0.0.2", operator.notify_port)
            return total(cluster) == "8"

        until(shown, lambda: f"8 deaths: {operator.log}")
        until(lambda: events(cluster, "WorkerRestarted"), "an event")
        assert "1 worker died" in events(cluster, "WorkerRestarted")[0]["message"]
    finally:
        pods.close()


def test_datagrams_of_strangers_do_nothing(cluster: FakeApi, start: Start, operate: Operate, port: int) -> None:
    pool, operator = serve(start, operate, port)
    place(cluster, ip="127.0.0.9")  # another address than the one that says something
    pool.kill_worker()
    until(lambda: operator.metric("datagrams_total") >= 1, "a datagram")
    assert not cluster.writes("pods")


def test_nothing_is_read_without_the_wish(cluster: FakeApi, operate: Operate) -> None:
    place(cluster)
    operator = operate("--notify", "none").ready()
    assert "pods_read_total " not in operator.get("/metrics").text
