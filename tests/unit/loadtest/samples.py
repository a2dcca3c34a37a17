"""A recorded run of three seconds, small enough to count by hand: two workers, one of them killed at 101.0."""

from __future__ import annotations

from corepod.hit.exchange import OK, RESET, Responder

from loadtest.recovery import Event
from loadtest.tally import Sample, Tally

FIRST = Responder(slot=0, core=0, pid=10)
SECOND = Responder(slot=1, core=1, pid=11)
NEXT = Responder(slot=1, core=1, pid=12)  # after SECOND was killed
KILL = Event("sigkill", 101.0, SECOND, answer=0.02, back=0.3)

SAMPLES = (
    Sample("/a", 100.0, 0.1, OK, FIRST, scheduled=True, late=0.001),
    Sample("/a", 100.2, 0.2, OK, SECOND, scheduled=True, late=0.002),
    Sample("/a", 100.95, 0.06, RESET, scheduled=True),  # a new connection, cut by the kill
    Sample("/b", 100.9, 0.11, RESET, SECOND),  # a kept connection that led there
    Sample("/b", 101.01, 0.2, OK, FIRST),
    Sample("/a", 101.3, 0.05, OK, NEXT, scheduled=True, late=0.003),
    Sample("/a", 102.0, 0.4, OK, NEXT, scheduled=True, late=0.004),
)


def tally(*more: Sample) -> Tally:
    found = Tally()
    for sample in (*SAMPLES, *more):
        found.add(sample)
    return found
