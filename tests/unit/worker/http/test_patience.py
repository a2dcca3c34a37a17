"""How long a connection may make no progress: a pure function of facts and the time."""

from __future__ import annotations

from math import inf, isfinite

import pytest
from corepod.worker.http.patience import Facts, Patience, Verdict
from corepod.worker.transport import LINGER
from hypothesis import given
from hypothesis import strategies as st

PATIENCE = Patience(keep_alive=5, body=30, write=60)
NEVER = Patience(keep_alive=5, body=0, write=0)


@pytest.mark.parametrize(
    ("patience", "facts", "now", "end", "verdict"),
    [
        (PATIENCE, Facts(idle=100), 101, 105, Verdict.CLOSE),
        (PATIENCE, Facts(idle=100), 200, 105, Verdict.CLOSE),
        (PATIENCE, Facts(), 101, 106, Verdict.LOOK_AGAIN),
        (PATIENCE, Facts(waits=100), 101, 106, Verdict.LOOK_AGAIN),
        (PATIENCE, Facts(waits=100), 127, 130, Verdict.REFUSE),
        (NEVER, Facts(waits=100), 9000, 9005, Verdict.LOOK_AGAIN),
        (PATIENCE, Facts(stalls=100), 101, 106, Verdict.LOOK_AGAIN),
        (PATIENCE, Facts(stalls=100), 158, 160, Verdict.ABORT),
        (NEVER, Facts(stalls=100), 9000, 9005, Verdict.LOOK_AGAIN),
        (PATIENCE, Facts(lingers=100), 101, 100 + LINGER, Verdict.CLOSE),
        # Nothing else counts while the client takes nothing: what it hasn't taken would be cut off.
        (PATIENCE, Facts(stalls=100, idle=10), 158, 160, Verdict.ABORT),
        (PATIENCE, Facts(stalls=100, lingers=10), 158, 160, Verdict.ABORT),
        (PATIENCE, Facts(lingers=100, idle=10), 101, 100 + LINGER, Verdict.CLOSE),
    ],
)
def test_the_end(patience: Patience, facts: Facts, now: float, end: float, verdict: Verdict) -> None:
    assert patience.end(facts, now) == (end, verdict)


seconds = st.floats(0.1, 1000)
limits = st.one_of(st.just(0.0), seconds)
ago = st.one_of(st.none(), st.floats(0, 5000))


@given(keep_alive=seconds, body=limits, write=limits, idle=ago, waits=ago, stalls=ago, lingers=ago)
def test_a_limit_is_never_reached_before_its_time_and_there_is_always_a_next_look(
    keep_alive: float,
    body: float,
    write: float,
    idle: float | None,
    waits: float | None,
    stalls: float | None,
    lingers: float | None,
) -> None:
    now = 10_000.0
    facts = Facts(*(None if past is None else now - past for past in (idle, waits, stalls, lingers)))
    end, verdict = Patience(keep_alive, body, write).end(facts, now)
    assert isfinite(end)
    assert end <= now + max(keep_alive, LINGER)
    allowed = {
        Verdict.LOOK_AGAIN: now + keep_alive,
        Verdict.REFUSE: (facts.waits or 0) + (body or inf),
        Verdict.ABORT: (facts.stalls or 0) + (write or inf),
        Verdict.CLOSE: (facts.lingers + LINGER) if facts.lingers is not None else (facts.idle or 0) + keep_alive,
    }
    assert end == allowed[verdict]
    assert (verdict is Verdict.REFUSE) <= (waits is not None and idle is None and lingers is None)
