"""What becomes of a request that has met an error that was noted."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from corepod.worker.application import unavailable
from corepod.worker.application.unavailable import TEXT, answer_unavailable

from tests.unit.served import settings

if TYPE_CHECKING:
    from corepod.worker.settings import WorkerSettings


class Away(Exception):
    def __init__(self) -> None:
        super().__init__()
        unavailable.note(self)


@pytest.fixture(autouse=True)
def used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unavailable, "_expected", True)


def ask(app: Any, given: WorkerSettings, kind: str = "http") -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    asyncio.run(_call(answer_unavailable(app, given), {"type": kind}, receive, send))
    return sent


async def _call(app: Any, *arguments: Any) -> None:
    await app(*arguments)


def test_the_page_of_a_framework_is_replaced() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(Away):
            await asyncio.to_thread(_raise)
        await send({"type": "http.response.start", "status": 500, "headers": [(b"x-debug", b"secret")]})
        await send({"type": "http.response.body", "body": b"secret", "more_body": True})
        await send({"type": "http.response.body", "body": b"secret"})

    start, body = ask(app, settings(retry_after=7))
    assert (start["status"], body["body"]) == (503, TEXT)
    assert (b"retry-after", b"7") in start["headers"]
    assert "secret" not in repr((start, body))


def _raise() -> None:
    raise Away


@pytest.mark.parametrize("status", [200, 404, 502])
def test_other_answers_stay(status: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(Away):
            raise Away
        await send({"type": "http.response.start", "status": status, "headers": []})

    assert ask(app, settings()) == [{"type": "http.response.start", "status": status, "headers": []}]


def test_an_exception_group() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(_raise))

    assert ask(app, settings())[0]["status"] == 503


def test_another_fault_is_raised() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(Away):
            raise Away
        raise ValueError("a fault")

    with pytest.raises(ValueError, match="a fault"):
        ask(app, settings())


def test_one_request_says_nothing_of_the_next() -> None:
    """Requests of one connection may run in the same task."""
    sent: list[int] = []

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise Away

    async def other(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 500, "headers": []})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message.get("status", 0))

    async def main() -> None:
        for app in (failing, other):
            await answer_unavailable(app, settings())({"type": "http"}, None, send)

    asyncio.run(main())
    assert sent == [503, 0, 500]


def test_where_shared_state_isn_t_used_nothing_is_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unavailable, "_expected", False)
    given: list[Any] = []

    async def app(*arguments: Any) -> None:
        given.extend(arguments)

    scope, receive, send = {"type": "http"}, object(), object()
    asyncio.run(_call(answer_unavailable(app, settings()), scope, receive, send))
    assert given == [scope, receive, send]


def test_a_request_that_has_met_several() -> None:
    """Of two operations at the same time, the application gets the error of the first, and another was noted last."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def operation() -> None:
            raise Away

        await asyncio.gather(operation(), operation())

    assert ask(app, settings())[0]["status"] == 503


def test_a_websocket_is_closed_once() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        try:
            raise Away
        finally:
            await send({"type": "websocket.close", "code": 1011})

    assert [message["type"] for message in ask(app, settings(), "websocket")] == ["websocket.accept", "websocket.close"]
