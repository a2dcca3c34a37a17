"""How long a connection may make no progress, and what is done then."""

from __future__ import annotations

from enum import Enum, auto
from math import inf
from typing import NamedTuple

from corepod.worker.transport import LINGER


class Verdict(Enum):
    """What is done with a connection whose time is up."""

    CLOSE = auto()
    REFUSE = auto()  # answer its request with 408
    ABORT = auto()  # close it, and drop what it hasn't taken
    LOOK_AGAIN = auto()  # the application is at work: it has its own limits


class Facts(NamedTuple):
    """Of a connection, since when on the loop's clock; None where it isn't so."""

    idle: float | None = None  # no request is being served; half a head is none
    waits: float | None = None  # the application waits for more of a request's body
    stalls: float | None = None  # the client has taken nothing of what waits for it
    lingers: float | None = None  # the connection is over, and the client still sends


class Patience:
    """The settings, in seconds; 0 for no limit."""

    def __init__(self, keep_alive: float, body: float, write: float) -> None:
        self.keep_alive, self.body, self.write = keep_alive, body or inf, write or inf

    def end(self, facts: Facts, now: float) -> tuple[float, Verdict]:
        """When the time of such a connection is up, and what is done then."""
        if facts.stalls is not None:
            return min((facts.stalls + self.write, Verdict.ABORT), (now + self.keep_alive, Verdict.LOOK_AGAIN), key=_at)
        if facts.lingers is not None:
            return facts.lingers + LINGER, Verdict.CLOSE
        if facts.idle is not None:
            return facts.idle + self.keep_alive, Verdict.CLOSE
        again = now + self.keep_alive, Verdict.LOOK_AGAIN
        if facts.waits is not None:
            return min((facts.waits + self.body, Verdict.REFUSE), again, key=_at)
        return again


def _at(end: tuple[float, Verdict]) -> float:
    return end[0]
