"""Everything here holds for both implementations of HTTP/1.1."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _each(implementation: str) -> None:
    pass
