"""Kubernetes quantities ("15890m", "1.5", "128Mi", "1e3") as integers, parsed and rounded as the scheduler does."""

from __future__ import annotations

import re
from functools import lru_cache

# What upstream's scanner takes: digits may be missing on either side of the point, or on both where there were zeros.
PARTS = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*)([+-]?[0-9]*)")
BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
MOST = 2**63 - 1  # the cap that upstream applies
LONGEST = 100  # characters; longer numbers would be costly to parse, and none of them is meant


class QuantityError(ValueError):
    """A text that the API server would reject as a quantity."""

    def __init__(self, text: object) -> None:
        shown = str(text)[:LONGEST]
        super().__init__(f"{shown!r} isn't a quantity; write a number and a unit, such as 500m, 1.5 or 128Mi")


def amount(resource: str, text: object) -> int:
    """The amount of a resource: CPU in thousandths of a core, others in their own unit (bytes, pieces)."""
    return milli(text) if resource == "cpu" else whole(text)


def milli(text: object) -> int:
    """In thousandths, a fraction of one rounded away from zero. Raises QuantityError."""
    return _scaled(_text(text), 3)


def whole(text: object) -> int:
    """In units, a fraction of one rounded away from zero. Raises QuantityError."""
    return _scaled(_text(text), 0)


def _text(value: object) -> str:
    # JSON made from YAML may have numbers here. In Python true is a number, too, but not a quantity.
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise QuantityError(value)
    return str(value)


@lru_cache(maxsize=4096)  # thousands of pods write the same few quantities
def _scaled(text: str, places: int) -> int:
    found = PARTS.fullmatch(text) if len(text) <= LONGEST else None
    if not found or not (found[2] or found[3]):
        raise QuantityError(text)
    digits, fraction = found[2], found[3] or ""
    base, exponent = _factor(text, found[4], found[5])
    value, places = int(digits + fraction), places - len(fraction)
    if base == 2:
        value <<= exponent
    else:
        places += exponent
    least = min(_shifted(value, places), MOST)
    return -least if found[1] == "-" else least


def _factor(text: str, unit: str, power: str) -> tuple[int, int]:
    """Base and exponent of a suffix."""
    if unit in BINARY and not power:
        return 2, BINARY[unit]
    if unit in DECIMAL and not power:
        return 10, DECIMAL[unit]
    if unit in ("e", "E") and power.strip("+-"):
        return 10, int(power)
    raise QuantityError(text)


def _shifted(value: int, places: int) -> int:
    """`value` with the decimal point moved, rounded up. The power is bounded: 10**1000 would only cost time."""
    if places >= 0:
        return value * _power(places)
    return -(-value // _power(-places))


def _power(places: int) -> int:
    return int(10 ** min(places, 2 * LONGEST))
