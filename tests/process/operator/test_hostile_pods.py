"""Whatever pods of tenants, other programs at the pods' admin port and strangers with datagrams do: deaths of other
pods' workers are shown, and the operator stays ready."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from corepod.operator.model.names import LAST_RESTART, RESTARTS, RESTARTS_TOTAL
from corepod.operator.restarts.budget import SPACING
from corepod.operator.restarts.polling import READERS
from corepod.operator.restarts.receiver import BATCH, PAUSE

from tests.process.harness import until
from tests.process.operator.fakepods import FakePods, deaths, response
from tests.process.operator.harness import Operator, events
from tools.fakeapi.objects import deployment, node, pod

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tools.fakeapi import FakeApi

    Operate = Callable[..., Operator]

HONEST = "127.0.0.2"
STRANGER = "127.0.0.99"


@pytest.fixture
def cluster(api: FakeApi) -> FakeApi:
    api.store.put("nodes", node("a", "4"))
    for namespace in ("default", "tenant"):
        made = deployment("web", paused="true")
        made["metadata"]["namespace"] = namespace
        api.store.put("deployments", made)
    return api


@pytest.fixture
def pods() -> Iterator[FakePods]:
    """One honest pod, and addresses for others."""
    made = FakePods({HONEST: deaths(0), **{f"127.0.0.{number}": deaths(0) for number in range(10, 30)}})
    yield made
    made.close()


def place(api: FakeApi, address: str, namespace: str = "default") -> None:
    api.store.put("pods", pod(name(address), "a", owner="web", ip=address, namespace=namespace))


def name(address: str) -> str:
    return f"web-{address.rpartition('.')[2]}"


def meta(api: FakeApi, address: str = HONEST, namespace: str = "default") -> dict[str, Any]:
    found = api.store.get("pods", namespace, name(address))
    assert found is not None
    return {"annotations": {}, **found["metadata"]}


def until_shown(api: FakeApi, operator: Operator, pods: FakePods, number: int) -> None:
    """The honest pod's deaths are shown. It reports them again and again, because datagrams may be dropped."""

    def shown() -> bool:
        pods.knock(HONEST, operator.notify_port)
        return bool(meta(api)["annotations"].get(RESTARTS_TOTAL) == str(number))

    until(shown, lambda: f"{number} deaths: {meta(api)}; {operator.log}")


def failures(operator: Operator, failure: str) -> float:
    return operator.metric(f'pods_read_failed_total{{failure="{failure}"}}')


def test_a_tenants_pods_do_not_keep_deaths_of_others_from_being_shown(
    cluster: FakeApi, operate: Operate, pods: FakePods
) -> None:
    redirect = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2/\r\nContent-Length: 0\r\n\r\n"
    hostile = [pods.hold] * (READERS + 2) + [
        deaths("1e999"),
        deaths("NaN"),
        deaths(3, reason="A" * 300_000),
        response("x" * (2 << 20)),
        response("<html>another program</html>"),
        lambda connection: connection.sendall(redirect),
        lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\nx"),
        lambda connection: connection.close(),
    ]
    addresses = list(pods.answers)[1 : len(hostile) + 1]
    pods.answers.update(zip(addresses, hostile, strict=True))
    operator = operate("--pods-admin-port", str(pods.port)).ready()
    for address in addresses:
        place(cluster, address, "tenant")
    place(cluster, HONEST)
    done = threading.Event()

    def report() -> None:
        while not done.wait(0.2):
            for address in addresses:
                pods.knock(address, operator.notify_port)

    reporting = threading.Thread(target=report)
    reporting.start()
    try:
        for failure in ("timeout", "too_large", "not_corepod"):
            until(lambda failure=failure: failures(operator, failure) >= 2, f"reads with {failure}; {operator.log}")  # type: ignore[misc]
        for number in (1, 2):
            pods.answers[HONEST] = deaths(number)
            until_shown(cluster, operator, pods, number)
        assert operator.get("/readyz").status_code == operator.get("/livez").status_code == 200
        assert "Traceback" not in operator.log
        assert not [call for call in cluster.writes("pods") if call.name != name(HONEST)]
    finally:
        done.set()
        reporting.join()


