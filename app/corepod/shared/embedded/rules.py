"""What a lock and a rate limit decide. Pure: rows and the time in, rows and answers out."""

from __future__ import annotations

from typing import NamedTuple

from corepod.shared.backend import Allowance


class Held(NamedTuple):
    """A lock that somebody has, until its lease is over."""

    owner: str
    token: int
    expires: float


def take(held: Held | None, owner: str, lease: float, now: float, last_token: int) -> Held | None:
    """How the lock is held if this owner may have it, None where another one does.

    An owner that has it already, because the answer to its last question was lost, keeps its token. Tokens are the
    time in ms where that is more than the last one: they also grow where the state was lost.
    """
    if held is None or held.expires <= now:
        return Held(owner, max(last_token + 1, int(now * 1000)), now + lease)
    return held._replace(expires=now + lease) if held.owner == owner else None


def keep(held: Held | None, owner: str, lease: float, now: float) -> Held | None:
    """How the lock is held after a renewal, None where this owner doesn't hold it any more."""
    if held is None or held.owner != owner or held.expires <= now:
        return None
    return held._replace(expires=now + lease)


def admit(arrival: float | None, limit: int, per: float, now: float) -> tuple[Allowance, float | None]:
    """Whether an attempt is allowed, and the theoretical arrival time after it (None: as it was).

    The generic cell rate algorithm as a virtual scheduling: ITU-T I.371, annex A. `arrival` is when the next attempt
    should come, if they came evenly; a burst may be ahead of that by what `limit` allows.
    """
    interval = per / limit
    due = now if arrival is None else max(min(arrival, now + per), now)  # a limit that was longer before ends, too
    ahead = min(due - now, per)  # rounding: `now` is a large number, and the difference may be above `per`
    room = (per - ahead) / interval
    if room < 1 - 1e-9:
        return Allowance(False, 0, interval - (per - ahead)), None
    return Allowance(True, max(0, int(room - 1 + 1e-9)), 0.0), due + interval
