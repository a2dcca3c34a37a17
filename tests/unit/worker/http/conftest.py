"""What this implementation alone promises; tests/unit/worker/server has what both do."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from tests.unit import served

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _implementation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "HTTP", "httptools")


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """asyncio complains of protocols that break its rules: writes behind the end, exceptions that nobody fetches."""
    gc.collect()  # it complains of what other tests have left when that is freed: not in the middle of this one
    yield
    complaints = [record.getMessage() for record in caplog.get_records("call") if record.name == "asyncio"]
    assert not complaints, complaints[:3]
