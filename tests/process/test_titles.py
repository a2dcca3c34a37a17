"""What ps and htop show of a pool: each process with its role, its slot and the application."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.process.harness import Pool, running
from tests.procfs import comm, command
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., Pool]

ONE = ("--workers", "1", "--pin", "always")


def titles(pool: Pool) -> set[str]:
    return {" ".join(command(pid)) for pid in pool.family()}


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with running("ok:app", *ONE, "--name", "shop", log=tmp_path_factory.mktemp("pool") / "log") as made:
        yield made.ready()


def test_every_process_says_what_it_is(pool: Pool) -> None:
    slot = pool.slot()
    of = "of shop (ok:app)"
    worker = f"corepod: worker {slot['worker']} slot 0 {of} core {slot['core']}"
    assert command(slot["pid"]) == [worker]
    roles = {f"corepod: {role} {of}" for role in ("supervisor", "template", "standby")}
    until(lambda: titles(pool) == {worker, *roles}, f"the titles, now {titles(pool)}")


def test_the_short_names_stay(pool: Pool) -> None:
    assert comm(pool.supervisor) == "corepod"
    assert comm(pool.slot()["pid"]) == "corepod-worker"


def test_the_next_worker_has_a_title_of_its_own(pool: Pool) -> None:
    before = pool.slot()
    pool.kill_worker()
    after = pool.slot()
    assert after["worker"] != before["worker"]
    assert command(after["pid"])[0].startswith(f"corepod: worker {after['worker']} slot 0 of shop")


def test_the_application_sees_no_blank_argument(start: Start, tmp_path: Path) -> None:
    (tmp_path / "shows.py").write_text(
        "import sys\nfrom ok import app\nprint('arguments', sys.argv[1:], sys.orig_argv[-1])\n"
    )
    apps = os.path.dirname(__file__).replace("process", "apps")
    pool = start("shows:app", *ONE, cwd=tmp_path, env={"PYTHONPATH": apps}).ready()
    pool.until_log("arguments [] corepod.worker\n")
