"""Who blocked the event loop, what of it is logged, and the stacks that are shown."""

from __future__ import annotations

import asyncio
import os
import re
import sysconfig
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from corepod.contract.stacks import NEWEST_FIRST, TASKS_END
from corepod.worker import stacks, stall_reports
from corepod.worker.stacks import Place, stack_of
from corepod.worker.stall_reports import AT_ONCE, WINDOW, Cause, Stall, StallReports, application, cause_of, guilty
from corepod.worker.stall_timer import StallTimer
from corepod.worker.stalls import StallWatch
from hypothesis import given
from hypothesis import strategies as st

from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

STDLIB = sysconfig.get_path("stdlib")
OURS = os.path.dirname(os.path.dirname(os.path.abspath(stall_reports.__file__)))
HANDLER = (Place("/app/shop.py", 31, "report"), Place("/app/shop.py", 12, "app"))
SERVER = (Place(f"{OURS}/worker/http/exchange.py", 55, "Exchange.run"), Place(f"{OURS}/worker/run.py", 27, "serve"))
SELECTING = (
    Place(f"{STDLIB}/selectors.py", 468, "EpollSelector.select"),
    Place(f"{STDLIB}/asyncio/base_events.py", 1884, "BaseEventLoop._run_once"),
    *SERVER,
)
COMMUNICATING = (
    Place(f"{STDLIB}/selectors.py", 415, "_PollLikeSelector.select"),
    Place(f"{STDLIB}/subprocess.py", 2100, "Popen._communicate"),
    *HANDLER,
    *SERVER,
)
UVLOOP_WAITS = (Place(f"{OURS}/worker/run.py", 52, "Serving.run"),)


@pytest.mark.parametrize(
    ("cpu", "waited", "others", "stack", "cause"),
    [
        pytest.param(0.29, 0.0, 0.0, HANDLER, Cause.COMPUTED, id="computes"),
        pytest.param(0.29, 2.0, 0.0, HANDLER, Cause.COMPUTED, id="computes on a busy machine"),
        pytest.param(0.001, 0.0, 0.0, HANDLER, Cause.WAITED, id="sleeps"),
        pytest.param(0.001, 0.0, 0.0, COMMUNICATING, Cause.WAITED, id="waits with a selector of its own"),
        pytest.param(0.001, 0.0, 0.29, HANDLER, Cause.THREADS, id="another thread computes"),
        pytest.param(0.001, 0.0, 0.1, SELECTING, Cause.THREADS, id="the loop doesn't get the interpreter back"),
        pytest.param(0.001, 0.25, 0.2, SELECTING, Cause.THREADS, id="the same, and its attempts wait for the core"),
        pytest.param(0.001, 0.25, 0.0, HANDLER, Cause.NONE, id="no core"),
        pytest.param(0.2, 0.25, 0.0, HANDLER, Cause.NONE, id="no core for what takes no time"),
        pytest.param(0.0, 0.0, 0.0, SELECTING, Cause.NONE, id="stopped while idle"),
        pytest.param(0.0, 0.0, 0.0, UVLOOP_WAITS, Cause.NONE, id="uvloop, stopped while idle"),
    ],
)
def test_the_cause(cpu: float, waited: float, others: float, stack: stacks.Stack, cause: Cause) -> None:
    lasted = 0.3 + (waited if waited > 1 else 0)
    assert cause_of(lasted, cpu=cpu, waited=waited, others=others, least=0.1, stack=stack) is cause


def test_the_application_is_shown_without_the_server() -> None:
    json = (Place(f"{STDLIB}/json/__init__.py", 231, "dumps"),)
    package = (Place("/env/lib/site-packages/orm.py", 9, "load"),)
    assert application((*json, *HANDLER, *SERVER)) == (*json, *HANDLER)
    assert guilty((*json, *package, *HANDLER, *SERVER)) == HANDLER[0]
    assert guilty((*package, *SERVER)) == package[0]
    assert application(SERVER) == SERVER
    assert guilty(()) is None


def stall(line: int = 31, lasted: float = 0.3, cause: Cause = Cause.WAITED) -> Stall:
    stack = (Place("/app/shop.py", line, "report"), *SERVER)
    return Stall(lasted, 0.01, 0.0, cause, stack, ((Place("/app/hog.py", 7, "hog"),),), ("GET /orders/*",), 3)


def test_the_first_is_told_in_full() -> None:
    text = StallReports().add(stall(), 1000.0)
    assert "blocked for 0.30 s in report (/app/shop.py:31): it waited in a blocking call" in text
    assert "3 in flight: GET /orders/* and 2 more" in text
    assert '  File "/app/shop.py", line 31 in report' in text
    assert "exchange.py" not in text


def test_of_other_threads_the_stacks_are_shown() -> None:
    text = StallReports().add(stall(cause=Cause.THREADS), 1000.0)
    assert '  File "/app/hog.py", line 7 in hog' in text
    assert "hog" not in StallReports().add(stall(), 1000.0)


def test_the_same_stack_is_summed_up() -> None:
    reports = StallReports()
    assert reports.add(stall(), 1000.0)
    assert [reports.add(stall(lasted=lasted), 1001.0) for lasted in (0.2, 0.9)] == ["", ""]
    assert reports.summary(1000.0 + WINDOW - 1) == ""
    said = reports.summary(1000.0 + WINDOW)
    assert said == "the event loop was blocked 2 more times in 60 s, for 0.90 s at most: 2 in report (/app/shop.py:31)"
    assert not reports.left_out
    assert reports.summary(2000.0) == ""
    assert "blocked for" in reports.add(stall(), 2000.0)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 40)), min_size=1, max_size=200))
