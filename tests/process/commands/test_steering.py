"""corepod reload, restart, scale and stop, of pools that run: with code that breaks, and requests that take long."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.process.commands.client import QUICK, address, corepod, words
from tests.process.harness import APPS
from tests.process.terminal import Terminal
from tests.process.traffic import Traffic, ask
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

SOURCE = """
import asyncio, sys
import ok
{at_import}

async def app(scope, receive, send):
    if scope["type"] == "http" and scope["path"] == "/version":
        await ok.answer(send, {version})
    else:
        await ok.app(scope, receive, send)
"""


@pytest.fixture
def code(tmp_path: Path) -> Callable[..., None]:
    """Writes the module `served` anew."""

    def write(version: int, at_import: str = "") -> None:
        half = tmp_path / "half"
        half.write_text(SOURCE.format(version=version, at_import=at_import))
        half.rename(tmp_path / "served.py")

    write(1)
    return write


@pytest.fixture
def served(code: Callable[..., None], start: Start, tmp_path: Path) -> Pool:
    env = {"PYTHONPATH": str(APPS), "PYTHONDONTWRITEBYTECODE": "1"}
    return start("served:app", "--chdir", str(tmp_path), "--name", "shop", "-w", "2", *QUICK, env=env).ready()


@pytest.fixture
def shop(start: Start) -> Pool:
    # It drains for longer than all that a test does meanwhile.
    return start("duties:app", "--name", "shop", "--workers", "2", "--stop-timeout", "120", *QUICK).ready()


def in_slots(pool: Pool) -> list[int]:
    return [slot["worker"] for slot in pool.status()["slots"]]


def until_version(pool: Pool, version: int) -> None:
    """A worker that makes way has been told so when the reload is done, and may be late to hear it."""
    until(lambda: ask(pool.port, "/version") == str(version), f"version {version}")


# reload


def test_reload_waits_and_no_request_fails(served: Pool, code: Callable[..., None]) -> None:
    code(2)
    before = in_slots(served)
    with Traffic(served.port) as traffic:
        done = corepod("reload", "shop", "--wait", "--json")
    assert (done.code, traffic.failures) == (0, []), done
    assert set(done.document["workers"]).isdisjoint(before)
    assert done.document["workers"] == in_slots(served)
    until_version(served, 2)


def test_a_reload_that_fails_says_why_each_time_and_the_old_code_serves(
    served: Pool, code: Callable[..., None]
) -> None:
    code(2, "def lost():\n    raise LookupError('no such table')\nlost()")
    before = in_slots(served)
    for _ in range(2):
        done = corepod("reload", "shop", "--wait")
        assert (done.code, done.out) == (7, "")
        assert "shop: the reload failed: the new code can't be loaded" in done.err
        assert "in lost" in done.err  # the end of the traceback, with its line breaks
        assert "\nLookupError: no such table" in done.err
    assert in_slots(served) == before
    assert ask(served.port, "/version") == "1"
    code(3)
    assert corepod("reload", "shop", "-w").code == 0
    until_version(served, 3)


def test_without_wait_it_returns_when_asked(served: Pool, code: Callable[..., None], tmp_path: Path) -> None:
    go = tmp_path / "go"
    code(2, f"import os, time\nwhile not os.path.exists({str(go)!r}):\n    time.sleep(0.02)")
    done = corepod("reload", "shop")
    assert done.code == 0
    assert "reload 1 was asked for" in done.out
    late = corepod("reload", "shop", "--wait", "--timeout", "0.2")
    assert late.code == 9
    assert "isn't done yet (--timeout)" in late.err
    go.touch()
    until_version(served, 2)


def test_a_reload_of_a_pool_that_is_killed_meanwhile(served: Pool, code: Callable[..., None]) -> None:
    code(2, "import time\ntime.sleep(300)")
    with subprocess.Popen(words("reload", "shop", "--wait"), stderr=subprocess.PIPE, text=True, cwd=APPS) as process:
        until(lambda: served.status()["reloading"], "the reload")
        os.kill(served.process.pid, signal.SIGKILL)
        _, err = process.communicate(timeout=2 * DEADLINE)
    assert process.returncode == 8
    assert "doesn't answer any more" in err


# restart


def test_restart_of_one_slot_and_of_all(shop: Pool) -> None:
    first, second = in_slots(shop)
    done = corepod("restart", "shop/1", "--json")
    (only,) = done.document["slots"]
    assert (only["slot"], only["before"]) == (1, second)
    assert in_slots(shop) == [first, only["worker"]]
    with Traffic(shop.port) as traffic:
        done = corepod("restart", "shop")
    assert (done.code, traffic.failures) == (0, []), done
    assert [line.split(":")[0] for line in done.out.splitlines()] == ["shop/0", "shop/1"]
    assert set(in_slots(shop)).isdisjoint({first, second, only["worker"]})
    assert [slot["restarts"] for slot in shop.status()["slots"]] == [0, 0]


def test_restart_of_a_slot_whose_new_worker_fails(start: Start, tmp_path: Path) -> None:
    """The lifespan of the next worker raises: the slot keeps the one it has."""
    flag = tmp_path / "broken"
    (tmp_path / "moody.py").write_text(
        "import os\nimport ok\n"
        "async def app(scope, receive, send):\n"
        f"    if scope['type'] == 'lifespan' and os.path.exists({str(flag)!r}):\n"
        "        await receive()\n"
        "        await send({'type': 'lifespan.startup.failed', 'message': 'no database'})\n"
        "        return\n"
        "    await ok.app(scope, receive, send)\n"
    )
    flags = ("--chdir", str(tmp_path), "--name", "shop", "-w", "1", "--interface", "asgi")
    pool = start("moody:app", *flags, *QUICK, env={"PYTHONPATH": str(APPS)}).ready()
    before = in_slots(pool)
    flag.touch()
    done = corepod("restart", "shop/0")
    assert done.code == 7
    assert "shop/0 keeps its worker: " in done.err
    assert "no database" in done.err
    assert in_slots(pool) == before
    flag.unlink()
    assert corepod("restart", "shop/0").code == 0


# scale


def test_scale_in_every_way(shop: Pool) -> None:
    for to, slots in (("4", 4), ("-1", 3), ("+2", 5), ("2", 2), ("auto", len(shop.status()["cores"]["usable"]))):
        done = corepod("scale", "shop", to, "--json")
        assert (done.code, done.document["slots"]) == (0, slots)
        assert len(shop.status()["slots"]) == slots
    lines = [line for line in shop.log.splitlines() if "there are now" in line]
    assert len(lines) in (4, 5)  # one a change, however many slots; auto may change nothing
    assert "added 2 slots (not pinned); there are now 4" in lines[0]
    assert "removed 3 slots; there are now 2" in lines[3]
    assert len([e for e in corepod("events", "shop").out.splitlines() if " scaled " in e]) == len(lines)


def test_scale_to_what_is_no_size(shop: Pool) -> None:
    for to, code, why in (
        ("x", 2, "'x' is not a number of slots"),
        ("", 2, "'' is not a number of slots"),
        ("1&slot=2", 2, "is not a number of slots"),
        ("0", 7, "a pool has 1 to 512 slots"),
        ("-5", 7, "a pool has 1 to 512 slots"),
        ("513", 7, "a pool has 1 to 512 slots"),
    ):
        done = corepod("scale", "shop", to)
        assert (done.code, done.out) == (code, ""), to
        assert why in done.err, to
    assert len(shop.status()["slots"]) == 2


# stop


@contextlib.contextmanager
def held(pool: Pool, go: Path) -> Iterator[list[Any]]:
    """A request in flight until there is a file at `go`; its answer comes into the list."""
    answers: list[Any] = []

    def ask_it() -> None:
        try:
            answers.append(pool.get(f"/until?path={go}", timeout=4 * DEADLINE).status_code)
        except httpx.TransportError as error:
            answers.append(error)

    thread = threading.Thread(target=ask_it)
    thread.start()
    try:
        until(lambda: any(slot["in_flight"] for slot in pool.status()["slots"]), "a request in flight")
        yield answers
    finally:
        go.touch()
        thread.join(DEADLINE)


def test_stop_waits_until_the_pool_is_gone(shop: Pool, runtime: Path) -> None:
    done = corepod("stop", "shop")
    assert (done.code, shop.process.poll()) == (0, 0)  # it is gone when the command ends, not soon after
    assert done.out.startswith("shop: stopped in ")
    assert not os.path.exists(address(runtime))
    assert "corepod stop: draining" in shop.log


def test_stop_drains_tells_what_it_waits_for_and_does_not_wait_for_ever(shop: Pool, tmp_path: Path) -> None:
    with held(shop, tmp_path / "go") as answers:
        late = corepod("stop", "shop", "--timeout", "1")
        assert late.code == 9
        assert "shop: draining, 1 request(s) in flight" in late.err
        assert "shop still drains (--timeout)" in late.err
        with subprocess.Popen(
            words("stop", "shop"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=APPS
        ) as again:
            assert again.stderr is not None
            assert "draining" in again.stderr.readline()  # it has asked, and waits
            (tmp_path / "go").touch()
            out, _ = again.communicate(timeout=2 * DEADLINE)
    assert again.returncode == 0
    assert out.startswith("shop: stopped in ")
    assert answers == [200]  # asked twice, it still was drained
    assert shop.wait() == 0


def test_stop_now_does_not_drain(shop: Pool, tmp_path: Path) -> None:
    with held(shop, tmp_path / "go") as answers:
        done = corepod("stop", "shop", "--now", "--json")
        assert [(stopped["pool"], stopped["stopped"]) for stopped in done.document] == [("shop", True)]
        assert shop.wait() == 0
        assert done.code == 0
    assert isinstance(answers[0], httpx.TransportError)


def test_stop_on_a_terminal(shop: Pool) -> None:
    terminal = Terminal(command=words("stop", "shop"))
    try:
        terminal.shows(r"shop: stopped in \d")
        assert terminal.process.wait(DEADLINE) == 0
    finally:
        terminal.close()


@pytest.mark.root
def test_stop_all(start: Start, alone: tuple[str, ...]) -> None:
    pools = [start("ok:app", "--name", name, "-w", "1", *QUICK).ready() for name in ("shop", "blog")]
    # Of this folder only: others may run here, too.
    done = corepod("stop", "--all", prefix=alone)
    assert done.code == 0
    assert sorted(line.split(":")[0] for line in done.out.splitlines()) == ["blog", "shop"]
    assert [pool.process.poll() for pool in pools] == [0, 0]
    refused = corepod("stop", "--all", "shop")
    assert (refused.code, "name a pool, or use --all" in refused.err) == (2, True)
