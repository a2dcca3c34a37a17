"""The shared state of these tests is a real one: a file of its own for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from corepod import shared
from corepod.shared.sessions.blocking import wait

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COREPOD_SHARED", f"sqlite:///{tmp_path}/state.sqlite")
    monkeypatch.setenv("COREPOD_SHARED_PREFIX", "shop:")
    monkeypatch.setenv("COREPOD_SHARED_TIMEOUT", "30")
    yield
    wait(shared.close, "")  # that of threads; an event loop of the test has closed its own
