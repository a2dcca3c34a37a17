"""The table of docs/fork-safety.md says of each library what happens when it is tried."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.forksafety import CASES, Case, Result, row, try_out

PAGE = Path(__file__).parents[3] / "docs" / "fork-safety.md"
# Libraries that requirements/compat.txt has; the others were tried by hand.
INSTALLED = {
    "numpy",
    "grpc",
    "boto3",
    "sentry_sdk",
    "ddtrace",
    "sqlalchemy",
    "django",
    "flask",
    "fastapi",
    "gevent",
    "uvloop",
    "zmq",
    "httpx",
    "requests",
    "prometheus_client",
    "asyncio",
    "concurrent",
    "multiprocessing",
}


def documented(case: Case) -> str:
    """yes or no."""
    (found,) = re.findall(rf"^\| [^|]+ \| `{re.escape(case.does)}` \| (yes|no) \|", PAGE.read_text(), re.MULTILINE)
    return str(found)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.does[:40])
def test_each_case_has_its_row(case: Case) -> None:
    assert documented(case) in ("yes", "no")


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.does[:40], marks=pytest.mark.compat(case.package))
        for case in CASES
        if case.package in INSTALLED
    ],
)
def test_the_row_is_what_happens(case: Case) -> None:
    result = try_out(case)
    assert "failed" not in result.why, result.why
    assert ("yes" if result.forked else "no") == documented(case), result


def test_a_fork_that_cannot_use_it_is_no_fork() -> None:
    case = Case("sys", "import sys", "assert False")
    result = try_out(case)
    assert result == Result("", 1)
    assert row(case, result).endswith("| no | a fork that uses it ends with 1 |")
    assert try_out(Case("sys", "import nothing_of_this_name")).why.startswith("it failed: ModuleNotFoundError")
