"""The state that all pods share, in the chart's Valkey: one number over all pods, whichever of them ends."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tests.e2e.kube import items, kubectl, load_image, until
from tests.e2e.release import answered, patient_client

if TYPE_CHECKING:
    from tests.e2e.release import Release

VALKEY = os.environ.get("COREPOD_E2E_VALKEY", "valkey:8")
PODS, POSTS = 3, 30


def values() -> dict[str, Any]:
    repository, _, tag = VALKEY.rpartition(":")
    valkey = {"enabled": True, "image": {"repository": repository, "tag": tag}, "cpu": "20m", "memory": "64Mi"}
    return {
        "full": False,
        "replicas": PODS,
        "cpu": {"preset": "shared", "request": "100m"},
        "memory": {"request": "128Mi"},
        "state": {"valkey": valkey},
        "settings": {"shared_timeout": 10},  # a pause of a busy machine is no outage
    }


def counted(release: Release) -> dict[str, int]:
    """What each pod that answers says."""
    found: dict[str, int] = {}

    def all_pods() -> bool:
        answer = answered(f"{release.url}/counter")
        if answer is not None and answer.status_code == 200:
            found[answer.json()["pod"]] = answer.json()["count"]
        return found.keys() >= {pod.name for pod in release.pods() if pod.ready}

    until(all_pods, "an answer of each pod")
    return found


def add(release: Release, times: int) -> list[int]:
    url = f"{release.url}/counter"
    with patient_client() as client:
        return [int(client.post(url).raise_for_status().json()["count"]) for _ in range(times)]


def end_valkey(release: Release) -> None:
    """Another pod takes its place, with nothing in it."""
    selector = f"app.kubernetes.io/instance={release.name},app.kubernetes.io/component=valkey"
    [pod] = items("pods", "-n", release.namespace, "-l", selector)
    kubectl("delete", "pod", pod["metadata"]["name"], "-n", release.namespace, "--grace-period=1")


def test_one_number_over_all_pods(release: Release) -> None:
    load_image(VALKEY)
    release.install(**values())
    release.ready(PODS)
    assert set(counted(release).values()) == {0}
    assert add(release, POSTS) == list(range(1, POSTS + 1))
    counts = counted(release)
    assert len(counts) == PODS
    assert set(counts.values()) == {POSTS}

    # A pod's end takes nothing with it.
    kubectl("delete", "pod", release.pods()[0].name, "-n", release.namespace)
    release.ready(PODS)
    assert set(counted(release).values()) == {POSTS}
    # Nor does an upgrade, whose password is the one that Valkey has.
    release.install(**values(), podAnnotations={"note": "upgraded"})
    release.rolled_out()
    pods = release.ready(PODS)
    assert set(counted(release).values()) == {POSTS}

    # What doesn't need Valkey goes on without it, and what does comes back without a restart.
    end_valkey(release)
    answer = until(lambda: answered(f"{release.url}/whoami", 30), "an answer without Valkey")
    assert answer is not None
    assert answer.status_code == 200
    until(lambda: (a := answered(f"{release.url}/counter")) is not None and a.status_code == 200, "Valkey's return")
    assert set(counted(release).values()) == {0}
    assert add(release, 2) == [1, 2]
    again = [pod.again() for pod in pods]
    assert [pod.restarts for pod in again] == [0] * PODS
    assert [pod.metric("corepod_worker_restarts_total") for pod in again] == [0] * PODS
