"""The kinds of events: those that the table names are those that happen, and those that the documentation tells of."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import corepod
from corepod.contract.events import KINDS

SUPERVISOR = Path(corepod.__file__).parent / "supervisor"
DOCUMENT = Path(__file__).parents[2] / "docs" / "commands.md"


def emitted(source: str) -> set[str]:
    """The kinds that a module passes to the log, or chooses from to pass them."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        names = [ast.unparse(target) for target in node.targets] if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.keyword | ast.Assign) and (names == ["event"] or getattr(node, "arg", "") == "event"):
            found |= _texts(node.value)
    return found


def _texts(node: ast.expr) -> set[str]:
    chosen = [node.body, node.orelse] if isinstance(node, ast.IfExp) else [node]
    return {one.value for one in chosen if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def test_what_counts() -> None:
    assert emitted("log.info('x', event='ready')\nevent = 'a' if b == 'c' else 'd'\nlog.info('y', event=event)") == {
        *("ready", "a", "d")
    }


def test_every_kind_happens_and_no_other() -> None:
    modules = [path.read_text(encoding="utf-8") for path in SUPERVISOR.rglob("*.py")]
    assert set().union(*map(emitted, modules)) == set(KINDS)


def test_the_documentation_has_every_kind_and_no_other() -> None:
    _, _, section = DOCUMENT.read_text(encoding="utf-8").partition("| kind | meaning |")
    rows = [line.split("|")[1] for line in section.partition("\n\n")[0].splitlines()[2:]]
    assert set(re.findall(r"`([a-z-]+)`", "".join(rows))) == set(KINDS)
