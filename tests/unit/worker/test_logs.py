"""Lines of a worker: who speaks, one line a request whatever the client sends, and what is counted without a line."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from corepod.contract.scoreboard import IN_FLIGHT, STATUS
from corepod.worker import logs

from tests.unit.h2client import Http2
from tests.unit.served import Served, settings, until

if TYPE_CHECKING:
    from collections.abc import Iterator

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture(autouse=True)
def _loggers() -> Iterator[None]:
    """The worker's loggers are put back as they were."""
    kept = [(logging.getLogger(name), vars(logging.getLogger(name)).copy()) for name in ("corepod", "corepod.access")]
    yield
    for logger, state in kept:
        logger.__dict__.update(state)
        logger.manager._clear_cache()  # type: ignore[attr-defined]


class Streams:
    """What standard output and standard error have got."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._out = self._err = ""

    def _read(self) -> None:
        out, err = self._capsys.readouterr()
        self._out, self._err = self._out + out, self._err + err

    @property
    def out(self) -> str:
        self._read()
        return self._out

    @property
    def err(self) -> str:
        self._read()
        return self._err


@pytest.fixture
def streams(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Streams:
    for name, value in (("COREPOD_WORKER", "7"), ("COREPOD_SLOT", "2"), ("COREPOD_CORE", "")):
        monkeypatch.setenv(name, value)
    return Streams(capsys)


def test_text_in_a_local_pool_is_named_by_the_pool(streams: Streams) -> None:
    logs.configure_logging(settings(profile="run"))
    logs.log.warning("something %s", "happened")
    assert re.fullmatch(rf"{TIME} WARNING something happened\n", streams.err)


@pytest.mark.parametrize(("prefixed", "named"), [(["stdout"], True), (["stderr"], False), ([], True)])
def test_text_names_the_worker_where_the_pool_does_not(streams: Streams, prefixed: list[str], named: bool) -> None:
    """Both would be a stutter, neither would leave open whose line it is."""
    logs.configure_logging(settings(profile="run", prefixed=prefixed))
    logs.log.warning("something happened")
    name = r"\[worker 7 slot 2 pid \d+\] " if named else ""
    assert re.fullmatch(rf"{TIME} WARNING {name}something happened\n", streams.err)


def test_text_in_a_pod_names_the_worker(streams: Streams) -> None:
    logs.configure_logging(settings(profile="pod", prefixed=[]))
    logs.log.error("something happened")
    assert re.fullmatch(rf"{TIME} ERROR   \[worker 7 slot 2 pid \d+\] something happened\n", streams.err)


def test_json(streams: Streams) -> None:
    logs.configure_logging(settings(profile="pod", log_format="json"))
    try:
        raise ValueError('two\nlines and a "quote"')
    except ValueError:
        logs.log.exception("it failed")
    (line,) = streams.err.splitlines()
    entry = json.loads(line)
    assert (entry["level"], entry["worker"], entry["slot"]) == ("error", 7, 2)
    assert "core" not in entry
    assert entry["message"].startswith("it failed\nTraceback")
    assert 'lines and a "quote"' in entry["message"]


def test_levels(streams: Streams) -> None:
    logs.configure_logging(settings(log_level="error"))
    logs.log.warning("too quiet")
    logging.getLogger("corepod.access").info("an access line all the same")
    assert streams.err == ""
    assert "an access line" in streams.out


def test_the_applications_own_logging_is_left_alone(streams: Streams) -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    logs.configure_logging(settings())
    logs.log.warning("not twice")
    assert (list(root.handlers), root.level) == before
    assert streams.err.count("not twice") == 1


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def access_lines(streams: Streams, *requests: bytes, **changed: Any) -> list[str]:
    logs.configure_logging(settings(profile="pod", prefixed=[], **changed))
    with Served(app, access_log=True, **changed) as served:
        for request in requests:
            served.raw(request)
        served.until_idle()
    return streams.out.splitlines()


def get(target: bytes) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


def test_access_log(streams: Streams) -> None:
    (line,) = access_lines(streams, get(b"/path?query=1"))
    who = r"\[worker 7 slot 2 pid \d+\]"
    assert re.fullmatch(rf'{TIME} INFO    {who} 127\.0\.0\.1:\d+ "GET /path\?query=1 1\.1 200" 2 \d\.\d+', line)


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize(
    "target", [b"/%0a2026-01-01T00:00:00.000Z%20INFO%20forged", b"/%0d%0aforged", b"/%1b[2Jforged", b"/%e2%80%a8forged"]
)
def test_one_line_a_request(streams: Streams, target: bytes, log_format: str) -> None:
    """A line break in a path would forge a line, an escape sequence would speak to somebody's terminal."""
    lines = access_lines(streams, get(target), log_format=log_format)
    assert len(lines) == 1
    assert lines[0].isprintable()
    assert "forged" in lines[0]


def test_names_in_other_scripts_stay_readable(streams: Streams) -> None:
    (line,) = access_lines(streams, get(b"/stra%C3%9Fe"))
    assert "/straße" in line


def test_a_format_of_ones_own(streams: Streams) -> None:
    (line,) = access_lines(streams, get(b"/x"), access_log_format="%(m)s %(U)s %({host}i)s %({missing}i)s %(s)s")
    assert line.endswith("GET /x test - 200")


def test_a_request_without_an_answer_has_a_line_and_a_count(streams: Streams) -> None:
    async def never(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    logs.configure_logging(settings(profile="pod", prefixed=[]))
    with Served(never, access_log=True) as served:
        with served.connect() as sock:
            sock.sendall(get(b"/gone"))
            until(lambda: served.words[IN_FLIGHT], "it is in flight")
        served.until_idle()
        assert served.words[STATUS] == 1
    (line,) = streams.out.splitlines()
    assert '"GET /gone 1.1 -"' in line


def test_without_an_access_log_answers_are_counted(streams: Streams) -> None:
    logs.configure_logging(settings())
    with Served(app) as served:
        httpx.get(served.url())
        with served.connect() as sock:
            Http2(sock).get("/")
        served.until_idle()
        assert served.words[STATUS + 2] == 2
    assert streams.out == ""


@pytest.mark.parametrize("status", [204, 302, 404, 500, 599, 700])
def test_every_status_is_counted(status: int) -> None:
    async def answers(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with Served(answers) as served, served.connect() as sock:
        client = Http2(sock)
        client.read_until(client.request("/"))
        until(lambda: served.words[STATUS + min(status // 100, 5)] == 1, "it is counted")
