"""A worker dies, whatever the way: the next one serves, nobody in the queue notices, and the log says why."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.process.harness import Pool, running
from tests.process.traffic import Queued, Traffic, ask, descriptors, standby, stopped, until_reaped, workers
from tests.procfs import alive, descendants
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., Pool]

PATIENT = ("--crash-budget", "1000/60")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """A pool of one slot that several tests kill workers of."""
    with running("ok:app", "--workers", "1", *PATIENT, log=tmp_path_factory.mktemp("one") / "log") as pool:
        yield pool


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    log = tmp_path_factory.mktemp("two") / "log"
    with running("duties:app", "--workers", "2", "--pin", "never", *PATIENT, log=log) as pool:
        yield pool


def kill(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def test_sixty_kills_under_load(one: Pool) -> None:
    """0 refused, 0 reset in the queue, every restart counted once, nothing left over."""
    one.ready()
    before = one.slot()
    open_before, lines = descriptors(one), one.log.count("died: signal SIGKILL")
    pids = []
    with Traffic(one.port) as traffic:
        for number in range(60):
            pid = one.until_restarts(before["restarts"] + number)["pid"]
            # Held still, it takes nothing more: these three can only be in the queue when it dies.
            with stopped(pid):
                queued = Queued(one.port)
                kill(pid)
                answers = queued.answers()
            assert all(answer.isdigit() and int(answer) != pid for answer in answers), answers
            pids.append(pid)
    after = one.until_restarts(before["restarts"] + 60)
    assert traffic.refused == []
    # What fails was in flight on a worker that died; there are two clients.
    assert len(traffic.failures) <= 2 * 60
    assert len(set(pids)) == 60
    assert after["restarts"] == before["restarts"] + 60
    assert after["reasons"]["signal SIGKILL"] == before["reasons"].get("signal SIGKILL", 0) + 60
    # A worker counts a request after its answer has left: the last ones may still be on their way to the scoreboard.
    served = before["requests"] + traffic.answers.total() + 3 * 60
    until(lambda: one.slot()["requests"] >= served, f"{served} requests counted")
    assert one.log.count("died: signal SIGKILL") == lines + 60
    one.ready()
    # At most: the connection that asked for the status may have counted before.
    until(lambda: descriptors(one) <= open_before, f"no more than {open_before} descriptors")
    until_reaped(one)


def test_a_queue_that_dies_with_its_owner_would_be_seen() -> None:
    """The negative control of the test above: the worker owns the socket, and the queue goes with it."""
    program = (
        "import socket, time; server = socket.create_server(('127.0.0.1', 0)); "
        "print(server.getsockname()[1], flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        queued = Queued(int(process.stdout.readline()))
        process.kill()
        assert not any(answer.isdigit() for answer in queued.answers())


def test_five_in_a_row_and_two_at_once(one: Pool) -> None:
    """Nobody waits for a standby that isn't ready: each next worker is forked for the one that died."""
    before = one.ready().slot()["restarts"]
    for number in range(5):
        pid = int(ask(one.port, "/pid"))
        kill(pid)
        answer = ask(one.port, "/pid")
        assert answer.isdigit(), f"crash {number}: {answer}"
        assert int(answer) != pid
    assert one.until_restarts(before + 5)["restarts"] == before + 5
    assert workers(one) == [one.slot()["pid"]]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/kill?sig=9", "signal SIGKILL"),
        ("/segfault", "signal SIGSEGV"),
        ("/abort", "signal SIGABRT"),
        ("/kill?sig=7", "signal SIGBUS"),
        ("/exit?code=0", "exit code 0"),
        ("/exit?code=3", "exit code 3"),
        ("/exit?code=255", "exit code 255"),
        ("/sys_exit?code=1", "exit code 1"),
        ("/sys_exit?code=0", "exit code 0"),
    ],
)
def test_each_kind_of_death_has_its_name(one: Pool, path: str, reason: str) -> None:
    before = one.ready().slot()
    ask(one.port, path)
    after = one.until_restarts(before["restarts"] + 1)
    assert after["restarts"] == before["restarts"] + 1
    assert after["reasons"][reason] == before["reasons"].get(reason, 0) + 1
    assert after["last_exit"].startswith(reason)
    assert after["pid"] != before["pid"]


