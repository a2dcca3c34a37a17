"""The shared state of these tests is a real one: a file of its own for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COREPOD_SHARED", f"sqlite:///{tmp_path}/state.sqlite")
    monkeypatch.setenv("COREPOD_SHARED_PREFIX", "shop:")
    monkeypatch.setenv("COREPOD_SHARED_TIMEOUT", "30")
