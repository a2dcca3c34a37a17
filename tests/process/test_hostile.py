"""Workers of another user that write to their control sockets whatever does harm, under root's supervisor.

What is signalled wrongly would be anybody's process: so each pool here is PID 1 of a pid namespace of its own, and the
only other process in it is the bystander.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from corepod.contract.exits import EXIT_BOOT

from tests.process.anotheruser import executed_by, python_of
from tests.process.container import Container
from tests.process.inplace import in_place_of_supervisor
from tests.procfs import alive, comm, descendants
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

pytestmark = pytest.mark.root
NOBODY = 65534
BYSTANDER = "bystander"
ACTS = 2  # fewer than what forking, loading and lifespans may fail in a row
FLAGS = (
    *("--user", "nobody", "--workers", "2", "--pin", "never", "--lame-duck", "0", "--stop-timeout", "2"),
    *("--crash-budget", "1000/60"),
)
MOMENTS = ["import", "before", "parent", "child", "thread", "lifespan", "request"]
SEEDS = range(8 if os.environ.get("CI") else 2)


@pytest.fixture
def tokens() -> Iterator[Path]:
    """A file for each time that the application misbehaves. The other user takes them away."""
    parent = Path(tempfile.mkdtemp(prefix="corepod-test-"))
    parent.chmod(0o755)
    folder = parent / "tokens"
    folder.mkdir()
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(parent)


# The pool may be over in a second: it doesn't begin before the bystander has been seen.
BESIDE = f"""
import os, signal, sys, time
if os.fork() == 0:
    with open("/proc/self/comm", "w") as comm:
        comm.write({BYSTANDER!r})
    signal.pause()
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
os.execv(sys.argv[2], sys.argv[2:])
"""


def hostile(
    start: Start,
    tokens: Path,
    moment: str,
    seed: int,
    *flags: str,
    acts: int = ACTS,
    inside: tuple[str, ...] = (),
) -> tuple[Any, int]:
    """A pool of the hostile application, and the bystander in its namespace: its pid, as seen from here."""
    for number in range(acts):
        (tokens / str(number)).touch()
    python, environment = python_of(NOBODY)
    environment |= {"HOSTILE": moment, "SEED": str(seed), "TOKENS": str(tokens), "BYSTANDER": BYSTANDER}
    go = tokens.parent / "go"
    prefix = (sys.executable, "-c", BESIDE, str(go), *executed_by(python), *inside)
    # These are moments of the template, which has the application only then.
    preload = "application" if moment in ("before", "parent", "child", "thread") else "libraries"
    words = (*FLAGS, "--preload", preload, *flags)
    pool = start("hostile:app", *words, kind=Container, env=environment, prefix=prefix)
    assert isinstance(pool, Container)
    (bystander,) = until(lambda: [p for p in descendants(pool.init) if comm(p) == BYSTANDER], "the bystander")
    go.touch()
    return pool, bystander


def answer(pool: Pool, path: str) -> Any:
    """None where the worker has died of it."""
    with contextlib.suppress(httpx.HTTPError):
        return pool.get(path)
    return None


def used_up(tokens: Path) -> bool:
    return not os.listdir(tokens)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_whatever_a_worker_writes_costs_nobody_but_itself(start: Start, tokens: Path, moment: str, seed: int) -> None:
    pool, other = hostile(start, tokens, moment, seed)
    supervisor = pool.init

    def misbehaves() -> bool:
        if moment == "request":
            answer(pool, "/write")
        return used_up(tokens)

    if moment == "request":
        pool.ready()
    until(misbehaves, f"{ACTS} acts:\n{pool.log}")
    pool.ready()
    # What was written last may not have been read yet, and cost a worker that was called ready.
    identity = until(lambda: answer(pool, "/identity"), f"an answer:\n{pool.log}")
    assert identity.json()["uid"] == NOBODY
    assert pool.admin("/livez").status_code == 200
    assert (pool.init, alive(supervisor), alive(other)) == (supervisor, True, True)
    assert "internal error" not in pool.log
    assert "\x1b" not in pool.log
    assert pool.stop() == 0


def test_a_stop_ends_whatever_is_written_while_it_is_under_way(start: Start, tokens: Path) -> None:
    """The workers write and then hang, the standby writes again and again."""
    # Long enough for a worker that waits for a core before it writes.
    pool, _ = hostile(start, tokens, "drain", 0, "--stop-timeout", "6", acts=100)
    assert pool.ready().stop() == 0
    assert len(os.listdir(tokens)) < 100
    assert "internal error" not in pool.log


@pytest.mark.parametrize("moment", ["import", "lifespan", "thread"])
def test_a_pool_that_is_never_left_in_peace_can_be_stopped(start: Start, tokens: Path, moment: str) -> None:
    pool, other = hostile(start, tokens, moment, 0, acts=2000)
    until(lambda: len(os.listdir(tokens)) < 2000, "an act")
    # Where boots fail it gives up by itself, and what is in its namespace ends with it.
    assert alive(other) or re.search("can't be loaded|the pool exits", pool.log)
    with contextlib.suppress(ProcessLookupError):
        pool.signal(signal.SIGTERM)
    assert pool.wait() in (0, EXIT_BOOT)
    assert "internal error" not in pool.log


# The supervisor as it must not be: a packet says who has written it, and is believed.
CREDULOUS = """
import json, os
from corepod.supervisor.launch import child, launcher
decode, named = launcher.decode, []
def believe(packet):
    fields = json.loads(packet)
    named[:] = [fields.pop("pid", 0)]
    return decode(json.dumps(fields).encode())
launcher.decode = believe
launcher.sender = lambda ancillary: named[0]
launcher.is_child = lambda pid: pid > 0
from corepod.supervisor.main import main
sys.exit(main())
"""


def test_control_a_supervisor_that_believes_them_kills_the_bystander(start: Start, tokens: Path) -> None:
    """What is written does harm where nothing is done about it."""
    pool, other = hostile(start, tokens, "child", 0, acts=40, inside=in_place_of_supervisor(CREDULOUS))
    until(lambda: not alive(other), f"the bystander dead:\n{pool.log}")
    pool.process.kill()  # its namespace goes with it
