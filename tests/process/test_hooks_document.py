"""The files that docs/hooks.md shows do what it says."""

from __future__ import annotations

import re
import signal
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from tests.process.test_hooks import Webhook, crash, text
from tests.process.test_hooks import webhook as webhook
from tests.procfs import alive
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

PAGE = (Path(__file__).parents[2] / "docs" / "hooks.md").read_text()
APP = """
import os

async def app(scope, receive, send):
    if scope["type"] == "http":
        if scope["path"] == "/exit":
            os._exit(3)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})
"""


def block(name: str) -> str:
    """The file of this name that the page shows."""
    match = re.search(rf"<!-- {re.escape(name)} -->\n\n((?:    .*\n|\n)+)", PAGE)
    assert match, name
    return textwrap.dedent(match[1])


def test_the_files_of_the_page(start: Start, tmp_path: Path, webhook: Webhook) -> None:
    (tmp_path / "main.py").write_text(APP)
    (tmp_path / "notices.py").write_text(block("notices.py"))
    shown = block("corepod.toml")
    assert "https://hooks.example.com" in shown
    (tmp_path / "corepod.toml").write_text(shown.replace("https://hooks.example.com", webhook.url))
    flags = ("--workers", "1", "--pin", "never", "--crash-budget", "1/600", "--hook-timeout", "600")
    pool = start("main:app", *flags, cwd=tmp_path).ready()
    until(lambda: text(tmp_path / "ready.txt") == "main is ready\n", "on_ready")
    crash(pool, "/exit")
    pool.until_log("main: a worker died (exit: exit code 3) and took along GET /exit")
    old = pool.ready().slot()["pid"]
    pool.signal(signal.SIGHUP)
    pool.until_log("main: reload done")
    until(lambda: '"outcome": "done"' in text(tmp_path / "reloads.jsonl"), "the command of a reload")
    until(lambda: not alive(old), "the end of the old worker, whose crash would be no death")
    pool.ready()
    crash(pool, "/exit")
    pool.ready()
    crash(pool, "/exit")
    assert pool.wait() == 5
    assert [(path, event["event"]) for path, event in webhook.heard] == [("/services/T0/B0", "give_up")] * 2
