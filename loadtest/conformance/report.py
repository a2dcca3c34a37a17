"""What was found, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest.bench.report import Table
from loadtest.conformance.known import reason, surprises

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.conformance.suite import Result

Found = dict[str, dict[str, list["Result"]]]  # server -> suite -> results


def overview(found: Found, suites: list[str]) -> Table:
    """How many cases of each suite each server passes."""
    table = Table("conformance", "cases passed", ["suite", *found])
    for suite in suites:
        table.add(suite, *(_count(found[name].get(suite)) for name in found))
    return table


def _count(results: list[Result] | None) -> str:
    return "-" if results is None else f"{sum(result.passed for result in results)} of {len(results)}"


def failures(found: Found, names: list[str]) -> Iterator[str]:
    """One line a failure of these servers, with what was expected and what came, or why it is accepted."""
    for name in names:
        for suite, results in found[name].items():
            for result in results:
                if not result.passed:
                    known = reason(name, suite, result.case)
                    yield f"{name}: {suite}: {result.case}" + (f" (known: {known})" if known else "")
                    yield f"    {result.complaint}"


def unexpected_lines(found: Found, names: list[str]) -> Iterator[str]:
    """What makes the run fail, with what to do."""
    for name in names:
        for suite, results in found[name].items():
            for result in surprises(name, suite, results):
                advice = "take it out of KNOWN" if result.passed else "mend it, or give KNOWN its reason"
                state = "passes" if result.passed else "fails"
                yield f"{name}: {suite}: {result.case} {state}: {advice} in loadtest/conformance/known.py"
