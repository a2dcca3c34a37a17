"""HUP: new code takes over slot by slot and no request fails; new code that is broken changes nothing. TTIN, TTOU."""

from __future__ import annotations

import os
import signal
import textwrap
from typing import TYPE_CHECKING

import pytest

from tests.process.harness import APPS
from tests.process.test_standby import Diary
from tests.process.traffic import Queued, Traffic, ask, standby, workers
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

SOURCE = """
import asyncio, os, sys, time
import ok
{at_import}

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        {in_lifespan}
        await ok.lifespan(scope, receive, send)
    elif scope["path"] == "/version":
        await ok.answer(send, {version})
    else:
        await ok.app(scope, receive, send)
"""
GIVEN_UP = "reload aborted: "


class Code:
    """The module `served`, which is rewritten while its pool runs."""

    def __init__(self, folder: Path, start: Start) -> None:
        self._folder, self._start = folder, start
        self.diary = Diary(folder)
        self.write(1)

    def write(self, version: int, at_import: str = "", in_lifespan: str = "pass") -> None:
        text = SOURCE.format(version=version, at_import=textwrap.dedent(at_import), in_lifespan=in_lifespan)
        half = self._folder / "half_written"
        half.write_text(text)
        half.rename(self._folder / "served.py")  # somebody may be importing it

    def run(self, *args: str, workers: int = 1) -> Pool:
        return self.start(*args, workers=workers).ready()

    def start(self, *args: str, workers: int = 1) -> Pool:
        # Two versions of one length written in one second have the same stamp: Python would take the old bytecode.
        env = {"PYTHONPATH": str(APPS), "PYTHONDONTWRITEBYTECODE": "1", **self.diary.env}
        flags = ("--chdir", str(self._folder), "--workers", str(workers), "--pin", "never")
        return self._start("served:app", *flags, *args, env=env)


@pytest.fixture
def code(tmp_path: Path, start: Start) -> Code:
    return Code(tmp_path, start)


def versions(pool: Pool) -> set[str]:
    """What every slot serves: as many questions as it takes."""
    # One that is to retire may accept until it has been scheduled.
    until(lambda: set(workers(pool)) == in_slots(pool), "nobody but those in the slots")
    seen, found = set(), set()

    def asked() -> bool:
        seen.add(int(ask(pool.port, "/pid")))
        found.add(ask(pool.port, "/version"))
        return seen >= in_slots(pool)  # another reload may still change them

    until(asked, "an answer of every slot")
    return found


def in_slots(pool: Pool) -> set[int]:
    return {slot["pid"] for slot in pool.status()["slots"]}


def incoming(pool: Pool) -> int:
    """The pid of the worker that starts beside the one in the slot."""

    def beside() -> int | None:
        known = in_slots(pool)
        new = set(workers(pool)) - known
        return new.pop() if len(new) == 1 else None

    found = until(beside, "a worker beside the old one")
    assert found is not None
    return found


# New code


def test_no_request_fails_in_a_reload(code: Code) -> None:
    """Under load on new and on kept connections, twice, then only the newest code answers."""
    pool = code.run(workers=2)
    before = pool.status()["slots"]
    with Traffic(pool.port, "/version") as new, Traffic(pool.port, "/version", keep_alive=True) as kept:
        for version in (2, 3):
            code.write(version)
            pool.signal(signal.SIGHUP)
            pool.until_log("reload: done", version - 1)
            new.more(20)
            kept.more(20)
        assert versions(pool) == {"3"}
    assert new.failures == []
    assert kept.failures == []
    assert set(new.answers) == set(kept.answers) == {"1", "2", "3"}
    after = pool.ready().status()["slots"]
    assert not {slot["pid"] for slot in before} & {slot["pid"] for slot in after}
    assert [slot["restarts"] for slot in after] == [0, 0]
    assert sum(slot["requests"] for slot in after) >= new.answers.total() + kept.answers.total()
    assert sum(slot["lost"] for slot in after) == 0


