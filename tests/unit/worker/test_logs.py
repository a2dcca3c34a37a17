"""Lines of a worker: who speaks, one line a request whatever the client sends, and what is counted without a line."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
import logging.config
import os
import re
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from corepod.contract.scoreboard import IN_FLIGHT, STATUS
from corepod.worker import logs

from tests.unit.h2client import Http2
from tests.unit.served import DEADLINE, Served, settings, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.worker.conftest import Streams

    Application = Callable[[], logging.Logger]

pytestmark = pytest.mark.usefixtures("_loggers")

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.fixture
def application() -> Iterator[Application]:
    """A logger of an application that has left logging alone. pytest adds handlers of its own just before a test."""
    root, shop = logging.getLogger(), logging.getLogger("shop")
    kept, level = root.handlers[:], root.level

    def untouched() -> logging.Logger:
        kept[:] = root.handlers
        root.handlers.clear()
        root.setLevel("WARNING")
        return logging.getLogger("shop.orders")

    yield untouched
    root.handlers[:] = kept
    root.setLevel(level)
    shop.handlers.clear()  # Flask's is one of the test that made it, and not of the next


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
    assert (entry["logger"], entry["message"]) == ("corepod", "it failed")
    assert entry["exception"].startswith("Traceback")
    assert 'lines and a "quote"' in entry["exception"]
    assert re.fullmatch(TIME, entry["time"])


@pytest.mark.parametrize("profile", ["run", "pod"])
def test_an_access_line_as_json_has_fields(streams: Streams, profile: str) -> None:
    logs.configure_logging(settings(profile=profile, log_format="json"))
    with Served(app, access_log=True) as served:
        served.raw(b'GET /a?b=%0a HTTP/1.1\r\nHost: test\r\nUser-Agent: a"b\r\nConnection: close\r\n\r\n')
        served.until_idle()
    (line,) = streams.out.splitlines()
    entry = json.loads(line)
    expected = {"level": "info", "logger": "corepod.access", "worker": 7, "method": "GET", "path": "/a"}
    expected |= {"query": "b=%0a", "status": 200, "size": 2, "user_agent": 'a"b'}
    assert {key: entry[key] for key in expected} == expected
    assert entry["client"].startswith("127.0.0.1")
    assert 0 <= entry["duration"] < 60
    assert "GET /a?b=%0a" in entry["message"]
    assert "referer" not in entry


def test_what_the_application_logs_becomes_json(streams: Streams, application: Application) -> None:
    log = application()
    logs.configure_logging(settings(log_format="json"))
    log.info("not shown: the level is the application's")
    log.warning("low stock of %s", "tea", extra={"sku": 7, "pid": "theirs", "when": object})
    try:
        raise ValueError("two\nlines")
    except ValueError:
        log.exception("it failed")
    stock, failed = map(json.loads, streams.err.splitlines())
    assert (stock["level"], stock["logger"], stock["message"]) == ("warning", "shop.orders", "low stock of tea")
    assert (stock["sku"], stock["pid"], stock["pid_"], stock["when"]) == (7, os.getpid(), "theirs", str(object))
    assert failed["exception"].endswith("ValueError: two\nlines")
    assert all(re.fullmatch(TIME, entry["time"]) for entry in (stock, failed))


def test_what_json_cannot_hold_is_described(streams: Streams, application: Application) -> None:
    log = application()
    logs.configure_logging(settings(log_format="json"))
    circle: list[Any] = []
    circle.append(circle)
    log.warning("strange", extra={"circle": circle, "nan": float("nan"), "keys": {(1, 2): 3}})
    (entry,) = map(json.loads, streams.err.splitlines())
    assert (entry["circle"], entry["nan"], entry["keys"]) == ("[[...]]", "nan", "{(1, 2): 3}")


def test_basic_config_is_no_choice_of_a_format_and_another_format_is(
    streams: Streams, application: Application
) -> None:
    log = application()
    root = logging.getLogger()
    logging.basicConfig(level="INFO", stream=sys.stderr)
    logs.configure_logging(settings(log_format="json"))
    log.info("shown")
    assert json.loads(streams.err)["message"] == "shown"
    logging.basicConfig(level="INFO", stream=sys.stdout, force=True)
    log.info("again")
    assert json.loads(streams.out)["message"] == "again"
    logging.basicConfig(level="INFO", stream=sys.stderr, force=True)
    root.handlers[0].setFormatter(logging.Formatter("mine: %(message)s"))
    logs.configure_logging(settings(log_format="json"))
    log.info("as text")
    assert streams.err.endswith("\nmine: as text\n")


def test_where_lines_are_text_nothing_of_the_application_changes(streams: Streams, application: Application) -> None:
    log = application()
    logs.configure_logging(settings())
    log.warning("plain")
    assert streams.err == "plain\n"


@pytest.mark.compat("flask")
def test_flasks_own_handler(streams: Streams, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    application()
    import flask
    from flask.logging import default_handler

    monkeypatch.setattr(default_handler, "formatter", default_handler.formatter)
    shop = flask.Flask("shop")
    shop.logger.warning("as Flask writes it")
    assert "WARNING in test_logs: as Flask writes it" in streams.err
    logs.configure_logging(settings(log_format="json"))
    shop.logger.warning("low stock")
    assert json.loads(streams.err.splitlines()[-1])["message"] == "low stock"


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
    when = r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]"
    assert re.fullmatch(rf'127\.0\.0\.1 - - {when} "GET /path\?query=1 HTTP/1\.1" 200 2 \d\.\d{{6}}', line)


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
    """The request line has the path as it came; decoded, it could hold what ends a field."""
    (line,) = access_lines(streams, get(b"/stra%C3%9Fe"), access_log_format="%(r)s %(U)s")
    assert line == "GET /stra%C3%9Fe HTTP/1.1 /straße"


def test_a_format_of_ones_own(streams: Streams) -> None:
    (line,) = access_lines(streams, get(b"/x"), access_log_format="%(m)s %(U)s %({host}i)s %({missing}i)s %(s)s")
    assert line == "GET /x test - 200"


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
    assert '"GET /gone HTTP/1.1" 499 0 ' in line


def test_without_an_access_log_answers_are_counted(streams: Streams) -> None:
    logs.configure_logging(settings())
    with Served(app) as served:
        httpx.get(served.url(), timeout=DEADLINE)
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


# Whatever the application does to logging


def _disable_each() -> None:
    for logger in logging.Logger.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.disabled = True


SILENCERS: dict[str, Callable[[], Any]] = {
    "dictConfig": lambda: logging.config.dictConfig({"version": 1, "root": {"level": "INFO"}}),
    "fileConfig": lambda: logging.config.fileConfig(
        io.StringIO(
            "[loggers]\nkeys=root\n[handlers]\nkeys=\n[formatters]\nkeys=\n[logger_root]\nlevel=INFO\nhandlers=\n"
        )
    ),
    "basicConfig": lambda: logging.basicConfig(force=True, handlers=[logging.NullHandler()]),
    "disable": lambda: logging.disable(logging.CRITICAL),
    "handlers removed": lambda: logging.getLogger().handlers.clear(),
    "each logger disabled": _disable_each,
    "shutdown": logging.shutdown,
    "another class of loggers": lambda: logging.setLoggerClass(type("Mute", (logging.Logger,), {"handle": None})),
}


@pytest.fixture
def _global_logging() -> Iterator[None]:
    """What is global in logging is put back as it was."""
    root, manager = logging.getLogger(), logging.Logger.manager
    kept = (list(root.handlers), root.level, manager.disable, logging.getLoggerClass())
    disabled = [x for x in manager.loggerDict.values() if isinstance(x, logging.Logger) and not x.disabled]
    yield
    root.handlers[:], root.level, manager.disable = kept[:3]
    logging.setLoggerClass(kept[3])
    for logger in disabled:
        logger.disabled = False
    manager._clear_cache()  # type: ignore[attr-defined]


@pytest.mark.usefixtures("_global_logging")
@pytest.mark.parametrize("silence", SILENCERS.values(), ids=SILENCERS)
@pytest.mark.parametrize("first", [True, False])
def test_the_server_is_heard(silence: Callable[[], Any], first: bool, streams: Streams) -> None:
    """Done while it is imported, or later, in the lifespan."""
    if first:
        silence()
    logs.configure_logging(settings(access_log=True))
    if not first:
        logs.log.info("before")
        silence()
    with Served(app, access_log=True) as served:
        httpx.get(served.url("/in-the-access-log"), timeout=DEADLINE)
        served.until_idle()
    try:
        raise ValueError("for the traceback")
    except ValueError:
        logs.log.exception("it failed")
    assert "GET /in-the-access-log" in streams.out
    assert "it failed\n  | Traceback" in streams.err
    assert not logs.log.isEnabledFor(logging.DEBUG), "levels hold"


@pytest.mark.usefixtures("_global_logging")
@pytest.mark.parametrize("silence", [None, *SILENCERS.values()], ids=["nothing", *SILENCERS])
def test_what_nobody_retrieves_is_logged(silence: Callable[[], Any] | None, streams: Streams) -> None:
    logs.configure_logging(settings())
    if silence is not None:
        silence()

    async def fail() -> None:
        raise ValueError("of a task")

    def fail_at_once() -> None:
        raise ValueError("of a callback")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        logs.report_loop_errors(loop)
        loop.call_soon(fail_at_once)
        task = loop.create_task(fail())
        await asyncio.sleep(0.01)
        del task
        gc.collect()

    root = logging.getLogger()
    handler = logging.StreamHandler(sys.stderr)
    root.addHandler(handler)
    try:
        asyncio.run(main())
    finally:
        root.removeHandler(handler)
    said = streams.err
    assert said.count("ValueError: of a task") == 1
    assert said.count("ValueError: of a callback") == 1
    assert "Task exception was never retrieved" in said


@pytest.mark.usefixtures("_global_logging")
def test_a_configuration_that_names_the_server_changes_it(streams: Streams) -> None:
    logs.configure_logging(settings())
    logging.config.dictConfig({"version": 1, "loggers": {"corepod": {"level": "ERROR"}}})
    logs.log.warning("too quiet")
    logs.log.error("loud enough")
    assert "too quiet" not in streams.err
