"""Cron expressions: what they accept, and when the next time is, in zones whose clocks are put forward and back."""

from __future__ import annotations

import datetime
import random
import time
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from corepod.contract.cron import DAYS, MONTHS, Cron, next_after, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    Clock = Callable[[float], time.struct_time]

BERLIN, NEW_YORK, LORD_HOWE, UTC = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"
ZONES = [UTC, BERLIN, NEW_YORK, LORD_HOWE, "Asia/Kolkata", "America/Sao_Paulo", "Pacific/Apia", "Africa/Casablanca"]


def clock(zone: str) -> Clock:
    return lambda at: datetime.datetime.fromtimestamp(at, ZoneInfo(zone)).timetuple()


def times(text: str, after: str, count: int = 3, zone: str = UTC) -> list[str]:
    """The next times as clocks show them, with the offset from UTC."""
    at, found = datetime.datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone)).timestamp(), []
    for _ in range(count):
        at = next_after(parse(text), at, clock(zone))
        found.append(datetime.datetime.fromtimestamp(at, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M %z"))
    return found


def days(text: str, after: str, count: int = 3) -> list[str]:
    return [at[:16] for at in times(text, after, count)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 4 * * *", ["2026-01-01 04:00", "2026-01-02 04:00", "2026-01-03 04:00"]),
        ("*/20 * * * *", ["2026-01-01 00:20", "2026-01-01 00:40", "2026-01-01 01:00"]),
        ("5,10-12 3 * * *", ["2026-01-01 03:05", "2026-01-01 03:10", "2026-01-01 03:11"]),
        ("0 10-18/4 * * *", ["2026-01-01 10:00", "2026-01-01 14:00", "2026-01-01 18:00"]),
        ("0 20/2 * * *", ["2026-01-01 20:00", "2026-01-01 22:00", "2026-01-02 20:00"]),
        ("0 0 * * mon", ["2026-01-05 00:00", "2026-01-12 00:00", "2026-01-19 00:00"]),
        ("0 0 * * 7", ["2026-01-04 00:00", "2026-01-11 00:00", "2026-01-18 00:00"]),
        ("0 0 * * 0", ["2026-01-04 00:00", "2026-01-11 00:00", "2026-01-18 00:00"]),
        ("0 0 * * fri-sun", ["2026-01-02 00:00", "2026-01-03 00:00", "2026-01-04 00:00"]),
        ("0 0 1 JAN,jul *", ["2026-07-01 00:00", "2027-01-01 00:00", "2027-07-01 00:00"]),
        ("0 0 29 2 *", ["2028-02-29 00:00", "2032-02-29 00:00", "2036-02-29 00:00"]),
        ("@monthly", ["2026-02-01 00:00", "2026-03-01 00:00", "2026-04-01 00:00"]),
    ],
)
def test_when_it_is_time(text: str, expected: list[str]) -> None:
    assert days(text, "2026-01-01T00:00") == expected


def test_either_kind_of_day_is_enough_where_both_are_named() -> None:
    assert days("0 0 13 * fri", "2026-01-05T00:00") == ["2026-01-09 00:00", "2026-01-13 00:00", "2026-01-16 00:00"]
    # With a star in one of them the other one decides, also where the star has a step, as in other crons.
    assert days("0 0 */2 * mon", "2026-01-01T00:00", 2) == ["2026-01-05 00:00", "2026-01-19 00:00"]


def test_the_century_without_a_leap_year() -> None:
    assert days("0 0 29 2 *", "2097-01-01T00:00", 1) == ["2104-02-29 00:00"]


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("", "has 0 fields"),
        ("0 4 * *", "has 4 fields"),
        ("0 4 * * * *", "has 6 fields"),
        ("60 * * * *", "'60' is no minute: write 0 to 59"),
        ("* 24 * * *", "is no hour"),
        ("* * 0 * *", "is no day of the month"),
        ("* * * 13 *", "is no month: write 1 to 12, or a name from jan to dec"),
        ("* * * * 8", "is no day of the week"),
        ("* * * * jan", "is no day of the week"),
        ("-1 * * * *", "'' is no minute"),
        ("1, * * * *", "'' is no minute"),
        ("1-5- * * * *", "is no minute"),
        ("5-1 * * * *", "ends before it begins"),
        ("*/0 * * * *", "step '0'"),
        ("*/x * * * *", "step 'x'"),
        ("*/ * * * *", "step ''"),
        ("² * * * *", "is no minute"),
        ("0 0 31 2,4 *", "never happens"),
        ("@reboot", "is none of @hourly"),
    ],
)
def test_what_is_wrong_is_said(text: str, phrase: str) -> None:
    with pytest.raises(ValueError, match=phrase.replace("*", r"\*")):
        parse(text)