def test_without_overlap_one_lifespan_ends_before_the_next_begins(code: Code) -> None:
    """The queue keeps what comes meanwhile: no request fails here either."""
    pool = code.run("--no-overlap", "--keep-alive", "0.2")
    code.write(2)
    with Traffic(pool.port, "/version") as traffic:
        pool.signal(signal.SIGHUP)
        pool.until_log("reload: done")
        traffic.more(20)
    assert traffic.failures == []
    assert versions(pool) == {"2"}
    assert [what for what, _ in code.diary.events] == ["startup", "shutdown", "startup"]


@pytest.mark.parametrize("mode", ["none", "live"])
def test_every_kind_of_standby_reloads(code: Code, mode: str) -> None:
    pool = code.run("--standby", mode)
    code.write(2)
    pool.signal(signal.SIGHUP)
    pool.until_log("reload: done")
    assert versions(pool.ready()) == {"2"}


def test_what_may_not_be_forked_reloads(code: Code) -> None:
    thread = "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()"
    code.write(1, thread)
    pool = code.run("--no-overlap", "--standby", "none", "--keep-alive", "0.2")
    code.write(2, thread)
    pool.signal(signal.SIGHUP)
    pool.until_log("reload: done")
    assert versions(pool.ready()) == {"2"}


# New code that is broken


def test_the_old_workers_stay_where_the_new_code_is_broken(code: Code) -> None:
    """Whatever is wrong with it, and nobody notices but the log."""
    loading, starting = "the new code can't be loaded", "a new worker didn't become ready"
    pool = code.run()
    worker = pool.slot()["pid"]
    with Traffic(pool.port, "/version") as traffic:
        for number, (why, at_import, in_lifespan) in enumerate(
            (
                (loading, "raise ValueError('no host')", "pass"),
                (loading, "this is no Python", "pass"),
                (loading, "import a_library_nobody_installed", "pass"),
                (loading, "os._exit(9)", "pass"),
                (starting, "", "raise SystemExit(4)"),
                (starting, "", "os._exit(9)"),
                (starting, "", "await send({'type': 'lifespan.startup.failed', 'message': 'no database'})"),
            ),
            start=1,
        ):
            code.write(2, at_import, in_lifespan)
            pool.signal(signal.SIGHUP)
            pool.until_log(GIVEN_UP, number)
            said = [line for line in pool.log.splitlines() if GIVEN_UP in line]
            assert said[-1].endswith(f"{GIVEN_UP}{why}; the present workers stay")
            traffic.more(3)
        assert set(traffic.answers) == {"1"}
        slot = pool.ready().slot()
        assert (slot["pid"], slot["restarts"]) == (worker, 0)
        code.write(3)
        pool.signal(signal.SIGHUP)
        pool.until_log("reload: done")
    assert traffic.failures == []
    assert versions(pool) == {"3"}


def test_without_overlap_the_old_code_comes_back(code: Code) -> None:
    pool = code.run("--no-overlap", "--keep-alive", "0.2")
    code.write(2, "", "raise SystemExit(4)")
    pool.signal(signal.SIGHUP)
    pool.until_log(GIVEN_UP)
    assert ask(pool.port, "/version") == "1"
    assert "exit code 4" in pool.ready().slot()["last_exit"]


def test_a_slot_that_can_not_change_is_named(code: Code) -> None:
    """The code proves itself in slot 0 and fails in slot 1, as often as a start is tried."""
    pool = code.run(workers=2)
    old = pool.slot(1)["pid"]
    code.write(2, "", "os.environ['COREPOD_SLOT'] == '1' and os._exit(9)")
    pool.signal(signal.SIGHUP)
    pool.until_log(GIVEN_UP + "a new worker didn't become ready")
    assert "(new code in slot 0; reload again to change the others)" in pool.log
    assert pool.log.count("ended before it was ready: exit code 9") == 3
    assert pool.ready().slot(1)["pid"] == old
    until(lambda: versions(pool) == {"1", "2"}, "both versions served")  # pid and version come from two answers


# What happens meanwhile


def test_another_reload_during_a_reload_is_not_forgotten(code: Code) -> None:
    pool = code.run()
    code.write(2, "time.sleep(0.7)")
    pool.signal(signal.SIGHUP)
    pool.until_log("reload: loading the new code")
    code.write(3)
    for _ in range(5):
        pool.signal(signal.SIGHUP)
    until(lambda: ask(pool.port, "/version") == "3", "the newest code")
    pool.until_log("reload: done")


