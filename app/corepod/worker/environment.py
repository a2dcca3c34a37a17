"""The environment of the application, as far as it comes from the user's file (`env_file`)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from corepod.config import envfile
from corepod.config.spec import BY_NAME
from corepod.contract.env import SECRETS

if TYPE_CHECKING:
    from corepod.worker.settings import WorkerSettings


def read_env_file_again(settings: WorkerSettings) -> None:
    """Let the environment follow the file: the command line has read it when the pool was started, and a reload is a
    new load of it, too. What was set elsewhere still takes precedence.

    Raises ValueError where the file has a fault, OSError where it can't be read.
    """
    if not settings.env_file:
        return
    found, ours = envfile.read(settings.env_file), set(settings.env_names)
    for name in SECRETS:
        found.pop(BY_NAME[name].variable, None)  # what the application starts would inherit it
    for name in ours - found.keys():
        os.environ.pop(name, None)
    for name, value in found.items():
        if name in ours or name not in os.environ:
            os.environ[name] = value
