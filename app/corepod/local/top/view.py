"""What the person has chosen, and what a key changes of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from corepod.local.top.figures import Between, Row

PAGE = 10  # slots
KEYS = {
    "up, down, k, j": "choose a slot; also PgUp, PgDn, Home, End",
    "s, S": "sort by the next column; the other way round",
    "r": "reload: new code, worker by worker",
    "x, R": "restart the chosen slot: its new worker is ready before the old one goes",
    "+, -": "one slot more, one less",
    "y": "yes, do that: each of these asks first; the same key again means yes, too",
    "Tab": "the next pool; Shift-Tab the one before",
    "?": "this help; any key leaves it",
    "q, Ctrl-C": "leave; the pool goes on",
}
_SEQUENCES = {
    "A": "up",
    "B": "down",
    "H": "home",
    "F": "end",
    "Z": "backtab",
    "1~": "home",
    "4~": "end",
    "5~": "page up",
    "6~": "page down",
    "7~": "home",
    "8~": "end",
}
_NAMES = {"\t": "tab", "\r": "enter", "\n": "enter", "\x1b": "escape", "\x03": "q", "k": "up", "j": "down", "R": "x"}
_KEY = re.compile(r"\x1b[\[O]([0-9;]*[A-Za-z~])|(.)", re.DOTALL)


class Sort(NamedTuple):
    """An order of the slots; `descending` is the way round that is shown first."""

    name: str
    value: Callable[[Row], Any]
    descending: bool = True


def _most(time: Between | None) -> float:
    return -1.0 if time is None else float("inf") if time.most is None else time.most


SORTS = (
    Sort("SLOT", lambda row: row.slot["slot"], descending=False),
    Sort("USE", lambda row: row.own),
    Sort("REQ/S", lambda row: row.rate or 0.0),
    Sort("P99", lambda row: _most(row.p99)),
    Sort("FLIGHT", lambda row: row.slot["in_flight"]),
    Sort("RESTARTS", lambda row: row.slot["restarts"]),
    Sort("MEMORY", lambda row: row.slot["rss_bytes"] or 0),
    Sort("STATE", lambda row: row.slot["state"], descending=False),
)


class Action(NamedTuple):
    """What is to be done outside of the view: `path` is what the pool is asked for, empty where it isn't the pool's.

    The same `key` once more says that it is meant.
    """

    name: str
    path: str = ""
    key: str = ""


QUIT, NEXT, PREVIOUS = Action("quit"), Action("next"), Action("previous")
LEAVING = {"q": QUIT, "tab": NEXT, "backtab": PREVIOUS}
RELOAD = Action("reload", "/reload", "r")
MORE, FEWER = Action("scale +1", "/scale?to=+1", "+"), Action("scale -1", "/scale?to=-1", "-")
STEERING = {action.key: action for action in (RELOAD, MORE, FEWER)}


def restart(slot: int) -> Action:
    return Action(f"restart slot {slot}", f"/restart?slot={slot}", "x")


class View(NamedTuple):
    """`selected` is a slot's number, None for whichever comes first; `asking` is what waits for a yes."""

    selected: int | None = None
    sort: int = 0
    reverse: bool = False
    help: bool = False
    asking: Action | None = None


def keys(text: str) -> list[str]:
    """The keys that a terminal writes as this text; those that it has no name for are left out."""
    found = []
    for match in _KEY.finditer(text):
        sequence, char = match.groups()
        found.append(_SEQUENCES.get(sequence, "") if sequence else _NAMES.get(char, char))
    return [key for key in found if key]


def ordered(rows: Sequence[Row], view: View) -> list[Row]:
    """The slots as they are listed. Those that are alike stay in the order of their numbers."""
    sort = SORTS[view.sort]
    return sorted(
        sorted(rows, key=lambda row: row.slot["slot"]), key=sort.value, reverse=sort.descending != view.reverse
    )


def place(order: Sequence[int], view: View) -> int:
    """Where the chosen slot is in the list; where it isn't there any more, the first one."""
    return order.index(view.selected) if view.selected in order else 0


def press(view: View, key: str, order: Sequence[int]) -> tuple[View, Action | None]:
    """The view after a key, and what is to be done; `order` are the numbers of the slots as they are listed."""
    if view.asking:
        return view._replace(asking=None), view.asking if key in ("y", "Y", view.asking.key) else None
    if view.help and key != "q":
        return view._replace(help=False), None
    if key in LEAVING:
        return view, LEAVING[key]
    # Each asks first: where several pools run, a key that acts at once may act on another one than was meant.
    if key in STEERING:
        return view._replace(asking=STEERING[key]), None
    if key == "x":
        return view._replace(asking=restart(order[place(order, view)])) if order else view, None
    if key == "?":
        return view._replace(help=True), None
    if key == "s":
        return view._replace(sort=(view.sort + 1) % len(SORTS), reverse=False), None
    if key == "S":
        return view._replace(reverse=not view.reverse), None
    return _move(view, key, order), None


def _move(view: View, key: str, order: Sequence[int]) -> View:
    steps = {"up": -1, "down": 1, "page up": -PAGE, "page down": PAGE, "home": -len(order), "end": len(order)}
    if key not in steps or not order:
        return view
    return view._replace(selected=order[min(max(0, place(order, view) + steps[key]), len(order) - 1)])
