"""The report of a death: why, for how long it lived, and what was lost with it."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest
from corepod.contract.scoreboard import IN_FLIGHT, REQUESTS
from corepod.supervisor import obituary
from corepod.supervisor.board import Board
from corepod.supervisor.process import Process, Stage
from corepod.supervisor.slot import Slot
from corepod.worker.scoreboard import ScoreboardRecord as Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

KILLED = (os.CLD_KILLED, signal.SIGKILL)


class Grave:
    """A worker that was ready at second 100 and died at second 160."""

    def __init__(self) -> None:
        ours, self.theirs = socket.socketpair()
        self.board, self.slot = Board(), Slot(3, None)
        self.process = Process(Stage.SERVING, 1, ours, 100.0)
        self.process.record = self.board.take()
        self.writer = Writer(self.board.fd)
        self.writer.attach(self.process.record)

    def serve(self, *paths: str) -> None:
        for number, path in enumerate(paths):
            self.writer.words[REQUESTS] += 1
            self.writer.words[IN_FLIGHT] += 1
            self.writer.begin((150 + number) * 1_000_000_000, "GET", path.encode())

    def report(self, code: int = KILLED[0], status: int = KILLED[1], *, oom: bool = False) -> obituary.Report:
        return obituary.write(self.process, self.board, code, status, oom=oom, now=160.0)


@pytest.fixture
def grave() -> Iterator[Grave]:
    grave = Grave()
    yield grave
    grave.theirs.close()
    assert grave.process.control is not None
    grave.process.control.close()


def test_a_signal(grave: Grave) -> None:
    grave.writer.words[REQUESTS] = 12
    report = grave.report()
    assert (report.words, report.reason, report.status) == ("signal SIGKILL", "signal SIGKILL", 137)
    assert report.text == "signal SIGKILL after 60.0 s and 12 requests"
    assert report.lost == 0


def test_what_was_in_flight_is_named_oldest_first(grave: Grave) -> None:
    grave.serve("/users/4711/orders", "/")
    report = grave.report()
    assert report.lost == 2
    assert report.lost_text == "; lost 2 in flight: GET /users/*/orders (10.0 s), GET / (9.0 s)"
    assert "4711" not in report.text


def test_a_crowd_is_counted(grave: Grave) -> None:
    grave.serve(*["/sleep"] * 20)
    report = grave.report()
    assert report.lost == 20
    assert report.lost_text.endswith(" and 17 more")
    assert report.lost_text.count("/sleep") == obituary.SHOWN


def test_a_core_dump_is_said_and_counted_as_its_signal(grave: Grave) -> None:
    report = grave.report(os.CLD_DUMPED, signal.SIGSEGV)
    assert (report.words, report.reason) == ("signal SIGSEGV (core dumped)", "signal SIGSEGV")


def test_killed_for_memory(grave: Grave) -> None:
    report = grave.report(oom=True)
    assert (report.words, report.reason) == ("killed for memory (signal SIGKILL)", "oom")


def test_another_death_is_not_blamed_on_memory(grave: Grave) -> None:
    assert grave.report(os.CLD_EXITED, 1, oom=True).reason == "exit code 1"


def test_ended_by_the_supervisor(grave: Grave) -> None:
    grave.process.end("stuck: blocked without using CPU for 60 s")
    report = grave.report(oom=True)
    assert report.words == "stuck: blocked without using CPU for 60 s (signal SIGKILL)"
    assert report.reason == "stuck"


def test_who_ended_by_itself_at_the_last_moment_is_not_called_killed(grave: Grave) -> None:
    grave.process.end("it didn't stop in time")
    assert grave.report(os.CLD_EXITED, 0).words == "exit code 0"
    assert grave.report(os.CLD_DUMPED, signal.SIGABRT).reason == "signal SIGABRT"


def test_the_slot_keeps_the_numbers(grave: Grave) -> None:
    grave.serve("/a", "/b")
    grave.process.cpu_seen = 1.5
    record = grave.process.record
    obituary.settle(grave.process, grave.slot, grave.board, grave.report())
    assert grave.slot.totals[REQUESTS] == 2
    assert grave.slot.totals[IN_FLIGHT] == 0
    assert (grave.slot.lost, grave.slot.cpu_before) == (2, 1.5)
    assert grave.board.take() == record
