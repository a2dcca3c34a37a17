"""What the supervisor keeps of its log and of its events: bounded, and what matters of it."""

from __future__ import annotations

from corepod.supervisor.io.events import LONGEST as LONGEST_EVENT
from corepod.supervisor.io.events import Events
from corepod.supervisor.io.recent import LONGEST, OWN, RELAYED, Recent


def test_the_lines_come_in_their_order_and_by_slot() -> None:
    recent = Recent()
    recent.own(b"started\n", {})
    recent.relayed(b"hello\n", {"slot": 1})
    recent.own(b"died\n", {"slot": 1})
    recent.relayed(b"hello\n", {"slot": 0})
    assert recent.lines() == ["started", "hello", "died", "hello"]
    assert recent.lines(1) == ["hello", "died"]
    assert recent.lines(7) == []


def test_a_chatty_worker_drives_out_nothing_of_the_supervisor() -> None:
    recent = Recent()
    recent.own(b"died: why\n", {"slot": 0})
    for _ in range(10 * RELAYED):
        recent.relayed(b"x" * 10_000 + b"\n", {"slot": 0})
    lines = recent.lines()
    assert lines[0] == "died: why"
    assert len(lines) == 1 + RELAYED
    assert max(map(len, lines)) <= LONGEST + 4
    for _ in range(10 * OWN):
        recent.own(b"y\n", {})
    assert len(recent.lines()) == OWN + RELAYED


def test_what_is_cut_out_of_a_long_event_is_its_middle() -> None:
    events = Events()
    events.add("died", "error", "can't be imported\n" + "  frame\n" * 5000 + "LookupError: why", {})
    (event,) = events.after(0)
    assert len(event["message"]) <= LONGEST_EVENT + 10
    assert event["message"].startswith("can't be imported\n")
    assert event["message"].endswith("\nLookupError: why")
