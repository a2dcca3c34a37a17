"""Executes the interpreter of the workers: for a template, a worker that isn't forked, and a hook."""

from __future__ import annotations

import os
import signal

from corepod.contract.env import LD_PRELOAD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corepod.supervisor.settings import Settings


def execute(settings: Settings, words: list[str], file_actions: list[tuple[Any, ...]]) -> int:
    """The pid of a process that runs the interpreter with these words behind it, and has only the descriptors that the
    actions give it.

    Raises OSError where the system has no room for another process.
    """
    return os.posix_spawn(
        settings.python,
        [settings.python, *settings.interpreter, *words],
        {**os.environ, LD_PRELOAD: settings.ld_preload} if settings.ld_preload else os.environ,
        file_actions=file_actions,
        # Ctrl-C and a group's TERM reach the supervisor, which then stops its processes in order; and what such a
        # process has started can be ended with it.
        setpgroup=0,
        # A clean start: what the supervisor blocks or ignores must not reach the application.
        setsigmask=[],
        setsigdef=[s for s in signal.valid_signals() if s not in (signal.SIGKILL, signal.SIGSTOP)],
    )
