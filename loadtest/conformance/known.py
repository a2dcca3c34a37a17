"""Cases that corepod fails on purpose, or because the case is wrong, each with its reason.

Any other case that fails is an error of `make conformance`, and so is an entry here whose case passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loadtest.conformance.suite import Result

PREFACE = {
    "http2/3.5/2": "what begins like HTTP/1.1 is answered with 400 before the connection ends; h2spec wants "
    "it to end without a word"
}
# Implementation of HTTP/1.1 -> suite -> number of a case, or its whole name -> why it fails.
KNOWN: dict[str, dict[str, dict[str, str]]] = {
    "httptools": {
        "requests": {
            "version b'RTSP/1.0'": "llhttp takes RTSP's version for HTTP's of the same number, and httptools doesn't "
            "tell which it was; the request is served as one of HTTP/1.0",
            "coding: blanks around it": "llhttp refuses a tab behind the coding, which no client sends",
        },
        "http2": PREFACE,
    },
    "h11": {"http2": PREFACE},
}


def reason(server: str, suite: str, case: str) -> str:
    """Why this server may fail this case; empty where it may not, and for servers of others."""
    name, _, implementation = server.partition(", ")
    known = KNOWN.get(implementation, {}).get(suite, {}) if name == "corepod" else {}
    return known.get(case, "") or known.get(case.partition(" ")[0], "") or known.get(case.partition(" (RFC")[0], "")


def surprises(server: str, suite: str, results: Iterable[Result]) -> list[Result]:
    """The failures that have no reason, and what passes although there is one for failing."""
    return [result for result in results if result.passed == bool(reason(server, suite, result.case))]
