"""What every log line of a worker has beside its text: who speaks."""

from __future__ import annotations

import os
from typing import Any

from corepod.contract.env import ENV_CORE, ENV_SLOT, ENV_WORKER


def worker_fields() -> dict[str, Any]:
    """The worker's number, slot and core, as far as it has them yet, and its pid."""
    number = {
        key: os.environ.get(name) for key, name in (("worker", ENV_WORKER), ("slot", ENV_SLOT), ("core", ENV_CORE))
    }
    return {**{key: int(value) for key, value in number.items() if value}, "pid": os.getpid()}
