"""A thread that fails, hangs or ends is a fault in readiness, and another one goes on with its work."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from corepod.operator import threads as threads_module
from corepod.operator.threads import MOST, PATIENCE, WatchedThread, WatchedThreads

from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Work:
    """Steps that do what the test says."""

    def __init__(self) -> None:
        self.does: Callable[[], None] = lambda: None
        self.steps = 0

    def step(self) -> None:
        time.sleep(0.01)
        self.does()
        self.steps += 1

    def until_more(self) -> None:
        before = self.steps
        until(lambda: self.steps > before + 1, "further steps")


class Hang:
    """A step that hangs until it is told to come back."""

    def __init__(self) -> None:
        self._entered, self.comes_back = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self._entered.set()
        self.comes_back.wait()

    def until_entered(self) -> None:
        assert self._entered.wait(DEADLINE)


def forever() -> None:
    threading.Event().wait()


@pytest.fixture
def work() -> Iterator[Work]:
    """Its threads end with the test, as far as they can."""
    made = Work()
    yield made
    made.does = forever


def late() -> float:
    return time.monotonic() + PATIENCE + 1.0


def test_a_step_that_fails_is_a_fault_until_one_succeeds(work: Work) -> None:
    lines: list[str] = []
    threads = WatchedThreads(lines.append)

    def fail() -> None:
        raise OverflowError("cannot convert float infinity to integer")

    work.does = fail
    threads.run("reader 0", work.step)
    until(threads.why_not_ready, "the fault")
    assert "reader 0 has failed" in threads.why_not_ready()
    assert not threads.why_not_alive()
    assert any("cannot convert" in line for line in lines)
    work.does = lambda: None
    until(lambda: not threads.why_not_ready(), "no fault")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # that is how it ends
def test_a_thread_that_has_ended_is_replaced(work: Work) -> None:
    thread = WatchedThread("reader 0", work.step, lambda line: None)

    def end() -> None:
        raise SystemExit  # no Exception: it ends the thread, silently

    work.does = end
    thread.start()
    until(lambda: not thread._current.is_alive(), "its end")  # type: ignore[union-attr]
    work.does = lambda: None
    thread.check(time.monotonic())
    work.until_more()
    assert not thread.fault


def test_a_thread_that_hangs_is_replaced_and_ends_when_it_comes_back(work: Work) -> None:
    lines: list[str] = []
    thread, entered, comes_back = (
        WatchedThread("reader 0", work.step, lines.append),
        threading.Event(),
        threading.Event(),
    )

    def hang() -> None:
        entered.set()
        comes_back.wait()

    work.does = hang
    thread.start()
    assert entered.wait(DEADLINE)
    thread.check(time.monotonic())
    assert not thread.fault
    hung = thread._current
    work.does = lambda: None
    thread.check(late())
    assert "stuck" in lines[0]
    work.until_more()
    assert not thread.fault
    comes_back.set()
    assert hung is not None
    hung.join(DEADLINE)
    assert not hung.is_alive()
    assert thread.replaced == 0


def test_only_a_restart_helps_when_the_replacements_hang_too(work: Work) -> None:
    threads = WatchedThreads(lambda line: None)
    hangs = threading.Event()

    def hang() -> None:
        hangs.wait()

    work.does = hang
    threads.run("reader 0", work.step)
    [thread] = threads._all
    for _ in range(MOST):
        thread.check(late())
    assert not threads.why_not_alive()
    assert threads.why_not_ready()
    thread.check(late())
    assert "hang" in threads.why_not_alive()
    before = threading.active_count()
    thread.check(late())
    assert threading.active_count() <= before
    hangs.set()
    until(lambda: not threads.why_not_alive(), "all back")


def test_threads_that_hang_in_several_places_count_together() -> None:
    """Each of 8 readers may hang once: its successor runs, and finds all places of readers taken."""
    threads, hang = WatchedThreads(lambda line: None), [Hang() for _ in range(MOST + 1)]
    works = [Work() for _ in hang]
    for number, (work, each) in enumerate(zip(works, hang, strict=True)):
        work.does = each
        threads.run(f"reader {number}", work.step)
        each.until_entered()
        work.does = lambda: None
    for thread in threads._all[:MOST]:
        thread.check(late())
    assert not threads.why_not_alive()
    threads._all[MOST].check(late())
    until(lambda: not threads.why_not_ready(), "all successors at work")
    assert "reader 0, reader 1" in threads.why_not_alive()
    for each in hang:
        each.comes_back.set()
    until(lambda: not threads.why_not_alive(), "all back")
    for work in works:
        work.does = forever


def test_a_pause_of_the_whole_process_is_no_reason_to_replace_threads(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After SIGSTOP and SIGCONT each thread seems to have been in its step for minutes."""
    lines: list[str] = []
    checks, passed = 0, 0.0

    def sleep(seconds: float) -> None:
        nonlocal checks
        time.sleep(min(seconds, 0.01))
        checks += threading.current_thread().name == "watch"

    def until_checked() -> None:
        before = checks
        until(lambda: checks > before + 2, "checks")

    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + passed, sleep=sleep)
    monkeypatch.setattr(threads_module, "time", clock)
    threads, hang = WatchedThreads(lines.append), Hang()
    work.does = hang
    threads.run("reader 0", work.step)
    hang.until_entered()
    threads.start()
    until_checked()
    passed += 10 * PATIENCE
    until_checked()
    assert not lines
    for _ in range(3):  # no pause of the process, but time that passes
        passed += 0.4 * PATIENCE
        until_checked()
    work.does = lambda: None
    assert "stuck" in lines[0]
    hang.comes_back.set()
    until(lambda: not threads._all[0].replaced, "the end of the first")


def test_a_replacement_that_cannot_start_is_tried_again(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may be at its limit of threads. The thread that checks the others must not end because of it."""
    lines: list[str] = []
    thread, hang = WatchedThread("reader 0", work.step, lines.append), Hang()
    work.does = hang
    thread.start()
    hang.until_entered()

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        thread.check(late())
    assert thread.fault
    assert "can't start" in lines[-1]
    work.does = lambda: None
    thread.check(time.monotonic())
    work.until_more()
    assert not thread.fault
    assert thread.replaced == 1
    hang.comes_back.set()
    until(lambda: not thread.replaced, "the end of the first")