def test_a_worker_that_is_told_to_stop_is_replaced(start: Start, tmp_path: Path) -> None:
    """SIGTERM to a worker itself: the slot gets the next one, and it finishes what it serves. Nothing has died."""
    pool = start("duties:app", "--workers", "1").ready()
    pid = pool.slot()["pid"]
    request = Queued(pool.port, 1, f"/until?path={tmp_path}/go")
    until(lambda: pool.slot()["in_flight"] == 1, "a request in flight")
    os.kill(pid, signal.SIGTERM)
    until(lambda: pool.slot()["pid"] != pid and pool.slot()["state"] == "ready", "the next worker")
    (tmp_path / "go").touch()
    assert request.answers() == [str(pid)]
    assert pool.slot()["restarts"] == 0
    assert pool.slot()["replaced"] == {"asked": 1}


def test_worker_and_standby_die_together(one: Pool) -> None:
    """The slot has lost one worker, and never has two."""
    for _ in range(4):
        spare, before = standby(one), one.slot()
        most, watched = [0], threading.Event()

        def watch(most: list[int] = most, watched: threading.Event = watched) -> None:
            while not watched.wait(0.001):
                # The first may have died, and its successor have got its name, while the others were looked at.
                most[0] = max(most[0], sum(map(alive, workers(one))))

        watcher = threading.Thread(target=watch)
        watcher.start()
        with contextlib.ExitStack() as stack:
            stack.callback(watcher.join)
            stack.callback(watched.set)
            kill(spare, before["pid"])  # in this order: the other way round it might have taken the place in between
            assert ask(one.port, "/pid").isdigit()
            after = one.until_restarts(before["restarts"] + 1)
            one.ready()
        assert after["restarts"] == before["restarts"] + 1
        assert after["pid"] not in (before["pid"], spare)
        assert most[0] == 1


def test_the_template_dies(one: Pool) -> None:
    """The worker goes on, the template is made again, and the next crash is as quick as ever."""
    pid, template = one.ready().slot()["pid"], one.status()["template"]["pid"]
    kill(template)
    until(lambda: one.status()["template"]["pid"] not in (None, template), "a new template")
    assert int(ask(one.port, "/pid")) == pid
    assert f"pid {template}] the template is gone (signal SIGKILL)" in one.log
    restarts = one.ready().slot()["restarts"]
    kill(pid)
    assert ask(one.port, "/pid").isdigit()
    assert one.until_restarts(restarts + 1)["pid"] != pid


def test_everybody_dies_at_once(one: Pool) -> None:
    """Template, standby and worker: there is nothing left to fork, so the application is loaded anew."""
    spare, before = standby(one), one.slot()
    kill(one.status()["template"]["pid"], spare, before["pid"])
    assert ask(one.port, "/pid").isdigit()
    assert one.until_restarts(before["restarts"] + 1)["restarts"] == before["restarts"] + 1


def test_the_standby_dies_while_it_is_activated(one: Pool) -> None:
    """It never took the place, so the slot has lost one worker and not two."""
    spare, before = standby(one), one.slot()
    with stopped(spare):
        kill(before["pid"])
        until(lambda: one.slot()["pid"] == spare, "the standby in the slot")
        queued = Queued(one.port)
        kill(spare)
    assert all(answer.isdigit() for answer in queued.answers())
    after = one.until_restarts(before["restarts"] + 1)
    assert after["restarts"] == before["restarts"] + 1
    assert f"pid {spare}] the standby ended before it could take its place: signal SIGKILL" in one.log


def test_the_standby_dies_alone(start: Start) -> None:
    pool = start("ok:app", "--workers", "1")
    spare, before = standby(pool), pool.slot()
    kill(spare)
    pool.until_log(f"pid {spare}] the standby is gone (signal SIGKILL) and another one is started")
    assert standby(pool) != spare
    assert (pool.slot()["pid"], pool.slot()["restarts"]) == (before["pid"], 0)


# Several slots


def test_a_crash_hurts_nobody_else(two: Pool, tmp_path: Path) -> None:
    """The other slot's request, accepted before the crash, is answered after it."""
    two.ready()
    request = Queued(two.port, 1, f"/until?path={tmp_path}/go")
    busy = until(lambda: [s for s in two.status()["slots"] if s["in_flight"]], "a request in flight")[0]
    other = next(slot for slot in two.status()["slots"] if slot["slot"] != busy["slot"])
    kill(other["pid"])
    assert ask(two.port, "/pid").isdigit()
    two.until_restarts(other["restarts"] + 1, other["slot"])
    (tmp_path / "go").touch()
    assert request.answers() == [str(busy["pid"])]
    assert two.slot(busy["slot"])["restarts"] == busy["restarts"]


def test_both_slots_die_in_the_same_moment(two: Pool) -> None:
    two.ready()
    before = two.status()["slots"]
    kill(*(slot["pid"] for slot in before))
    assert all(answer.isdigit() for answer in Queued(two.port, 6).answers())
    for slot in before:
        assert two.until_restarts(slot["restarts"] + 1, slot["slot"])["restarts"] == slot["restarts"] + 1
    two.ready()
    assert sorted(workers(two)) == sorted(slot["pid"] for slot in two.status()["slots"])


