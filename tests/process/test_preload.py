"""What workers share: a library and an application that note each import, in the three modes of --preload."""

from __future__ import annotations

import os
import signal
import sysconfig
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from corepod.contract.exits import EXIT_BOOT

from tests.process.inplace import in_place_of_supervisor
from tests.process.traffic import ask
from tests.procfs import alive
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

NOTE = """
import os, pathlib
def note(what):
    with open(os.environ["DIARY"], "a") as diary:
        diary.write(f"{what} {os.getpid()} {os.getppid()}\\n")
"""
APP = """
import os, random
import note
note.note("application")
{before}
import shelf
{after}
NUMBER = random.Random().getrandbits(64)
async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = str(dict(pid=os.getpid(), number=NUMBER, seen=shelf.SEEN)).encode()
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": body}})
"""


class House:
    """A folder with an application and an environment with the library `shelf`."""

    def __init__(self, folder: Path) -> None:
        self.site = folder / "base" / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
        self.site.mkdir(parents=True)
        self.code = folder / "code"
        self.code.mkdir()
        self.diary = folder / "diary"
        (self.site / "note.py").write_text(NOTE)
        self.library()
        self.application()
        # What lies in the user's site-packages is a library; a virtual environment doesn't put it on the path.
        self.env = {"PYTHONUSERBASE": str(folder / "base"), "PYTHONPATH": str(self.site), "DIARY": str(self.diary)}

    def library(self, code: str = "", name: str = "shelf") -> None:
        text = f"import os, note\nnote.note('{name}')\nSEEN = os.environ.get('COLOUR')\n{code}\n"
        (self.site / f"{name}.py").write_text(text)

    def application(self, before: str = "", after: str = "") -> None:
        (self.code / "main.py").write_text(APP.format(before=before, after=after))

    def pids(self, what: str) -> list[int]:
        """Of the processes that have imported it, in order."""
        rows = [line.split() for line in self.diary.read_text().splitlines()]
        return [int(pid) for name, pid, _ in rows if name == what]

    def times(self) -> Counter[str]:
        return Counter(line.split()[0] for line in self.diary.read_text().splitlines())


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


# Imports are counted: on a busy machine another template might be loaded beside one that takes a second to fork.
ONE_TEMPLATE = """
from corepod.supervisor.pool import template
template.PATIENCE, template.FORK_TIMEOUT = 100.0, 100.0
from corepod.supervisor.main import main
sys.exit(main())
"""


def begin(start: Start, house: House, *flags: str, workers: int = 2) -> Pool:
    """A pool with all its workers and the standby."""
    where = {"cwd": house.code, "env": house.env, "prefix": in_place_of_supervisor(ONE_TEMPLATE)}
    return start("main:app", "--workers", str(workers), "--pin", "never", *flags, **where).ready()


def workers(pool: Pool) -> list[int]:
    return [slot["pid"] for slot in pool.status()["slots"]]


def answers(pool: Pool, number: int) -> dict[int, str]:
    """The number that each of so many workers has drawn while it imported the application."""
    found: dict[int, str] = {}

    def all_seen() -> bool:
        text = ask(pool.port, "/")
        found[int(text.split("'pid': ")[1].split(",")[0])] = text.split("'number': ")[1].split(",")[0]
        return len(found) >= number

    until(all_seen, f"answers of {number} workers")
    return found


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def test_each_worker_imports_the_application_and_none_the_library(start: Start, house: House) -> None:
    pool = begin(start, house)
    assert pool.status()["mode"] == "fork"
    template = pool.status()["template"]["pid"]
    trial, *importers = house.pids("application")
    assert sorted(house.pids("shelf")) == sorted({trial, template}), "by the trial and by the template"
    assert set(workers(pool)) < set(importers), "and the standby"
    numbers = answers(pool, 2)
    kill(workers(pool)[0])
    numbers |= answers(pool, 2)
    assert len(set(numbers.values())) == len(numbers), "a generator made at import gives each its own numbers"
    assert house.times()["shelf"] == 2


def test_an_application_imported_once_is_the_same_in_all_workers(start: Start, house: House) -> None:
    """The control: this is what makes module state dangerous there."""
    pool = begin(start, house, "--preload", "application")
    numbers = answers(pool, 2)
    kill(workers(pool)[0])
    numbers |= answers(pool, 2)
    assert len(set(numbers.values())) == 1
    assert house.times() == {"application": 1, "shelf": 1}


def test_nothing_is_shared_where_nothing_shall_be(start: Start, house: House) -> None:
    pool = begin(start, house, "--preload", "nothing")
    assert pool.status()["mode"] == "spawn"
    assert "one by one" not in pool.log
    assert len(set(answers(pool, 2).values())) == 2
    assert set(workers(pool)) < set(house.pids("application"))
    assert sorted(house.pids("application")) == sorted(house.pids("shelf"))


@pytest.mark.parametrize(
    "code",
    [
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True).start()",
        "import socket\nSOCKET = socket.socket()",
        "import part_of_the_application",
    ],
    ids=["thread", "socket", "application"],
)
def test_a_library_that_a_fork_must_not_inherit_is_left_to_the_workers(start: Start, house: House, code: str) -> None:
    """So is one that uses it. Everything else stays shared, and workers are forked all the same."""
    house.library(code)
    house.library("import shelf", name="user")
    house.library(name="other")
    (house.code / "part_of_the_application.py").touch()
    house.application(before="import shelf, user, other")
    pool = begin(start, house)
    template = pool.status()["template"]["pid"]
    assert pool.status()["mode"] == "fork"
    assert "one by one" not in pool.log
    assert template in house.pids("other")
    assert template not in house.pids("shelf") + house.pids("user")
    assert set(workers(pool)) < set(house.pids("shelf"))


