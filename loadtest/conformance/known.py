"""Cases that corepod fails on purpose, or because the case is wrong, each with its reason.

Any other case that fails is an error of `make conformance`, and so is an entry here whose case passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loadtest.conformance.suite import Result

# Suite -> the first word of a case's name, which is its number or its whole name -> why it fails.
KNOWN: dict[str, dict[str, str]] = {
    "http2": {
        "http2/3.5/2": "what begins like a request of HTTP/1.1 is answered with 400 before the connection ends, and h2spec "
        "wants it to end without a word",
    },
}


def reason(suite: str, case: str) -> str:
    """Why corepod may fail this case; empty where it may not."""
    known = KNOWN.get(suite, {})
    return known.get(case, "") or known.get(case.partition(" ")[0], "")


def unexpected(suite: str, results: Iterable[Result]) -> list[Result]:
    """The failures that have no reason."""
    return [result for result in results if not result.passed and not reason(suite, result.case)]
