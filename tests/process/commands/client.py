"""The commands that look at pools and steer them, as a user calls them, and a runtime folder of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.process.harness import APPS
from tests.waiting import DEADLINE

if TYPE_CHECKING:
    from pathlib import Path

QUICK = ("--pin", "never", "--lame-duck", "0")


class Done(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def words(*args: str) -> list[str]:
    return [sys.executable, "-m", "corepod", *args]


def corepod(*args: str, env: dict[str, str] | None = None, prefix: tuple[str, ...] = (), **options: Any) -> Done:
    """Run a command until it ends."""
    environment = {**{k: v for k, v in os.environ.items() if not k.startswith("COREPOD_")}, **(env or {})}
    done = subprocess.run(
        [*prefix, *words(*args)],
        capture_output=True,
        text=True,
        timeout=3 * DEADLINE,
        check=False,
        cwd=options.pop("cwd", APPS),
        env=environment,
        **options,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def address(runtime: Path, name: str = "shop") -> str:
    """Of the control socket of the pool of this name."""
    return str(runtime / "corepod" / f"{name}.sock")
