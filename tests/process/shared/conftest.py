"""One suite for all backends: `url` is a fresh state for each test, of each of them in turn.

A backend is a context manager in `BACKENDS` that yields the URL of an empty state.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path


@contextmanager
def embedded(folder: Path) -> Iterator[str]:
    yield f"sqlite://{folder / 'state.sqlite'}"


BACKENDS: dict[str, Callable[[Path], AbstractContextManager[str]]] = {"embedded": embedded}


@pytest.fixture(params=list(BACKENDS))
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty state, which this process and its children use."""
    with BACKENDS[request.param](tmp_path) as found:
        monkeypatch.setenv("COREPOD_SHARED", found)
        monkeypatch.setenv("COREPOD_SHARED_TIMEOUT", "30")  # a busy machine may pause any process
        monkeypatch.delenv("COREPOD_SHARED_PREFIX", raising=False)
        yield found
