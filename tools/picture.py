"""Draws docs/pictures/table.svg and top.svg: a real pool under traffic that has lost a worker, in the live table of
`corepod run` and in `corepod top`. Run by `make docs`."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corepod.local.client import Client
from corepod.local.table import table
from corepod.local.top.frame import frame
from corepod.local.top.model import Model, update
from corepod.local.top.view import View
from corepod.local.top.watcher import Pool
from rich.console import Console, Group

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
PORT = 8017
DEADLINE = 60.0
WIDTH, HEIGHT = 120, 16
# Requests of different lengths: a little computing, much of it, and waiting.
MIXTURE = ("/whoami", "/generate-report?size=60000", "/whoami", "/whoami", "/whoami", "/whoami")


def _until(found: Callable[[], Any]) -> Any:
    end = time.monotonic() + DEADLINE
    while not (value := found()):
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.05)
    return value


def _save(name: str, title: str, picture: RenderableType, width: int) -> None:
    console = Console(record=True, width=width, file=io.StringIO())
    console.print(picture)
    svg = console.export_svg(title=title)
    # A browser would fetch the fonts that are named there from another server.
    (PICTURES / name).write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL))


def _top(path: str) -> RenderableType:
    pool, model = Pool(Client(path)), Model("shop")
    for pause in (0.0, 2.0):
        time.sleep(pause)
        model = update(model, pool.look())
    return Group(*frame(model, View(selected=1), WIDTH, HEIGHT, time.monotonic(), time.time()))


def _ask(path: str) -> None:
    urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=DEADLINE).read()


def _traffic(over: threading.Event) -> None:
    while not over.is_set():
        for path in MIXTURE:
            _ask(path)
            over.wait(0.003)


def _draw(path: str) -> None:
    shown = _until(lambda: (s := Client(path).status()) and s["state"] == "ready" and s["standby"]["ready"] and s)
    os.kill(shown["slots"][-1]["pid"], signal.SIGKILL)
    for _ in range(40):
        _ask("/whoami")
    _until(lambda: (s := Client(path).status()) and s["slots"][-1]["restarts"] and s["slots"][-1]["state"] == "ready")
    time.sleep(1.5)  # a share of CPU is measured over a second
    shown = Client(path).status()
    assert shown is not None
    _save("table.svg", "corepod run corepod.demo:app", table(shown, time.time(), 112), 112)
    over = threading.Event()
    users = [threading.Thread(target=_traffic, args=(over,)) for _ in range(6)]
    for user in users:
        user.start()
    try:
        _save("top.svg", "corepod top shop", _top(path), WIDTH)
    finally:
        over.set()
        for user in users:
            user.join()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/shop.sock"
        command = [sys.executable, "-m", "corepod", "run", "corepod.demo:app", "--control", path, "--pin", "always"]
        pool = subprocess.Popen([*command, "--bind", f"127.0.0.1:{PORT}", "--admin", "127.0.0.1:9000"])
        try:
            _draw(path)
        finally:
            pool.terminate()
            pool.wait(DEADLINE)


if __name__ == "__main__":
    main()
