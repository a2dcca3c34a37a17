"""The title of this process in ps and htop. It changes with each step of a worker's life, and has to cost next to
nothing: a crash waits for it."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from corepod.contract import title

if TYPE_CHECKING:
    from corepod.worker.settings import WorkerSettings

# Of the process that was executed: forks have the same arguments in the same place.
_area = (0, 0)
_application = ("", "")


def prepare(settings: WorkerSettings) -> None:
    """Look for the place of the title. To be called before the user changes: the kernel doesn't tell it afterwards."""
    global _area, _application
    _area, _application = title.area(), (settings.name, settings.app)


def show(role: str, more: str = "") -> None:
    """The title for this role: "worker 3 slot 0", with "core 1" as `more`."""
    start, room = _area
    if room:
        ctypes.memmove(start, title.fit(title.describe(role, *_application, more), room), room)
