"""The report of a worker's end: why it died, for how long it lived, and what was lost with it."""

from __future__ import annotations

import os
import signal

import pytest
from corepod.contract.messages import Failed
from corepod.contract.scoreboard import HANDED, IN_FLIGHT, OWED, REQUESTS, TAKEN, TICK
from corepod.supervisor.health.scoreboard import SharedScoreboard
from corepod.supervisor.launch.reaper import as_exit
from corepod.supervisor.pool import exits
from corepod.supervisor.pool.exits import BootReports, ExitReport
from corepod.supervisor.pool.state import Process, Slot, Stage
from corepod.worker.scoreboard import ScoreboardRecord as Writer

from tests.unit.supervisor.pool.system import Journal

KILLED = (os.CLD_KILLED, int(signal.SIGKILL))


class Grave:
    """A worker that was ready at second 100 and died at second 160."""

    def __init__(self) -> None:
        self.scoreboard, self.slot = SharedScoreboard(), Slot(3, None)
        self.process = Process(Stage.ARMED, 1, 90.0)
        self.process.take_place(self.slot, 1, self.scoreboard.acquire(), 0.0, 95.0)
        self.process.serve(0.0, 100.0)
        self.writer = Writer(self.scoreboard.fd)
        self.writer.attach(self.process.record)

    def serve(self, *paths: str) -> None:
        for number, path in enumerate(paths):
            self.writer.words[REQUESTS] += 1
            self.writer.words[IN_FLIGHT] += 1
            self.writer.words[OWED] += 1
            self.writer.begin((150 + number) * 1_000_000_000, "GET", path.encode())

    def report(self, code: int = KILLED[0], status: int = KILLED[1], *, oom: bool = False) -> ExitReport:
        return exits.report(self.process, self.scoreboard, as_exit(code, status, oom=oom), 160.0)


@pytest.fixture
def grave() -> Grave:
    return Grave()


def test_a_signal(grave: Grave) -> None:
    grave.writer.words[REQUESTS] = 12
    report = grave.report()
    assert (report.description, report.reason, report.status) == ("signal SIGKILL", "signal SIGKILL", 137)
    assert report.text == "signal SIGKILL after 60.0 s and 12 requests"
    assert report.lost == 0


def test_messages_that_the_application_had_not_got_are_lost_and_the_next_worker_is_told(grave: Grave) -> None:
    grave.writer.words[TAKEN], grave.writer.words[HANDED] = 12, 5
    report = grave.report()
    assert report.text.endswith("; lost up to 7 message(s) from its slot's inbox")
    grave.slot.forget(grave.process, grave.scoreboard.words(grave.process.record), report.lost, report.unheard)
    assert [grave.slot.confess(), grave.slot.confess()] == [7, 0]
    log = Journal()
    exits.log_retired(log, grave.process, report)
    assert "lost up to 7" in str(vars(log)), "also where it was asked to stop"


def test_what_was_in_flight_is_named_oldest_first(grave: Grave) -> None:
    grave.serve("/users/4711/orders", "/")
    report = grave.report()
    assert report.lost == 2
    assert report.text.endswith("; lost 2 in flight: GET /users/*/orders (10.0 s), GET / (9.0 s)")
    assert "4711" not in report.text


def test_a_crowd_is_counted(grave: Grave) -> None:
    grave.serve(*["/sleep"] * 20)
    report = grave.report()
    assert report.lost == 20
    assert report.text.endswith(" and 17 more")
    assert report.text.count("/sleep") == exits.SHOWN


def test_a_worker_that_was_ready_while_it_was_reaped_has_not_lived_for_less_than_no_time(grave: Grave) -> None:
    report = exits.report(grave.process, grave.scoreboard, as_exit(*KILLED, oom=False), 99.999)
    assert report.text == "signal SIGKILL after 0.0 s and 0 requests"


@pytest.mark.parametrize(("count", "end"), [(3, "GET /c (8.0 s)"), (4, "GET /c (8.0 s) and 1 more")])
def test_three_are_named(grave: Grave, count: int, end: str) -> None:
    grave.serve(*["/a", "/b", "/c", "/d"][:count])
    assert grave.report().text.endswith(end)


def test_what_goes_on_after_its_response_is_not_lost(grave: Grave) -> None:
    grave.writer.words[REQUESTS] = grave.writer.words[IN_FLIGHT] = 1
    report = grave.report()
    assert report.lost == 0
    assert report.text == "signal SIGKILL after 60.0 s and 1 requests"


def test_a_crowd_without_names(grave: Grave) -> None:
    grave.writer.words[OWED] = 20
    assert grave.report().text.endswith("; lost 20 in flight: unnamed")


def test_a_core_dump_is_said_and_counted_as_its_signal(grave: Grave) -> None:
    report = grave.report(os.CLD_DUMPED, signal.SIGSEGV)
    assert (report.description, report.reason) == ("signal SIGSEGV (core dumped)", "signal SIGSEGV")


