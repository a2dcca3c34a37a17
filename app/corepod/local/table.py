"""The live table of `corepod run`: one line for each slot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from corepod.contract.units import duration, size

if TYPE_CHECKING:
    from typing import Any

COLOURS = {
    "ready": "green",
    "busy": "yellow",
    "starting": "cyan",
    "draining": "blue",
    "backoff": "magenta",
    "stuck": "red",
    "failed": "bold red",
}
COLUMNS = (
    ("slot", "right"),
    ("core", "right"),
    ("pid", "right"),
    ("state", "left"),
    ("restarts", "right"),
    ("requests", "right"),
    ("in flight", "right"),
    ("cpu", "right"),
    ("memory", "right"),
    ("up", "right"),
    ("last exit", "left"),
)


def table(status: dict[str, Any] | None, now: float) -> Table:
    """The table for this status document; `now` in seconds of wall-clock time."""
    drawn = Table(title=_title(status), title_justify="left", expand=False)
    for name, justify in COLUMNS:
        drawn.add_column(name, justify="right" if justify == "right" else "left", no_wrap=True)
    for slot in status["slots"] if status else []:
        drawn.add_row(*_row(slot, now))
    return drawn


def _title(status: dict[str, Any] | None) -> Text:
    if status is None:
        return Text("starting …", style="dim")
    where = ", ".join(f"http://{bind}" if not bind.startswith("unix:") else bind for bind in status["binds"])
    title = Text.assemble((status["name"], "bold"), " on ", (where, "underline"), f"  admin http://{status['admin']}")
    return title.append(f"  {status['state']}", style=COLOURS.get(status["state"], ""))


def _row(slot: dict[str, Any], now: float) -> tuple[Text | str, ...]:
    return (
        str(slot["slot"]),
        "-" if slot["core"] is None else str(slot["core"]),
        str(slot["pid"] or "-"),
        Text(slot["state"], style=COLOURS.get(slot["state"], "")),
        Text(str(slot["restarts"]), style="red" if slot["restarts"] else ""),
        str(slot["requests"]),
        str(slot["in_flight"]),
        f"{slot['busy']:.0%}",
        size(slot["rss_bytes"]),
        duration(now - slot["ready_at"]) if slot["ready_at"] else "-",
        slot["last_exit"] or "",
    )