def test_a_failed_slot_is_shown_and_the_others_go_on(start: Start) -> None:
    """A reload gives it another chance."""
    pool = start("ok:app", "--workers", "2", "--pin", "never", "--crash-budget", "1/60").ready()
    for restarts in (1, 2):
        kill(pool.slot(1)["pid"])
        pool.until_log("deaths in 60 s, and the crash budget allows 1" if restarts == 2 else "death 1 of 1")
        until(lambda: pool.slot(1)["state"] in ("ready", "failed"), "the next state")
    failed = pool.slot(1)
    assert failed["state"] == "failed"
    assert failed["pid"] is None
    assert failed["why"] == "2 deaths in 60 s, and the crash budget allows 1"
    assert "slot 1 is given up: 2 deaths in 60 s, and the crash budget allows 1" in pool.log
    assert pool.admin("/readyz").status_code == 200
    assert ask(pool.port, "/pid") == str(pool.slot(0)["pid"])
    pool.signal(signal.SIGHUP)
    pool.until_log("reload: done")
    assert [slot["state"] for slot in pool.ready().status()["slots"]] == ["ready", "ready"]
    assert pool.slot(1)["restarts"] == 2


# Budget and back-off


@pytest.mark.parametrize(("flags", "code"), [((), 5), (("--exit-code", "worker"), 7)])
def test_a_crash_at_every_start_ends_the_pool(start: Start, flags: tuple[str, ...], code: int) -> None:
    """With one line for each death, and two for the end."""
    pool = start("crash_at_start:app", "--workers", "1", *flags, env={"CRASH_CODE": "7"})
    assert pool.wait(2 * DEADLINE) == code
    assert pool.log.count("died: exit code 7") == 6
    assert "slot 0 is given up: 6 deaths in 60 s, and the crash budget allows 5" in pool.log
    # On a busy machine there are warnings and stacks of starts that take long, too.
    assert pool.log.count(" ERROR ") == 6 + 2, pool.log


def test_without_a_budget_the_pauses_grow_and_end(start: Start, tmp_path: os.PathLike[str]) -> None:
    flag = os.path.join(tmp_path, "broken")
    pool = start("crash_at_start:app", "--workers", "1", "--crash-budget", "0", env={"CRASH_WHILE": flag}).ready()
    with open(flag, "w"):
        pass
    kill(pool.slot()["pid"])
    pool.until_log("; restarting in", 2)
    slot = until(lambda: (s := pool.slot())["state"] == "backoff" and s, "the state backoff")
    assert slot["pid"] is None
    assert pool.admin("/readyz").status_code == 503
    assert pool.admin("/livez").status_code == 200
    os.unlink(flag)
    pauses = [float(pause) for pause in re.findall(r"restarting in ([\d.]+) s", pool.log)]
    assert pauses == sorted(pauses)
    # The first death of a row restarts at once, however many follow.
    assert re.search(r"died: signal SIGKILL.*; restarting\n", pool.log)
    assert pool.until_restarts(2)["state"] == "ready"


# What it says


def test_the_line_of_a_death(start: Start) -> None:
    """One line: why, how long, what was lost, as shapes and never as names, numbers, tokens or queries."""
    pool = start("any_path:app", "--workers", "1", "--pin", "always").ready()
    pid = pool.slot()["pid"]
    paths = ["/users/1234567890123/orders?s=60&token=secret", "/reset/abcdefghijklmnopqrstuvwxyz123456?s=60"]
    lost = [Queued(pool.port, 1, path) for path in paths]
    until(lambda: pool.slot()["in_flight"] == 2, "both in flight")
    kill(pid)
    assert not any(answer.isdigit() for request in lost for answer in request.answers())
    slot = pool.until_restarts(1)
    assert slot["lost"] == 2
    assert slot["in_flight"] == 0
    (line,) = (line for line in pool.log.splitlines() if "died:" in line)
    seconds = r"\(\d+\.\d s\)"
    assert re.search(
        rf"worker 1 slot 0 core \d+ pid {pid}\] died: signal SIGKILL after \d+\.\d s and 2 requests; "
        rf"lost 2 in flight: GET /users/\*/orders {seconds}, GET /reset/\* {seconds}; "
        r"restarting \(death 1 of 5 in 60 s\)$",
        line,
    ), line
    assert not re.search("1234567890123|secret|token|abcdef", pool.log)


