from __future__ import annotations

from typing import TYPE_CHECKING

from corepod.shared.redis.reporting import LINES, Reporter

if TYPE_CHECKING:
    import pytest


def test_what_comes_and_goes_doesnt_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A server at the limit of its memory refuses one write and takes the next."""
    reporter = Reporter("redis://h")
    for _ in range(10 * LINES):
        reporter.trouble("writes", "is full", "nothing is stored")
        reporter.fine("writes")
    assert len(caplog.messages) == LINES
    assert caplog.messages[0] == "the shared state redis://h is full; nothing is stored"
    assert "comes and goes" in caplog.messages[-1]
