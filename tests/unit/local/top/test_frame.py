"""The picture in windows of every size: nothing is wider or higher, and what matters is there."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from corepod.local.top.cells import ASCII, UNICODE, heat, rate, time
from corepod.local.top.figures import Between, Look
from corepod.local.top.frame import frame, whole
from corepod.local.top.model import Lost, Message, Model, Seen, update
from corepod.local.top.once import document
from corepod.local.top.view import KEYS, RELOAD, View
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.local.top.looks import WALL, event, latency, slot, status, watched

ESSENTIAL = ("SLOT", "USE", "REQ/S", "P99", "RESTARTS", "STATE")
ALL = (*ESSENTIAL, "CORE", "OTHERS", "P50", "FLIGHT", "MEMORY", "PID", "UP", "LAST EXIT")


def lines(model: Model, width: int = 80, height: int = 24, view: View | None = None, now: float = 101.5) -> list[str]:
    return [line.plain for line in frame(model, view or View(), width, height, now, WALL)]


@cache
def large(slots: int, events: int = 30) -> Model:
    """A pool whose every value is as long as values get."""
    before = [slot(n, core=n) for n in range(slots)]
    now = [
        slot(
            n,
            core=n,
            requests=99_999,
            latency=[0] * 6 + [50_000] + [0] * 4 + [49_999],
            cpu_seconds=1.0,
            in_flight=12_345,
            restarts=99_999,
            rss_bytes=900 << 30,
            state="starting" if n % 2 else "ready",
            being_replaced=True,
            ready=False,
            last_exit="signal SIGSEGV after 812.4 s, in 日本語\tand more" * 3,
        )
        for n in range(slots)
    ]
    told = [
        event(n, "replace-failed", "日本語 keeps\tits worker\n" * 20, "error", slot=n, worker=n) for n in range(events)
    ]
    model = watched(before, now, told, binds=["127.0.0.1:8000", "unix:/run/a/very/long/path/to/a/socket.sock"])
    return model._replace(message=Message("reload failed: " + "x" * 300, "bad"), number=2, pools=3)


@pytest.mark.parametrize("slots", [1, 3, 512])
@pytest.mark.parametrize("width", range(60, 201))
def test_no_line_is_wider_than_the_window_and_the_columns_that_matter_are_there(width: int, slots: int) -> None:
    drawn = frame(large(slots), View(), width, 24, 101.5, WALL)
    assert [line.plain for line in drawn if line.cell_len > width] == []
    assert len(drawn) == 24
    titles = next(line.plain for line in drawn if "REQ/S" in line.plain)
    assert [name for name in ESSENTIAL if name not in titles] == []


@given(
    width=st.integers(1, 220),
    height=st.integers(1, 70),
    slots=st.sampled_from([0, 1, 2, 8, 40]),
    selected=st.none() | st.integers(0, 50),
    sort=st.integers(0, 7),
    lost=st.sampled_from([None, Lost(silent=True), Lost(silent=False)]),
    shown=st.sampled_from([View(), View(help=True), View(asking=RELOAD)]),
)
def test_every_window_and_every_state(
    width: int, height: int, slots: int, selected: int | None, sort: int, lost: Lost | None, shown: View
) -> None:
    view = shown._replace(selected=selected, sort=sort)
    drawn = frame(large(slots)._replace(lost=lost), view, width, height, 150.0, WALL)
    assert len(drawn) == height
    assert all(line.cell_len <= width and "\n" not in line.plain and "\t" not in line.plain for line in drawn)


def test_a_wider_window_shows_more_columns() -> None:
    model, before = large(2), set[str]()
    for width in range(60, 240):
        titles = next(line for line in lines(model, width) if "REQ/S" in line)
        found = {name for name in ALL if name in titles}
        assert before <= found
        before = found
    assert before == set(ALL)


@pytest.mark.parametrize("height", range(10, 61))
@pytest.mark.parametrize("width", [60, 120])
def test_the_chosen_slot_is_always_in_sight_and_what_is_left_out_is_counted(width: int, height: int) -> None:
    model = watched([slot(n) for n in range(128)], [slot(n) for n in range(128)])
    for selected in (0, 1, 63, 126, 127):
        drawn = lines(model, width, height, View(selected=selected))
        rows = [int(line.split()[0]) for line in drawn if line[:5].strip().isdigit() and "[" in line]
        assert selected in rows
        assert f"{rows[0] + 1} to {rows[-1] + 1} of 128 slots" in "\n".join(drawn)
        assert rows == list(range(rows[0], rows[-1] + 1))


def test_the_chosen_slot_is_marked_also_without_colours() -> None:
    model = watched([slot(0), slot(1)], [slot(0), slot(1)])
    marked = [
        line.plain.split()[0]
        for line in frame(model, View(selected=1), 80, 24, 101.5, WALL)
        if any("reverse" in str(span.style) for span in line.spans) or "reverse" in str(line.style)
    ]
    assert marked == ["1"]


@pytest.mark.parametrize("height", [10, 12, 14, 24, 60])
def test_the_latest_events_are_there_with_slots_to_spare(height: int) -> None:
    slots = [slot(n) for n in range(40)]
    drawn = "\n".join(lines(watched(slots, slots, [event(n, message=f"told {n}") for n in range(40)]), 80, height))
    assert ("told 39" in drawn) == (height >= 12)  # a lower window is for the slots
    assert "told 0\n" not in drawn


def test_an_event_with_a_traceback_takes_one_line() -> None:
    """Were it more, those below would be pushed out of the window."""
    text = "the application raised ValueError while it was imported\nTraceback (most recent call last):\n  File"
    model = watched([slot(0)], [slot(0, why=text)], [event(1, "died", text, "error"), event(2, message="later")])
    drawn = lines(model, 200, 30)
    assert not any("\n" in line for line in drawn)
    assert [line.rstrip().endswith("raised ValueError while it was imported") for line in drawn[-30:]].count(True) == 2
    assert not any("Traceback" in line for line in (*drawn, *map(str, whole(model, 200, WALL))))


def test_what_is_shown_of_a_pool() -> None:
    model = watched(
        [slot(0), slot(1)],
        [
            slot(0, requests=250, latency=latency(200, 50), cpu_seconds=0.5, in_flight=3, restarts=1),
            slot(1, requests=50, latency=latency(0, 0, 0, 50), state="stuck", ready=False, status=[0, 0, 0, 0, 0, 7]),
        ],
        [event(3, "died", "died: signal SIGKILL", "error", slot=0, worker=1)],
        accept_queue={"length": 5, "limit": 128},
        reloads={"asked": 1, "ended": 1, "failure": "NameError: x"},
    )
    drawn = lines(model, 140)
    text = "\n".join(drawn)
    assert drawn[0].startswith(
        "shop  ready  1 of 2 slots ready  up 2 h 3 min  http://127.0.0.1:8000  admin http://127.0.0.1:9000"
    )
    assert (
        "300 req/s  p50 <5 ms  p99 <50 ms  failed 7.0/s  in flight 3  queue 5 of 128  restarts 1  memory 180 MB" in text
    )
    assert "last reload failed: NameError: x" in text
    first, second = (line for line in drawn if "[" in line)
    assert {"50%", "250", "<10", "1", "90", "MB", "ready", "4194304"} <= set(first.split())
    assert "stuck" in second
    assert "died            slot 0, worker 1: died: signal SIGKILL" in text


def test_a_bar_shows_the_slot_and_what_else_runs_there() -> None:
    model = update(Model("shop"), Seen(Look(100.0, status([slot(0)]), {0: (0, 0)}), []))
    model = update(model, Seen(Look(101.0, status([slot(0, cpu_seconds=0.5)]), {0: (75, 100)}), []))
    for glyphs in (UNICODE, ASCII):
        row = next(line.plain for line in frame(model, View(), 120, 24, 101.0, WALL, glyphs) if "]" in line.plain)
        cells = row[row.index("[") + 1 : row.index("]")]
        assert cells.count(glyphs.own) == round(len(cells) * 0.5)
        assert cells.count(glyphs.others) == round(len(cells) * 0.25)
    assert row.isascii()


def test_a_pool_that_is_gone_shows_no_figures_of_the_past() -> None:
    model = watched([slot(0)], [slot(0, requests=77)], [event(1, "stopping", "the last word")])
    drawn = "\n".join(lines(model._replace(lost=Lost(silent=False)), now=113.0))
    assert "gone for 12 s, waiting for it to come back" in drawn
    assert "the last word" in drawn
    assert "77" not in drawn
    assert "REQ/S" not in drawn


def test_a_pool_that_does_not_answer_shows_for_how_long() -> None:
    model = watched([slot(0)], [slot(0, requests=77)])
    assert "no answer" not in "\n".join(lines(model, now=102.0))
    for lost in (None, Lost(silent=True)):  # the question that isn't answered yet, and the one that was given up
        drawn = lines(model._replace(lost=lost), now=109.0)
        assert "no answer for 8 s" in drawn[0]
        assert "77" in "\n".join(drawn)


def test_no_answer_is_missed_before_it_is_asked_for() -> None:
    model = watched([slot(0)], [slot(0)])._replace(interval=10.0)
    assert "no answer" not in lines(model, now=112.0)[0]
    assert "no answer for 13 s" in lines(model, now=114.5)[0]


def test_before_the_first_answer() -> None:
    assert "shop  …" in lines(Model("shop"))[0]
    assert "doesn't answer" in lines(Model("shop", lost=Lost(silent=True)))[0]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_help_names_every_key_whole(width: int) -> None:
    text = " ".join(" ".join(lines(large(3), width, 40, View(help=True))).split())
    for key, meaning in KEYS.items():
        assert key in text
        assert meaning in text


def test_questions_and_answers_are_below() -> None:
    model = watched([slot(0)], [slot(0)])
    for height in (10, 24):
        assert "q quit" in lines(model, 80, height)[-1]
        assert lines(model, 80, height, View(asking=RELOAD))[-1].startswith("shop: reload? y or r: yes")
        assert lines(model._replace(message=Message("refused")), 80, height)[-1] == "refused"


def test_everything_at_once_has_every_slot_and_no_keys() -> None:
    drawn = whole(large(512), 160, WALL)
    assert sum("[" in line.plain for line in drawn) == 512
    assert all(line.cell_len <= 160 for line in drawn)
    assert not any("q quit" in line.plain for line in drawn)


def test_the_document_says_between_which_times() -> None:
    model = watched([slot(0)], [slot(0, requests=4, latency=[0] * 11 + [4])], [event(1)])
    assert model.before
    assert model.look
    made: dict[str, Any] = json.loads(json.dumps(document(model.before, model.look, model.events)))
    assert (made["name"], made["requests_per_second"], made["p99_seconds"]) == ("shop", 4.0, [10.0, None])
    assert made["slots"][0]["requests_per_second"] == 4.0
    assert made["events"][0]["number"] == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0"), (0.25, "0.2"), (9.94, "9.9"), (12.3, "12"), (99_999.4, "99999"), (1e6, "1000k")],
)
def test_rates(value: float | None, text: str) -> None:
    assert rate(value) == text


@pytest.mark.parametrize(
    ("between", "text"),
    [
        (None, "-"),
        (Between(0.0, 0.005), "<5 ms"),
        (Between(0.25, 0.5), "<500 ms"),
        (Between(0.5, 1.0), "<1 s"),
        (Between(1.0, 2.5), "<2.5 s"),
        (Between(10.0, None), ">10 s"),
    ],
)
def test_times(between: Between | None, text: str) -> None:
    assert time(between) == text


def test_a_core_that_is_used_up_is_red() -> None:
    assert [heat(share) for share in (0.0, 0.69, 0.7, 0.9, 1.5)] == ["green", "green", "yellow", "red", "red"]
