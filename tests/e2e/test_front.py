"""HAProxy before the pods: no GET is lost, whatever happens to pods, workers, fronts and name servers."""

from __future__ import annotations

import contextlib
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.e2e import dns
from tests.e2e.conftest import HARD_LIMIT
from tests.e2e.fronted import SMALL, Fronted
from tests.e2e.kube import DEADLINE, helm, kubectl, until
from tests.e2e.load import Load
from tests.e2e.release import answered, ask, patient_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.e2e.release import Pod

REQUESTS = int(os.environ.get("COREPOD_E2E_REQUESTS", "3000"))  # `make soak` asks for 100 000
RATE = 60.0  # requests a second: two cores have to carry the cluster, the client, four pods and the fronts
PODS = 4
KILLS = 6
OUTAGE = 35.0  # seconds without DNS: HAProxy forgets every server after 30, unless it is told not to
UP = 'haproxy_backend_active_servers{proxy="pods"}'
FALLEN_BACK = 'haproxy_backend_http_requests_total{proxy="fallback"}'


@pytest.fixture
def release(namespace: str) -> Iterator[Fronted]:
    release = Fronted(namespace)
    yield release
    release.uninstall()


def until_seen(release: Fronted, count: int) -> None:
    """Wait until every front uses so many pods."""
    until(lambda: release.figures(UP) == [count] * 2, lambda: f"{count} pods in use; {release.figures(UP)}")


def kill_worker(pod: Pod) -> None:
    before = pod.metric("corepod_worker_restarts_total")
    pod.sh(f"kill -9 {pod.worker().pid}")
    until(lambda: pod.metric("corepod_worker_restarts_total") > before, f"a death in {pod.name}")


def replace_worker(pod: Pod) -> None:
    """By its standby: a boot may take so long that the fronts find the pod dead, and move its clients."""
    until(lambda: pod.metric("corepod_standby_ready") == 1, f"a standby in {pod.name}")
    kill_worker(pod)
    until(lambda: pod.metric("corepod_ready") == 1, f"another worker in {pod.name}")


def on_purpose(release: Fronted) -> None:
    """All that people and the cluster do to a release in daily life."""
    release.restart()
    # Several pods start at the same time: the second try of a request could meet another one that doesn't listen yet.
    for count in (PODS - 1, PODS + 2, PODS):
        release.scale(count)
    kubectl("delete", "pod", *(pod.name for pod in release.ready(PODS)[:2]), "-n", release.namespace, "--wait")
    release.ready(PODS)
    release.restart_fronts()
    kubectl("delete", "pod", release.fronts()[0].name, "-n", release.namespace, "--wait")
    release.fronts_rolled_out()


def deaths(release: Fronted, load: Load) -> None:
    until_seen(release, PODS)
    pods = release.ready(PODS)
    for kill in range(KILLS):
        kill_worker(pods[kill % PODS])
        load.until_settled()  # what two workers have died with isn't tried a third time


@pytest.mark.timeout(HARD_LIMIT + 2 * REQUESTS / RATE, method="signal")
def test_no_get_is_lost_whatever_happens(release: Fronted) -> None:
    release.rise(PODS)
    until_seen(release, PODS)
    rounds, told = 0, ""
    # Each takes 50 ms, so that some are in flight whenever a worker dies.
    with Load(release.url, RATE, path="/wait?seconds=0.05") as load:
        while not rounds or load.outcome.sent < REQUESTS:
            # Slow ones are in flight at whatever moment a pod or a front is told to stop. They would outlast the time
            # between two deaths, and what two workers have died with isn't tried a third time.
            with Load(release.url, 2, path="/wait?seconds=2") as slow:
                on_purpose(release)
                slow_outcome = slow.stop()
            assert not slow_outcome.failures, slow_outcome
            deaths(release, load)
            rounds += 1
            told += f"; slow: {slow_outcome}"
        outcome = load.stop()
    print(f"{rounds} rounds, {rounds * KILLS} workers killed: {outcome}{told}")
    assert not outcome.failures, f"{outcome}\n{release.say()}"
    assert outcome.answered == outcome.sent >= REQUESTS
    assert outcome.tried_again <= 0.001 * outcome.sent, outcome


