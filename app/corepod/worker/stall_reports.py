"""What is said of stalls: the cause of each, and as many lines as a log can bear."""

from __future__ import annotations

import os
import sysconfig
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from corepod.worker.stacks import Place, Stack

WINDOW = 60.0  # seconds
AT_ONCE = 3  # stalls with different stacks that are told in full in this time; the others are summed up at its end
KEPT = 20  # different stacks that a summary knows
NAMED = 5  # of which it names so many
FRAMES = 30  # of a stack in the log
THREADS = 5  # others whose stacks are shown

_OURS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
_SERVER = (os.path.join(_OURS, "worker", ""), os.path.join(_OURS, "supervisor", ""))
_RUNNER = os.path.join(_OURS, "worker", "run.py")
_STDLIB = os.path.join(sysconfig.get_path("stdlib"), "")


class Cause(Enum):
    """Why the loop stood still. The text stands behind the place."""

    COMPUTED = "it computed"
    WAITED = "it waited in a blocking call"
    THREADS = "other threads computed, and it waited for the interpreter (the GIL) or in a blocking call"
    NONE = "nobody's code is to blame"


class Stall(NamedTuple):
    """The loop was blocked for `lasted` seconds at least; of these its thread used `cpu` and waited `waited` for a
    core."""

    lasted: float
    cpu: float
    waited: float
    cause: Cause
    stack: Stack
    others: tuple[Stack, ...]  # of other threads
    serving: tuple[str, ...]  # requests, a few of all
    in_flight: int


def cause_of(lasted: float, *, cpu: float, waited: float, others: float, least: float, stack: Stack) -> Cause:
    """Who blocked the loop for `lasted` seconds, of which `least` are too many.

    Nobody did where the thread would have been in time, had the machine given it a core; and where it sat in the loop's
    own wait for events: the process was stopped, or the machine was; unless other threads computed, whose CPU time
    `others` is: the loop can't go on without the interpreter.
    """
    own = lasted - waited
    if own >= least and cpu >= own / 2:
        return Cause.COMPUTED
    if not stack or _waits_for_events(stack):
        return Cause.THREADS if others >= least else Cause.NONE
    if own < least:
        return Cause.NONE
    # A small share is enough: they may have had to wait for a core themselves.
    return Cause.THREADS if others >= max(least, own / 10) else Cause.WAITED


def _waits_for_events(stack: Stack) -> bool:
    """Whether this is a loop that has nothing to do: asyncio's in its selector, uvloop's in what runs it, for it has no
    frames of its own."""
    newest, caller = stack[0], stack[1] if len(stack) > 1 else stack[0]
    if newest.file == _STDLIB + "selectors.py":
        return caller.name.endswith("_run_once")
    return newest.file == _RUNNER


def application(stack: Stack) -> Stack:
    """The calls of the application, the newest first: without the server's, and what the server was called by."""
    for number, place in enumerate(stack):
        if place.file.startswith(_SERVER) or (place.file.startswith(_STDLIB) and place.name.endswith("_run")):
            return stack[:number] or stack
    return stack


def guilty(stack: Stack) -> Place | None:
    """The newest call that is the user's own, neither the standard library's nor that of a package."""
    shown = application(stack)
    own = (p for p in shown if not p.file.startswith(_STDLIB) and "site-packages" not in p.file and p.file[:1] != "<")
    return next(own, shown[0] if shown else None)


class StallReports:
    """Told of every stall, with the time in seconds of CLOCK_MONOTONIC, it returns the text to log, if any."""

    def __init__(self) -> None:
        self._since = -WINDOW  # when the window began
        self._told: set[Stack] = set()
        self._left_out: dict[Place | None, list[float]] = {}  # how long they lasted, by the guilty place

    @property
    def summary_at(self) -> float:
        """When to ask for the summary, if a stall was left out."""
        return self._since + WINDOW

    @property
    def left_out(self) -> bool:
        """Whether a summary is due."""
        return bool(self._left_out)

    def add(self, stall: Stall, now: float) -> str:
        """The first of each stack at once, within limits; else it is counted. Empty where it is."""
        summary = self.summary(now)
        if now >= self.summary_at:
            self._since, self._told = now, set()
        if stall.stack in self._told or len(self._told) >= AT_ONCE:
            place = guilty(stall.stack)
            if place not in self._left_out and len(self._left_out) >= KEPT:
                place = None
            self._left_out.setdefault(place, []).append(stall.lasted)
            return summary
        self._told.add(stall.stack)
        return "\n".join(filter(None, [summary, describe(stall)]))

    def summary(self, now: float) -> str:
        """What was left out, once the window is over; empty where nothing was."""
        if now < self.summary_at or not self._left_out:
            return ""
        left, self._left_out = self._left_out, {}
        count = sum(map(len, left.values()))
        places = sorted(left.items(), key=lambda item: -sum(item[1]))
        named = [f"{len(times)} in {_called(place)}" for place, times in places[:NAMED]]
        more = len(places) - len(named)
        return (
            f"the event loop was blocked {count} more times in {now - self._since:.0f} s, for "
            f"{max(map(max, left.values())):.2f} s at most: {', '.join(named)}"
            + (f" and in {more} other places" if more else "")
        )


def describe(stall: Stall) -> str:
    """One stall, for people."""
    place = guilty(stall.stack) if stall.cause is not Cause.THREADS else None
    where = f" in {_called(place)}" if place is not None else ""
    waited = f", waited {stall.waited:.2f} s for a core" if stall.waited >= 0.01 else ""
    lines = [
        f"the event loop was blocked for {stall.lasted:.2f} s{where}: {stall.cause.value} "
        f"(its thread used {stall.cpu:.2f} s of CPU{waited}); {_serving(stall)}"
    ]
    if stall.cause is Cause.THREADS:
        for number, other in enumerate(stall.others[:THREADS], 1):
            lines += [f"another thread ({number} of {len(stall.others)}), most recent call first:", *_lines(other)]
        lines.append("the event loop's thread, most recent call first:")
    else:
        lines.append("most recent call first:")
    return "\n".join([*lines, *_lines(application(stall.stack))])


def _lines(stack: Stack) -> list[str]:
    left = len(stack) - FRAMES
    return [*map(str, stack[:FRAMES]), *([f"  and {left} more calls"] if left > 0 else [])]


def _serving(stall: Stall) -> str:
    more = stall.in_flight - len(stall.serving)
    return f"{stall.in_flight} in flight: {', '.join(stall.serving)}" + (f" and {more} more" if more > 0 else "")


def _called(place: Place | None) -> str:
    return f"{place.name} ({place.file}:{place.line})" if place is not None else "other places"