def test_a_reload_that_hangs_makes_way_for_the_next(code: Code) -> None:
    pool = code.run()
    code.write(2, "time.sleep(600)")
    pool.signal(signal.SIGHUP)
    pool.until_log("reload: loading the new code")
    code.write(3)
    pool.signal(signal.SIGHUP)
    pool.until_log("reload: done")
    assert versions(pool.ready()) == {"3"}


def test_a_lifespan_that_hangs_makes_way_too(code: Code) -> None:
    pool = code.run()
    code.write(2, "", "await asyncio.sleep(600)")
    pool.signal(signal.SIGHUP)
    stuck = incoming(pool)
    code.write(3)
    pool.signal(signal.SIGHUP)
    pool.until_log("reload: done")
    assert versions(pool.ready()) == {"3"}
    until(lambda: stuck not in workers(pool), "the one that hung is gone")


def test_the_old_worker_dies_while_new_code_is_loaded(code: Code, tmp_path: Path) -> None:
    """The old crew is still there for that: it is replaced at once, by old code, and then the reload goes on."""
    pool, go = code.run(), tmp_path / "go"
    old = pool.slot()["pid"]
    code.write(2, f"while not os.path.exists({str(go)!r}): time.sleep(0.02)")
    pool.signal(signal.SIGHUP)
    pool.until_log("reload: loading the new code")
    os.kill(old, signal.SIGKILL)
    assert ask(pool.port, "/version") == "1"
    go.touch()
    pool.until_log("reload: done")
    assert versions(pool) == {"2"}
    assert pool.slot()["restarts"] == 1


def test_the_old_worker_dies_while_the_new_one_starts(code: Code, tmp_path: Path) -> None:
    """The new one has the slot then; a third isn't made."""
    pool, go = code.run(), tmp_path / "go"
    code.write(2, "", f"while not os.path.exists({str(go)!r}): await asyncio.sleep(0.02)")
    pool.signal(signal.SIGHUP)
    new, old = incoming(pool), pool.slot()["pid"]
    os.kill(old, signal.SIGKILL)
    until(lambda: pool.slot()["pid"] == new, "the new one in the slot")
    go.touch()
    assert ask(pool.port, "/pid") == str(new)
    pool.until_log("reload: done")
    assert workers(pool) == [new]
    assert code.diary.started == [old, new]


def test_the_new_worker_dies_while_it_starts(code: Code, tmp_path: Path) -> None:
    pool, begun = code.run(), tmp_path / "begun"
    old = pool.slot()["pid"]
    code.write(2, "", f"open({str(begun)!r}, 'w').close(); await asyncio.sleep(600)")
    pool.signal(signal.SIGHUP)
    # One that dies before it has begun is a standby that was lost: another one is started.
    until(begun.exists, "the lifespan begun")
    os.kill(incoming(pool), signal.SIGKILL)
    pool.until_log(GIVEN_UP + "a new worker didn't become ready")
    assert ask(pool.port, "/version") == "1"
    assert (pool.slot()["pid"], pool.slot()["restarts"]) == (old, 0)


def test_both_die_while_the_new_one_starts(code: Code, tmp_path: Path) -> None:
    pool, begun = code.run(), tmp_path / "begun"
    code.write(2, "", f"open({str(begun)!r}, 'w').close(); await asyncio.sleep(600)")
    pool.signal(signal.SIGHUP)
    until(begun.exists, "the lifespan begun")
    new = incoming(pool)
    os.kill(pool.slot()["pid"], signal.SIGKILL)
    os.kill(new, signal.SIGKILL)
    assert ask(pool.port, "/version") == "1"
    pool.until_log(GIVEN_UP)
    pool.ready()
    until(lambda: workers(pool) == [pool.slot()["pid"]], "nobody but the one in the slot")


