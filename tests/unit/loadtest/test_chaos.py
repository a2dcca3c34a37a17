"""Expectations of the sample application's answers, the registry of chaos, and the schedule."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from corepod.demo.report import sales_report
from corepod.hit.exchange import OK, Answer, Responder

from loadtest.chaos import actions
from loadtest.chaos.action import ACTIONS, CannotInjectError, Fault, action, summary
from loadtest.chaos.schedule import Schedule, inject
from loadtest.expect import expected
from loadtest.flags import chaos_of
from loadtest.recovery import Event
from loadtest.report import wording

if TYPE_CHECKING:
    from collections.abc import Iterator

NOWHERE = SimpleNamespace(url="http://127.0.0.1:1", look=0.01)


def given(body: object, pid: int = 5) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(OK, status=200, body=data, worker=Responder(pid=pid))


@pytest.mark.parametrize(
    ("path", "right", "wrong"),
    [
        ("/", {"endpoints": {}}, {}),
        ("/whoami", {"pid": 5}, {"pid": 6}),
        ("/wait?seconds=1", {"duration_seconds": 1.0}, []),
        ("/healthz", b"ok\n", b"ok"),
        ("/generate-report?size=50", {"report": sales_report(50)}, {"report": sales_report(51)}),
    ],
)
def test_what_the_sample_application_has_to_answer(path: str, right: object, wrong: object) -> None:
    assert expected(path)(given(right)) == ""
    assert expected(path)(given(wrong)) != ""


def test_other_applications_may_answer_what_they_like() -> None:
    assert expected("/mine")(given(b"anything")) == ""


def test_the_registry_has_what_the_command_line_offers() -> None:
    assert {
        "sigkill",
        "sigstop",
        "exit",
        "oom",
        "block",
        "hang",
        "reload",
        "recycle",
        "kill-supervisor",
    } <= ACTIONS.keys()
    assert actions.sigkill is ACTIONS["sigkill"]
    assert all(summary(name) for name in ACTIONS)


def test_an_action_that_does_not_exist_is_named() -> None:
    assert chaos_of(SimpleNamespace(chaos=" sigkill, exit,")) == ["sigkill", "exit"]
    with pytest.raises(ValueError, match="no action quake; there are sigkill"):
        chaos_of(SimpleNamespace(chaos="sigkill,quake"))


def test_a_new_action_is_a_function_with_a_name() -> None:
    back = time.time() + 5
    seen = [None, back]

    @action
    def quake_here(target: object) -> Fault:
        """The earth moves."""
        return Fault(lambda: seen.pop(0), lasts=0.3)

    try:
        event = inject("quake-here", NOWHERE, deadline=0.2)  # nobody answers, so it is watched to the end
    finally:
        del ACTIONS["quake-here"]
    # Also where this process was held until the end: there is a last look.
    assert event.back == pytest.approx(back - event.at, abs=0.01)
    assert event.answer is None
    assert event.note == ""  # refused, not timed out
    assert event.watched >= 0.5


class Slow(BaseHTTPRequestHandler):
    """Answers, but late."""

    takes = 0.0
    over = threading.Event()

    def do_GET(self) -> None:
        self.over.wait(self.takes)
        with contextlib.suppress(OSError):
            self.send_response(200)
            self.send_header("Content-Length", "3")
            self.end_headers()
            self.wfile.write(b"ok\n")

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Slow, "over", threading.Event())
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    Slow.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_server_that_answers_later_than_the_first_try_waits_is_seen(
    slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadtest.chaos.schedule.ONE_TRY", 0.2)
    monkeypatch.setattr(Slow, "takes", 0.5)
    monkeypatch.setitem(ACTIONS, "nothing", lambda target: Fault(time.time))
    event = inject("nothing", SimpleNamespace(url=slow, look=0.01), deadline=20)
    assert event.answer is not None
    assert event.answer >= 0.5
    assert event.back is not None
    assert event.note == ""


def test_tries_that_timed_out_are_told(slow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtest.chaos.schedule.ONE_TRY", 0.1)
    monkeypatch.setattr(Slow, "takes", 60.0)
    monkeypatch.setitem(ACTIONS, "nothing", lambda target: Fault(time.time, note="hm"))
    event = inject("nothing", SimpleNamespace(url=slow, look=0.01), deadline=1.0)
    assert event.answer is None
    assert re.fullmatch(r"hm; \d tries of a new client timed out", event.note)


def test_a_fault_that_cannot_be_injected_is_an_event_without_recovery(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(target: object) -> Fault:
        raise CannotInjectError("no worker is ready")

    monkeypatch.setitem(ACTIONS, "nobody", nobody)
    event = inject("nobody", NOWHERE, deadline=0.1)
    assert (event.note, event.recovery, event.answer) == ("no worker is ready", None, None)
    assert wording.awaited(event.answer, event) == "not injected"


def test_the_schedule_injects_in_turn_until_the_load_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtest.chaos.schedule.inject", lambda name, target, deadline: Event(name, 0.0))
    events: list[Event] = []
    schedule = Schedule(after=0.0, every=0.0, pause=0.0)
    schedule.run(NOWHERE, ["a", "b"], events.append, lambda seconds: len(events) == 3)
    assert [event.action for event in events] == ["a", "b", "a"]


def test_no_fault_that_could_not_be_watched() -> None:
    events: list[Event] = []
    Schedule(after=0.0, every=10.0).run(NOWHERE, ["sigkill"], events.append, lambda seconds: seconds > 5)
    assert events == []