def test_random_numbers_are_not_those_of_the_worker_before(one: Pool) -> None:
    """Forked from one template, and yet each its own."""
    seen = []
    for _ in range(3):
        seen.append(one.get("/random").json())
        pid, restarts = one.slot()["pid"], one.slot()["restarts"]
        kill(pid)
        one.until_restarts(restarts + 1)
    for source in ("random", "uuid4", "secrets", "tempfile", "ssl"):
        assert len({answer[source] for answer in seen}) == 3, source


# Applications that do what they shouldn't


def test_an_application_that_closes_foreign_descriptors(start: Start) -> None:
    """A worker without its control socket can't be told to stop: it is ended, with a line that says why."""
    pool = start("loses_control:app", "--workers", "1").ready()
    pid = pool.slot()["pid"]
    ask(pool.port, "/lose")
    slot = pool.until_restarts(1)
    assert "control closed: the application closes descriptors that aren't its own" in slot["last_exit"]
    assert slot["reasons"] == {"control closed": 1}
    assert slot["pid"] != pid


def test_a_fork_that_the_system_refuses_is_asked_for_again(start: Start, tmp_path: Path) -> None:
    """The worker goes on, and forks come back when they can: nothing is given up for good."""
    flag = tmp_path / "refuse"
    pool = start("no_fork:app", "--workers", "1", "--preload", "application", env={"REFUSE_TWICE": str(flag)}).ready()
    template, spare = pool.status()["template"]["pid"], standby(pool)
    flag.touch()
    kill(spare)
    pool.until_log("can't start a process: Resource temporarily unavailable; trying again")
    assert ask(pool.port, "/pid") == str(pool.slot()["pid"])
    status = pool.ready().status()
    assert not flag.exists()
    assert (status["mode"], status["template"]["pid"]) == ("fork", template)
    assert pool.log.count("can't start a process") == 2


def test_forks_that_are_not_handed_to_the_supervisor_are_executed_instead(start: Start) -> None:
    """It couldn't reap them, and a pid that it can't wait for may be anybody's a moment later."""
    pool = start("subreaper:app", "--workers", "1", "--lame-duck", "0", "--preload", "application").ready()
    assert pool.status()["mode"] == "spawn"
    assert "isn't a child of the supervisor and can't become a worker" in pool.log
    kill(pool.slot()["pid"])
    pool.until_restarts(1)
    assert pool.stop() == 0


def test_what_dies_in_a_fork_is_executed_instead(start: Start) -> None:
    """No circle of forks: after three the application is loaded once for each worker."""
    pool = start("dies_after_fork:app", "--workers", "1", "--preload", "application").ready()
    assert pool.status()["mode"] == "spawn"
    assert "not forked: 3 forks in a row didn't get ready" in pool.log
    kill(pool.slot()["pid"])
    assert ask(pool.port, "/pid").isdigit()
    assert pool.until_restarts(1)["restarts"] == 1
    assert pool.log.count("forks in a row didn't get ready") == 1


def test_nothing_is_left_when_it_stops(start: Start) -> None:
    pool = start("ok:app", "--workers", "1").ready()
    until(lambda: len(descendants(pool.process.pid)) == 3, "template, worker, standby")
    family = descendants(pool.process.pid)
    kill(pool.slot()["pid"])
    assert pool.stop() == 0
    assert not any(alive(pid) for pid in family)


def test_live_gauges_of_prometheus_do_not_count_the_dead(start: Start, tmp_path: Path) -> None:
    """After a crash, a reload, a slot less, and an end of the whole pool without any order. Counters begin anew with
    the next pool. The folder, named in the env file, is made."""
    (tmp_path / "env").write_text(f"PROMETHEUS_MULTIPROC_DIR={tmp_path}/a/b\n")
    usual = ("--workers", "2", "--pin", "never", "--crash-budget", "1000/60", "--keep-alive", "0.2")
    flags = (*usual, "--env-file", str(tmp_path / "env"))
    pool = start("live_gauges:app", *flags).ready()
    assert pool.get("/alive").json()[0] == 2
    pool.kill_worker()
    # With its standby: prometheus_client can't read the file of a process that is just making it.
    assert pool.ready().get("/alive").json()[0] == 2
    pool.signal(signal.SIGHUP)
    pool.until_log("reload: done")
    until(lambda: pool.ready().get("/alive").json()[0] == 2, "the old workers gone")
    pool.signal(signal.SIGTTOU)
    until(lambda: pool.get("/alive").json()[0] == 1, "one worker")
    asked = pool.get("/alive").json()[1]
    assert asked >= 4
    family = pool.family()
    os.kill(pool.supervisor, signal.SIGKILL)
    pool.wait()
    until(lambda: not any(map(alive, family)), "everybody gone")
    again = start("live_gauges:app", *flags).ready()
    assert again.get("/alive").json() == [2, 1]
