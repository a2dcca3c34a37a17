"""From the save of a file to the first answer of the new code, where the libraries take long to import."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from loadtest.bench import client, host
from loadtest.bench.peers import BIN, ROOT
from loadtest.bench.report import Table
from loadtest.bench.server import START, STOP
from loadtest.bench.stats import abba, pooled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.bench.harness import Bench

SECONDS = 1.0  # of CPU time that the import of the library takes
SAVES = 3  # in each round
PAUSE = 1.5  # seconds between two saves: some watchers look at times of change now and then
BASE = "uvicorn --reload"
COMMANDS = {
    "corepod dev": ["corepod", "dev", "main:app", "--bind", "127.0.0.1:{port}", "--admin", "none", "--control", "none"],
    BASE: ["uvicorn", "main:app", "--port", "{port}", "--reload"],
    "gunicorn --reload": ["gunicorn", "main:app", "-k", "asgi", "-b", "127.0.0.1:{port}", "--reload"],
    "granian --reload": ["granian", "main:app", "--port", "{port}", "--interface", "asgi", "--reload"],
}
LIBRARY = f"""
import time
end = time.process_time() + {SECONDS}
while time.process_time() < end:
    pass
"""
APPLICATION = """
import asyncio, email.message, json, slow_library, starlette.applications, starlette.responses, starlette.routing

async def answer(request):
    return starlette.responses.PlainTextResponse("{version}")

app = starlette.applications.Starlette(routes=[starlette.routing.Route("/", answer)])
"""


def saves(bench: Bench) -> list[Table]:
    names = [name for name, command in COMMANDS.items() if (BIN / command[0]).exists()]
    done = bench.rounds("dev", bench.count(2, 7), lambda number: {name: _round(name) for name in abba(names, number)})
    times = {name: [result[name] for result in done.results] for name in names}
    table = Table(
        "dev",
        f"save to new answer, a library that takes {SECONDS:g} s to import, over {BASE}",
        ["server", "p50", "p50 (ms)"],
        notes=done.notes,
    )
    for name in names:
        middle = median(value for one in times[name] for value in one)
        table.add(name, pooled(times[name], times[BASE], 0.5), f"{1000 * middle:.0f}")
    ratio = pooled(times["corepod dev"], times[BASE], 0.5).value
    table.goal("corepod dev at most 0.5", ratio, 0.5)
    return [table]


def _round(name: str) -> list[float]:
    """Seconds from each of a few saves to the first answer of what was saved."""
    with TemporaryDirectory(prefix="bench-dev-") as folder, _running(name, Path(folder)) as port:
        _first_answer(port, "0")
        found = []
        for version in map(str, range(1, SAVES + 1)):
            time.sleep(PAUSE)
            saved = _save(Path(folder), version)
            found.append(_first_answer(port, version) - saved)
        return found


def _save(folder: Path, version: str) -> float:
    (folder / "main.new").write_text(APPLICATION.format(version=version))
    (folder / "main.new").rename(folder / "main.py")
    return time.monotonic()


def _first_answer(port: int, version: str) -> float:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if client.get(port) == version.encode():
                return time.monotonic()
        time.sleep(0.002)
    raise RuntimeError(f"version {version} isn't served within {START:g} s")


@contextlib.contextmanager
def _running(name: str, folder: Path) -> Iterator[int]:
    installed = folder / "lib" / "site-packages"
    installed.mkdir(parents=True)
    (installed / "slow_library.py").write_text(LIBRARY)
    _save(folder, "0")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    script, *flags = COMMANDS[name]
    with host.pinned(host.SERVER):
        process = subprocess.Popen(
            [BIN / script, *(flag.format(port=port) for flag in flags)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": f"{installed}:{ROOT / 'app'}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield port
    finally:
        family = host.tree(process.pid)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP)
        if process.poll() is None:
            process.kill()
            process.wait()
        host.kill(set(family).intersection(host.tree(os.getpid())))
        host.reap()
