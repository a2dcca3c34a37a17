"""The head of the view: what the pool is, how it is, and what it does altogether."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from corepod.contract.listening import url
from corepod.contract.units import duration, size
from corepod.local.table import COLOURS
from corepod.local.top import cells

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from corepod.local.top.figures import Figures
    from corepod.local.top.model import Model

LATE = 2.0  # seconds after the next answer was to be expected, from which on it is missing


def head(model: Model, shown: Figures | None, width: int, lines: int, now: float, wall: float) -> list[Text]:
    title = [Text(model.name, "bold"), *_condition(model, now)]
    if model.pools > 1:
        title.insert(1, Text(f"(pool {model.number} of {model.pools}, Tab: next)", "dim"))
    if shown is None or model.look is None or (model.lost and not model.lost.silent):
        return packed(title, width, lines)  # what it did before it went says nothing of now
    status = model.look.status
    up = duration(wall - status["started_at"])
    title += [Text(f"up {up}"), *(Text(url(bind), "underline") for bind in status["binds"])]
    title += [
        Text(f"admin {url(status['admin'])}"),
        Text(f"{status['app']} on corepod {status['version']}", "dim"),
    ]
    totals = packed(_totals(status, shown), width, lines)
    for line in totals if model.lost else ():
        line.stylize("dim")
    return [*packed(title, width, lines), *totals]


def _condition(model: Model, now: float) -> list[Text]:
    if model.look is None:
        return [Text("doesn't answer" if model.lost else "…", "bold red" if model.lost else "dim")]
    status, age = model.look.status, now - model.look.at
    if model.lost and not model.lost.silent:
        return [Text(f"gone for {duration(age)}, waiting for it to come back", "bold red")]
    ready = sum(slot["ready"] for slot in status["slots"])
    slots = len(status["slots"])
    facts = [
        Text("reloading" if status["reloading"] else status["state"], COLOURS.get(status["state"], "")),
        Text(f"{ready} of {slots} slots ready", "" if ready == slots else "yellow"),
    ]
    if model.lost or age > model.interval + LATE:
        facts.insert(0, Text(f"no answer for {duration(age)}", "bold red"))
    return facts


def _totals(status: Mapping[str, Any], shown: Figures) -> list[Text]:
    """Facts about the whole pool, those that matter most first."""
    queue, failure = status["accept_queue"], status["reloads"]["failure"]
    facts = [
        Text.assemble((cells.rate(shown.rate), "bold"), " req/s"),
        Text(f"p50 {cells.time(shown.p50)}"),
        Text(f"p99 {cells.time(shown.p99)}"),
        Text(f"in flight {shown.in_flight}"),
        Text("queue " + (f"{queue['length']} of {queue['limit']}" if queue else "-"), _filled(queue)),
        Text(f"restarts {shown.restarts}", "red" if shown.restarts else ""),
        Text(f"memory {size(shown.memory)}"),
    ]
    if shown.failed:
        facts.insert(3, Text(f"failed {cells.rate(shown.failed)}/s", "bold red"))
    if shown.throttled and shown.throttled >= 0.01:
        facts.insert(3, Text(f"throttled {shown.throttled:.0%}", "bold yellow"))
    if failure:
        facts.append(Text(f"last reload failed: {failure}", "red"))
    return facts


def _filled(queue: Mapping[str, int] | None) -> str:
    if not queue or not queue["length"]:
        return ""
    return "bold red" if queue["length"] * 2 >= queue["limit"] else "yellow"


def packed(facts: Sequence[Text], width: int, lines: int) -> list[Text]:
    """The facts on as many lines as they need, and not on more than that."""
    found = [Text()]
    for fact in facts:
        if found[-1].cell_len and found[-1].cell_len + cells.GAP + fact.cell_len > width:
            if len(found) == lines:
                break
            found.append(Text())
        found[-1].append(" " * cells.GAP if found[-1].cell_len else "").append_text(fact)
    return found
