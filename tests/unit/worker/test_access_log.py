"""Lines of the access log as `logging` has them: the application's configuration counts, and they cost little."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from corepod.config.spec import SETTINGS
from corepod.worker import logs
from corepod.worker.access_atoms import clf_time
from corepod.worker.access_log import AccessLog

from tests.unit.clf import CLF, fields
from tests.unit.served import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.worker.conftest import Streams

DEFAULT = next(setting.default for setting in SETTINGS if setting.name == "access_log_format")


@pytest.fixture
def scope() -> dict[str, Any]:
    """Of a connection over a Unix socket, which has no address."""
    plain = {"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "client": None}
    return {**plain, "path": "/a", "raw_path": b"/a", "query_string": b"", "headers": []}


def write(scope: dict[str, Any], form: str = DEFAULT) -> None:
    AccessLog(form).write(scope, 200, [], 5, 0.25)


def test_a_client_without_an_address(streams: Streams, scope: dict[str, Any]) -> None:
    logs.configure_logging(settings())
    write(scope)
    assert fields(streams.out.strip())["h"] == "-"


def test_a_filter_sees_the_atoms(streams: Streams, scope: dict[str, Any]) -> None:
    """Probes are what everybody wants to leave out."""
    logs.configure_logging(settings())
    logs.access.addFilter(lambda record: record.args["U"] != "/healthz" and record.args.get("x") is None)  # type: ignore[index, call-overload, union-attr]
    try:
        write(scope)
        write({**scope, "path": "/healthz"})
    finally:
        logs.access.filters.clear()
    assert len(streams.out.splitlines()) == 1


def test_a_level_and_a_handler_of_the_application(streams: Streams, scope: dict[str, Any]) -> None:
    logs.configure_logging(settings())
    seen: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())  # type: ignore[method-assign]
    logs.access.addHandler(handler)
    write(scope, "%(m)s %(L)s")
    logs.access.setLevel("WARNING")
    write(scope)
    assert (seen, streams.out) == (["GET 0.250000"], "GET 0.250000\n")


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("prefixed", [[], ["stdout"]])
def test_a_record_and_a_line_without_one_are_the_same(
    streams: Streams, scope: dict[str, Any], log_format: str, prefixed: list[str]
) -> None:
    """A record is made only where somebody could see it."""
    logs.configure_logging(settings(log_format=log_format, prefixed=prefixed))
    scope |= {"path": '/"\n', "raw_path": b'/"', "headers": [(b"user-agent", b"a\xff")]}
    form = DEFAULT.replace("%(t)s ", "") + ' "%(a)s" "%(U)s"'
    assert logs.without_record(logs.access)
    write(scope, form)
    logs.access.addFilter(lambda record: True)
    try:
        assert not logs.without_record(logs.access)
        write(scope, form)
    finally:
        logs.access.filters.clear()
    first, second = (re.sub(r'"time": "[^"]+"', "", line) for line in streams.out.splitlines())
    assert first == second


DISTURB: dict[str, Callable[[pytest.MonkeyPatch, logging.Handler], None]] = {
    "it propagates": lambda patch, handler: patch.setattr(logs.access, "propagate", True),
    "a second handler": lambda patch, handler: patch.setattr(logs.access, "handlers", [handler, logging.NullHandler()]),
    "another handler": lambda patch, handler: patch.setattr(logs.access, "handlers", [logging.StreamHandler()]),
    "the handler's filter": lambda patch, handler: patch.setattr(handler, "filters", [lambda record: True]),
    "the handler's level": lambda patch, handler: handler.setLevel("ERROR"),
    "a formatter": lambda patch, handler: handler.setFormatter(logging.Formatter("mine %(message)s")),
    "a factory of records": lambda patch, handler: patch.setattr(
        logging, "_logRecordFactory", lambda *args: logging.LogRecord(*args)
    ),
    "a library that listens": lambda patch, handler: patch.setattr(
        logging.Logger, "callHandlers", lambda self, record: None
    ),
}


@pytest.mark.parametrize("disturb", DISTURB.values(), ids=DISTURB)
def test_who_could_see_a_record_gets_one(
    streams: Streams, monkeypatch: pytest.MonkeyPatch, disturb: Callable[[pytest.MonkeyPatch, logging.Handler], None]
) -> None:
    logs.configure_logging(settings())
    assert logs.without_record(logs.access)
    disturb(monkeypatch, logs.access.handlers[0])
    assert not logs.without_record(logs.access)


def test_a_stream_that_fails_is_reported_and_nothing_else_fails(streams: Streams, scope: dict[str, Any]) -> None:
    logs.configure_logging(settings())
    (handler,) = logs.access.handlers
    assert isinstance(handler, logs.AccessHandler)
    with open("/dev/full", "w") as full:
        handler.setStream(full)
        write(scope)
        with contextlib.suppress(OSError):
            full.close()
    assert "No space left on device" in streams.err
    assert "--- Logging error ---" in streams.err


# Time


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def set_to(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield set_to
    monkeypatch.undo()
    time.tzset()


def test_the_time_is_local_and_has_its_offset(zone: Callable[[str], None]) -> None:
    second = 1_795_953_909
    zone("XST-5:30")
    assert clf_time(second) == "[29/Nov/2026:17:35:09 +0530]"
    assert clf_time(second + 1) == "[29/Nov/2026:17:35:10 +0530]"
    zone("UTC")
    assert clf_time(second + 2) == "[29/Nov/2026:12:05:11 +0000]"


def test_lines_of_many_threads_stay_whole(streams: Streams, scope: dict[str, Any]) -> None:
    def many() -> None:
        for _ in range(200):
            write(scope)

    logs.configure_logging(settings())
    threads = [threading.Thread(target=many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    got = streams.out.splitlines()
    assert len(got) == 1600
    assert all(map(CLF.fullmatch, got))


def test_a_line_costs_the_same_whatever_the_environment_holds(
    streams: Streams, scope: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubernetes adds seven variables for each service, and a copy of them for each line cost more than the request."""
    logs.configure_logging(settings())
    monkeypatch.setattr(os, "environ", Watched(os.environ))
    write(scope)
    assert fields(streams.out.strip())
    assert list(os.environ), "a copy is seen"
    assert Watched.copies == 1


class Watched(dict[str, str]):
    """An environment that counts how often it is read as a whole."""

    copies = 0

    def __iter__(self) -> Any:
        Watched.copies += 1
        return super().__iter__()

    def items(self) -> Any:
        Watched.copies += 1
        return super().items()