def test_the_log_is_bounded_and_loses_none(stalls: list[tuple[float, int]]) -> None:
    reports, now, full, summed_up = StallReports(), 1000.0, [], 0
    for pause, line in stalls:
        now += pause
        text = reports.add(stall(line), now)
        assert len(text) < 5000
        full += [now] * text.count("blocked for 0.30 s in")
        summed_up += counted(text)
    for start in full:
        assert sum(start <= other < start + WINDOW for other in full) <= 2 * AT_ONCE
    assert len(full) + summed_up + counted(reports.summary(now + WINDOW)) == len(stalls)


def counted(text: str) -> int:
    return sum(int(number) for number in re.findall(r"blocked (\d+) more times", text))


class Caught(list[stacks.Stack]):
    """What a timer has shown."""

    def __init__(self) -> None:
        super().__init__()
        self.timer = StallTimer(lambda frame: self.append(stack_of(frame)))


@pytest.fixture
def caught() -> Iterator[Caught]:
    made = Caught()
    yield made
    made.timer.close()


def test_the_timer_shows_what_runs(caught: Caught) -> None:
    def compute() -> None:
        caught.timer.set(0.01)  # here, because it may run out at once where the machine is busy
        until(lambda: bool(caught), "the timer", pause=0)

    compute()
    assert any(place.name.endswith("compute") for place in caught[0])
    assert len(caught) == 1  # and not again


def test_a_sleep_is_not_shortened(caught: Caught) -> None:
    def sleeps() -> None:
        time.sleep(0.1)

    def interrupted() -> bool:
        caught.clear()
        caught.timer.set(0.01)
        before = time.monotonic()
        sleeps()
        assert time.monotonic() - before >= 0.1
        return caught[0][0].name.endswith("sleeps")

    until(interrupted, "a timer that doesn't run out before the sleep")


def test_a_timer_that_is_set_back_does_nothing(caught: Caught) -> None:
    def set_back() -> bool:
        caught.clear()
        caught.timer.set(0.01)
        caught.timer.set(0)
        return not caught

    until(set_back, "one that is set back before it has run out")
    time.sleep(0.05)
    assert caught == []


def test_short_requests_share_the_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many come and go in a fourth of the limit, the timer is set once and the CPU time read once."""
    looks: list[float] = []
    monkeypatch.setattr(StallTimer, "set", lambda timer, seconds: looks.append(seconds))

    async def many() -> None:
        app = SimpleNamespace(begins=None, in_flight=0)
        watch = StallWatch(asyncio.get_running_loop(), cast("Any", app), 1000.0, print)
        watch.begin()
        for _ in range(100):
            app.in_flight = 1
            if app.begins is not None:
                app.begins()
            await asyncio.sleep(0)
            app.in_flight = 0
            await asyncio.sleep(0)
        watch._timer.close()

    asyncio.run(many())
    assert len(looks) == 1


def test_a_second_user_of_the_signal_is_respected(caught: Caught) -> None:
    with pytest.raises(ValueError, match="uses the signal"):
        StallTimer(lambda frame: None)


# Stacks


async def inner(event: asyncio.Event) -> None:
    await event.wait()


async def outer(event: asyncio.Event) -> None:
    await inner(event)


def shown_tasks(count: int) -> str:
    async def main() -> str:
        event = asyncio.Event()
        made = [asyncio.create_task(outer(event), name=f"order {number}") for number in range(count)]
        await asyncio.sleep(0)
        text = stacks.tasks(asyncio.all_tasks(), asyncio.current_task(), None)
        event.set()
        await asyncio.gather(*made)
        return text

    return asyncio.run(main())


def test_tasks_are_shown_through_what_they_await() -> None:
    lines = shown_tasks(1).split("\n")
    assert lines[0] == "Tasks: 2"
    assert lines[-1] == TASKS_END
    at = lines.index(f"Task [order 0] {NEWEST_FIRST}")
    assert [line.rpartition(" in ")[2] for line in lines[at + 1 : at + 4]] == ["Event.wait", "inner", "outer"]


def test_many_tasks_are_grouped() -> None:
    text = shown_tasks(10_000)
    assert text.startswith("Tasks: 10001\n")
    assert len(text.encode()) < stacks.TEXT_MOST
    assert "10000 tasks [" in text or "were not looked at" in text


def test_what_does_not_fit_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "TEXT_MOST", 200)
    assert "1 more places where tasks wait are left out" in shown_tasks(1) or "2 more places" in shown_tasks(1)


def test_threads_are_named_and_the_one_that_asks_comes_first() -> None:
    go = threading.Event()
    thread = threading.Thread(target=go.wait, name="N" * 500)
    thread.start()
    try:
        # It is on its way there when start() returns.
        text = until(lambda: "in Event.wait" in (found := stacks.threads(None)) and found, "the thread waits")
    finally:
        go.set()
        thread.join()
    assert text
    assert text.startswith("Current thread 0x")
    assert "[MainThread]" in text.split("\n")[0]
    assert f"[{'N' * 77}...] {NEWEST_FIRST}" in text
