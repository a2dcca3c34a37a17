"""What holds for all tests of the supervisor: its loops end with the tests that made them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from corepod.supervisor.io.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _loops(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In real life a loop lives as long as its process. Here hundreds of them would take the descriptors of the tests
    that come later in the same process."""
    made: list[Loop] = []
    make = Loop.__init__

    def noted(loop: Loop) -> None:
        make(loop)
        made.append(loop)

    monkeypatch.setattr(Loop, "__init__", noted)
    yield
    for loop in made:
        loop._epoll.close()
        os.close(loop._wake_read)
        os.close(loop._wake_write)
