"""Rollouts, drains and scaling at load: nobody notices, without a preStop hook. And that these tests could notice."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import HARD_LIMIT
from tests.e2e.kube import DEADLINE, kubectl, until
from tests.e2e.load import Load

if TYPE_CHECKING:
    from tests.e2e.release import Release

REQUESTS = int(os.environ.get("COREPOD_E2E_REQUESTS", "20000"))  # `make soak` asks for 100 000
RATE = 250.0  # requests a second: two cores have to carry the cluster, the client and both pods


def cordoned(node: str, *, on: bool) -> None:
    kubectl("cordon" if on else "uncordon", node)


def drain(release: Release) -> None:
    """Empty a node as for its maintenance, and give it back."""
    node = release.ready(2)[0].node
    try:
        kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={DEADLINE:g}s")
        until(lambda: node not in {pod.node for pod in release.pods()}, f"{node} empty")
    finally:
        cordoned(node, on=False)
    release.ready(2)


def full_then_surge(release: Release) -> None:
    """Every core taken: rollouts one by one, a drain. Then one pod and a core to spare: rollouts that surge."""
    release.restart()
    drain(release)
    release.install(full=False, replicas=1, settings={"lame_duck": 5})
    release.ready(1)
    release.restart()
    release.install(replicas=2, settings={"lame_duck": 5})


@pytest.mark.timeout(HARD_LIMIT + REQUESTS / RATE, method="signal")
def test_no_request_fails_in_rollouts_drains_and_scaling(release: Release) -> None:
    release.install(replicas=2, settings={"lame_duck": 5}).ready(2)
    rounds = 0
    # The slow ones are in flight at whatever moment a pod is told to stop.
    with Load(release.url, RATE) as load, Load(release.url, 3, path="/wait?seconds=3") as slow:
        while not rounds or load.outcome.sent < REQUESTS:
            full_then_surge(release)
            rounds += 1
        outcome, slow_outcome = load.stop(), slow.stop()
    print(f"{rounds} rounds: {outcome}; slow: {slow_outcome}")
    assert not outcome.failures, outcome
    assert not slow_outcome.failures, slow_outcome
    assert outcome.answered == outcome.sent >= REQUESTS
    assert outcome.tried_again <= 0.001 * outcome.sent, outcome


def test_a_pod_that_is_deleted_is_replaced_while_the_other_one_serves(release: Release) -> None:
    stays, goes = release.install(replicas=2, settings={"lame_duck": 5}).ready(2)
    with Load(release.url, RATE) as load:
        kubectl("delete", "pod", goes.name, "-n", release.namespace, "--wait")
        names = {pod.name for pod in release.ready(2)}
        load.until_answered(300)
        outcome = load.stop()
    assert not outcome.failures, outcome
    assert stays.name in names
    assert goes.name not in names


def test_without_the_lame_duck_requests_do_fail(release: Release) -> None:
    """The negative control: what the test above would see. A pod closes its port before kube-proxy has heard of it, or
    now and then just behind it: then another rollout has to show it."""
    release.install(replicas=2, settings={"lame_duck": 0}).ready(2)
    with Load(release.url, RATE) as load:

        def failed() -> bool:
            release.restart()
            return bool(load.outcome.kinds.keys() & {"refused", "reset"})

        until(failed, "a request that fails", 2 * DEADLINE)
