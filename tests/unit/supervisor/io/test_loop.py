"""The supervisor's loop: callbacks, deadlines, signals as data, and faults that stay with one descriptor."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from corepod.supervisor.io.loop import FAULTS_MOST, Loop, catchable

if TYPE_CHECKING:
    from collections.abc import Iterator

USED = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
SOON = 10.0  # seconds; only a failing test takes it


@pytest.fixture
def loop() -> Iterator[Loop]:
    """A loop that has caught a few signals; the test runner gets them back."""
    before = {signum: signal.getsignal(signum) for signum in USED}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    wakeup = signal.set_wakeup_fd(-1)
    made = Loop()
    made.catch(USED)
    yield made
    signal.setitimer(signal.ITIMER_REAL, 0)
    for signum, handler in before.items():
        signal.signal(signum, handler)
    signal.set_wakeup_fd(wakeup)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for fd in (read, write):
        with contextlib.suppress(OSError):
            os.close(fd)


def test_calls_back_whom_it_concerns(loop: Loop, pipe: tuple[int, int]) -> None:
    seen: list[int] = []
    loop.add(pipe[0], select.EPOLLIN, seen.append)
    assert loop.wait(loop.now()) == 0
    os.write(pipe[1], b"x")
    assert loop.wait(loop.now() + SOON) == 1
    assert seen == [select.EPOLLIN]


def test_timers(loop: Loop) -> None:
    calls: list[str] = []
    first, second, never = (lambda: calls.append("1")), (lambda: calls.append("2")), (lambda: calls.append("never"))
    loop.call_at(loop.now() + 1000, first)
    loop.call_at(loop.now(), first)  # only the new time counts
    loop.call_at(loop.now() + 0.02, second)
    loop.call_at(loop.now(), never)
    loop.cancel(never)
    loop.cancel(never)
    while len(calls) < 2:
        assert loop.wait(loop.now() + SOON) == 0
    assert loop.wait(loop.now()) == 0
    assert calls == ["1", "2"]


def test_a_fault_of_a_timer_stays_with_it(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    faults: list[object] = []
    calls: list[int] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: faults.append(kind))

    def fails() -> None:
        raise ZeroDivisionError

    loop.call_at(loop.now(), fails)
    loop.call_at(loop.now(), lambda: calls.append(1))
    loop.wait(loop.now())
    loop.wait(loop.now())
    assert (faults, calls) == ([ZeroDivisionError], [1])


def test_a_deadline_ends_the_wait(loop: Loop) -> None:
    started = loop.now()
    assert loop.wait(started + 0.05) == 0
    assert loop.now() >= started + 0.05


def test_a_deadline_in_the_past_does_not_block(loop: Loop) -> None:
    assert loop.wait(loop.now() - 100) == 0


def test_a_callback_may_remove_another_of_the_same_round(loop: Loop, pipe: tuple[int, int]) -> None:
    read, write = os.pipe()
    called: list[int] = []

    def call(own: int, other: int) -> None:
        called.append(own)
        loop.remove(other)

    loop.add(pipe[0], select.EPOLLIN, lambda mask: call(pipe[0], read))
    loop.add(read, select.EPOLLIN, lambda mask: call(read, pipe[0]))
    os.write(pipe[1], b"x")
    os.write(write, b"x")
    assert loop.wait(loop.now() + SOON) == 2
    assert len(called) == 1
    os.close(read)
    os.close(write)


@pytest.mark.filterwarnings("ignore")
def test_a_fault_is_told_and_stays_with_its_descriptor(
    loop: Loop, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: told.append(kind))
    calls = 0

    def fault(mask: int) -> None:
        nonlocal calls
        calls += 1
        raise RuntimeError("a fault")

    loop.add(pipe[0], select.EPOLLIN, fault)
    os.write(pipe[1], b"never read")
    for _ in range(3 * FAULTS_MOST):
        loop.wait(loop.now())
    # Not removed at the first one: what it has to say next may be in order. But it can't spin for ever.
    assert calls == FAULTS_MOST
    assert told == [RuntimeError] * FAULTS_MOST


def test_a_removed_descriptor_starts_anew(loop: Loop, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", lambda *error: None)

    def fault(mask: int) -> None:
        raise RuntimeError("a fault")

    os.write(pipe[1], b"x")
    for _ in range(3):
        loop.add(pipe[0], select.EPOLLIN, fault)
        for _ in range(FAULTS_MOST - 1):
            loop.wait(loop.now())
        loop.remove(pipe[0])
    seen: list[int] = []
    loop.add(pipe[0], select.EPOLLIN, seen.append)
    loop.wait(loop.now() + SOON)
    assert seen


def test_signals_are_taken_once_and_in_order(loop: Loop) -> None:
    for signum in (signal.SIGUSR2, signal.SIGUSR1, signal.SIGUSR2):
        signal.raise_signal(signum)
    loop.wait(loop.now() + SOON)
    assert loop.pop_signals() == [signal.SIGUSR1, signal.SIGUSR2]
    assert loop.pop_signals() == []


def test_a_signal_that_came_before_the_wait_ends_it(loop: Loop) -> None:
    signal.raise_signal(signal.SIGUSR1)
    started = loop.now()
    loop.wait(None)
    loop.wait(started + SOON)  # the pipe that woke the first one is read by now; the signal itself is still there
    assert loop.now() - started < SOON
    assert loop.pop_signals() == [signal.SIGUSR1]


def test_a_full_wake_up_pipe_loses_no_signal(loop: Loop) -> None:
    for _ in range(70_000):  # more than a pipe holds
        signal.raise_signal(signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR2)
    for _ in range(3):
        loop.wait(loop.now())
    assert loop.pop_signals() == [signal.SIGUSR1, signal.SIGUSR2]


def test_a_signal_blocked_before_is_taken(loop: Loop) -> None:
    """What comes while the command line is at work waits for the supervisor."""
    signal.pthread_sigmask(signal.SIG_BLOCK, USED)
    signal.raise_signal(signal.SIGUSR1)
    assert loop.pop_signals() == []
    loop.catch(USED)
    assert loop.pop_signals() == [signal.SIGUSR1]


def test_interrupted_all_the_time_it_neither_ends_early_nor_loses_events(loop: Loop, pipe: tuple[int, int]) -> None:
    """EINTR at a thousand signals a second: every byte arrives, and no wait before its deadline is empty."""
    got = bytearray()
    loop.add(pipe[0], select.EPOLLIN, lambda mask: got.extend(os.read(pipe[0], 1)))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    end = loop.now() + 0.5
    sent = 0
    while loop.now() < end:
        os.write(pipe[1], b"x")
        sent += 1
        deadline = loop.now() + SOON
        while len(got) < sent and loop.now() < deadline:
            loop.wait(deadline)
        assert len(got) == sent
    assert signal.SIGALRM in loop.pop_signals()
    signal.setitimer(signal.ITIMER_REAL, 0)


def test_everything_is_caught_that_would_kill_by_surprise() -> None:
    left = set(signal.valid_signals()) - set(catchable())
    assert left == {
        # can't be caught
        signal.SIGKILL,
        signal.SIGSTOP,
        # job control goes on to work, and its default action ends nobody
        signal.SIGTSTP,
        signal.SIGCONT,
        # faults of the process itself
        signal.SIGSEGV,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        # ignored by the interpreter, so that a closed pipe is an error of the write
        signal.SIGPIPE,
    }
