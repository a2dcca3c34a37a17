"""What judges and draws knows nothing of Locust: it runs wherever a run.json is, and in the tests' own process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PURE = ("histogram", "tally", "balance", "recovery", "verdict", "run", "plans", "expect", "flags", "recorder", "local")
ACTING = ("report.page", "report.table", "chaos.actions", "chaos.fleet", "chaos.schedule", "fleet")


def imported(*names: str) -> set[str]:
    code = f"import sys, json; sys.path.insert(0, {str(ROOT)!r})\n"
    code += "".join(f"import {name}\n" for name in names) + "print(json.dumps(list(sys.modules)))"
    return set(json.loads(subprocess.check_output([sys.executable, "-c", code], timeout=120)))


@pytest.mark.parametrize("forbidden", ["locust", "gevent", "flask", "websocket"])
def test_no_locust(forbidden: str) -> None:
    assert forbidden not in imported(*(f"loadtest.{name}" for name in PURE + ACTING))


def test_the_same_question_finds_it_where_it_is() -> None:
    """Negative control."""
    assert {"locust", "gevent"} <= imported("loadtest.users")
