"""The names of a configuration that is Python: it is executed in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from corepod.migrate.execute import PYTHON
from corepod.migrate.model import MigrateError

if TYPE_CHECKING:
    from corepod.migrate.model import Context

TIMEOUT = 30.0  # seconds; a configuration computes a few values


def names(location: str, context: Context) -> dict[str, Any]:
    """Each name with its "value", "function", "class" or "object". Raises MigrateError."""
    if not context.execute:
        raise MigrateError(f"{location} is Python, and executing it isn't allowed here (--no-execute)")
    if not location.startswith(PYTHON) and not (context.folder / location).is_file():
        raise MigrateError(f"there is no file {context.folder / location}")
    with tempfile.TemporaryDirectory(prefix="corepod-migrate-") as folder:
        output = os.path.join(folder, "names")
        command = [sys.executable, "-m", "corepod.migrate.execute", output, location]
        try:
            subprocess.run(
                command,
                cwd=context.folder,
                env={**context.environ},
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
                timeout=TIMEOUT,
                check=False,
            )
            with open(output, encoding="utf-8") as file:
                found = json.load(file)
        except subprocess.TimeoutExpired:
            raise MigrateError(
                f"{location} was executed, and hadn't ended after {TIMEOUT:g} s: it waits for something"
            ) from None
        except (OSError, ValueError):
            raise MigrateError(f"{location} was executed, and its process ended before it had finished") from None
    if "error" in found:
        raise MigrateError(_why(location, found["error"], found["missing"]))
    return dict(found["names"])


def _why(location: str, error: str, missing: str) -> str:
    what = f"{location} was executed, as gunicorn does, and failed: {error}"
    if not missing:
        return f"{what}; set the variables that it reads, and try again"
    here = f"{missing} isn't installed beside corepod ({sys.executable})"
    return f"{what}. {here}: run corepod migrate in the environment that runs the application today"
