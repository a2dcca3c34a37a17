"""Prints how much of the corpus `corepod migrate` covers: `make migrate-corpus`."""

from __future__ import annotations

import argparse
import json
from collections import Counter

from rich.console import Console
from rich.table import Table

from tools.corpus.entries import GUNICORN
from tools.corpus.outcome import MEANING, Outcome, Verdict, outcomes

MOST = 8  # reasons that are printed of each group
TITLES = {
    "F": "gunicorn.conf.py",
    "P": "gunicorn, well-known projects",
    "C": "gunicorn, command lines",
    "S": "gunicorn, units and supervisord",
}


def shares(found: list[Outcome]) -> dict[str, list[Outcome]]:
    """The rows of the table: each group, and all of gunicorn's."""
    rows: dict[str, list[Outcome]] = {}
    for one in found:
        rows.setdefault(one.group, []).append(one)
    first = {group: rows.pop(group) for group in GUNICORN}
    return {**first, "gunicorn": [one for group in first.values() for one in group], **rows}


def summary(row: list[Outcome]) -> dict[str, object]:
    verdicts = Counter(one.verdict for one in row)
    return {
        "configurations": len(row),
        "outright": verdicts[Verdict.OUTRIGHT],
        "check": verdicts[Verdict.CHECK],
        "not": verdicts[Verdict.NOT],
        "covered_percent": round(covered(row), 1),
        "costs": dict(_costs(row)),
    }


def covered(row: list[Outcome]) -> float:
    """Percent, assumptions included."""
    return 100 * sum(one.verdict is not Verdict.NOT for one in row) / len(row)


def _print(rows: dict[str, list[Outcome]]) -> None:
    table = Table(title="Covered by corepod migrate", title_justify="left")
    table.add_column("configurations", no_wrap=True)
    for title in ("number", "outright", "CHECK", "not", "covered"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, row in rows.items():
        told = summary(row)
        numbers = [str(told[key]) for key in ("configurations", "outright", "check", "not")]
        bold = "bold" if name == "gunicorn" else ""
        table.add_row(TITLES.get(name, name), *numbers, f"{told['covered_percent']} %", style=bold)
    console = Console()
    console.print(table)
    console.print(MEANING, highlight=False)
    console.print("\nWhat isn't covered, and in how many configurations:", highlight=False)
    for name, row in rows.items():
        if (costs := _costs(row)) and name != "gunicorn":
            most = ", ".join(f"{cost} {times}" for cost, times in costs[:MOST])
            more = f", and {len(costs) - MOST} more" if len(costs) > MOST else ""
            console.print(f"  {TITLES.get(name, name)}: {most}{more}", highlight=False, markup=False)


def _costs(row: list[Outcome]) -> list[tuple[str, int]]:
    return Counter(cost for one in row for cost in dict.fromkeys(one.costs)).most_common()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.corpus", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--list", action="store_true", help="print each configuration that isn't covered, and why")
    options = parser.parse_args()
    rows = shares(outcomes())
    if options.json:
        print(json.dumps({"meaning": MEANING, "groups": {name: summary(row) for name, row in rows.items()}}, indent=2))
    elif options.list:
        for name, row in rows.items():
            for one in row:
                if one.costs and name != "gunicorn":
                    print(f"{name} {one.entry.name}: {'; '.join(one.costs)}")
    else:
        _print(rows)


if __name__ == "__main__":
    main()
