"""Where messages can't be used, it is said why and what to do."""

from __future__ import annotations

import re
from inspect import isfunction
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from corepod import ipc
from corepod.worker.ipc import place

if TYPE_CHECKING:
    from types import ModuleType


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


def test_the_page_names_everything_that_is_public() -> None:
    page = (Path(__file__).parents[4] / "docs" / "messages.md").read_text()
    names = {f"ipc.{name}" for name in ipc.__all__}
    names |= {name for kind in (ipc.Message, ipc.Sender) for name in _public(kind)}
    names |= {
        name for error in (ipc.Full(0, 1.0), ipc.NoSuchSlot(0, 1), ipc.NobodyListens(0, "t")) for name in vars(error)
    }
    names |= set(_functions(ipc.sync))
    assert not sorted(name for name in names if not re.search(rf"`[^`\n]*\b{re.escape(name)}\b", page))


def _public(kind: type) -> list[str]:
    return [name for name in vars(kind) if not name.startswith("_") and name not in dir(tuple)]


def _functions(module: ModuleType) -> list[str]:
    return [name for name, found in vars(module).items() if isfunction(found) and not name.startswith("_")]