def test_an_application_that_does_it_itself_is_forked_all_the_same(start: Start, house: House) -> None:
    house.application(after="import socket\nSOCKET = socket.socket()")
    pool = begin(start, house)
    assert pool.status()["mode"] == "fork"
    assert "one by one" not in pool.log


def test_what_an_application_installed_from_its_folder_imports_is_its_own(start: Start, house: House) -> None:
    """An image often has the application itself, or parts of it, among the installed distributions."""
    info = house.site / "shelf-1.dist-info"
    info.mkdir()
    (info / "direct_url.json").write_text('{"url": "file:///src/shelf", "dir_info": {}}')
    (info / "RECORD").write_text("shelf.py,sha256=x,1\nshelf-1.dist-info/RECORD,,\n")
    pool = begin(start, house)
    assert set(workers(pool)) < set(house.pids("shelf"))


def test_libraries_see_the_environment_that_the_application_gave_them(start: Start, house: House) -> None:
    """And the application finds its environment as it was."""
    house.application(before="assert 'COLOUR' not in os.environ\nos.environ['COLOUR'] = 'red'")
    pool = begin(start, house)
    assert "'seen': 'red'" in ask(pool.port, "/")
    assert len(house.pids("shelf")) == 2


def test_libraries_imported_after_a_patch_are_imported_after_it_in_every_worker(start: Start, house: House) -> None:
    patch = "import note, time\ntime.sleep = lambda seconds: None"
    house.library("import time\nassert time.sleep.__name__ == '<lambda>', 'not patched'")
    house.application(before=patch)
    pool = begin(start, house)
    assert set(workers(pool)) < set(house.pids("shelf"))
    assert pool.status()["template"]["pid"] not in house.pids("shelf")


def test_the_trial_leaves_nothing_behind(start: Start, house: House, tmp_path: Path) -> None:
    """What it has made is there for the workers, each its own, and gone when they are."""
    folders = tmp_path / "folders"
    folders.mkdir()
    house.application(
        after=f"import tempfile\nTEMP = tempfile.TemporaryDirectory(dir={str(folders)!r})\nprint('x', end='')"
    )
    house.env["PYTHONUNBUFFERED"] = ""
    pool = begin(start, house)
    assert len(list(folders.iterdir())) == len(house.pids("application")) - 1 == 3
    os.kill(pool.process.pid, signal.SIGTTOU)
    until(lambda: len(list(folders.iterdir())) == 2, "the end of one worker's folder")
    assert pool.log.count("\nx") <= 1, "text without an end of line comes when its process ends, not with every fork"


def test_processes_that_the_import_starts_do_not_hold_up_the_trial_and_end_with_it(start: Start, house: House) -> None:
    """A daemon that was forked, and a program."""
    code = """
import signal, subprocess, time
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note.note("daemon")
    time.sleep(1000)
    os._exit(0)
subprocess.Popen(["sleep", "1001"], close_fds=False)
while "daemon" not in open(os.environ["DIARY"]).read():
    time.sleep(0.01)
"""
    house.application(after=code)
    pool = begin(start, house, workers=1)
    assert pool.status()["mode"] == "fork"
    # The worker's import finds the trial's in the diary, and doesn't wait for its own.
    until(lambda: len(house.pids("daemon")) > 1, "the worker's")
    first = house.pids("daemon")[0]
    until(lambda: not alive(first), "the trial's gone")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("os._exit(7)", "the application's import ended its process: exit code 7"),
        ("os.kill(os.getpid(), 11)", "the application's import ended its process: signal SIGSEGV"),
        ("raise SystemExit('no licence')", "SystemExit: no licence"),
    ],
)
def test_an_import_that_ends_its_process(start: Start, house: House, code: str, said: str) -> None:
    house.application(after=code)
    pool = start("main:app", "--workers", "1", cwd=house.code, env=house.env)
    assert pool.wait() == EXIT_BOOT
    assert said in pool.log


def test_an_import_that_fails_in_workers_only_is_tried_again(start: Start, house: House) -> None:
    """The first three to import the application are the trial and two tries of the worker."""
    house.application(
        after="""
tries = open(os.environ["DIARY"]).read().count("application")
if 1 < tries < 4:
    raise ConnectionError("the database is late")
"""
    )
    pool = begin(start, house, workers=1)
    assert pool.log.count("the application raised ConnectionError while it was imported") == 2
    assert pool.log.count("ConnectionError: the database is late") == 1, "the same traceback once"
    assert pool.status()["mode"] == "fork"


def test_an_import_that_fails_in_workers_for_good_ends_the_pool(start: Start, house: House) -> None:
    house.application(after="if open(os.environ['DIARY']).read().count('application') > 1: 1 / 0")
    pool = start("main:app", "--workers", "2", "--pin", "never", cwd=house.code, env=house.env)
    assert pool.wait() == EXIT_BOOT
    assert "the application can't be loaded (3 tries)" in pool.log


def test_new_code_is_imported_with_its_libraries_in_a_reload(start: Start, house: House) -> None:
    pool = begin(start, house)
    old = workers(pool)
    house.library("SEEN = 'the second edition'")
    pool.process.send_signal(signal.SIGHUP)
    pool.until_log("reload: done")
    until(lambda: not any(map(alive, old)), "the old workers gone")  # one may accept until it has been scheduled
    assert "the second edition" in ask(pool.port, "/")
    pool.ready()
    assert pool.status()["template"]["pid"] in house.pids("shelf")
