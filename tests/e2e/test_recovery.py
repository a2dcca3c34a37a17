"""Beside a bare container: what a crash costs, and what probes say while the application computes."""

from __future__ import annotations

import contextlib
from http.client import HTTPException
from statistics import median
from typing import TYPE_CHECKING

from tests.e2e import recovery
from tests.e2e.kube import get, until

if TYPE_CHECKING:
    from tests.e2e.release import Release


def test_a_crash_in_the_pod_is_not_an_outage_and_a_restarted_container_is(release: Release) -> None:
    [pod] = release.install().ready()
    ours = []
    for _ in range(3):
        # What a crash costs with a standby: without one it is a start, which a busy machine makes as long as it likes.
        until(lambda: pod.metric("corepod_standby_ready") == 1, "a standby")
        ours += recovery.outages(release.url, 1)
    theirs = recovery.outages(recovery.bare(release.namespace), 2)
    print(f"corepod {ours}, bare {theirs}")
    assert all(outage.failed == 0 for outage in ours), ours
    # The control: the same client sees failures where there are some. The first restart may be quicker than a client
    # that has to wait for a core, the second one waits for the kubelet.
    longest = max(theirs, key=lambda outage: outage.seconds)
    assert longest.failed > 0, theirs
    # The middle one: a pause of the whole machine in one of them isn't the pool's.
    assert median(outage.seconds for outage in ours) < 0.1 * longest.seconds, (ours, theirs)


def test_a_bare_container_that_computes_is_not_ready(namespace: str) -> None:
    """The control of the tests at full CPU in test_crash.py: probes that the application answers itself."""
    url = recovery.bare(namespace)
    recovery.until_steady(url)

    def not_ready() -> bool:
        # Asked each time: a busy machine may not take the connection of one request within its second.
        with contextlib.suppress(OSError, HTTPException):
            recovery.ask(url, "/crash?mode=block&seconds=16", timeout=1.0)
        return not get("deployment", "bare", "-n", namespace)["status"].get("readyReplicas")

    until(not_ready, "not ready")
