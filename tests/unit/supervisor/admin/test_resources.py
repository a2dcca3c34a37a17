"""What the admin port answers, and to whom: from the bytes of a request to the bytes of its answer."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, NamedTuple, cast

import pytest
from corepod.supervisor.admin import page, responses
from corepod.supervisor.admin.resources import HEAD_MOST, WHY_MOST, Resources
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.contract.test_access import CASES, Case
from tests.unit.supervisor.admin.documents import FakeStatus, document, slot

if TYPE_CHECKING:
    from typing import Any

    from corepod.supervisor.admin.commands import Commands
    from corepod.supervisor.admin.status import PoolStatus

PATHS = ("/livez", "/readyz", "/startupz", "/metrics", "/status", "/")


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: str
    more: bool


def resources(status: FakeStatus, *, public: bool = False) -> Resources:
    return Resources(cast("PoolStatus", status), status_public=public)


def read(data: bytes, *, more: bool = False) -> Answer:
    """Take an answer apart, as strictly as a client might."""
    head, separator, body = data.partition(b"\r\n\r\n")
    assert separator
    first, *lines = head.decode("ascii").split("\r\n")
    match = re.fullmatch(r"HTTP/1\.1 (\d{3}) [A-Z][A-Za-z ]+", first)
    assert match, first
    headers = dict(line.split(": ", 1) for line in lines)
    assert len(headers) == len(lines)
    return Answer(int(match[1]), headers, body.decode(), more)


def ask(
    request: bytes,
    *,
    status: FakeStatus | None = None,
    local: bool = True,
    trusted: bool = False,
    public: bool = False,
) -> Answer:
    served = resources(status or FakeStatus(), public=public)
    reply = served.reply(request, local=local, trusted=trusted)
    assert reply is not None
    while not reply.complete():
        served.go_on()
    return read(reply.data, more=reply.more)


def get(path: str, *headers: str, method: str = "GET", host: str | None = "127.0.0.1:9000", **options: Any) -> Answer:
    lines = [f"{method} {path} HTTP/1.1", *([f"Host: {host}"] if host is not None else []), *headers]
    return ask("".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1"), **options)


# What there is


@pytest.mark.parametrize(("path", "name"), [("/livez", "live"), ("/readyz", "ready"), ("/startupz", "started")])
def test_a_probe_says_why(path: str, name: str) -> None:
    status = FakeStatus()
    assert get(path, status=status)[::2] == (200, "ok\n")
    status.answers[name] = (False, "slot 0 has been stuck for 3 s")
    assert get(path, status=status)[::2] == (503, "slot 0 has been stuck for 3 s\n")


@pytest.mark.parametrize(
    ("path", "ready", "drains", "status"),
    [
        ("/readyz?draining=404", True, False, 200),
        ("/readyz?draining=404", False, False, 503),
        ("/readyz?draining=404", False, True, 404),
        ("/readyz?a&draining=404&b", False, True, 404),
        ("/readyz", False, True, 503),
        ("/readyz?draining", False, True, 503),
        ("/readyz?draining=4041", False, True, 503),
        ("/livez?draining=404", True, True, 200),
    ],
)
def test_a_drain_is_told_from_a_restart_where_that_is_asked_for(
    path: str, ready: bool, drains: bool, status: int
) -> None:
    pool = FakeStatus()
    pool.answers["ready"], pool.drains = (ready, "ok" if ready else "a reason"), drains
    assert get(path, status=pool).status == status
    pool.answers["live"] = (False, "the pool has given up")
    assert get("/livez?draining=404", status=pool).status == 503


def test_a_probe_is_one_short_line_whatever_the_application_says() -> None:
    status = FakeStatus()
    status.answers["ready"] = (False, "database\r\nX-Evil: 1\r\n\r\n\ud800 " + "x" * 10_000)
    answer = get("/readyz", status=status)
    assert answer.status == 503
    assert "X-Evil" not in answer.headers
    assert answer.body.startswith("database X-Evil: 1 ? xxx")
    assert answer.body.count("\n") == 1
    assert len(answer.body) == WHY_MOST + 1


def test_metrics_have_their_type() -> None:
    answer = get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "\ncorepod_ready 1\n" in answer.body


def test_metrics_are_made_once_a_wake_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "MOMENT", 60.0)  # complete at once, however busy the machine is
    status = FakeStatus()
    served = resources(status)
    for _ in range(3):
        served.reply(b"GET /metrics HTTP/1.0\r\n\r\n", local=False, trusted=False)
    assert status.asked == 1
    served.forget()
    served.reply(b"GET /metrics HTTP/1.0\r\n\r\n", local=False, trusted=False)
    assert status.asked == 2


def test_status_is_json() -> None:
    answer = get("/status")
    assert answer.headers["Content-Type"] == "application/json"
    assert json.loads(answer.body) == document()


@pytest.mark.parametrize("path", ["/x", "/livez/", "//livez", "/status/..", "/%6Civez", "/favicon.ico"])
def test_404_lists_what_there_is(path: str) -> None:
    answer = get(path)
    assert answer.status == 404
    assert set(PATHS) <= set(answer.body.replace(",", "").split())


@pytest.mark.parametrize("path", PATHS)
def test_a_query_is_ignored(path: str) -> None:
    assert get(path + "?verbose")[::2] == get(path)[::2]
    assert get(path + "?verbose").status == 200


@pytest.mark.parametrize("path", [*PATHS, "/x"])
def test_head_is_get_without_the_body(path: str) -> None:
    head, full = get(path, method="HEAD"), get(path)
    assert head.body == ""
    assert full.body
    assert head.status == full.status
    assert int(head.headers["Content-Length"]) == len(full.body.encode()) == int(full.headers["Content-Length"])


@pytest.mark.parametrize("path", [*PATHS, "/x"])
def test_headers_that_belong_to_each_answer(path: str) -> None:
    headers = get(path).headers
    assert headers["Connection"] == "close"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert re.fullmatch(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", headers["Date"])


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "get", "PROPFIND"])
def test_other_methods(method: str) -> None:
    answer = get("/livez", method=method)
    assert (answer.status, answer.headers["Allow"], answer.more) == (405, "GET, HEAD", True)


def test_a_fault_of_ours_is_500_and_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr("sys.excepthook", lambda *what: told.append(what[0]))
    status = FakeStatus()
    status.broken = True
    served = resources(status)
    for _ in range(2):
        reply = served.reply(b"GET /metrics HTTP/1.0\r\n\r\n", local=True, trusted=False)
        assert reply is not None
        assert read(reply.data)[::2] == (500, "RuntimeError, see the log\n")
    assert told == [RuntimeError]


# Who may see it


@pytest.mark.parametrize("path", ["/status", "/"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_who_may_see_the_status(path: str, case: Case) -> None:
    answer = get(path, *case.lines[1:], host=case.host, local=case.local, public=case.public)
    assert answer.status == (403 if case.why_not else 200)
    if case.why_not:
        assert answer.body == f"{case.why_not}\n"
    assert get(path, *case.lines[1:], host=case.host, trusted=True).status == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz", "/metrics"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_everybody_may_ask_for_probes_and_metrics(path: str, case: Case) -> None:
    assert get(path, *case.lines[1:], host=case.host, local=case.local, public=case.public).status == 200


def test_no_host_in_http_1_0() -> None:
    assert ask(b"GET /livez HTTP/1.0\r\n\r\n").status == 200
    assert ask(b"GET /status HTTP/1.0\r\n\r\n").status == 403


# What isn't a request

OK = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
MALFORMED = {
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "bare line feeds": b"GET /livez HTTP/1.1\nHost: x\n\n",
    "one bare line feed": b"GET /livez HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
    "bare carriage return": OK + b"A: b\rc\r\n\r\n",
    "carriage return before the end": OK + b"A: b\r\r\n\r\n",
    "NUL": OK + b"A: b\0c\r\n\r\n",
    "NUL in the target": b"GET /livez\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    "escape": OK + b"A: \x1b[2J\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "SMTP": b"EHLO shop.example\r\n\r\n",
    "garbage": bytes(range(255, 0, -1)),
    "empty lines": b"\r\n\r\n",
    "HTTP/0.9": b"GET /livez\r\n\r\n",
    "HTTP/3.0": b"GET /livez HTTP/3.0\r\nHost: x\r\n\r\n",
    "HTTP/1.10": b"GET /livez HTTP/1.10\r\nHost: x\r\n\r\n",
    "two spaces": b"GET  /livez HTTP/1.1\r\nHost: x\r\n\r\n",
    "a space in the target": b"GET /li vez HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute target": b"GET http://x/livez HTTP/1.1\r\nHost: x\r\n\r\n",
    "no target": b"GET  HTTP/1.1\r\nHost: x\r\n\r\n",
    "no host": b"GET /livez HTTP/1.1\r\n\r\n",
    "two hosts": OK + b"Host: y\r\n\r\n",
    "space before the colon": OK + b"X-Forwarded-For : 192.0.2.1\r\n\r\n",
    "folded header": OK + b"A: b\r\n c\r\n\r\n",
    "header without a colon": OK + b"nonsense\r\n\r\n",
    "header without a name": OK + b": nonsense\r\n\r\n",
    "a name that isn't ASCII": OK + b"X-\xc3\xa4: 1\r\n\r\n",
    "a body": OK + b"Content-Length: 3\r\n\r\nabc",
    "a negative body": OK + b"Content-Length: -1\r\n\r\n",
    "chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_malformed(data: bytes) -> None:
    answer = ask(data)
    assert (answer.status, answer.more) == (400, True)


@pytest.mark.parametrize(
    "tail",
    [
        b"\r\n",
        b"A:b\r\n\r\n",
        b"A: \tb \r\n\r\n",
        b"A:\r\n\r\n",
        b"A: caf\xc3\xa9\r\n\r\n",
        b"Content-Length: 0\r\n\r\n",
    ],
)
def test_unusual_but_right(tail: bytes) -> None:
    answer = ask(OK + tail)
    assert (answer.status, answer.more) == (200, False)


def test_a_second_request_isn_t_answered() -> None:
    answer = ask((OK + b"\r\n") * 2)
    assert (answer.body, answer.more) == ("ok\n", True)


def test_a_head_is_bounded() -> None:
    fits = OK + b"A: " + b"x" * (HEAD_MOST - len(OK) - 7) + b"\r\n\r\n"
    assert len(fits) == HEAD_MOST
    assert ask(fits).status == 200
    assert ask(b"x" * HEAD_MOST).status == 431
    assert resources(FakeStatus()).reply(b"x" * (HEAD_MOST - 1), local=True, trusted=False) is None


@given(st.binary(max_size=HEAD_MOST))
@example(b"")
@example(b"\r")
def test_no_bytes_raise(data: bytes) -> None:
    reply = resources(FakeStatus()).reply(data, local=True, trusted=False)
    if reply is not None:
        # The chance to draw a request is nil.
        assert read(reply.data).status == 400


@pytest.mark.parametrize("data", [OK + b"Accept: */*\r\n\r\n", OK + b"A: b\nc\r\n\r\n", b"GET /x HTTP/1.0\r\n\r\n"])
def test_it_doesn_t_matter_how_the_bytes_come(data: bytes) -> None:
    whole = ask(data)
    served = resources(FakeStatus())
    for length in range(1, len(data) + 1):
        reply = served.reply(data[:length], local=True, trusted=False)
        if reply is not None:
            assert read(reply.data).status == whole.status
            return
    pytest.fail("no answer")


# The page

HOSTILE = "<script>alert('\"1&2\"')</script>"


class Outline(HTMLParser):
    """Collects what a browser would load, and checks that elements are closed in order."""

    VOID = frozenset({"meta"})

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @classmethod
    def of(cls, html: str) -> Outline:
        outline = cls()
        outline.feed(html)
        outline.close()
        assert not outline._open
        return outline


def test_the_page_shows_each_slot() -> None:
    status = document(slot(0), slot(1, state="busy", why="computes for 31 s", busy=0.99))
    html = "".join(page.render(status, status["started_at"] + 90_000))
    outline = Outline.of(html)
    rows = re.findall(r"<tr>(.*?)</tr>", html.partition("<tbody>")[2])
    cells = [re.sub("<[^>]*>", "", row.replace("</td>", "|")).split("|")[:-1] for row in rows]
    expected = ["0", "1", "0", "1000", "ready", "3", "60", "2", "42%", "40 MB", "1 d 0 h", "signal SIGKILL"]
    assert cells[0] == expected
    assert cells[1][4] == "busycomputes for 31 s"
    assert ("span", {"class": "state busy"}) in outline.elements
    for text in ("shop", "corepod 1.2.3", "127.0.0.1:8000", "2 (limit: quota of 2 cores)"):
        assert text in outline.text


def test_the_page_with_as_little_as_possible() -> None:
    empty = slot(worker=None, core=None, pid=None, rss_bytes=None, started_at=None, ready_at=None, last_exit=None)
    unknown = {"rss_bytes": None, "cpu_seconds": None}
    Outline.of("".join(page.render(document(empty, binds=[], accept_queue=None, supervisor=unknown), 0.0)))
    Outline.of("".join(page.render(document(slots=[]), 0.0)))


def test_the_page_escapes_everything() -> None:
    words: dict[str, Any] = {"state": HOSTILE, "why": HOSTILE, "last_exit": HOSTILE}
    status = document(slot(**words), name=HOSTILE, version=HOSTILE, state=HOSTILE, app=HOSTILE, binds=[HOSTILE])
    status["cores"]["limit"] = HOSTILE
    status["standby"]["mode"] = HOSTILE
    html = "".join(page.render(status, 0.0))
    outline = Outline.of(html)
    assert "<script" not in html
    assert "script" not in {tag for tag, _ in outline.elements}
    assert "".join(outline.text).count(HOSTILE) >= 9
    # An attribute that a quotation mark could leave would show as attributes that nobody wrote.
    names = {name for _, attributes in outline.elements for name in attributes}
    assert names <= {"lang", "charset", "http-equiv", "name", "content", "scope", "class", "href", "value"}


def test_the_page_needs_nothing_and_a_browser_accepts_nothing() -> None:
    answer = get("/")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    outline = Outline.of(answer.body)
    assert {attributes["href"] for _, attributes in outline.elements if "href" in attributes} <= set(PATHS)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    [style] = re.findall("<style>(.*?)</style>", answer.body, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert digest == page.STYLE_HASH, f"STYLE has changed: STYLE_HASH has to be {digest}"
    assert f"style-src 'sha256-{digest}';" in policy


# Commands of the pool's owner


class Owner:
    """Commands that count what was asked of them."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def __contains__(self, path: str) -> bool:
        return path in ("/reload", "/events")

    def answer(self, method: str, path: str, query: dict[str, str]) -> tuple[int, dict[str, Any]]:
        self.asked.append((method, path))
        return 200, {"query": query}


