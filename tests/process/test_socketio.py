"""Socket.IO's default transports on two workers, with the application of docs/sticky.md as it stands there."""

from __future__ import annotations

import re
import threading
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
import socketio

from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.harness import Pool

PAGE = (Path(__file__).parents[2] / "docs" / "sticky.md").read_text()
SHOWN = dict(re.findall(r"<!-- (\w+\.py) -->\n\n```python\n((?s:.*?))```", PAGE))
COMMANDS = re.findall(r"^    corepod run (.*)$", PAGE, re.MULTILINE)
CLIENTS = 8


def pool_of(start: Callable[..., Pool], folder: Path, *flags: str) -> Pool:
    for name, text in SHOWN.items():
        (folder / name).write_text(text)
    return start("chat:app", "-w", "2", "--pin", "never", *flags, cwd=folder).ready()


def client(stack: ExitStack, pool: Pool) -> tuple[Any, list[str]]:
    """With its default transports, and a jar of cookies as a browser has one."""
    session = stack.enter_context(requests.Session())
    session.trust_env = False
    session.headers["Connection"] = "close"  # each request of its polling comes on a connection of its own
    made = socketio.Client(reconnection=False, http_session=session, request_timeout=int(DEADLINE))
    heard: list[str] = []
    made.on("said", heard.append)
    stack.callback(made.disconnect)
    made.connect(f"http://127.0.0.1:{pool.port}", wait_timeout=int(DEADLINE))
    return made, heard


@pytest.mark.parametrize("command", COMMANDS)
def test_default_transports_and_a_broadcast(start: Callable[..., Pool], tmp_path: Path, command: str) -> None:
    app, *flags = command.split()
    assert app == "chat:app"
    pool = pool_of(start, tmp_path, *flags)
    workers = {slot["pid"] for slot in pool.status()["slots"]}
    with ExitStack() as stack:
        clients = [client(stack, pool) for _ in range(CLIENTS)]
        served = until(lambda: both(stack, pool, clients, workers), "clients of both workers")
        assert set(served) == workers
        # The subscriptions of both workers have begun with their first clients: the last one's broadcast reaches all.
        until(lambda: arrives(clients), lambda: f"a broadcast at all clients: {[heard for _, heard in clients]}")
        assert {one.eio.transport() for one, _ in clients} == {"websocket"}
    assert pool.stop() == 0


def both(stack: ExitStack, pool: Pool, clients: list[Any], workers: set[int]) -> Counter[int]:
    """How many clients each worker has; one more client where one has none."""
    served = Counter(one.call("say", "who", timeout=int(DEADLINE)) for one, _ in clients)
    if set(served) != workers:
        clients.append(client(stack, pool))
        return Counter()
    return served


def arrives(clients: list[Any]) -> bool:
    text = f"text {threading.get_native_id()}"
    clients[-1][0].call("say", text, timeout=int(DEADLINE))
    until(lambda: all(text in heard for _, heard in clients[-1:]), "heard by whoever said it")
    return all(text in heard for _, heard in clients)


def test_without_it_they_fail(start: Callable[..., Pool], tmp_path: Path) -> None:
    """The negative control: a session's second request comes to a worker that doesn't know it."""
    pool = pool_of(start, tmp_path)

    def fails() -> bool:
        with ExitStack() as stack:
            try:
                client(stack, pool)
            except socketio.exceptions.ConnectionError:
                return True
            return False

    until(fails, "a client that can't connect")
