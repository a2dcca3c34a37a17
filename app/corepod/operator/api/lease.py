"""A Lease as the API server keeps it: reading one, and the body of a new one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corepod.operator.api.responses import JSON

DURATION = 15.0  # seconds without a renewal after which another process may take the Lease


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """The contents of a Lease."""

    holder: str
    duration: float
    renewed: str
    acquired: str
    transitions: int
    version: str


def decode(found: JSON) -> LeaseRecord:
    """The record in a Lease object. Raises ValueError for a malformed one."""
    try:
        spec = found.get("spec") or {}
        return LeaseRecord(
            holder=spec.get("holderIdentity") or "",
            duration=float(spec.get("leaseDurationSeconds") or DURATION),
            renewed=spec.get("renewTime") or "",
            acquired=spec.get("acquireTime") or "",
            transitions=int(spec.get("leaseTransitions") or 0),
            version=found["metadata"]["resourceVersion"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the object isn't a Lease: {error!r}") from error


def spec(holder: str, duration: float, *, acquired: str = "", transitions: int) -> JSON:
    """The spec of a Lease that is written now. `acquired` is empty for a new holder."""
    moment = now()
    return {
        "holderIdentity": holder,
        "leaseDurationSeconds": int(duration),
        "acquireTime": acquired or moment,
        "renewTime": moment,
        "leaseTransitions": transitions,
    }


def newer(one: LeaseRecord, other: LeaseRecord) -> bool:
    """Whether `one` is later than `other`. Resource versions grow; if they aren't numbers, any difference counts."""
    try:
        return int(one.version) > int(other.version)
    except ValueError:
        return one != other


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
