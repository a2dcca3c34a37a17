"""The suite of WebSocket: Autobahn's cases, run by kosoku."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kosoku import FailureError, run_fuzzingclient

from loadtest.conformance.suite import Result

if TYPE_CHECKING:
    from kosoku._kosoku import CaseResult

# Each case of 12 and 13 sends a thousand compressed messages of one size: the two smallest sizes of each say whether
# compression works, the sixteen others how fast it is.
COMPRESSION = [f"12.{group}.{size}" for group in range(1, 6) for size in (1, 2)]
COMPRESSION += [f"13.{group}.{size}" for group in range(1, 8) for size in (1, 2)]
CASES = [*(f"{subject}.*" for subject in (1, 2, 3, 4, 5, 6, 7, 9, 10)), *COMPRESSION]
AT_ONCE = 4
FINE = ("OK", "NON-STRICT", "INFORMATIONAL")


def run(port: int) -> list[Result]:
    """Every case but those that measure speed. NON-STRICT is what Autobahn calls a choice that the RFC allows."""
    return asyncio.run(_run(port))


async def _run(port: int) -> list[Result]:
    try:
        cases = await run_fuzzingclient(f"127.0.0.1:{port}", CASES, concurrency=AT_ONCE)
    except FailureError as failure:
        cases = failure.results
    return [Result(f"{case.case_id} {_first(case.description)}", _complaint(case)) for case in cases]


def _complaint(case: CaseResult) -> str:
    behaviour, closing = case.behavior.value, case.behavior_close.value
    told = []
    if behaviour not in FINE:
        told.append(f"{behaviour}: {case.result} expected: {_first(case.expectation)}; got: {str(case.received)[:200]}")
    if closing not in FINE:
        told.append(f"closing {closing}: {case.result_close} (code {case.remote_close_code})")
    return "; ".join(told)


def _first(text: str) -> str:
    """What a title has room for."""
    line = " ".join(text.replace("<br>", " ").split())
    return line if len(line) <= 100 else line[:97] + "..."