def test_a_time_that_does_not_exist_is_the_first_one_after_it() -> None:
    expected = ["2026-03-28 02:30 +0100", "2026-03-29 03:00 +0200", "2026-03-30 02:30 +0200"]
    assert times("30 2 * * *", "2026-03-28T00:00", zone=BERLIN) == expected
    # Half an hour is left out there, and a whole day on the other side of the date line.
    assert times("15 2 * * *", "2026-10-04T00:00", 1, LORD_HOWE) == ["2026-10-04 02:30 +1100"]
    assert times("0 4 30 12 *", "2011-12-01T00:00", 1, "Pacific/Apia") == ["2011-12-31 00:00 +1400"]


def test_a_time_that_exists_twice_counts_once() -> None:
    expected = ["2026-10-25 02:30 +0200", "2026-10-26 02:30 +0100"]
    assert times("30 2 * * *", "2026-10-25T00:00", 2, BERLIN) == expected
    assert times("30 1 * * *", "2026-11-01T00:00", 2, NEW_YORK) == ["2026-11-01 01:30 -0400", "2026-11-02 01:30 -0500"]


def test_every_hour_is_every_hour() -> None:
    back = ["2026-10-25 02:00 +0200", "2026-10-25 02:00 +0100", "2026-10-25 03:00 +0100"]
    assert times("0 * * * *", "2026-10-25T01:30", zone=BERLIN) == back
    assert times("15 * * * *", "2026-03-29T01:00", 2, BERLIN) == ["2026-03-29 01:15 +0100", "2026-03-29 03:15 +0200"]


def test_the_clock_of_the_machine_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable TZ decides, which the supervisor inherits."""
    at = datetime.datetime(2026, 7, 1, 0, 0, tzinfo=datetime.UTC).timestamp()
    try:
        for zone, hour in (("Asia/Tokyo", 19), ("America/New_York", 8)):
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            assert time.gmtime(next_after(parse("0 4 * * *"), at)).tm_hour == hour
    finally:
        monkeypatch.undo()
        time.tzset()


def random_field(dice: random.Random, low: int, high: int, names: tuple[str, ...] = ()) -> str:
    def value() -> str:
        number = dice.randint(low, high)
        return dice.choice(names) if names and dice.random() < 0.3 else str(number)

    def part() -> str:
        first, last = sorted((dice.randint(low, high), dice.randint(low, high)))
        return dice.choice(["*", value(), f"{first}-{last}", f"*/{dice.randint(1, 9)}", f"{first}-{last}/2"])

    return "*" if dice.random() < 0.4 else ",".join(part() for _ in range(dice.randint(1, 3)))


@pytest.mark.parametrize("zone", ZONES)
def test_against_a_look_at_every_minute(zone: str) -> None:
    """Where no clock changes: the first minute whose fields match is the next time, and there is none in between."""
    dice, local = random.Random(zone), clock(zone)
    for _ in range(60):
        fields = [random_field(dice, 0, 59), random_field(dice, 0, 23), random_field(dice, 1, 28)]
        text = " ".join([*fields, random_field(dice, 1, 12, MONTHS), random_field(dice, 0, 6, DAYS)])
        cron, now = parse(text), dice.uniform(1.7e9, 1.9e9)
        found = next_after(cron, now, local)
        assert found > now
        assert found % 60 == 0
        minute = now - now % 60 + 60
        while minute < min(found, now + 3 * 86400):
            shown = local(minute)
            if matches(cron, shown):
                changed = {local(minute + side).tm_gmtoff for side in (-86400, 0, 86400)}
                assert len(changed) > 1, f"{text} after {now}: {minute} was passed over for {found}"
            minute += 60
        if len({local(found + side).tm_gmtoff for side in (-86400, 0, 86400)}) == 1:
            assert matches(cron, local(found)), text


def matches(cron: Cron, t: time.struct_time) -> bool:
    day, weekday = t.tm_mday in cron.days, (t.tm_wday + 1) % 7 in cron.weekdays
    of_day = day or weekday if cron.either else day and weekday
    of_hour = t.tm_min in cron.minutes and t.tm_hour in cron.hours
    return of_hour and t.tm_mon in cron.months and of_day
