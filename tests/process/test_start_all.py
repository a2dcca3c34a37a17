"""`corepod start` without a name: every application of the settings file, each in a pool of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.process.background import Machine, get, machine
from tests.procfs import alive
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APP = """
import json, os

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    who = {"module": __name__, "cwd": os.getcwd(), "who": os.environ.get("WHO"), "common": os.environ.get("COMMON")}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(who).encode()})
"""
BROKEN = "raise RuntimeError('no database today')\n"
# Says where it is, and waits for ever.
ENDLESS = """
import pathlib, time

pathlib.Path(__file__).with_suffix(".importing").touch()
time.sleep(10000)
"""


@pytest.fixture
def user(tmp_path: Path) -> Iterator[Machine]:
    with machine(tmp_path) as made:
        del made.environment["COREPOD_NAME"]  # each application has the name of its table
        yield made


class Project:
    """A folder with three applications; commands are called in it."""

    def __init__(self, user: Machine, folder: Path) -> None:
        self.user, self.folder = user, folder
        # Commands see also the pools of other tests, in /run/corepod.
        self.names = [f"{name}-{user.name}" for name in ("shop", "middle", "api")]
        shop, middle, api = self.names
        for place in ("front", "back"):
            (folder / place).mkdir(parents=True)
        (folder / "front" / "shopcode.py").write_text(APP)
        (folder / "back" / "apicode.py").write_text(APP)
        (folder / "corepod.toml").write_text(
            'workers = 1\npin = "never"\nlame_duck = 0\nadmin = "127.0.0.1:0"\nbind = "127.0.0.1:0"\n'
            '[env]\nCOMMON = "all of them"\n'
            f'[apps.{shop}]\napp = "shopcode:app"\nchdir = "front"\n'
            f'[apps.{shop}.env]\nWHO = "shop"\n'
            f'[apps.{shop}.env.production]\nWHO = "shop in production"\n'
            f'[apps.{middle}]\napp = "middlecode:app"\nchdir = "back"\n'
            f'[apps.{api}]\napp = "apicode:app"\nchdir = "back"\n'
            f'[apps.{api}.env]\nWHO = "api"\n'
        )
        self.middle(APP)

    def middle(self, source: str) -> None:
        (self.folder / "back" / "middlecode.py").write_text(source)

    def corepod(self, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.user.corepod(*args, **{"cwd": self.folder, **options})

    def running(self) -> list[str]:
        return [name for name in self.names if self.user.client(name).status() is not None]


@pytest.fixture
def project(user: Machine, tmp_path: Path) -> Project:
    return Project(user, tmp_path / "project")


def started(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    """What `start --json` tells of each pool: an object a line."""
    return {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}


def test_each_has_its_name_its_folder_and_its_variables(project: Project) -> None:
    shop, middle, api = project.names
    done = project.corepod("start", "--json")
    assert done.returncode == 0, done.stderr
    pools = started(done)
    assert list(pools) == [shop, middle, api]  # in the order of the file
    answers = {name: get(pool) for name, pool in pools.items()}
    front, back = (str(project.folder / place) for place in ("front", "back"))
    common = "all of them"
    assert answers[shop] == {"module": "shopcode", "cwd": front, "who": "shop", "common": common}
    assert answers[middle] == {"module": "middlecode", "cwd": back, "who": None, "common": common}
    assert answers[api] == {"module": "apicode", "cwd": back, "who": "api", "common": common}
    listed = project.corepod("ps", "--quiet").stdout.split()
    assert [name for name in listed if name in project.names] == sorted(project.names)
    log = project.corepod("logs", api).stdout
    assert f"{api}: 1 worker" in log
    assert f"{shop}: 1 worker" not in log


def test_an_environment_is_that_of_all(project: Project) -> None:
    shop, _, api = project.names
    pools = started(project.corepod("start", "--env", "production", "--json"))
    assert get(pools[shop])["who"] == "shop in production"
    assert get(pools[api])["who"] == "api"


def test_one_that_fails_holds_up_none_of_the_others(project: Project) -> None:
    shop, middle, api = project.names
    project.middle(BROKEN)
    done = project.corepod("start", "--json")
    assert done.returncode == 3  # its supervisor's
    assert list(started(done)) == project.running() == [shop, api]
    assert "no database today" in done.stderr
    assert f"{middle}: didn't start (exit code 3)" in done.stderr
    # Mended, it is started by its name; the others aren't touched.
    project.middle(APP)
    assert list(started(project.corepod("start", middle, "--json"))) == [middle]
    assert project.running() == project.names


def test_those_that_run_already_are_told_and_the_others_started(project: Project) -> None:
    shop, middle, api = project.names
    pid = started(project.corepod("start", middle, "--json"))[middle]["pid"]
    done = project.corepod("start", "--json")
    assert done.returncode == 7
    assert f"a pool called {middle} runs already (pid {pid})" in done.stderr
    assert list(started(done)) == [shop, api]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_one_that_starts_and_starts_no_other(project: Project, signum: int) -> None:
    shop, middle, _ = project.names
    project.middle(ENDLESS)
    process = subprocess.Popen(
        project.user.command("start", "--json"),
        env=project.user.environment, cwd=project.folder, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        until((project.folder / "back" / "middlecode.importing").exists, "the second one is imported")
        process.send_signal(signum)
        out, err = process.communicate(timeout=DEADLINE)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == 128 + signum
    assert f"{middle}: the start was stopped" in err
    assert "Traceback" not in err
    assert [json.loads(line)["name"] for line in out.splitlines()] == [shop]
    assert project.running() == [shop]
    assert len(project.user.supervisors()) == 1


def test_stopped_one_by_one_or_all(project: Project) -> None:
    shop, middle, api = project.names
    pids = {name: pool["pid"] for name, pool in started(project.corepod("start", "--json")).items()}
    assert project.corepod("stop", middle).returncode == 0
    assert not alive(pids[middle])
    assert project.running() == [shop, api]


def test_nothing_is_started_where_the_settings_are_at_fault(project: Project) -> None:
    for args, why in (
        (("--reload",), "--reload watches files for development: use corepod dev"),
        (("--name", "one"), "have the same name, one (name)"),
        (("--env", "staging"), "there is no environment 'staging' in corepod.toml; it has production"),
        (("--bind", "127.0.0.1:4321"), "can't both listen on 127.0.0.1:4321"),
    ):
        done = project.corepod("start", *args)
        assert (done.returncode, done.stdout) == (2, "")
        assert why in done.stderr
    assert project.user.supervisors() == []


def test_where_nobody_reads_what_it_prints_all_are_started(project: Project) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = project.corepod("start", stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
    assert project.running() == project.names


def test_a_name_that_is_too_long_is_the_fault_that_is_told(project: Project) -> None:
    done = project.corepod("start", project.names[0], "--name", "x" * 300)
    assert done.returncode == 2
    assert "the name has 300 characters" in done.stderr
