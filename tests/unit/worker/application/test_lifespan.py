"""The lifespan protocol from the server's side: who has one, who fails in it, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import TYPE_CHECKING, Any

import pytest
from corepod.worker.application import lifespan
from corepod.worker.application.lifespan import Lifespan, LifespanFailedError

if TYPE_CHECKING:
    from collections.abc import Callable


class App:
    """Plays a script: receive, an answer to send, an exception to raise, or a pause that nobody ends."""

    def __init__(self, *script: Any) -> None:
        self.script, self.received, self.scope = script, list[Any](), dict[str, Any]()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        for step in self.script:
            if step == "receive":
                self.received.append((await receive())["type"])
            elif step == "wait":
                await asyncio.Event().wait()
            elif isinstance(step, BaseException):
                raise step
            else:
                await send({"type": f"lifespan.{step}"} if isinstance(step, str) else step)


def run(app: App, *, shutdown: bool = True) -> str:
    """Start and stop it; returns its complaint."""

    async def main() -> str:
        lifespan = Lifespan(app, {"a": 1})
        await lifespan.startup()
        return await lifespan.shutdown() if shutdown else ""

    return asyncio.run(asyncio.wait_for(main(), 20))


def test_a_whole_life() -> None:
    app = App("receive", "startup.complete", "receive", "shutdown.complete")
    assert run(app) == ""
    assert app.received == ["lifespan.startup", "lifespan.shutdown"]
    assert app.scope["type"] == "lifespan"
    assert app.scope["state"] == {"a": 1}


def test_the_state_is_shared_with_the_server() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["state"]["pool"] = "connected"
        await receive()
        await send({"type": "lifespan.startup.complete"})

    async def main() -> dict[str, Any]:
        state: dict[str, Any] = {}
        await Lifespan(app, state).startup()
        return state

    assert asyncio.run(main()) == {"pool": "connected"}


@pytest.mark.parametrize("message", ["the database does not answer", ""])
def test_a_start_that_fails(message: str) -> None:
    app = App("receive", {"type": "lifespan.startup.failed", "message": message})
    with pytest.raises(LifespanFailedError, match=message or "the application's lifespan failed"):
        run(app)


@pytest.mark.parametrize(
    "script", [(), (AssertionError("http only"),), ("receive", ValueError("what is this?")), ("receive",)]
)
def test_no_lifespan_is_no_fault(script: tuple[Any, ...], caplog: pytest.LogCaptureFixture, log: Any) -> None:
    with caplog.at_level(logging.INFO, "corepod"):
        assert run(App(*script)) == ""
    told = [record.getMessage() for record in caplog.records if record.name == "corepod"]
    errors = [step for step in script if isinstance(step, Exception)]
    assert told == [f"the application has no lifespan: it raised {type(error).__name__}: {error}" for error in errors]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The worker's logger speaks to pytest."""
    monkeypatch.setattr(logging.getLogger("corepod"), "propagate", True)
    return lambda: None


@pytest.mark.parametrize("first", [(), ("receive",)])
def test_who_wants_to_end_ends(first: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(App(*first, SystemExit(3)))
    assert caught.value.code == 3
    del caught
    gc.collect()  # asyncio complains of a task that ends so and isn't asked for it: here, and not in another test


LEAKS = [asyncio.CancelledError(), GeneratorExit(), BaseExceptionGroup("several", [SystemExit(1)])]


@pytest.mark.parametrize("leak", LEAKS, ids=repr)
@pytest.mark.parametrize("first", [(), ("receive",)])
def test_what_means_nothing_to_a_server_is_a_start_that_failed(first: tuple[str, ...], leak: BaseException) -> None:
    """Nobody says with it that there is no lifespan; to serve without one would hide the failure."""
    with pytest.raises(LifespanFailedError, match=type(leak).__name__):
        run(App(*first, leak))


@pytest.mark.parametrize("leak", LEAKS, ids=repr)
def test_what_means_nothing_to_a_server_is_a_stop_that_failed(leak: BaseException) -> None:
    start = ("receive", "startup.complete", "receive")
    assert run(App(*start, leak)).startswith(type(leak).__name__)


def test_a_stop_that_fails() -> None:
    start = ("receive", "startup.complete", "receive")
    assert run(App(*start, {"type": "lifespan.shutdown.failed", "message": "not flushed"})) == "not flushed"
    assert run(App(*start, {"type": "lifespan.shutdown.failed"})) != ""
    assert run(App(*start, ValueError("broken"))) == "ValueError: broken"
    assert run(App(*start, "shutdown.complete", ValueError("at the very end"))) == "ValueError: at the very end"


def test_who_has_ended_while_it_served_is_not_asked_to_stop() -> None:
    app = App("receive", "startup.complete")
    assert run(app) == ""
    assert app.received == ["lifespan.startup"]


def test_a_start_can_be_given_up() -> None:
    """A stop must not wait for a start that takes long."""

    async def main() -> None:
        lifespan = Lifespan(App("receive", "wait"), {})
        start = asyncio.create_task(lifespan.startup())
        await asyncio.sleep(0)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_start_that_takes_long_says_where_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    go, told = asyncio.Event(), []

    def warning(message: str, place: str) -> None:
        told.append(message % place)
        go.set()

    monkeypatch.setattr(lifespan, "SLOW", 0.0)
    monkeypatch.setattr(logging.getLogger("corepod"), "warning", warning)

    async def connect() -> None:
        await go.wait()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await connect()
        await send({"type": "lifespan.startup.complete"})

    asyncio.run(asyncio.wait_for(Lifespan(app, {}).startup(), 20))
    (text,) = told
    assert text.startswith("the application's lifespan startup waits here:\n")
    assert ", in connect\n    await go.wait()\n" in text
