"""Code that blocks the event loop is logged with its stack, and `corepod dump` shows where threads and tasks are.

A busy machine may block any loop at any time: what is looked for is a function's name.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.exits import EXIT_LATE, EXIT_NO_POOL
from corepod.contract.stacks import TASKS_END

from tests.process.harness import Pool, running
from tests.process.traffic import Client, stopped
from tests.procfs import wait_channel
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ONE = ("--workers", "1", "--lame-duck", "0", "--standby", "none", "--name", "shop")
BLOCKED = re.compile(r"the event loop was blocked for [\d.]+ s in (\w+)")


class Shop:
    """A pool, and commands that find it."""

    def __init__(self, pool: Pool, runtime: Path) -> None:
        self.pool, self._environment = pool, {**os.environ, "XDG_RUNTIME_DIR": str(runtime)}

    def dump(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "corepod", "dump", *words],
            env=self._environment, capture_output=True, text=True, timeout=3 * DEADLINE, check=False,
        )  # fmt: skip

    def stacks(self) -> dict[str, Any]:
        done = self.dump("shop/0", "--json", "--timeout", str(DEADLINE))
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)[0]
        return found


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("pool")
    # No worker may be judged stuck here.
    limits = ("--stuck-timeout", "0", "--stuck-dump", "1000")
    where = {"XDG_RUNTIME_DIR": str(folder)}
    with running("duties:app", *ONE, *limits, "--loop", request.param, log=folder / "log", env=where) as pool:
        yield Shop(pool.ready(), folder)


def functions(groups: list[dict[str, Any]]) -> list[list[str]]:
    return [[frame["function"] for frame in group["frames"]] for group in groups]


def asked_until_told(pool: Pool, path: str, *said: str) -> None:
    """Ask for it until the log says all of this.

    Once is enough on an idle machine. Where the worker has been held up just before, its loop is found waiting and
    nobody is blamed; and of four different stalls in a minute the last one is only counted.
    """

    def told() -> bool:
        return all(re.search(text, pool.log) for text in said)

    def asked() -> bool:
        assert pool.get(path, timeout=2 * DEADLINE).status_code == 200
        with contextlib.suppress(AssertionError):
            until(told, "the lines of it", 3.0)
        return told()

    until(asked, lambda: f"{said}\n{pool.log}", 3 * DEADLINE)


def test_code_that_blocks_is_named_and_code_that_waits_is_not(shop: Shop, tmp_path: Path) -> None:
    pool = shop.pool
    waiting = Client(pool, f"/until?path={tmp_path}/go")
    asked_until_told(
        pool,
        "/block?s=0.3",
        r"in block \(.*ok\.py:\d+\): it waited in a blocking call",
        r"in flight: .*GET /block",
        r'  \|   File ".*ok\.py", line \d+ in block',
    )
    (tmp_path / "go").touch()
    assert waiting.result() == 200
    assert pool.get("/pid").status_code == 200
    assert "until" not in BLOCKED.findall(pool.log)


def test_code_that_computes_is_named(shop: Shop) -> None:
    """For so much CPU time, whatever share of a core it gets."""
    asked_until_told(shop.pool, "/compute?s=0.5", r"in compute \(.*duties\.py:\d+\): it computed")


def test_one_that_blocks_again_and_again_is_not_told_each_time(shop: Shop) -> None:
    def told() -> int:
        return BLOCKED.findall(shop.pool.log).count("block")

    asked_until_told(shop.pool, "/block?s=0.2", r" s in block \(")
    before = told()
    for _ in range(6):
        assert shop.pool.get("/block?s=0.2").status_code == 200
    # A minute later it may be told once more, and between two of these requests a minute may end.
    assert told() - before <= 1


def test_threads_and_tasks_are_shown_while_requests_are_served(shop: Shop, tmp_path: Path) -> None:
    pool = shop.pool
    waiting = Client(pool, f"/until?path={tmp_path}/go")
    until(lambda: pool.slot()["in_flight"] == 1, "the request in flight")
    others = [Client(pool, "/pid") for _ in range(20)]
    found = shop.stacks()
    assert {client.result() for client in others} == {200}
    assert found["answered"]
    assert found["pid"] == pool.slot()["pid"]
    assert any("MainThread" in thread["title"] for thread in found["threads"])
    assert any("until" in names for names in functions(found["tasks"]))
    (tmp_path / "go").touch()
    assert waiting.result() == 200
    assert not any("until" in names for names in functions(shop.stacks()["tasks"]))


def test_a_blocked_loop_is_shown_too(shop: Shop, tmp_path: Path) -> None:
    pool = shop.pool
    blocked = Client(pool, f"/block_until?path={tmp_path}/go")
    until(lambda: pool.slot()["in_flight"] == 1, "the request in flight")
    found = shop.stacks()
    assert any("block_until" in names for names in functions(found["threads"]))
    assert any("block_until" in names for names in functions(found["tasks"]))
    (tmp_path / "go").touch()
    assert blocked.result() == 200


def test_of_a_stopped_process_the_kernel_tells(shop: Shop) -> None:
    before = len(shop.pool.log)
    with stopped(shop.pool.slot()["pid"]):
        done = shop.dump("shop/0", "--timeout", "0.5")
    # They come now, and must not be taken for the answer to the next question.
    until(lambda: TASKS_END in shop.pool.log[before:], "its stacks, too late")
    assert done.returncode == EXIT_LATE
    assert "it hasn't written its stacks in time; the kernel says: state T (stopped)" in done.stdout


def test_for_people_and_of_all_slots(shop: Shop) -> None:
    done = shop.dump("shop")
    assert done.returncode == 0, done.stderr
    assert re.match(r"shop/0: worker \d+ \(pid \d+\)\n\nCurrent thread 0x\w+ \[MainThread\], most recent", done.stdout)
    assert re.search(r"\n\d+ tasks\n", done.stdout)
    assert "\x1b" not in done.stdout


def test_no_such_pool(shop: Shop) -> None:
    assert shop.dump("other").returncode == EXIT_NO_POOL


def test_the_signal_of_the_log_shows_tasks_too(shop: Shop) -> None:
    before = len(shop.pool.log)
    shop.pool.signal(signal.SIGUSR1)
    until(lambda: TASKS_END in shop.pool.log[before:], "the tasks")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_thread_that_keeps_the_interpreter_is_named(tmp_path: Path, loop: str) -> None:
    """In a pool of its own: of four different stalls in a minute the last one is only counted."""
    flags = (*ONE, "--loop", loop, "--stuck-timeout", "0")
    with running("duties:app", *flags, log=tmp_path / "log", env={"XDG_RUNTIME_DIR": str(tmp_path)}) as pool:
        asked_until_told(
            pool.ready(),
            "/hogged",
            "other threads computed, and it waited for the interpreter",
            r"another thread .*\n(  \|   File .*\n)*  \|   File .*, line \d+ in hog\n",
        )


def test_a_loop_in_c_is_shown_without_its_tasks(tmp_path: Path) -> None:
    """The interpreter doesn't answer there, and faulthandler is asked."""
    ends = ("--stop-timeout", "1", "--stuck-timeout", "0")
    with running("duties:app", *ONE, *ends, log=tmp_path / "log", env={"XDG_RUNTIME_DIR": str(tmp_path)}) as pool:
        shop = Shop(pool.ready(), tmp_path)
        lost = Client(pool, "/in_c")
        # Before that the interpreter would still answer.
        until(lambda: "futex" in wait_channel(pool.slot()["pid"]), "it is in the call")
        assert pool.slot()["in_flight"] == 1
        found = shop.stacks()
        assert found["answered"]
        assert found["tasks"] is None
        assert any("in_c" in names for names in functions(found["threads"]))
        assert "state S (sleeping)" in found["kernel"]
        people = shop.dump("shop").stdout
        assert "Its tasks can't be shown: the interpreter doesn't answer, it is in a call into C" in people
        pool.stop()
        assert lost.result() == -1


@pytest.mark.parametrize("flags", [("--stall-log", "0"), ("--debug",)], ids=["off", "debug"])
def test_it_can_be_switched_off(tmp_path: Path, flags: tuple[str, ...]) -> None:
    with running("duties:app", *ONE, *flags, log=tmp_path / "log", env={"XDG_RUNTIME_DIR": str(tmp_path)}) as pool:
        pool.ready()
        assert pool.get("/block?s=0.3").status_code == 200
        assert pool.get("/pid").status_code == 200
        assert pool.stop() == 0
        assert not BLOCKED.search(pool.log)
