"""Draws docs/pictures/table.svg: the live table of a real pool that has lost a worker. Run by `make docs`."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corepod.local.client import Client
from corepod.local.table import table
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "table.svg"
PORT = 8017
DEADLINE = 60.0


def _until(found: Callable[[], Any]) -> Any:
    end = time.monotonic() + DEADLINE
    while not (value := found()):
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.05)
    return value


def _draw(path: str) -> str:
    shown = Client(path).status()
    assert shown is not None
    console = Console(record=True, width=112, file=io.StringIO())
    console.print(table(shown, time.time(), console.width))
    svg = console.export_svg(title="corepod run corepod.demo:app")
    # A browser would fetch the fonts that are named there from another server.
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/control"
        command = [sys.executable, "-m", "corepod", "run", "corepod.demo:app", "--control", path]
        pool = subprocess.Popen([*command, "--bind", f"127.0.0.1:{PORT}", "--admin", "127.0.0.1:9000"])
        try:
            _until(lambda: (s := Client(path).status()) and s["state"] == "ready" and s["standby"]["ready"])
            shown = Client(path).status()
            assert shown is not None
            os.kill(shown["slots"][-1]["pid"], signal.SIGKILL)
            for _ in range(40):
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}/whoami", timeout=DEADLINE).read()
            _until(
                lambda: (
                    (s := Client(path).status()) and s["slots"][-1]["restarts"] and s["slots"][-1]["state"] == "ready"
                )
            )
            time.sleep(1.5)  # a share of CPU is measured over a second
            PICTURE.write_text(_draw(path))
        finally:
            pool.terminate()
            pool.wait(DEADLINE)


if __name__ == "__main__":
    main()
