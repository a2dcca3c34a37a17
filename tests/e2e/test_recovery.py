"""The README's comparison: what a crash costs in a bare container, and here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e import recovery

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
