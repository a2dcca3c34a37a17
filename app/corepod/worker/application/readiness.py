"""Polls the application's `ready_path` within the process: without a connection, and uncounted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from corepod.worker.application.root_path import with_root_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.worker.settings import WorkerSettings


async def poll_ready_path(
    app: Any, settings: WorkerSettings, state: dict[str, Any], report: Callable[[str], None]
) -> None:
    """Ask every `ready_interval` seconds, and report why the application isn't ready, empty when it is."""
    app = with_root_path(app, settings)
    while True:
        report(await _why_not_ready(app, settings.ready_path, settings.ready_interval, state))
        await asyncio.sleep(settings.ready_interval)


async def _why_not_ready(app: Any, path: str, patience: float, state: dict[str, Any]) -> str:
    status = 0
    messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    messages.put_nowait({"type": "http.request", "body": b"", "more_body": False})

    async def send(message: Any) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]

    try:
        await asyncio.wait_for(app(_scope(path, state), messages.get, send), patience)
    except TimeoutError:
        return f"{path} didn't answer within {patience:g} s"
    except Exception as error:
        return f"{path} raised {type(error).__name__}"
    return "" if 100 < status < 400 else f"{path} answered {status or 'nothing'}"


def _scope(target: str, state: dict[str, Any]) -> dict[str, Any]:
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.1"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"localhost"), (b"user-agent", b"corepod-readiness")],
        "client": None,
        "server": None,
        "state": dict(state),
        "extensions": {},
    }
