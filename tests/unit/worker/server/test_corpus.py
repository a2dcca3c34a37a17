"""The raw requests of the conformance suite, each in one piece and byte by byte."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from loadtest.conformance.app import app
from loadtest.conformance.corpus import CORPUS
from loadtest.conformance.known import KNOWN
from loadtest.conformance.requests import judge
from tests.unit.served import DEADLINE, Served

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORT = 600  # bytes that are worth sending one by one
AT_ONCE = 8


@pytest.fixture
def served() -> Iterator[Served]:
    with Served(app, body_timeout=DEADLINE, keep_alive=DEADLINE) as server:
        yield server
        server.until_idle()


@pytest.mark.parametrize("at_once", [True, False], ids=["whole", "byte by byte"])
def test_corpus(served: Served, implementation: str, at_once: bool) -> None:
    cases = [case for case in CORPUS if at_once or len(case.bytes) < SHORT]
    known = KNOWN[implementation].get("requests", {})
    with ThreadPoolExecutor(AT_ONCE) as threads:
        told = threads.map(lambda case: judge(served.port, case, at_once=at_once, patience=DEADLINE), cases)
        complaints = {case.name: complaint for case, complaint in zip(cases, told, strict=True) if complaint}
    wrong = [f"{name}: {complaint}" for name, complaint in complaints.items() if name not in known]
    assert not wrong, "\n" + "\n".join(wrong)
    assert complaints.keys() == known.keys(), "what is known to fail fails"
