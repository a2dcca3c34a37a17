"""Cron expressions of five fields: when the next time is. Local time, as the variable TZ or the machine has it.

Unless every hour is meant: where the clocks are put forward, a time that doesn't exist is the first minute after the
gap, and where they are put back, a time that exists twice counts once.
"""

from __future__ import annotations

import time

from corepod.contract.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

EXAMPLE = '"0 4 * * *" for 4:00 each day (minute, hour, day of the month, month, day of the week)'
MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
HORIZON = 366 * 9  # days: between the 29th of February of 2096 and the next one there are eight years, plus weekdays
DAY = 86400  # seconds
GAP = 25 * 3600  # no clock is put forward by more: islands have left out a day
BACK = 3 * 3600  # nor put back by more


class Cron(Record):
    """What an expression means: the values of each field, and whether both days count (either of them is enough)."""

    minutes: list[int]
    hours: list[int]
    days: set[int]
    months: set[int]
    weekdays: set[int]  # 0 is Sunday
    either: bool  # neither kind of day begins with *: a day that matches one of them is meant
    every_hour: bool


def parse(text: str) -> Cron:
    """Raises ValueError with a phrase."""
    fields = MACROS.get(text.lower(), text).split()
    if len(fields) != len(FIELDS):
        if text.startswith("@"):
            raise ValueError(f"{text!r} is none of {', '.join(MACROS)}")
        raise ValueError(f"{text!r} has {len(fields)} fields, and a cron expression has 5: write {EXAMPLE}")
    names = ((), (), (), MONTHS, DAYS)
    minutes, hours, days, months, weekdays = (
        _field(field, title, low, high, named)
        for field, (title, low, high), named in zip(fields, FIELDS, names, strict=True)
    )
    restricted = [not field.startswith("*") for field in (fields[2], fields[4])]
    if restricted == [True, False] and all(min(days) > LONGEST_MONTHS[month - 1] for month in months):
        raise ValueError(f"{text!r} never happens: no such month has {min(days)} days")
    return Cron(
        sorted(minutes), sorted(hours), days, months, {d % 7 for d in weekdays}, all(restricted), len(hours) == 24
    )


def _field(text: str, title: str, low: int, high: int, names: Sequence[str]) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        if slash and not (step.isascii() and step.isdecimal() and int(step)):
            raise ValueError(f"the step {step!r} of the {title} is not a whole number of at least 1")
        first, last = _span(span, title, low, high, names, stepped=bool(slash))
        found.update(range(first, last + 1, int(step) if slash else 1))
    return found


def _span(text: str, title: str, low: int, high: int, names: Sequence[str], *, stepped: bool) -> tuple[int, int]:
    if text == "*":
        return low, high - (high == 7)  # 7 is Sunday once more
    begin, dash, end = text.partition("-")
    first = _value(begin, title, low, high, names)
    if not dash:
        return first, high if stepped else first
    last = _value(end, title, low, high, names)
    if high == 7 and last == 0:
        last = 7  # fri-sun
    if last < first:
        raise ValueError(f"the range {text!r} of the {title} ends before it begins")
    return first, last


def _value(text: str, title: str, low: int, high: int, names: Sequence[str]) -> int:
    if text.lower() in names:
        return names.index(text.lower()) + (low if names is MONTHS else 0)
    if text.isascii() and text.isdecimal() and low <= int(text) <= high:
        return int(text)
    named = f", or a name from {names[0]} to {names[-1]}" if names else ""
    raise ValueError(f"{text!r} is no {title}: write {low} to {high}{named}")


def next_after(cron: Cron, now: float, local: Callable[[float], time.struct_time] = time.localtime) -> float:
    """The first time after `now`, in Unix time. `local` says what clocks show at a time.

    Raises ValueError where there is none in nine years.
    """
    earliest = _shown(now, local) - BACK
    # The days of the calendar are counted in UTC, where each has as many seconds.
    for midnight in range(earliest - earliest % DAY, earliest + HORIZON * DAY, DAY):
        if not _means(cron, time.gmtime(midnight)):
            continue
        found = 0.0
        for at in _times(cron, midnight, earliest, local):
            if at > now:
                found = min(found or at, at)
            if found and at > found + BACK:
                break  # what is shown later may be earlier, but not by more than this
        if found:
            return found
    raise ValueError("the schedule has no time in the next nine years")


def _means(cron: Cron, date: time.struct_time) -> bool:
    day, weekday = date.tm_mday in cron.days, (date.tm_wday + 1) % 7 in cron.weekdays
    return date.tm_mon in cron.months and (day or weekday if cron.either else day and weekday)


def _times(cron: Cron, midnight: int, earliest: int, local: Callable[[float], time.struct_time]) -> Iterator[float]:
    """The times of one day, whose beginning in UTC is `midnight`, from where clocks show `earliest`."""
    for hour in cron.hours:
        for minute in cron.minutes:
            shown = midnight + hour * 3600 + minute * 60
            if shown < earliest:
                continue
            # A day on either side, the clocks of a place differ from UTC by all that they ever do around this time.
            offsets = {_shown(shown + side, local) - (shown + side) for side in (-DAY, DAY)}
            found = sorted(shown - offset for offset in offsets if _shown(shown - offset, local) == shown)
            if found:
                yield from found if cron.every_hour else found[:1]
            elif not cron.every_hour:
                yield _after_gap(shown, shown - max(offsets), local)


def _after_gap(shown: int, guess: float, local: Callable[[float], time.struct_time]) -> float:
    """The first minute at which clocks show more than `shown`, which they never show."""
    low, high = int(guess - GAP) // 60, int(guess + GAP) // 60
    while low < high:
        middle = (low + high) // 2
        if _shown(middle * 60, local) >= shown:
            high = middle
        else:
            low = middle + 1
    return low * 60.0


def _shown(at: float, local: Callable[[float], time.struct_time]) -> int:
    """What clocks show at a time, as if it were UTC."""
    t = local(at)
    return _utc(t.tm_year, t.tm_mon, t.tm_mday) + t.tm_hour * 3600 + t.tm_min * 60


def _utc(year: int, month: int, day: int) -> int:
    """Seconds from 1970 to the beginning of a date (the calendar of Gregory, with years that begin in March)."""
    year -= month <= 2
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return (days - 719468) * DAY
