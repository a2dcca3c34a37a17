"""The grid as lines for a window of any width."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text

from corepod.contract import escaping
from corepod.kubectl.grid import SILENT, rows
from corepod.local.output import STYLES
from corepod.local.top.cells import UNICODE, count, cut, heat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from corepod.kubectl.grid import Cell, Look, NodeRow, Worker
    from corepod.local.top.cells import Glyphs

GAP, BETWEEN = 1, 3  # cells between two parts of a cell, and between two cells
SHORTEST = 16  # characters of a pod's name that are left in a narrow window: its end tells it from its siblings
UNPLACED = "(no node)"
HEAD = ("CORE", "POD", "STATE", "CPU", "RESTARTS")


class Widths(NamedTuple):
    """Characters of each part of a cell, and how many cells stand beside each other."""

    core: int
    pod: int
    state: int
    node: int
    beside: int

    @property
    def cell(self) -> int:
        return self.core + self.pod + self.state + len("9999%") + len(HEAD[4]) + 4 * GAP


def lines(look: Look, context: str, width: int, *, namespaces: bool, glyphs: Glyphs = UNICODE) -> list[Text]:
    """Everything: a title, a head, a row of cells or several for each node, and what went wrong."""
    found = rows(look)
    widths = _widths(found, width, namespaces=namespaces)
    body = [line for row in found for line in _node(row, widths, namespaces=namespaces, glyphs=glyphs)]
    head = Text((" " * BETWEEN).join([f"{'NODE':{widths.node}}", *[_head(widths)] * widths.beside]), "bold")
    faults = [Text(text, "yellow") for text in _faults(look)]
    return [cut(line, width, glyphs) for line in (_title(look, found, context), Text(), head, *body, *faults)]


def _title(look: Look, found: Sequence[NodeRow], context: str) -> Text:
    pods = {(w.namespace, w.pod): w.ready for w in look.workers}
    pinned = sum(1 for w in look.workers if w.core is not None)
    cores = sum(row.cores or 0 for row in found)
    of = f" of {cores}" if cores else ""
    deaths = sum(w.restarts for w in look.workers)
    parts: list[str | tuple[str, str]] = [
        (f"{context}  ", "bold"),
        f"{_counted(len(pods), 'pod')}, {sum(pods.values())} ready  {pinned}{of} cores have a worker pinned to them  ",
        (_counted(deaths, "death"), "red" if deaths else ""),
        (time.strftime("  %H:%M:%S UTC", time.gmtime(look.at)), "dim"),
    ]
    return Text.assemble(*parts)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _widths(found: Sequence[NodeRow], width: int, *, namespaces: bool) -> Widths:
    cells = [cell for row in found for cell in row.cells]
    core = max([len(HEAD[0]), *(len(_core(cell)) for cell in cells)])
    pod = max([len(HEAD[1]), *(len(_name(cell.worker, namespaces=namespaces)) for cell in cells if cell.worker)])
    state = max([len(HEAD[2]), *(len(cell.worker.state) for cell in cells if cell.worker)])
    node = max([len("NODE"), *(len(row.node or UNPLACED) for row in found)])
    rest = Widths(core, 0, state, node, 1)
    pod = max(min(pod, SHORTEST), min(pod, width - node - BETWEEN - rest.cell))
    whole = Widths(core, pod, state, node, 1)
    beside = max(1, (width - node) // (whole.cell + BETWEEN))
    most = max([1, *(len(row.cells) for row in found)])
    return whole._replace(beside=min(beside, most))


def _head(widths: Widths) -> str:
    core, pod, state, cpu, restarts = HEAD
    return f"{core:>{widths.core}} {pod:{widths.pod}} {state:{widths.state}} {cpu:>5} {restarts}"


def _node(row: NodeRow, widths: Widths, *, namespaces: bool, glyphs: Glyphs) -> list[Text]:
    name = row.node or UNPLACED
    drawn = [_cell(cell, widths, namespaces=namespaces, glyphs=glyphs) for cell in row.cells] or [Text("")]
    found = []
    for at in range(0, len(drawn), widths.beside):
        label = Text(f"{name if at == 0 else '':{widths.node}}", "bold" if row.node else "yellow")
        found.append(Text(" " * BETWEEN).join([label, *drawn[at : at + widths.beside]]))
    return found


def _cell(cell: Cell, widths: Widths, *, namespaces: bool, glyphs: Glyphs) -> Text:
    worker = cell.worker
    if worker is None:
        return Text(f"{_core(cell):>{widths.core}} {'-':{widths.cell - widths.core - GAP}}", "dim")
    name = _shortened(_name(worker, namespaces=namespaces), widths.pod, glyphs)
    return Text.assemble(
        (f"{_core(cell):>{widths.core}} ", "cyan"),
        f"{name:{widths.pod}} ",
        (f"{worker.state:{widths.state}} ", STYLES.get(worker.state, "" if worker.slot is not None else "yellow")),
        ("    -" if worker.cpu is None else f"{worker.cpu:5.0%}", "" if worker.cpu is None else heat(worker.cpu)),
        " ",
        Text(f"{worker.restarts:>{len(HEAD[4])}}", count(worker.restarts).style),
    )


def _core(cell: Cell) -> str:
    if cell.core is None:
        return "-"
    return str(cell.core) if cell.core == cell.last else f"{cell.core}-{cell.last}"


def _name(worker: Worker, *, namespaces: bool) -> str:
    several = f"/{worker.slot}" if worker.slot else ""
    return f"{worker.namespace}/{worker.pod}{several}" if namespaces else f"{worker.pod}{several}"


def _shortened(name: str, width: int, glyphs: Glyphs) -> str:
    """Without its middle: the end tells a pod from the others of its Deployment."""
    if len(name) <= width:
        return name
    tail = min(8, width - 2)
    return f"{name[: width - tail - 1]}{glyphs.dots}{name[-tail:]}"


def _faults(look: Look) -> list[str]:
    silent = [w for w in look.workers if w.why and w.state == SILENT]
    shown = [f"{w.pod} doesn't answer: {escaping.line(' '.join(w.why.split()))}" for w in silent[:3]]
    more = [f"{len(silent) - 3} more pods don't answer"] if len(silent) > 3 else []
    return [*look.notes, *shown, *more]
