"""The servers that are compared: how each is started with its best flags, and which of its processes are workers."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from loadtest.bench import host

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
APP = "loadtest.bench.apps:app"
JSON_APP = "loadtest.bench.json_app:app"
BIN = Path(sys.executable).parent
PM2 = ROOT / "loadtest/bench/.pm2/node_modules/.bin/pm2"  # of make bench-pm2


def _children(pid: int) -> list[int]:
    return host.children(pid)


def _itself(pid: int) -> list[int]:
    return [pid]


def _spawned(pid: int) -> list[int]:
    """multiprocessing's children, without its resource tracker."""
    return [child for child in host.children(pid) if "spawn_main" in host.command(child)]


def _corepod(pid: int) -> list[int]:
    return [child for child in host.tree(pid) if host.name(child) == "corepod-worker"]


@dataclass(frozen=True)
class Peer:
    """A server and the flags it runs with. `{app}`, `{port}` and `{workers}` are filled in."""

    name: str
    flags: tuple[str, ...]
    workers_of: Callable[[int], list[int]]
    workers: int = 1
    pause: float = 0.0  # seconds between two deaths that it needs to survive them
    reuseport: bool = False  # one process a worker, each with a listening socket of its own
    env: dict[str, str] = field(default_factory=dict, hash=False)
    app: str = APP

    def of(self, workers: int, *flags: str, name: str = "") -> Peer:
        """The same with this many workers, and these flags beside."""
        return replace(self, workers=workers, flags=(*self.flags, *flags), name=name or self.name)

    def with_env(self, **env: object) -> Peer:
        return replace(self, env={**self.env, **{key: str(value) for key, value in env.items()}})

    def serving(self, app: str) -> Peer:
        return replace(self, app=app)

    def command(self, port: int) -> list[str]:
        return [flag.format(app=self.app, port=port, workers=self.workers) for flag in self.flags]


def corepod(*flags: str, standby: str = "armed", budget: str = "1000/60", name: str = "", command: str = "run") -> Peer:
    """This project. The budget is no part of what is measured, except where it says so."""
    run = [
        str(BIN / "python"),
        "-m",
        "corepod",
        command,
        "{app}",
        "--workers",
        "{workers}",
        "--bind",
        "127.0.0.1:{port}",
    ]
    run += ["--standby", standby, "--crash-budget", budget]
    if "--admin" not in flags:
        run += ["--admin", "none"]
    return Peer(name or f"corepod, {standby}", (*run, *flags), _corepod)


def _gunicorn(name: str, *flags: str) -> Peer:
    run = [str(BIN / "gunicorn"), "{app}", "-k", "asgi", "-w", "{workers}", "-b", "127.0.0.1:{port}"]
    return Peer(name, (*run, "--log-level", "error", "--no-control-socket", *flags), _children)


_HYPERCORN = (str(BIN / "hypercorn"), "{app}", "--log-level", "error")
HYPERCORN = Peer("hypercorn", (*_HYPERCORN, "-w", "0", "-b", "127.0.0.1:{port}"), _itself)
# The same server one process a worker, as `hypercorn -w N` sets its sockets up.
REUSEPORT = Peer("SO_REUSEPORT", (*_HYPERCORN, "-w", "0", "-b", "fd://{port}"), _itself, reuseport=True)
GUNICORN = _gunicorn("gunicorn")
PRELOAD = _gunicorn("gunicorn --preload", "--preload")
_UVICORN = (str(BIN / "uvicorn"), "{app}", "--port", "{port}", "--no-access-log", "--log-level", "error")
UVICORN = Peer("uvicorn --workers", (*_UVICORN, "--workers", "{workers}"), _spawned, workers=2)
UVICORN_ALONE = Peer("uvicorn", _UVICORN, _itself)  # with one worker it has no master
# Whatever is installed, uvicorn takes the fastest: each comparison of costs says which loop it means.
UVICORN_ASYNCIO = UVICORN_ALONE.of(1, "--http", "httptools", "--loop", "asyncio")
UVICORN_UVLOOP = UVICORN_ALONE.of(1, "--http", "httptools", "--loop", "uvloop", name="uvicorn, uvloop")
_GRANIAN = (str(BIN / "granian"), "{app}", "--port", "{port}", "--workers", "{workers}", "--interface", "asgi")
GRANIAN = Peer(
    "granian",
    (*_GRANIAN, "--log-level", "error", "--respawn-failed-workers"),
    _children,
    pause=6.5,  # a second death of a worker within 5.5 s ends the server
)


def pm2() -> list[Peer]:
    """PM2 in cluster mode, where it is installed (make bench-pm2). Its application runs on Node."""
    if not PM2.exists():
        return []
    run = [str(PM2.with_name("pm2-runtime")), str(ROOT / "loadtest/bench/pm2.config.js")]
    env = [f"{name}={value}" for name, value in pm2_env("{port}").items()]
    return [Peer("pm2", ("env", *env, "BENCH_PORT={port}", "BENCH_WORKERS={workers}", *run), _node)]


def pm2_env(port: object) -> dict[str, str]:
    """The variables by which PM2's command finds the PM2 that serves this port."""
    return {"PM2_HOME": f"{ROOT}/loadtest/bench/.pm2/home-{port}"}


def _node(pid: int) -> list[int]:
    return [child for child in host.tree(pid) if "node_app.js" in host.command(child) and child != pid]
