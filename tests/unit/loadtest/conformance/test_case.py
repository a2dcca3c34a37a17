"""Verdicts on answers: a check of conformance that nothing can fail would be worth nothing."""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from loadtest.conformance import requests
from loadtest.conformance.case import PROBE_PATH, Case, Request, complaint, either, refuses, serves
from loadtest.conformance.corpus import CORPUS
from loadtest.conformance.exchange import parse, talk
from tests.waiting import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Callable

GET = b"GET /first HTTP/1.1\r\nHost: test\r\n\r\n"
FIRST = Request("GET", "/first")


def ok(path: str = "/first", method: str = "GET", body: str = "", headers: tuple[tuple[str, str], ...] = ()) -> bytes:
    given = json.dumps({"method": method, "path": path, "query": "", "headers": headers, "body": body}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(given), given)


def refused(status: int) -> bytes:
    return b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status


PROBED = ok("/probe")
SERVES = serves("a", "1", GET, FIRST)
LAST = serves("a", "1", GET, FIRST, stays=False)
REFUSES = refuses("a", "1", GET)
SECOND = refuses("a", "1", GET + b"x", after=(FIRST,))
EITHER = either("a", "1", GET, FIRST)
SILENT = refuses("a", "1", GET, 400, 0)
CUT = serves("a", "1", GET, FIRST, end=True)


@pytest.mark.parametrize(
    ("judged", "answer"),
    [
        (SERVES, ok() + PROBED),
        (LAST, ok()),
        (REFUSES, refused(400)),
        (SECOND, ok() + refused(400)),
        (EITHER, ok() + PROBED),
        (EITHER, ok()),
        (EITHER, refused(400)),
        (SILENT, b""),
        (CUT, ok()),
    ],
)
def test_what_is_fine(judged: Case, answer: bytes) -> None:
    assert complaint(judged, parse(answer, judged.methods)) == ""


@pytest.mark.parametrize(
    ("judged", "answer", "why"),
    [
        (SERVES, b"", "no answer to request 1"),
        (SERVES, ok(), "the connection ends"),
        (SERVES, refused(400), "isn't served"),
        (SERVES, ok() + ok("/smuggled") + PROBED, "more answers than requests"),
        (SERVES, ok() + ok("/smuggled"), "more answers than requests"),
        (SERVES, ok("/other") + PROBED, "path '/other' instead of '/first'"),
        (SERVES, ok(method="POST") + PROBED, "method"),
        (SERVES, ok(body="x") + PROBED, "body"),
        (SERVES, b"HTTP/1.1 103 Early\r\n\r\n" + ok() + PROBED, "interim"),
        (SERVES, ok()[:-1], "as long as announced"),
        (SERVES, b"nonsense\r\n\r\n", "no status line"),
        (LAST, ok() + PROBED, "the connection goes on"),
        (LAST, ok() + refused(400), "more answers than requests"),
        (REFUSES, b"", "no answer"),
        (REFUSES, ok() + PROBED, "the connection goes on"),
        (REFUSES, refused(400) + PROBED, "the connection goes on"),
        (REFUSES, refused(500), "another status"),
        (SECOND, refused(400), "isn't served"),
        (SECOND, ok() + PROBED, "another status"),
        (EITHER, ok() + ok("/smuggled") + PROBED, "more answers than requests"),
        (EITHER, refused(404), "isn't served"),
        (CUT, b"", "no answer to request 1"),
    ],
)
def test_what_is_wrong(judged: Case, answer: bytes, why: str) -> None:
    assert why in complaint(judged, parse(answer, judged.methods))


def test_headers_that_matter() -> None:
    wanted = Request("GET", "/first", headers=(("x", "a"),), absent=("y",))
    judged = serves("a", "1", GET, wanted)
    assert complaint(judged, parse(ok(headers=(("x", "a"),)) + PROBED, ["GET"])) == ""
    for headers in ((), (("x", "b"),), (("x", "a"), ("x", "a")), (("x", "a"), ("y", "b"))):
        assert complaint(judged, parse(ok(headers=headers) + PROBED, ["GET"]))


def test_responses_are_told_apart() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    exchange = parse(b"HTTP/1.1 100 Continue\r\n\r\n" + head + chunked + head + b"abc", ["HEAD", "GET", "GET"])
    assert [answer.body for answer in exchange.answers] == [b"", b"abc", b"abc"]
    assert (exchange.interim, exchange.fault) == ((100,), "")
    assert parse(b"HTTP/1.0 200 OK\r\n\r\nuntil the end", ["GET"]).answers[0].body == b"until the end"


def test_every_request_has_a_name_of_its_own_and_can_be_failed() -> None:
    assert len(CORPUS) > 500
    assert not [name for name, count in Counter(each.name for each in CORPUS).items() if count > 1]
    assert all(each.served or each.refusals for each in CORPUS)


# Negative controls: whole servers that a suite has to find out


class Careless:
    """A server that answers each of its connections with what `answer` makes of the bytes."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            with sock:
                sock.settimeout(DEADLINE)
                data = sock.recv(1 << 20)  # something comes, however late; the end is where nothing more does
                sock.settimeout(0.05)
                try:
                    while b"Connection: close\r\n\r\n" not in data[-40:] and (more := sock.recv(1 << 20)):
                        data += more
                except TimeoutError:
                    pass
                if data == b"stop":
                    return
                sock.sendall(self._answer(data))

    def __enter__(self) -> int:
        self._thread.start()
        return self.port

    def __exit__(self, *_: object) -> None:
        talk(self.port, b"stop", end=True)
        self._thread.join()
        self._listener.close()


def believes_everything(data: bytes) -> bytes:
    """Takes everything before, between and behind empty lines for a request."""
    parts = filter(None, data.split(b"\r\n\r\n"))
    return b"".join(ok(PROBE_PATH if PROBE_PATH.encode() in part else "/first") for part in parts)


def failed(answer: Callable[[bytes], bytes], cases: list[Case]) -> list[Case]:
    with Careless(answer) as port:
        return [each for each in cases if requests.judge(port, each)]


def test_a_server_that_believes_everything_fails() -> None:
    must_refuse = [each for each in CORPUS if not each.served]
    assert failed(believes_everything, must_refuse) == must_refuse


def test_a_server_that_refuses_everything_fails() -> None:
    must_serve = [each for each in CORPUS if not each.refusals]
    assert failed(lambda data: refused(400), must_serve) == must_serve


def test_a_server_that_says_nothing_fails() -> None:
    wanted = [each for each in CORPUS if 0 not in each.refusals]
    assert failed(lambda data: b"", wanted) == wanted