def commanded() -> tuple[Resources, Owner, FakeStatus]:
    status, owner = FakeStatus(slot()), Owner()
    served = resources(status)
    served.commands = cast("Commands", owner)
    return served, owner, status


def test_what_is_asked_for_after_a_command_shows_what_came_of_it() -> None:
    """Within one wake-up all clients share one document; a command between two of them parts them."""
    served, _, status = commanded()
    look = b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for _ in range(2):
        served.reply(look, local=True, trusted=True)
    assert status.asked == 1
    served.reply(b"POST /reload HTTP/1.1\r\nHost: x\r\n\r\n", local=True, trusted=True)
    served.reply(look, local=True, trusted=True)
    assert status.asked == 2


@pytest.mark.parametrize(
    ("request_line", "trusted", "code", "done"),
    [
        ("POST /reload?slot=1", True, 200, True),
        ("HEAD /events", True, 200, True),
        ("POST /reload", False, 405, False),
        ("GET /events", False, 404, False),
        ("GET /reload", False, 404, False),
        ("POST /status", True, 404, False),
        ("PUT /reload", True, 405, False),
        ("POST reload", True, 400, False),
        ("POST http://x/reload", True, 400, False),
    ],
)
def test_only_the_owner_may_command(request_line: str, trusted: bool, code: int, done: bool) -> None:
    served, owner, _ = commanded()
    data = f"{request_line} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    reply = served.reply(data, local=True, trusted=trusted)
    assert reply is not None
    assert (read(reply.data).status, bool(owner.asked)) == (code, done)


def test_a_command_has_no_body() -> None:
    served, owner, _ = commanded()
    for header in ("Content-Length: 1", "Transfer-Encoding: chunked"):
        data = f"POST /reload HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode()
        reply = served.reply(data, local=True, trusted=True)
        assert reply is not None
        assert read(reply.data).status == 400
    assert not owner.asked