def test_a_death_costs_requests_where_the_front_may_not_repeat_them(release: Fronted) -> None:
    """The negative control: these kills do hit requests, and the test above could see it."""
    pods = release.rise(2, {"retries": False}).ready(2)
    until_seen(release, 2)
    with Load(release.url, RATE, path="/wait?seconds=0.2") as load:

        def lost() -> bool:
            kill_worker(pods[0])
            return bool(load.outcome.failures)

        until(lost, "a request that is lost")


def test_name_servers_that_are_away_cost_nothing(release: Fronted) -> None:
    """A front that starts meanwhile knows no pod at all, and serves through the Service."""
    release.rise(2)
    until_seen(release, 2)
    with Load(release.url, RATE) as load:
        with dns.away():
            begun = time.monotonic()
            kubectl("delete", "pod", release.fronts()[0].name, "-n", release.namespace, "--wait")
            release.fronts_rolled_out()
            until(lambda: time.monotonic() - begun > OUTAGE, "the end of what HAProxy waits by default")
            until(lambda: sorted(release.figures(UP)) == [0, 2], "one front knows the pods, the new one knows none")
            until(lambda: max(release.figures(FALLEN_BACK)) > 0, "a request at the new front")
            load.until_answered(200)
        until_seen(release, 2)
        load.until_answered(200)
        outcome = load.stop()
    print(outcome)
    assert not outcome.failures, outcome


def test_while_no_pod_passes_its_check_requests_wait_at_the_service(release: Fronted) -> None:
    """All workers wait for one slow database: a front that trusts its checks alone would answer 503."""
    # The cluster's own probes are slower, but after two failures the Service would have no pod left either.
    release.rise(2, probes={**SMALL["probes"], "readiness": {"failureThreshold": 60}})
    until_seen(release, 2)
    with ThreadPoolExecutor() as clients, Load(release.url, 10) as load:

        def fell_back() -> bool:
            hung = [clients.submit(ask, f"{release.url}/crash?mode=hang&seconds=8") for _ in "123"]
            found = [answer.result().status_code for answer in hung]
            assert found == [200] * len(found)
            return sum(release.figures(FALLEN_BACK)) > 0

        until(fell_back, "no pod passes its check")
        outcome = load.stop()
    assert not outcome.failures, outcome


def pod_of(client: httpx.Client, url: str) -> str:
    answer = client.get(f"{url}/whoami")
    assert answer.status_code == 200, answer
    return str(answer.json()["pod"])


@pytest.fixture
def clients() -> Iterator[list[httpx.Client]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(patient_client()) for _ in range(12)]


def test_a_cookie_keeps_clients_at_their_pod_as_long_as_it_lives(release: Fronted, clients: list[httpx.Client]) -> None:
    release.rise(3, {"sticky": {"cookie": "shop"}})
    until_seen(release, 3)
    first = [pod_of(client, release.url) for client in clients]
    assert len(set(first)) == 3, "they are spread"
    for pod in release.ready(3):
        replace_worker(pod)
        until_seen(release, 3)
        assert [pod_of(client, release.url) for client in clients] == first
    # Both fronts know the pods by the same names, and so do their successors.
    release.restart_fronts()
    until_seen(release, 3)
    assert [pod_of(client, release.url) for client in clients] == first

    kubectl("delete", "pod", first[0], "-n", release.namespace, "--wait")
    alive = {pod.name for pod in release.ready(3)}
    until_seen(release, 3)  # a front that doesn't know the new pod would move its clients once more
    second = [pod_of(client, release.url) for client in clients]
    assert set(second) <= alive
    stayed = [(before, after) for before, after in zip(first, second, strict=True) if before != first[0]]
    assert all(before == after for before, after in stayed), "those of other pods have noticed nothing"
    assert [pod_of(client, release.url) for client in clients] == second, "who has moved stays"


