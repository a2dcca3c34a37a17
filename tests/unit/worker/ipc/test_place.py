"""Where messages can't be used, it is said why and what to do."""

from __future__ import annotations

import pytest
from corepod import ipc
from corepod.worker.ipc import place


def test_there_are_no_messages_while_the_application_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "_expected", True)
    monkeypatch.setattr(place, "_place", None)
    for subscribe in (ipc.subscribe, ipc.sync.subscribe):
        with pytest.raises(RuntimeError, match="doesn't run yet while the application is imported"):
            subscribe("t")


async def test_a_loop_that_runs_before_the_workers_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "_expected", True)
    monkeypatch.setattr(place, "_place", None)
    with pytest.raises(RuntimeError, match="from its lifespan on"):
        ipc.subscribe("t")


def test_a_thread_without_a_loop_is_told_of_sync() -> None:
    with pytest.raises(RuntimeError, match=r"in threads, use corepod\.ipc\.sync"):
        ipc.subscribe("t")
