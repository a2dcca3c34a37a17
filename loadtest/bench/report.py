"""What a benchmark found, for people (a table), programs (JSON) and the docs (Markdown between markers)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table as RichTable

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

MARKER = "<!-- bench:{key} -->"
END = "<!-- /bench -->"


@dataclass(frozen=True)
class Goal:
    """A number to reach, and what was measured."""

    text: str
    measured: str
    reached: bool

    def __str__(self) -> str:
        return f"{self.text}: {self.measured}, {'reached' if self.reached else 'not reached'}"


@dataclass
class Table:
    """One table. A column whose title has a unit in parentheses holds absolute numbers, which belong to this machine
    and this hour: they are shown, but not written into the docs."""

    key: str
    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, *cells: object) -> None:
        self.rows.append([name, *map(str, cells)])

    def goal(self, text: str, measured: float, most: float, *, least: bool = False) -> None:
        """`measured` has to be at most `most` (at least, with `least`)."""
        reached = measured >= most if least else measured <= most
        self.goals.append(Goal(text, f"{measured:.3g}", reached))

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Table:
        """The table that `as_dict` has stored."""
        return cls(**{**found, "goals": [Goal(**goal) for goal in found["goals"]]})

    def as_dict(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "title": self.title,
            "columns": self.columns,
            "rows": self.rows,
            "goals": [vars(goal) for goal in self.goals],
            "notes": self.notes,
        }


def show(table: Table, console: Console) -> None:
    rich = RichTable(title=f"{table.key.upper()} {table.title}", title_justify="left", box=box.SIMPLE_HEAD)
    for number, column in enumerate(table.columns):
        rich.add_column(column, justify="right" if number else "left")
    for row in table.rows:
        rich.add_row(*row)
    console.print(rich)
    for goal in table.goals:
        console.print(f"  {'✓' if goal.reached else '✗'} {goal}", highlight=False)
    for note in table.notes:
        console.print(f"  {note}", style="yellow", highlight=False)


def _absolute(column: str) -> bool:
    return bool(re.search(r"\((ms|s|B|MB|µs|1/s)\)$", column))


def markdown(table: Table) -> str:
    """The table without absolute columns, its goals and notes."""
    keep = [number for number, column in enumerate(table.columns) if not _absolute(column)]
    lines = [
        "| " + " | ".join(table.columns[number] for number in keep) + " |",
        "|" + "|".join("---" if number == 0 else "--:" for number in keep) + "|",
    ]
    lines += ["| " + " | ".join(row[number] for number in keep) + " |" for row in table.rows]
    if table.goals:
        lines += ["", *[f"- {goal}" for goal in table.goals]]
    if table.notes:
        lines += ["", *[f"> {note}" for note in table.notes]]
    return "\n".join(lines)


def summary(tables: list[Table]) -> Table:
    """Every goal, and what was measured."""
    found = Table("summary", "all goals", ["benchmark", "goal", "measured", "reached"])
    for table in tables:
        for goal in table.goals:
            found.add(
                f"{table.key.upper()} {table.title}", goal.text, goal.measured, "yes" if goal.reached else "**no**"
            )
    return found


def write_markdown(tables: list[Table], path: Path) -> list[str]:
    """Put the tables between their markers in `path`; returns the keys of those that have markers there."""
    text = path.read_text()
    written = []
    for table in tables:
        start = MARKER.format(key=table.key)
        before, found, rest = text.partition(start)
        if found and END in rest:
            text = f"{before}{start}\n{markdown(table)}\n{END}{rest.partition(END)[2]}"
            written.append(table.key)
    path.write_text(text)
    return written
