"""What the benchmarks write into the docs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from loadtest.bench.report import Table, markdown, summary, write_markdown

if TYPE_CHECKING:
    from pathlib import Path


def table(key: str = "b1") -> Table:
    found = Table(key, "a title", ["server", "p50", "p50 (ms)", "requests (1/s)"])
    found.add("corepod", "0.30", "3.1", 100)
    found.goal("at most 0.4", 0.3, 0.4)
    found.goal("at least 0.98", 0.9, 0.98, least=True)
    found.notes = ["7 rounds."]
    return found


def test_only_ratios_go_into_the_docs() -> None:
    assert markdown(table()).splitlines() == [
        "| server | p50 |",
        "|---|--:|",
        "| corepod | 0.30 |",
        "",
        "- at most 0.4: 0.3, reached",
        "- at least 0.98: 0.9, not reached",
        "",
        "> 7 rounds.",
    ]


def test_a_table_replaces_what_stands_between_its_markers_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- bench:b1 -->\nold\n<!-- /bench -->\nbetween\n<!-- bench:b2 -->\nkept\n<!-- /bench -->\n"
    )
    assert write_markdown([table("b1"), table("b3")], page) == ["b1"]
    text = page.read_text()
    assert text.startswith("before\n<!-- bench:b1 -->\n| server | p50 |")
    assert text.endswith("<!-- /bench -->\nbetween\n<!-- bench:b2 -->\nkept\n<!-- /bench -->\n")
    assert "old" not in text
    write_markdown([table("b1")], page)
    assert page.read_text() == text


def test_a_marker_without_its_end_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- bench:b1 -->\nthe rest of the page\n")
    assert write_markdown([table()], page) == []
    assert page.read_text() == "<!-- bench:b1 -->\nthe rest of the page\n"


def test_the_summary_has_every_goal() -> None:
    found = summary([table("b1"), table("b3")])
    assert [row[1] for row in found.rows] == ["at most 0.4", "at least 0.98"] * 2
    assert [row[3] for row in found.rows] == ["yes", "**no**"] * 2


def test_a_stored_table_comes_back() -> None:
    assert Table.from_dict(json.loads(json.dumps(table().as_dict()))) == table()