@pytest.mark.parametrize(
    ("at_import", "in_lifespan"),
    [("time.sleep(600)", "pass"), ("", "await asyncio.sleep(600)"), ("", "os._exit(9)")],
    ids=["import", "lifespan", "crashes"],
)
def test_a_boot_that_gets_nowhere_is_helped_by_new_code(code: Code, at_import: str, in_lifespan: str) -> None:
    """Also where the old code is in a pause between two crashes."""
    code.write(1, at_import, in_lifespan)
    pool = code.start("--crash-budget", "0")
    pool.until_log("on 127.0.0.1")
    if in_lifespan.startswith("os."):
        pool.until_log("; restarting in", 2)
    code.write(2)
    pool.signal(signal.SIGHUP)
    pool.until_log("reload: done")
    assert versions(pool.ready()) == {"2"}


@pytest.mark.parametrize(("at_import", "in_lifespan"), [("time.sleep(600)", "pass"), ("", "await asyncio.sleep(600)")])
def test_a_stop_ends_a_reload(code: Code, tmp_path: Path, at_import: str, in_lifespan: str) -> None:
    code.write(1, "import duties")
    pool = code.run()
    code.write(2, at_import, in_lifespan)
    pool.signal(signal.SIGHUP)
    if at_import:
        pool.until_log("reload: loading the new code")
    else:
        incoming(pool)
    request = Queued(pool.port, 1, f"/until?path={tmp_path}/go")
    until(lambda: pool.slot()["in_flight"], "a request in flight")
    pool.signal(signal.SIGTERM)
    pool.until_log("SIGTERM: draining")
    (tmp_path / "go").touch()
    assert pool.wait() == 0
    assert request.answers()[0].isdigit()
    assert "reload: done" not in pool.log


def test_a_stop_ends_a_boot(code: Code) -> None:
    """Nobody waits for an import that takes its time."""
    code.write(1, "time.sleep(600)")
    pool = code.start()
    pool.until_log("on 127.0.0.1")
    assert pool.stop() == 0


def test_the_standby_is_of_the_new_code(code: Code) -> None:
    pool = code.run()
    code.write(2)
    pool.signal(signal.SIGHUP)
    pool.until_log("reload: done")
    waiting, old = standby(pool), pool.slot()["pid"]
    os.kill(old, signal.SIGKILL)
    assert ask(pool.port, "/pid") == str(waiting)
    assert versions(pool) == {"2"}


# More slots and less


def test_a_slot_more_and_a_slot_less_under_load(start: Start) -> None:
    pool = start("ok:app", "--workers", "1", "--pin", "never").ready()
    first = pool.slot()["pid"]
    with Traffic(pool.port) as traffic, Traffic(pool.port, keep_alive=True) as kept:
        pool.signal(signal.SIGTTIN)
        until(lambda: len(pool.ready().status()["slots"]) == 2, "a second slot")
        second = pool.slot(1)["pid"]
        until(lambda: str(second) in traffic.answers, "an answer of the second slot")
        pool.signal(signal.SIGTTOU)
        until(lambda: len(pool.status()["slots"]) == 1, "one slot")
        until(lambda: second not in workers(pool), "the second worker gone")
    assert traffic.failures == []
    assert kept.failures == []
    assert pool.slot()["pid"] == first
    pool.signal(signal.SIGTTOU)
    pool.until_log("a pool has 1 to 512 slots; now 1, and 0 are asked for")
    assert ask(pool.port, "/pid") == str(first)


def test_a_slot_goes_while_its_new_worker_starts(code: Code) -> None:
    """The reload ends with the slots that are left, and a surplus standby isn't kept."""
    pool = code.run(workers=2)
    old = pool.slot()["pid"]
    code.write(2, "", "await asyncio.sleep(600 if os.environ['COREPOD_SLOT'] == '1' else 0)")
    pool.signal(signal.SIGHUP)
    until(lambda: ask(pool.port, "/version") == "2", "new code in slot 0")
    until(lambda: old not in workers(pool), "the old worker of slot 0 gone")  # it would pass for the one that comes
    new = incoming(pool)
    pool.signal(signal.SIGTTOU)
    pool.until_log("reload: done")
    until(lambda: new not in workers(pool), "the one that started is gone")
    assert versions(pool.ready()) == {"2"}
    assert standby(pool)