def test_killed_for_memory(grave: Grave) -> None:
    report = grave.report(oom=True)
    assert (report.description, report.reason) == ("killed for memory (signal SIGKILL)", "oom")


def test_another_death_is_not_blamed_on_memory(grave: Grave) -> None:
    assert grave.report(os.CLD_EXITED, 1, oom=True).reason == "exit code 1"


def test_ended_by_the_supervisor(grave: Grave) -> None:
    grave.process.killed("stuck: blocked without using CPU for 60 s")
    report = grave.report(oom=True)
    assert report.description == "stuck: blocked without using CPU for 60 s (signal SIGKILL)"
    assert report.reason == "stuck"


def test_who_ended_by_itself_at_the_last_moment_is_not_called_killed(grave: Grave) -> None:
    grave.process.killed("it didn't stop in time")
    assert grave.report(os.CLD_EXITED, 0).description == "exit code 0"
    assert grave.report(os.CLD_DUMPED, signal.SIGABRT).reason == "signal SIGABRT"


def test_the_slot_keeps_the_numbers(grave: Grave) -> None:
    grave.serve("/a", "/b")
    grave.writer.words[TICK] = 5
    grave.process.used_cpu(1.5)
    grave.slot.forget(grave.process, grave.scoreboard.words(grave.process.record), grave.report().lost, 0)
    assert grave.slot.totals[REQUESTS] == 2
    assert grave.slot.totals[IN_FLIGHT] == grave.slot.totals[OWED] == grave.slot.totals[TICK] == 0, "they aren't sums"
    assert (grave.slot.lost, grave.slot.cpu_before) == (2, 1.5)
    assert grave.slot.worker is None


@pytest.mark.parametrize(
    ("code", "status", "words", "passed_on"),
    [
        (os.CLD_EXITED, 0, "exit code 0", 0),
        (os.CLD_EXITED, 3, "exit code 3", 3),
        (os.CLD_EXITED, 9, "exit code 9", 9),
        (os.CLD_KILLED, signal.SIGKILL, "signal SIGKILL", 137),
        (os.CLD_DUMPED, signal.SIGSEGV, "signal SIGSEGV (core dumped)", 139),
        (os.CLD_KILLED, signal.SIGRTMIN + 1, f"signal number {signal.SIGRTMIN + 1}", 128 + signal.SIGRTMIN + 1),
    ],
)
def test_the_words_for_an_exit(code: int, status: int, words: str, passed_on: int) -> None:
    end = as_exit(code, status, oom=False)
    assert (end.description, end.status) == (words, passed_on)


def test_a_retired_worker_is_worth_a_warning_only_where_something_went_wrong(grave: Grave) -> None:
    journal = Journal()
    exits.log_retired(journal, grave.process, grave.report(os.CLD_EXITED, 0))
    assert journal.lines == ["info stopped"]
    exits.log_retired(journal, grave.process, grave.report(os.CLD_EXITED, 1))
    grave.process.killed("it didn't stop in time")
    exits.log_retired(journal, grave.process, grave.report())
    assert [line.split()[0] for line in journal.lines] == ["info", "warning", "warning"]
    assert "it didn't stop in time" in journal.lines[-1]


@pytest.mark.parametrize("wrong", ["killed", "lost", "status"])
def test_one_thing_that_went_wrong_is_worth_a_warning(grave: Grave, wrong: str) -> None:
    if wrong == "killed":
        grave.process.killed("it didn't stop in time")
    elif wrong == "lost":
        grave.serve("/a")
    journal = Journal()
    exits.log_retired(journal, grave.process, grave.report(os.CLD_EXITED, 1 if wrong == "status" else 0))
    assert journal.lines[0].startswith("warning ended while it stopped: exit code ")


def test_a_failure_without_a_traceback_makes_none_news() -> None:
    journal = Journal()
    reports, process = BootReports(journal), Process(Stage.LOADING, 1, 0.0)
    for traceback in ("Traceback: here", "", "Traceback: here"):
        process.failed(Failed("exception", "no database", traceback))
        reports.write(process, "exit code 3")
    assert journal.lines == ["error no database\nTraceback: here", "error no database", "error no database"]


def test_a_traceback_is_logged_once_until_a_worker_is_ready() -> None:
    journal = Journal()
    reports, process = BootReports(journal), Process(Stage.LOADING, 1, 0.0)
    assert reports.write(process, "exit code 1") == "died"
    process.failed(Failed("exception", "the application raised ValueError", "Traceback: here"))
    for _ in range(2):
        assert reports.write(process, "exit code 3") == "exception"
    reports.forget()
    reports.write(process, "exit code 3")
    assert [line.count("Traceback") for line in journal.lines] == [0, 1, 0, 1]
    assert journal.has("ended before it was ready: exit code 1")
