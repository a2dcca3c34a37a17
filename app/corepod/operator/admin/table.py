"""Decisions as tables for people, node by node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from corepod.operator.admin.explain import hints, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from corepod.operator.admin.explain import NodeRow
    from corepod.operator.model.snapshot import Snapshot
    from corepod.operator.sizing.decision import Decision

COLUMNS = ("node", "allocatable", "others", "reserve", "pods run", "pods free", "fit", "lost", "")
MOST = 40  # rows of a table; all others are summed up in one


def show(snapshot: Snapshot, decisions: list[Decision], console: Console) -> None:
    """Print a table and the decision for each workload."""
    if not decisions:
        console.print("no workload has the label corepod.dev/sized=true")
    for decision in decisions:
        what = "maxReplicas" if decision.hpa else "replicas"
        console.print(f"\n[bold]{decision.key}[/]", highlight=False)
        if decision.capacity is not None:
            console.print(_table(list(rows(snapshot, decision.capacity))))
        change = f"{decision.current} -> {decision.number}" if decision.writes else f"{decision.current}"
        console.print(f"{decision.outcome}: {what} {change}: {decision.message}", highlight=False, markup=False)
        if decision.not_created:
            console.print(f"pods can't be created: {decision.not_created}", highlight=False, markup=False)
        for note in decision.notes:
            console.print(f"note: {note}", highlight=False, markup=False)
        for hint in hints(snapshot, decision.capacity) if decision.capacity else ():
            console.print(f"hint: {hint}", highlight=False, markup=False)


def _table(found: list[NodeRow]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in ("node", "") else "right", no_wrap=name != "")
    # Usable nodes first; as many of the others follow as there are rows.
    ordered = sorted(found, key=lambda row: (bool(row.excluded), row.node))
    for row in ordered[:MOST]:
        table.add_row(*_cells(row))
    if rest := ordered[MOST:]:
        table.add_row(f"{len(rest)} more", "", "", "", *_sums(rest), "", style="dim")
    table.add_row("all", _cores(sum(row.allocatable for row in found)), "", "", *_sums(found), "", style="bold")
    return table


def _sums(found: list[NodeRow]) -> Iterator[str]:
    yield str(sum(row.running for row in found))
    yield str(sum(row.free for row in found))
    yield str(sum(row.fits for row in found))
    yield _cores(sum(row.lost for row in found))


def _cells(row: NodeRow) -> tuple[str, ...]:
    numbers = (row.allocatable, row.others, row.reserve)
    why = row.excluded or (f"no more {row.short_of}" if row.short_of not in ("", "cpu") else "")
    return row.node, *map(_cores, numbers), str(row.running), str(row.free), str(row.fits), _cores(row.lost), why


def _cores(milli: int) -> str:
    return f"{milli / 1000:g}" if milli else "-"