def test_concurrency_makes_one_queue(release: Fronted) -> None:
    release.rise(2, {"replicas": 1, "concurrency": 1, "queueTimeout": 60})
    until(lambda: release.figures(UP) == [2], "two pods in use")

    def came_at_the_same_time() -> bool:
        with ThreadPoolExecutor(8) as clients:
            asked = [clients.submit(ask, f"{release.url}/wait?seconds=1") for _ in range(8)]
            assert [answer.result().status_code for answer in asked] == [200] * 8
        [worst] = release.figures('haproxy_backend_max_sessions{proxy="pods"}')
        return worst > 2

    until(came_at_the_same_time, "more requests than pods at one moment")
    assert release.figures('haproxy_backend_max_queue{proxy="pods"}') >= [1]
    for number in (1, 2):
        assert release.figures(f'haproxy_server_max_sessions{{proxy="pods",server="pod{number}"}}') == [1]


def test_a_queue_that_is_too_long_answers_503(release: Fronted) -> None:
    release.rise(1, {"replicas": 1, "concurrency": 1, "queueTimeout": 0.5})
    until(lambda: release.figures(UP) == [1], "the pod in use")

    def one_waits_too_long() -> bool:
        with ThreadPoolExecutor(2) as clients:
            asked = [clients.submit(ask, f"{release.url}/wait?seconds=5") for _ in "12"]
            first, second = sorted(answer.result().status_code for answer in asked)
        assert first == 200
        return second == 503

    until(one_waits_too_long, "503 for one of two at the same time")


def logged(release: Fronted, mark: str) -> list[str]:
    """The clients of this request, as the pods' access logs have them."""
    text = "".join(kubectl("logs", pod.name, "-n", release.namespace) for pod in release.pods())
    return re.findall(rf"(\S+) - \S+ \[[^]]*\] \"GET [^\"]*{mark}", text)


def test_the_application_sees_the_client_that_the_front_has_seen(release: Fronted) -> None:
    policy = {"networkPolicy": {"enabled": True}, "settings": {"access_log": True}}
    release.rise(1, **policy)
    until_seen(release, 1)
    assert "Succeeded" in helm("test", release.name, "-n", release.namespace)
    spoofed = "203.0.113.7"
    ask(f"{release.url}/whoami?believed", **{"X-Forwarded-For": spoofed})
    [client] = until(lambda: logged(release, "believed"), "the request in the access log")
    fronts = {pod.document["status"]["podIP"] for pod in release.fronts()}
    assert client not in {spoofed, *fronts}

    # Without the policy anybody could be the front, and nobody is believed.
    release.rise(1, settings={"access_log": True})
    until_seen(release, 1)
    fronts = {pod.document["status"]["podIP"] for pod in release.fronts()}

    def doubted() -> bool:
        """A front or a pod that leaves may still get a request."""
        answered(f"{release.url}/whoami?doubted", DEADLINE)
        return not fronts.isdisjoint(logged(release, "doubted"))

    until(doubted, "a front's address in the access log")


def test_a_front_that_is_older_than_the_service_waits_for_it(release: Fronted) -> None:
    """GitOps tools may make things in another order than Helm."""
    release.rise(1, {"replicas": 1})
    kubectl("delete", "service", release.full_name, "-n", release.namespace)
    kubectl("delete", "pod", release.fronts()[0].name, "-n", release.namespace, "--wait")

    def log() -> str:
        return "".join(kubectl("logs", pod.name, "-n", release.namespace) for pod in release.fronts())

    variable = release.full_name.upper().replace("-", "_") + "_SERVICE_HOST"
    until(lambda: f"({variable})" in log(), "a front that says what is missing")
    release.rise(1, {"replicas": 1})
    release.fronts_rolled_out()
    assert ask(f"{release.url}/healthz").status_code == 200
