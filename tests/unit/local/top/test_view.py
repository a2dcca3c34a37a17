"""What a key changes, and what is asked of the pool."""

from __future__ import annotations

import pytest
from corepod.local.top.figures import Look, figures
from corepod.local.top.view import (
    FEWER,
    MORE,
    NEXT,
    PREVIOUS,
    QUIT,
    RELOAD,
    SORTS,
    View,
    keys,
    ordered,
    place,
    press,
    restart,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.local.top.looks import latency, slot, status

ORDER = [0, 1, 2, 3]
NAMES = [sort.name for sort in SORTS]


def pressed(view: View, text: str, order: list[int] = ORDER) -> tuple[View, list[object]]:
    actions: list[object] = []
    for key in keys(text):
        view, action = press(view, key, order)
        actions += [action] if action else []
    return view, actions


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("\x1b[A\x1b[B", ["up", "down"]),
        ("\x1bOA\x1bOB", ["up", "down"]),
        ("\x1b[5~\x1b[6~\x1b[H\x1b[4~", ["page up", "page down", "home", "end"]),
        ("\t\x1b[Z", ["tab", "backtab"]),
        ("kjRq\x03", ["up", "down", "x", "q", "q"]),
        ("\x1b", ["escape"]),
        ("ä日", ["ä", "日"]),
        ("\x1b[15~q", ["q"]),  # F5 is none of ours, and no letter of it is a key
    ],
)
def test_keys(text: str, names: list[str]) -> None:
    assert keys(text) == names


def test_the_choice_moves_and_stays_in_the_list() -> None:
    assert pressed(View(), "j")[0].selected == 1
    assert pressed(View(), "jjjjjj")[0].selected == 3
    assert pressed(View(selected=2), "kkk\x1b[A")[0].selected == 0
    assert pressed(View(), "\x1b[F")[0].selected == 3
    assert pressed(View(selected=3), "\x1b[H")[0].selected == 0
    assert pressed(View(), "j", [5, 3, 1])[0].selected == 3  # in the order on the screen
    assert pressed(View(), "jk\x1b[6~", [])[0].selected is None


def test_the_choice_is_a_slot_and_not_a_line() -> None:
    assert place([5, 3, 1], View(selected=1)) == 2
    assert place([5, 3], View(selected=1)) == 0  # it was removed


@pytest.mark.parametrize(
    ("key", "action"), [("r", RELOAD), ("+", MORE), ("-", FEWER), ("x", restart(2)), ("R", restart(2))]
)
def test_what_changes_a_pool_asks_first(key: str, action: object) -> None:
    view, done = pressed(View(selected=2), key)
    assert (view.asking, done) == (action, [])
    for yes in (key, "y"):
        assert pressed(view, yes) == (View(selected=2), [action])
    for no in ("n", "q", "\x1b", "j", "\t", "r" if key != "r" else "x"):
        assert pressed(view, no) == (View(selected=2), [])


def test_no_slot_no_restart() -> None:
    assert pressed(View(), "x", []) == (View(), [])


def test_leaving_and_going_on() -> None:
    assert pressed(View(), "q")[1] == [QUIT]
    assert pressed(View(), "\t\x1b[Z")[1] == [NEXT, PREVIOUS]
    assert pressed(View(), "zZ0\x1b") == (View(), [])


def test_help_is_left_with_any_key_that_then_does_nothing_else() -> None:
    view, _ = pressed(View(), "?")
    assert view.help
    assert pressed(view, "r") == (View(), [])
    assert pressed(view, "q")[1] == [QUIT]


def test_the_order_goes_round_and_turns_round() -> None:
    view, seen = View(), []
    for _ in SORTS:
        seen.append(SORTS[view.sort].name)
        view, _ = pressed(view, "s")
    assert (seen, view) == (NAMES, View())
    assert pressed(View(), "SS")[0] == View()
    assert not pressed(View(reverse=True), "s")[0].reverse


def numbers(name: str, *, reverse: bool = False) -> list[int]:
    before = status([slot(n) for n in range(4)])
    now = status(
        [
            slot(0, requests=5, latency=latency(5), in_flight=1, rss_bytes=None, state="stuck", restarts=1),
            slot(1, requests=9, latency=latency(0, 9), cpu_seconds=0.5, in_flight=1),
            slot(2, requests=9, latency=[0] * 11 + [9], cpu_seconds=0.9, restarts=4),
            slot(3, rss_bytes=1, state="backoff"),
        ]
    )
    rows = figures(Look(1.0, before), Look(2.0, now)).rows
    return [row.slot["slot"] for row in ordered(rows, View(sort=NAMES.index(name), reverse=reverse))]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SLOT", [0, 1, 2, 3]),
        ("USE", [2, 1, 0, 3]),
        ("REQ/S", [1, 2, 0, 3]),
        ("P99", [2, 1, 0, 3]),
        ("FLIGHT", [0, 1, 2, 3]),
        ("RESTARTS", [2, 0, 1, 3]),
        ("MEMORY", [1, 2, 3, 0]),
        ("STATE", [3, 1, 2, 0]),
    ],
)
def test_orders(name: str, expected: list[int]) -> None:
    assert numbers(name) == expected
    assert sorted(numbers(name, reverse=True)) == [0, 1, 2, 3]
    assert numbers(name, reverse=True)[0] != expected[0]


@given(st.text(alphabet="jkrRxy+-sS?q\t\x1b[ABZ5~n", max_size=40), st.integers(0, 5))
def test_whatever_is_typed_nothing_is_done_without_a_yes(text: str, slots: int) -> None:
    view, order = View(), list(range(slots))
    for key in keys(text):
        asking = view.asking
        view, action = press(view, key, order)
        if action not in (None, QUIT, NEXT, PREVIOUS):
            assert action == asking
            assert key in ("y", action.key if action else "")
        assert view.selected is None or view.selected in order
