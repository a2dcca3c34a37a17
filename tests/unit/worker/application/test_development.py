"""Pages with faults, for browsers and others, and the colours of a traceback."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from corepod.worker.application.development import Broken, Fault, Pages, classified, in_colours, page

TEXT = """Traceback (most recent call last):
  File "/srv/shop/main.py", line 3, in handler
    get("<b>")
  File "/srv/venv/lib/python3.11/site-packages/lib/api.py", line 9, in get
    raise KeyError(name)
KeyError: '<b>'"""


async def ask(app: Any, kind: str = "http", accept: bytes = b"*/*") -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    scope = {"type": kind, "method": "GET", "path": "/x", "headers": [(b"accept", accept)]}
    try:
        await app(scope, receive, send)
    except ValueError as error:
        sent.append(error)
    return sent


def run(app: Any, **options: Any) -> list[Any]:
    return asyncio.run(ask(app, **options))


def start(status: int) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": []}


def body(text: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": text, "more_body": more}


def answering(*messages: Any, error: Exception | None = None) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)
        if error is not None:
            raise error

    return app


def test_each_line_is_known_by_its_frame() -> None:
    assert [kind for kind, _ in classified(TEXT)] == ["", "own", "own", "library", "library", "error"]
    assert "\x1b[1;31mKeyError" in in_colours(TEXT)


def test_a_page_is_escaped_and_loads_nothing() -> None:
    text = page(Fault("</title><script>", TEXT), broken=True)
    assert "<b>" not in text
    assert text.count("<script>") == 1  # its own
    assert "://" not in text
    assert "<script>" not in page(Fault("m", TEXT), broken=False)


@pytest.mark.parametrize(("accept", "kind"), [(b"text/html,*/*;q=0.8", b"text/html"), (b"*/*", b"text/plain")])
def test_a_broken_application_answers_with_its_fault(
    accept: bytes, kind: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = Pages(Broken("it raised KeyError", TEXT))
    first, second = run(pages, accept=accept)
    assert first["status"] == 500
    headers = dict(first["headers"])
    assert headers[b"content-type"].startswith(kind)
    assert headers[b"content-length"] == str(len(second["body"])).encode()
    assert b"KeyError" in second["body"]
    assert capsys.readouterr().err == f"it raised KeyError\n{TEXT}\n"


def test_a_broken_application_refuses_websockets(capsys: pytest.CaptureFixture[str]) -> None:
    (closed,) = run(Pages(Broken("gone", "")), kind="websocket")
    assert (closed["type"], closed["code"]) == ("websocket.close", 1011)


@pytest.mark.parametrize(
    "messages",
    [
        (start(200), body(b"fine")),
        (start(500), body(b"its own")),
        (start(500), body(b"its ", more=True), body(b"own")),
        (start(500),),
    ],
)
def test_what_an_application_answers_stays(messages: tuple[Any, ...]) -> None:
    assert run(Pages(answering(*messages))) == list(messages)


@pytest.mark.parametrize("messages", [(), (start(500), body(b"Internal Server Error"))])
def test_an_exception_is_shown_in_place_of_a_frameworks_answer(messages: tuple[Any, ...]) -> None:
    first, second, error = run(Pages(answering(*messages, error=ValueError("why"))))
    assert first["status"] == 500
    assert b"ValueError: why" in second["body"]
    assert isinstance(error, ValueError)  # the server still logs it


def test_an_exception_behind_the_beginning_of_an_answer_adds_nothing() -> None:
    sent = run(Pages(answering(start(200), body(b"a", more=True), error=ValueError("why"))))
    assert [type(one) for one in sent] == [dict, dict, ValueError]


@pytest.mark.parametrize(("text", "summary"), [(TEXT, "KeyError: '<b>'"), ("", "the message")])
def test_the_summary_is_one_line(text: str, summary: str) -> None:
    assert Fault("the message", text).summary == summary
