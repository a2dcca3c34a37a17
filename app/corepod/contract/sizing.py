"""How many slots a pool has: what the setting `workers` says."""

from __future__ import annotations

from corepod.contract.record import Record

FIXED, CORES, LOAD = "fixed", "cores", "load"  # a number; one for each usable core; as many as the load needs
_AUTO = "auto"


class Sizing(Record):
    """`most` is None where only the cores bound it."""

    mode: str
    least: int
    most: int | None


def sizing(workers: str | int) -> Sizing:
    """What `4`, `auto`, `auto:2-8` or `auto:2-` means. Raises ValueError for anything else."""
    text = str(workers)
    if text == _AUTO:
        return Sizing(CORES, 1, None)
    if not text.startswith(f"{_AUTO}:"):
        return Sizing(FIXED, _number(text), _number(text))
    low, dash, high = text.removeprefix(f"{_AUTO}:").partition("-")
    least, most = _number(low), _number(high) if high else None
    if not dash or (most is not None and most < least):
        raise ValueError(text)
    return Sizing(LOAD, least, most)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ValueError(text)
    return int(text)
