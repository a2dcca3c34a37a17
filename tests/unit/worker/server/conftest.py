"""Everything here holds for both implementations of HTTP/1.1."""

from __future__ import annotations

import pytest

from tests.unit import served


@pytest.fixture(params=["httptools", "h11"], autouse=True)
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The implementation that this run of the test serves with."""
    monkeypatch.setattr(served, "HTTP", request.param)
    return str(request.param)