def test_what_a_pod_makes_the_operator_write_is_short_and_seldom(
    cluster: FakeApi, operate: Operate, pods: FakePods
) -> None:
    claimed = 0

    def claim(connection: Any) -> None:
        nonlocal claimed
        claimed += 10**9
        deaths(claimed, reason="\x1b[2J" + "A" * 3000, started=claimed)(connection)

    pods.answers[HONEST] = claim
    place(cluster, HONEST)
    began = time.monotonic()
    operator = operate("--pods-admin-port", str(pods.port)).ready()

    def reported_twice() -> bool:
        pods.knock(HONEST, operator.notify_port)
        return len(events(cluster, "WorkerRestarted")) >= 2

    until(reported_twice, "two Events")
    assert len(meta(cluster)["annotations"][LAST_RESTART]) < 100
    assert "\x1b" not in meta(cluster)["annotations"][LAST_RESTART]
    assert all(len(event["message"]) < 200 for event in events(cluster))
    assert len(cluster.writes("pods")) <= 1 + (time.monotonic() - began) / 3


def test_a_pod_whose_answers_cannot_be_used_is_read_seldom(cluster: FakeApi, operate: Operate, pods: FakePods) -> None:
    """Whatever it reports: to receive and parse a megabyte costs CPU."""
    pods.answers[HONEST] = response("x" * (1 << 19))
    place(cluster, HONEST)
    began = time.monotonic()
    operator = operate("--pods-admin-port", str(pods.port)).ready()

    def several() -> bool:
        pods.knock(HONEST, operator.notify_port)
        return failures(operator, "not_corepod") >= 3

    until(several, lambda: f"reads that fail; {operator.log}")
    assert failures(operator, "not_corepod") <= 1 + (time.monotonic() - began) / SPACING


FLOOD = """
import socket, sys, time
knocker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
knocker.bind((sys.argv[1], 0))
knocker.connect(("127.0.0.1", int(sys.argv[2])))
while time.process_time() < float(sys.argv[3]):
    for _ in range(100):
        try:
            knocker.send(b"x")
        except OSError:
            pass
print(time.process_time())
"""


@pytest.mark.parametrize("source", [STRANGER, HONEST], ids=["a stranger", "a pod"])
def test_a_flood_of_datagrams_costs_its_sender_more_than_the_operator(
    cluster: FakeApi, operate: Operate, pods: FakePods, source: str
) -> None:
    """One that reads them all uses about as much CPU as the sender, whatever the speed of the machine is."""
    place(cluster, HONEST)
    operator = operate("--pods-admin-port", str(pods.port)).ready()
    until(lambda: operator.metric("pods_read_total") >= 1, "a first read")
    before, seen, began = operator.metric("cpu_seconds_total"), operator.metric("datagrams_total"), time.monotonic()
    words = [sys.executable, "-c", FLOOD, source, str(operator.notify_port), "2.0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as flood:
        pods.answers[HONEST] = deaths(1)
        until_shown(cluster, operator, pods, 1)
        assert flood.stdout is not None
        sender = float(flood.stdout.read())
    used, took = operator.metric("cpu_seconds_total") - before, time.monotonic() - began
    assert operator.metric("datagrams_total") - seen <= (took / PAUSE + 2) * BATCH
    assert operator.metric("datagrams_dropped_total") > 0
    assert used < 0.5 * sender
    assert operator.get("/readyz").status_code == 200


@pytest.mark.parametrize(("mode", "shown"), [("steps", ["2-4", "5-9"]), ("exact", ["3", "7"]), ("off", ["", ""])])
def test_what_the_label_shows_is_a_choice_and_the_count_goes_on_without_it(
    cluster: FakeApi, operate: Operate, pods: FakePods, mode: str, shown: list[str]
) -> None:
    place(cluster, HONEST)
    for number, label in zip((3, 7), shown, strict=True):
        pods.answers[HONEST] = deaths(number)
        operator = operate("--pods-admin-port", str(pods.port), "--restart-label", mode).ready()
        until_shown(cluster, operator, pods, number)
        assert meta(cluster)["labels"].get(RESTARTS, "") == label
        operator.stop()
