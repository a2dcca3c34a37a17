"""The two CPU presets, and what may be around a pod without undoing them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.e2e.conftest import IMAGE

if TYPE_CHECKING:
    from tests.e2e.release import Release

CLOSED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}


def sidecar(**resources: Any) -> dict[str, Any]:
    return {
        "name": "sidecar",
        "image": IMAGE,
        "command": ["sh", "-c", "trap exit TERM; sleep infinity & wait"],
        "resources": resources,
        "securityContext": CLOSED,
    }


def test_exclusive_with_a_sidecar_of_a_fraction_stays_pinned(release: Release) -> None:
    part = {"cpu": "100m", "memory": "32Mi"}
    [pod] = release.install(extraContainers=[sidecar(requests=part, limits=part)]).ready()
    assert pod.document["status"]["qosClass"] == "Guaranteed"
    core = pod.worker().cores
    assert core.isdecimal()
    assert pod.metric(f'corepod_worker_pinned{{slot="0",core="{core}"}}') == 1
    others = pod.sh("grep Cpus_allowed_list /proc/self/status", container="sidecar").split()[-1]
    assert core not in others, f"the sidecar may run on {others}, on the worker's core among them"


def test_shared_is_neither_pinned_nor_limited_and_says_so(release: Release) -> None:
    [pod] = release.install(cpu={"preset": "shared"}).ready()
    assert pod.document["status"]["qosClass"] == "Burstable"
    resources = pod.document["spec"]["containers"][0]["resources"]
    assert resources["requests"]["cpu"] == "250m"
    assert "cpu" not in resources["limits"]
    assert pod.metric('corepod_worker_pinned{slot="0",core=""}') == 0
    assert not pod.worker().cores.isdecimal()
    # Without a quota there is nothing that could throttle it.
    assert pod.metric("corepod_cpu_throttled_seconds_total") == 0


def test_a_limited_fraction_of_a_core_says_that_it_is_throttled(release: Release) -> None:
    """The control, and what neither preset makes. A start takes more than a second of CPU: with a smaller fraction it
    could take longer than it is waited for."""
    part = {"cpu": "200m", "memory": "256Mi"}
    release.install(cpu={"preset": "shared"})
    release.patch({"resources": {"limits": part, "requests": part}})
    [pod] = release.ready()
    assert pod.metric('corepod_worker_pinned{slot="0",core=""}') == 0
    assert pod.metric("corepod_cpu_throttled_seconds_total") > 0


def test_any_user_will_do(release: Release) -> None:
    user = {"runAsUser": 20001, "runAsGroup": 0, "fsGroup": 20001}
    [pod] = release.install(cpu={"preset": "shared"}, podSecurityContext=user).ready()
    assert pod.sh("id -u").strip() == "20001"
    assert pod.worker().pid
