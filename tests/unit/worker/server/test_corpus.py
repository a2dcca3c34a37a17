"""The raw requests of the conformance suite, each in one piece and byte by byte."""

from __future__ import annotations

from asyncio.selector_events import _SelectorSocketTransport as Transport  # type: ignore[attr-defined]
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from corepod.worker.http import flow

from loadtest.conformance.app import app
from loadtest.conformance.corpus import CORPUS
from loadtest.conformance.known import KNOWN
from loadtest.conformance.requests import judge
from tests.unit.served import DEADLINE, Served

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORT = 1000  # bytes that are worth reading one by one
AT_ONCE = 8


@pytest.fixture(params=["whole", "byte by byte"])
def piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The most bytes that the server's loop reads at a time: how a request is cut mustn't change what it is."""
    most = 1 if request.param == "byte by byte" else Transport.max_size
    monkeypatch.setattr(Transport, "max_size", most)
    if most == 1:
        monkeypatch.setattr(flow, "READ", most)  # each connection of this implementation sets its own
    return int(most)


@pytest.fixture
def served(piece: int) -> Iterator[Served]:
    with Served(app, body_timeout=DEADLINE, keep_alive=DEADLINE) as server:
        yield server
        server.until_idle()


def test_corpus(served: Served, implementation: str, piece: int) -> None:
    cases = [case for case in CORPUS if piece > 1 or len(case.bytes) < SHORT]
    known = KNOWN[implementation].get("requests", {})
    with ThreadPoolExecutor(AT_ONCE) as threads:
        told = threads.map(lambda case: judge(served.port, case, patience=DEADLINE), cases)
        complaints = {case.name: complaint for case, complaint in zip(cases, told, strict=True) if complaint}
    wrong = [f"{name}: {complaint}" for name, complaint in complaints.items() if name not in known]
    assert not wrong, "\n" + "\n".join(wrong)
    if piece > 1:  # llhttp takes a tab behind a coding where it comes alone
        assert complaints.keys() == known.keys(), "what is known to fail fails"
