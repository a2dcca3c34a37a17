"""What the settings say of shared state: a worker leaves it here for `corepod.shared`, which only an application that
uses it imports."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from corepod.worker.settings import WorkerSettings


class SharedSettings(NamedTuple):
    """The settings of the group "Shared state"; docs/reference/settings.md says what each means."""

    url: str
    prefix: str
    timeout: float  # seconds
    required: bool
    pool: str  # name of the pool, as the supervisor shows it; empty outside of one
    folder: str = ""  # in which the pool's workers begin


_settled: SharedSettings | None = None


def settle(settings: WorkerSettings) -> None:
    """This process belongs to a pool with these settings."""
    global _settled
    _settled = SharedSettings(
        settings.shared,
        settings.shared_prefix,
        settings.shared_timeout,
        settings.shared_required,
        settings.name or settings.app.partition(":")[0],  # as the supervisor calls it
        settings.cwd,
    )


def current(environ: Mapping[str, str] = os.environ) -> SharedSettings:
    """The pool's settings; outside of a pool, as under another server or in a script, those in the environment."""
    if _settled is not None:
        return _settled
    return SharedSettings(
        environ.get("COREPOD_SHARED", ""),
        environ.get("COREPOD_SHARED_PREFIX", ""),
        float(environ.get("COREPOD_SHARED_TIMEOUT") or 1.0),
        environ.get("COREPOD_SHARED_REQUIRED", "").lower() in ("1", "true", "yes", "on"),
        "",
    )


def watch(report: Callable[[str], None]) -> Coroutine[Any, Any, None]:
    """Report why this worker isn't ready for want of shared state; empty where it is.

    For `shared_required`, which wants shared state whether the application has imported it or not.
    """
    found: Coroutine[Any, Any, None] = import_module("corepod.shared.readiness").watch(report)
    return found
