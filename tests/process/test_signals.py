"""Every signal that the supervisor may be sent, at any moment, in any number; and what its children inherit of it."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.stacks import STACKS_SIGNAL, STALL_SIGNAL

from tests import procfs
from tests.process.container import Container
from tests.process.harness import Pool
from tests.process.inplace import in_place_of_supervisor
from tests.process.traffic import standby
from tests.procfs import alive, comm, descendants
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., Pool]

QUICK = ("--workers", "1", "--lame-duck", "0", "--crash-budget", "1000/60")
KINDS = [pytest.param(Container, id="as PID 1", marks=pytest.mark.root), pytest.param(Pool, id="as a process")]

FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
JOB_CONTROL = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGCONT}
SILENT = {signal.SIGCHLD, signal.SIGWINCH, signal.SIGURG, signal.SIGPIPE}
WITH_ACTION = {
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTTIN,
    signal.SIGTTOU,
}
IGNORED = sorted(signal.valid_signals() - FAULTS - JOB_CONTROL - SILENT - WITH_ACTION - {signal.SIGKILL})


def settled(pool: Pool) -> dict[str, Any]:
    """The slot, when no reload is under way."""

    # One that was asked for meanwhile begins when the one before is done: look more than once.
    until(lambda: not any(pool.status()["reloading"] for _ in range(3)), "every reload done")
    pool.ready()
    return pool.slot()


@pytest.fixture(scope="module", params=KINDS)
def pool(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    made = request.param("duties:app", *QUICK, "--pin", "never", log=tmp_path_factory.mktemp("pool") / "log")
    try:
        yield made.ready()
    finally:
        made.close()


# The documented action of each signal


def test_what_means_nothing_is_ignored_with_a_line(pool: Pool) -> None:
    slot = pool.ready().slot()
    assert len(IGNORED) > 30
    for signum in [*IGNORED, *IGNORED]:
        pool.signal(signum)
        pool.until_log(f"{_name(signum)} is ignored: it means nothing to the supervisor")
    for signum in SILENT:
        pool.signal(signum)
    assert (pool.slot()["pid"], pool.slot()["restarts"]) == (slot["pid"], slot["restarts"])
    assert pool.log.count("means nothing") == len(IGNORED)  # once each, however often they come


def _name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"


def test_faults_sent_to_pid_1_are_ignored(pool: Pool) -> None:
    if not isinstance(pool, Container):
        pytest.skip("they end an ordinary process, as everywhere")
    for signum in FAULTS:
        pool.signal(signum)
    assert pool.get("/pid").status_code == 200


def test_stop_and_continue(pool: Pool) -> None:
    pid = pool.slot()["pid"]
    pool.signal(signal.SIGSTOP)
    assert pool.get("/pid").json() == pid  # workers need no supervisor to serve
    pool.signal(signal.SIGCONT)
    assert pool.slot()["pid"] == pid


def test_usr1_dumps_the_stacks_of_every_worker(pool: Pool, tmp_path: Path) -> None:
    slow = threading.Thread(target=pool.get, args=(f"/block_until?path={tmp_path}/go",))
    before = len(pool.log)
    slow.start()
    try:
        until(lambda: pool.slot()["in_flight"] == 1, "a request in flight")
        pool.signal(signal.SIGUSR1)
        # In more than one entry of the log, where the worker is held up while it writes them.
        until(lambda: "in block_until" in pool.log[before:], "the stacks")
    finally:
        (tmp_path / "go").touch()
        slow.join()
    stacks = pool.log[before:]
    assert "most recent call first" in stacks
    number = pool.slot()["worker"]
    assert f"[worker {number} slot 0 pid {pool.slot()['pid']}] stacks:" in stacks


def test_ttin_and_ttou_are_one_slot_more_and_less(pool: Pool) -> None:
    pool.signal(signal.SIGTTIN)
    until(lambda: len(pool.status()["slots"]) == 2, "two slots")
    pool.ready()
    pool.signal(signal.SIGTTOU)
    until(lambda: len(pool.status()["slots"]) == 1, "one slot")
    pool.signal(signal.SIGTTOU)
    pool.until_log("a pool has 1 to 512 slots; now 1, and 0 are asked for")
    pool.ready()


def test_hup_reloads(pool: Pool) -> None:
    pid, done = pool.ready().slot()["pid"], pool.log.count("reload: done")
    pool.signal(signal.SIGHUP)
    until(lambda: pool.log.count("reload: done") > done, "the reload done")
    assert settled(pool)["pid"] != pid


def test_thousands_of_signals_a_second(pool: Pool) -> None:
    restarts = pool.ready().slot()["restarts"]
    mixed = itertools.cycle((signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1))
    end, sent = time.monotonic() + 1, 0
    while time.monotonic() < end or sent <= 1000:
        for signum in itertools.islice(mixed, 30):
            pool.signal(signum)
        sent += 30
        time.sleep(0)
    assert pool.get("/pid").status_code == 200
    os.kill(pool.outside(settled(pool)["pid"]), signal.SIGKILL)
    assert pool.until_restarts(restarts + 1)["restarts"] == restarts + 1


def test_interrupted_all_the_time_no_event_is_lost(pool: Pool) -> None:
    """EINTR in every wait, accept, read and write."""
    restarts = settled(pool)["restarts"]
    over = threading.Event()

    def interrupt() -> None:
        while not over.wait(0.001):
            with suppress(ProcessLookupError):
                pool.signal(signal.SIGALRM)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        for number in range(1, 6):
            os.kill(pool.outside(pool.slot()["pid"]), signal.SIGKILL)
            assert pool.until_restarts(restarts + number)["restarts"] == restarts + number
            assert pool.get("/pid").status_code == 200
    finally:
        over.set()
        thread.join()


# A stop is possible at every moment of a pool's life


@pytest.mark.parametrize("kind", KINDS)
def test_asked_to_stop_while_the_command_line_is_at_work(start: Start, kind: type[Pool], tmp_path: Path) -> None:
    """It is held up by a file of settings; the request waits for the supervisor."""
    fifo = tmp_path / "settings"
    os.mkfifo(fifo)
    pool = start("ok:app", *QUICK, "--env-file", str(fifo), kind=kind)

    def opened() -> int | None:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return None  # nobody reads yet

    writer = until(opened, "the command line reads the file")
    assert writer is not None
    pool.signal(signal.SIGTERM)
    os.close(writer)
    assert pool.wait() == 0, pool.log
    assert "SIGTERM: draining" in pool.log
    assert "ready" not in pool.log


@pytest.mark.parametrize("kind", KINDS)
def test_asked_to_stop_as_soon_as_it_can_hear(start: Start, kind: type[Pool]) -> None:
    """Before the supervisor is there the command line keeps the request for it."""
    for delay in (0.0, 0.05, 0.15):
        pool = start("ok:app", *QUICK, "--lame-duck", "20", kind=kind)
        supervisor = pool.supervisor
        until(lambda pid=supervisor: _hears(pid, signal.SIGTERM), "TERM blocked or handled")  # type: ignore[misc]
        time.sleep(delay)
        pool.signal(signal.SIGTERM)
        assert pool.wait() == 0, pool.log
        assert "Traceback" not in pool.log


def _hears(pid: int, signum: int) -> bool:
    if comm(pid) == "unshare":  # it blocks TERM itself, and forgets it
        return False
    return any(signum in procfs.signals(pid, mask) for mask in ("SigBlk", "SigCgt"))


def test_asked_to_stop_at_any_moment_of_the_start(start: Start) -> None:
    """Right after exec, while the application is loaded, forked, started: one clean shutdown. Only in its first
    moments, before anything is there to clean up, the command line may die of it."""
    for step in range(10):
        pool = start("ok:app", *QUICK)
        time.sleep(step * 0.06)
        pool.signal(signal.SIGTERM)
        code = pool.wait()
        assert code == 0 or (code == -signal.SIGTERM and not pool.log), (step, code, pool.log)
        assert pool.log.count("stopped\n") - pool.log.count("] stopped\n") == (1 if pool.log else 0)
        assert "Traceback" not in pool.log


def test_asked_to_stop_while_it_forks(start: Start) -> None:
    for pause in (0.0, 0.003, 0.006, 0.012):
        pool = start("ok:app", *QUICK).ready()
        family = pool.family()
        for pid in (standby(pool), pool.slot()["pid"]):
            os.kill(pid, signal.SIGKILL)
        time.sleep(pause)
        family += descendants(pool.process.pid)
        assert pool.stop() == 0
        until(lambda family=family: not any(map(alive, family)), "everybody gone")  # type: ignore[misc]
        assert "left behind" not in pool.log


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGINT])
def test_asked_twice_it_stops_at_once(start: Start, kind: type[Pool], again: signal.Signals) -> None:
    pool = start("ok:app", *QUICK, "--stop-timeout", "1000", "--lame-duck", "500", kind=kind).ready()
    client = threading.Thread(target=lambda: _give_up(pool, "/sleep?s=1000"))
    client.start()
    until(lambda: pool.slot()["in_flight"] == 1, "a request in flight")
    pool.signal(signal.SIGTERM)
    pool.until_log("SIGTERM: draining")

    def taken() -> bool:
        with suppress(ProcessLookupError):  # it may be gone by now
            pool.signal(again)
        return f"{again.name} again: stopping at once" in pool.log

    until(taken, "taken as a second one")
    assert pool.wait() == 0
    client.join(DEADLINE)
    assert not client.is_alive()


# A supervisor that the machine keeps waiting sees signals apart that were sent together.
LONG_ECHO = """
from corepod.supervisor import stop
stop.ECHO = 60.0
from corepod.supervisor.main import main
sys.exit(main())
"""


def test_a_term_that_comes_twice_as_timeout_sends_it_is_one(start: Start, tmp_path: Path) -> None:
    pool = start("duties:app", *QUICK, prefix=in_place_of_supervisor(LONG_ECHO)).ready()
    answers: list[int] = []
    client = threading.Thread(target=lambda: answers.append(pool.get(f"/until?path={tmp_path}/go").status_code))
    client.start()
    until(lambda: pool.slot()["in_flight"] == 1, "a request in flight")
    for _ in range(3):
        pool.signal(signal.SIGTERM)
    pool.until_log("SIGTERM: draining")
    (tmp_path / "go").touch()
    assert pool.wait() == 0
    client.join(DEADLINE)
    assert answers == [200]
    assert "again" not in pool.log


def _give_up(pool: Pool, path: str) -> None:
    with suppress(Exception):
        pool.get(path)


def test_other_signals_do_not_disturb_a_drain(start: Start, tmp_path: Path) -> None:
    pool = start("duties:app", *QUICK).ready()
    answers: list[int] = []
    client = threading.Thread(target=lambda: answers.append(pool.get(f"/until?path={tmp_path}/go").status_code))
    client.start()
    until(lambda: pool.slot()["in_flight"] == 1, "a request in flight")
    pool.signal(signal.SIGTERM)
    pool.until_log("SIGTERM: draining")
    for signum in (signal.SIGHUP, signal.SIGUSR1, signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR2):
        pool.signal(signum)
    (tmp_path / "go").touch()
    assert pool.wait() == 0
    client.join(DEADLINE)
    assert answers == [200]


CLEAN = """
from pathlib import Path
lines = Path("/proc/self/status").read_text().splitlines()
import json
print(json.dumps({line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("SigBlk", "SigIgn"))}))
"""
# The tests themselves may have a careless parent: nohup ignores HUP, and what is ignored is inherited.
FRESH = (
    sys.executable,
    "-c",
    "import os, signal, sys\n"
    "for s in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, 32, 33}: signal.signal(s, signal.SIG_DFL)\n"
    "signal.pthread_sigmask(signal.SIG_SETMASK, ())\n"
    "os.execv(sys.argv[1], sys.argv[1:])",
)
# What a careless parent leaves: an ignored SIGCHLD would hide every death, a blocked one too.
DIRTY = (
    sys.executable,
    "-c",
    "import os, signal, sys\n"
    "for s in (signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR2): signal.signal(s, signal.SIG_IGN)\n"
    "signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD, signal.SIGINT, signal.SIGUSR1, 40))\n"
    "os.execv(sys.argv[1], sys.argv[1:])",
)
SERVING = {  # caught by a worker: what asks it to stop, what asks for its stacks, and the faults that show them
    *(signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, STACKS_SIGNAL, STALL_SIGNAL),
    *(signal.SIGSEGV, signal.SIGFPE, signal.SIGABRT, signal.SIGBUS, signal.SIGILL),
}


@pytest.mark.parametrize("prefix", [(), DIRTY], ids=["clean", "dirty"])
def test_children_start_with_the_signals_of_a_clean_process(start: Start, prefix: tuple[str, ...]) -> None:
    pool = start("ok:app", *QUICK, prefix=prefix).ready()
    clean = json.loads(subprocess.check_output([*FRESH, sys.executable, "-c", CLEAN]))
    os.kill(pool.slot()["pid"], signal.SIGKILL)
    pool.until_restarts(1)
    pool.ready()
    worker = pool.get("/signals").json()
    assert {name: _numbers(worker[name]) for name in clean} == {name: _numbers(mask) for name, mask in clean.items()}
    assert _numbers(worker["SigCgt"]) == SERVING
    grandchild = _signals(int(pool.get("/spawn?s=60").text))
    assert grandchild == {"SigBlk": set(), "SigIgn": set(), "SigCgt": set()}
    # While it forks, the C library blocks every signal in the template.
    until(lambda: len(_ours(pool)) == 3, "template, worker and standby alone")
    for pid in _ours(pool):
        assert _signals(pid)["SigBlk"] == set()
    assert _signals(pool.supervisor)["SigBlk"] == set()
    assert pool.stop() == 0


def _ours(pool: Pool) -> list[int]:
    return [pid for pid in descendants(pool.process.pid) if comm(pid).startswith("corepod")]


def _signals(pid: int) -> dict[str, set[int]]:
    return {mask: procfs.signals(pid, mask) for mask in ("SigBlk", "SigIgn", "SigCgt")}


def _numbers(mask: str) -> set[int]:
    # 32 and 33 are the C library's own for its threads; it ignores them in what it spawns.
    return {bit + 1 for bit in range(64) if int(mask, 16) >> bit & 1} - {32, 33}
