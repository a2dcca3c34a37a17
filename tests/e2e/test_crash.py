"""Workers that die, hang, burn their core: inside the pod, and where the pod gives up."""

from __future__ import annotations

import contextlib
import itertools
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.e2e.kube import DEADLINE, Refused, until
from tests.e2e.load import Load
from tests.e2e.release import answered, ask

if TYPE_CHECKING:
    from tests.e2e.release import Pod, Release

KILLS = 4  # the default crash budget allows 5 deaths in 60 s


def crash(release: Release, mode: str, **parameters: int) -> None:
    """Ask the sample application to go wrong, and wait until it has: nobody is left to answer."""
    url = release.url

    def asked() -> bool:
        try:
            httpx.get(f"{url}/crash", params={"mode": mode, **parameters}, timeout=DEADLINE)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            return False  # kube-proxy may be changing its rules: nobody has heard of it
        except httpx.TransportError:
            pass  # the connection has ended with the worker, also with one that hung
        return True

    until(asked, "a connection to crash it by")


def until_restarts(pod: Pod, count: int) -> None:
    until(lambda: pod.metric("corepod_worker_restarts_total") >= count, f"{count} restarts in {pod.name}")


def workers(pod: Pod) -> list[int]:
    return [process.pid for process in pod.workers()]


def test_kill_9_of_the_worker_costs_what_it_was_serving_and_nothing_else(release: Release) -> None:
    [pod] = release.install().ready()
    kills: list[float] = []
    # Each request takes 20 ms, so that some are in flight whenever the worker dies.
    with Load(release.url, 150, path="/wait?seconds=0.02") as load:
        for kill in range(1, KILLS + 1):
            load.until_answered(100)
            victim = pod.worker().pid
            kills.append(load.now)
            pod.sh(f"kill -9 {victim}")
            until_restarts(pod, kill)
        load.until_answered(300)
        outcome = load.stop()
    assert outcome.kinds.keys() <= {"reset"}, outcome
    for this, following in itertools.pairwise([*kills, load.now]):
        lost = [failure for failure in outcome.failures if this <= failure.ended < following]
        # The first one lost tells when the worker died. Nothing on a connection that began after that may fail. The
        # earlier ones are the worker's own, and end one by one while it exits: some may be used until then.
        death = min((failure.ended for failure in lost), default=0.0)
        late = [str(failure) for failure in lost if failure.connected > death]
        assert not late, f"on connections begun after the death at {death:.3f} s: {late}"
    assert pod.metric("corepod_requests_lost_total") > 0, "the kills hit nothing: this proves nothing"
    assert pod.again().restarts == 0
    assert pod.again().condition("Ready") == pod.condition("Ready")


@pytest.mark.parametrize("path", ["/crash?mode=block&seconds=16", "/generate-report?size=5000000"])
def test_a_worker_at_full_cpu_keeps_its_pod_ready(release: Release, path: str) -> None:
    [pod] = release.install().ready()
    before = pod.metric("corepod_worker_cpu_seconds_total")
    begun = time.monotonic()
    answers = [ask(release.url + path) for _ in range(1 if "block" in path else 3)]
    took = time.monotonic() - begun
    assert all(answer.status_code == 200 for answer in answers)
    used = pod.metric("corepod_worker_cpu_seconds_total") - before
    # Others may compete for the core here; a fifth of it is enough to block a loop that answers probes itself.
    assert used > 0.2 * took, f"{used:.1f} s of CPU in {took:.1f} s: the worker wasn't busy, this proves nothing"
    after = pod.again()
    # Not even once not ready: the condition would have a later time.
    assert after.condition("Ready") == pod.condition("Ready")
    assert after.restarts == 0


def test_a_stuck_worker_is_replaced(release: Release) -> None:
    [pod] = release.install(settings={"stuck_dump": 1, "stuck_timeout": 3}).ready()
    old = pod.worker().pid
    crash(release, "hang")
    until_restarts(pod, 1)
    assert pod.metric('corepod_worker_restarts_total{slot="0",reason="stuck"}') == 1
    url = f"{release.url}/whoami"
    until(lambda: (answer := answered(url)) and answer.json()["pid"] != old, "another worker")
    assert pod.again().restarts == 0


def test_a_worker_out_of_memory_is_named_as_such(release: Release) -> None:
    """On cgroup v1 the kernel takes the worker; on v2 the kubelet has it take the whole container."""
    [pod] = release.install().ready()
    crash(release, "oom", mb=1024)
    oom = 'corepod_worker_restarts_total{slot="0",reason="oom"}'

    def death() -> float:
        if restarts := pod.again().restarts:
            return restarts
        with contextlib.suppress(Refused):  # a container that has ended answers nobody, and the kubelet tells later
            return pod.metric(oom)
        return 0

    until(death, "a death")
    if restarted := pod.again().restarts:
        assert restarted == 1
        assert pod.again().container["lastState"]["terminated"]["reason"] == "OOMKilled"
    else:
        assert pod.metric(oom) == 1
    release.ready()


def test_signals_reload_and_dump(release: Release) -> None:
    """What operations.md does by hand: HUP brings a new worker without an end of the old one's requests."""
    [pod] = release.install().ready()
    old = pod.worker().pid
    with Load(release.url, 50) as load:
        pod.sh("kill -USR1 1; kill -HUP 1")
        until(lambda: old not in workers(pod) and workers(pod), "the new worker alone")
        load.until_answered(50)
        outcome = load.stop()
    assert not outcome.failures, outcome
    assert pod.again().restarts == 0


def test_a_crash_loop_ends_the_container_and_says_why(release: Release) -> None:
    # An hour, however long a busy cluster takes from one death to the next.
    [pod] = release.install(settings={"crash_budget": "2/3600"}).ready()
    url = release.url
    for death in range(1, 3):
        crash(release, "exit", code=7)
        until_restarts(pod, death)
        until(lambda: (answer := answered(url)) and answer.status_code == 200, "an answer")
    assert pod.again().restarts == 0
    crash(release, "exit", code=7)
    until(lambda: pod.again().restarts == 1, "RESTARTS grown to 1")
    end = pod.again().container["lastState"]["terminated"]
    assert end["exitCode"] == 5
    assert "slot 0 is given up: 3 deaths in 3600 s, and the crash budget allows 2" in end["message"]
    assert "exit code 7" in end["message"]
    release.ready()


def test_an_application_that_cannot_be_found_says_so_where_people_look(release: Release) -> None:
    release.install(wait=False, app={"module": "nosuch:app"})
    ended = until(lambda: [p for p in release.pods() if p.restarts], "a restarted container")
    end = ended[0].container["lastState"]["terminated"]
    assert end["exitCode"] == 4
    assert "nosuch" in end["message"]
