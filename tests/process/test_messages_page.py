"""The examples of docs/messages.md run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.process.harness import CLIENT, running
from tests.waiting import until

PAGE = (Path(__file__).parents[2] / "docs" / "messages.md").read_text()
CACHE, FOLLOW, WSGI = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)

ASGI = """
import json

FOUND = {"price": {}, "known": {}}

async def tell(messages):
    async for message in messages:
        await message.reply(FOUND["price"])

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        async with lifespan(app):
            tasks = [asyncio.create_task(follow(FOUND["known"])), asyncio.create_task(tell(ipc.subscribe("prices")))]
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/fill":
        cache["a"] = 1
    if scope["path"] == "/save":
        await save("a", 2)
        await ipc.broadcast("price", {"b": 3})
    import os
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps([os.getpid(), cache, FOUND["known"]]).encode()})
"""


def _ask(port: int, path: str) -> Any:
    return CLIENT.get(f"http://127.0.0.1:{port}{path}").json()


@pytest.mark.timeout(240)
def test_a_cache_is_emptied_and_state_is_followed_in_all_workers(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(CACHE + FOLLOW + ASGI)
    with running("shop:app", "--workers", "2", "--pin", "never", log=tmp_path / "log", cwd=tmp_path) as pool:
        pool.ready()
        filled: set[int] = set()
        until(lambda: filled.add(_ask(pool.port, "/fill")[0]) or len(filled) == 2, "both caches are filled")  # type: ignore[func-returns-value]
        _ask(pool.port, "/save")

        def states() -> dict[int, Any]:
            answers = [_ask(pool.port, "/") for _ in range(10)]
            return {pid: rest for pid, *rest in answers}

        until(lambda: [*states().values()] == [[{}, {"b": 3}]] * 2, lambda: f"empty caches: {states()}")


@pytest.mark.timeout(240)
def test_the_wsgi_application_hears_of_requests_to_all_workers(tmp_path: Path) -> None:
    shown = WSGI.replace('return [b"ok"]', 'import os\n    return [f"{os.getpid()} {len(set(seen))}".encode()]')
    (tmp_path / "shop.py").write_text(shown)
    with running("shop:application", "--workers", "2", "--pin", "never", log=tmp_path / "log", cwd=tmp_path) as pool:
        pool.ready()
        for number in range(5):
            pool.get(f"/{number}")

        def heard() -> dict[str, int]:
            # A worker's thread may have begun to listen after the first requests.
            answers = [pool.get(f"/{number % 5}").text.split() for number in range(10)]
            return {pid: int(seen) for pid, seen in answers}

        until(lambda: [*heard().values()] == [5, 5], lambda: f"five paths in both workers: {heard()}\n{pool.log}")
        assert pool.stop() == 0
        assert "Traceback" not in pool.log, "the threads that listen end with their worker"


def test_the_first_example_runs_outside_of_a_pool(tmp_path: Path) -> None:
    code = CACHE + (
        "\nasync def main():\n    cache['a'] = 1\n    async with lifespan(None):\n        await save('a', 2)\n"
        "        while cache:\n            await asyncio.sleep(0.01)\n    print('empty')\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("empty\n", "")
