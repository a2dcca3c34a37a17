"""Beside a bare container: what a crash costs, and what probes say while the application computes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.e2e import recovery
from tests.e2e.kube import get, until

if TYPE_CHECKING:
    from tests.e2e.release import Release


def test_a_crash_in_the_pod_is_not_an_outage_and_a_restarted_container_is(release: Release) -> None:
    ours = recovery.outages(release.install().url, 2)
    theirs = recovery.outages(recovery.bare(release.namespace), 2)
    print(f"corepod {ours}, bare {theirs}")
    assert all(outage.failed == 0 for outage in ours), ours
    # The control: the same client sees failures where there are some.
    assert all(outage.failed > 0 for outage in theirs), theirs
    assert max(o.seconds for o in ours) < 0.1 * max(o.seconds for o in theirs)


def test_a_bare_container_that_computes_is_not_ready(namespace: str) -> None:
    """The control of the tests at full CPU in test_crash.py: probes that the application answers itself."""
    url = recovery.bare(namespace)
    recovery.until_steady(url)
    with contextlib.suppress(TimeoutError):
        recovery.ask(url, "/crash?mode=block&seconds=16", timeout=1.0)
    until(lambda: not get("deployment", "bare", "-n", namespace)["status"].get("readyReplicas"), "not ready")
