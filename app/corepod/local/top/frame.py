"""One picture of the view: a list of lines that fit into the window, whatever its size."""

from __future__ import annotations

import textwrap
import time
from typing import TYPE_CHECKING

from rich.text import Text

from corepod.local.top import cells
from corepod.local.top.figures import figures
from corepod.local.top.head import head, packed
from corepod.local.top.listing import listing
from corepod.local.top.view import KEYS, SORTS, View, ordered, place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from corepod.local.top.cells import Glyphs
    from corepod.local.top.figures import Figures
    from corepod.local.top.model import Model

TALL = 14  # lines of a window from which on the head has two lines for each kind of facts
LEVELS = {"warning": "yellow", "error": "bold red", "good": "green", "bad": "bold red"}
LATEST = 10  # events that are printed where there is no window
KIND, KEY = 14, 15  # cells of an event's kind, and of the keys in the help


def frame(
    model: Model, view: View, width: int, height: int, now: float, wall: float, glyphs: Glyphs = cells.UNICODE
) -> list[Text]:
    """Lines for a window of this size. `now` is of the clock of the looks, `wall` the time of day, both in seconds."""
    shown = figures(model.before, model.look) if model.look else None
    lines = head(model, shown, width, 2 if height >= TALL else 1, now, wall)
    foot = _foot(model, view, width)[-1 if height < TALL else -2 :]
    room = max(0, height - len(lines) - len(foot))
    if view.help:
        body = _help(width, glyphs)
    elif shown is None or (model.lost and not model.lost.silent):
        body = _tail(model.events, room)
    else:
        body = _body(model, shown, view, width, room, wall, glyphs)
    body = [*body[:room], *[Text()] * (room - len(body))]
    return [cells.cut(line, width, glyphs) for line in (*lines, *body, *foot)][:height]


def whole(model: Model, width: int, wall: float, glyphs: Glyphs = cells.UNICODE) -> list[Text]:
    """Everything at once, for a file, a pipe or a terminal that can't be drawn on: all slots, and the latest events. It
    is the pool as it has answered, however long ago."""
    assert model.look is not None
    shown = figures(model.before, model.look)
    lines = head(model, shown, width, len(shown.rows) + LATEST, model.look.at, wall)
    listed = listing(shown.rows, View(), None, width, len(shown.rows) + 1, wall, glyphs)
    return [cells.cut(line, width, glyphs) for line in (*lines, Text(), *listed, *_tail(model.events, LATEST + 2))]


def _body(model: Model, shown: Figures, view: View, width: int, room: int, wall: float, glyphs: Glyphs) -> list[Text]:
    """The slots, and below them the events, which get a third of the room, or what the slots leave."""
    lead = [Text()] if room >= TALL else []
    room -= len(lead)
    events = _tail(model.events, max(room // 3, room - len(shown.rows) - 1))
    order = ordered(shown.rows, view)
    chosen = place([row.slot["slot"] for row in order], view)
    listed = listing(order, view, chosen, width, room - len(events), wall, glyphs)
    if model.lost:
        for line in listed:
            line.stylize("dim")
    return [*lead, *listed, *events]


def _tail(events: Sequence[Mapping[str, Any]], room: int) -> list[Text]:
    """The latest events, the last one at the end. Their times are as those of the log."""
    if room < 3 or not events:
        return []
    return [Text(), Text("EVENTS (UTC)", "bold"), *map(_event, events[-(room - 2) :])]


def _event(event: Mapping[str, Any]) -> Text:
    at = time.strftime("%H:%M:%S", time.gmtime(event["time"]))
    who = ", ".join(f"{word} {event[word]}" for word in ("slot", "worker") if event.get(word) is not None)
    kind = (f"{event['kind']:{KIND}}", LEVELS.get(event["level"], ""))
    return Text.assemble((at, "dim"), "  ", kind, "  ", (f"{who}: " if who else "", "cyan"), event["message"])


def _foot(model: Model, view: View, width: int) -> list[Text]:
    """The line of keys, and one for what was asked and answered. A low window shows the second one of them."""
    hints = ("? help", "q quit", "r reload", "x restart", "+ - scale", f"s sort: {SORTS[view.sort].name}", "S reverse")
    line = packed([Text(hint, "dim") for hint in hints], width, 1)
    if view.asking:
        asked = f"{model.name}: {view.asking.name}? y or {view.asking.key}: yes, any other key: no"
        return [*line, Text(asked, "bold yellow")]
    if model.message.text:
        return [*line, Text(model.message.text, LEVELS.get(model.message.level, ""))]
    return [Text(), *line]


def _help(width: int, glyphs: Glyphs) -> list[Text]:
    meanings = {
        **KEYS,
        "USE": f"share of the slot's core: {glyphs.own} the slot itself, {glyphs.others} what else runs there",
        "P50, P99": "half, and 99 of 100, of the requests that ended just now took less than this",
        "FLIGHT": "requests that are being served; queue: connections that wait for a worker",
    }
    lines = [Text()]
    for name, meaning in meanings.items():
        parts = textwrap.wrap(meaning, max(10, width - KEY))
        lines += [Text.assemble((f"{'' if n else name:{KEY}}", "bold"), part) for n, part in enumerate(parts)]
    return lines
