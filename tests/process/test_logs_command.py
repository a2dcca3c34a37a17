"""`corepod logs`: the last lines of a pool's log and what is added to it, over rotation, restarts and its end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.exits import EXIT_FAILED, EXIT_NO_POOL

from tests.process.background import ANY_PORT, ONE, TWO, Machine, get
from tests.process.harness import APPS
from tests.process.terminal import Terminal
from tests.process.test_logfiles import said
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]


def logs(user: Machine, *args: str) -> list[str]:
    done = user.corepod("logs", *args)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def records(user: Machine, *args: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in logs(user, *args, "--json")]


class Following:
    """`corepod logs -f`, with what it has printed so far."""

    def __init__(self, user: Machine, *args: str) -> None:
        self.process = subprocess.Popen(
            user.command("logs", "-f", *args), env=user.environment, cwd=APPS, stdout=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def having(self, text: str) -> list[str]:
        return [line for line in list(self.lines) if text in line]

    def until(self, text: str, count: int = 1) -> list[str]:
        until(lambda: len(self.having(text)) >= count, lambda: f"{count} times {text!r}: {len(self.having(text))}")
        return self.having(text)

    def close(self) -> int:
        self.process.send_signal(signal.SIGINT)
        try:
            code = self.process.wait(DEADLINE)
        finally:
            self.process.kill()  # which does nothing to one that has ended
        self._reader.join(DEADLINE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def follow(user: Machine) -> Iterator[Callable[..., Following]]:
    found: list[Following] = []

    def begin(*args: str) -> Following:
        found.append(Following(user, *args))
        return found[-1]

    yield begin
    for following in found:
        assert following.close() == 130


def test_the_last_lines_of_all_files(user: Machine) -> None:
    started = user.start("ok:app", *ONE, "--log-max-size", "2k", "--log-files", "50")
    for number in range(100):
        get(started, f"/say?text=line-{number:03}")
    until(lambda: said(user.log(), "line-099"), "the last line")
    assert len(list(user.log().parent.iterdir())) > 3
    # Among them there may be lines about a worker that was held up.
    found = records(user, user.name, "-n", "90")
    said_last = [record["message"] for record in found if record["message"].startswith("line-")]
    assert said_last == [f"line-{number:03}" for number in range(100 - len(said_last), 100)]
    assert len(found) == 90
    assert len(said_last) > 80
    assert len(records(user, user.name)) == 50
    assert logs(user, user.name, "-n", "0") == []


def test_lines_of_one_slot(user: Machine) -> None:
    started = user.start("ok:app", *TWO)
    slots = {get(started)["slot"] for _ in range(40)}
    assert slots <= {"0", "1"}
    for _ in range(40):
        get(started, "/say?text=hello")
    until(lambda: user.log().read_text().count("| hello") == 40, "all lines")
    every = [record for record in records(user, user.name, "-n", "1000") if record["message"] == "hello"]
    found = {slot: records(user, user.name, "-n", "1000", "--slot", str(slot)) for slot in (0, 1)}
    said = {slot: [r for r in found[slot] if r["message"] == "hello"] for slot in found}
    assert {r["slot"] for slot in said for r in said[slot] if r["slot"] != slot} == set()
    assert sum(map(len, said.values())) == len(every) == 40
    # The supervisor's own lines about the slot, too, and no others.
    for slot in (0, 1):
        assert [r["message"] for r in found[slot] if "level" in r and "ready" in r["message"]] == ["ready"]
        assert records(user, f"{user.name}/{slot}", "-n", "1000")[: len(found[slot])] == found[slot]
        assert all("usable cores" not in r["message"] for r in found[slot])


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_object_for_each_line(user: Machine, form: str) -> None:
    started = user.start("ok:app", *ONE, "--log-format", form)
    pid = get(started)["pid"]
    get(started, "/say?text=hello")
    user.until_log("hello")
    found = records(user, user.name)
    (own,) = [record for record in found if record["message"] == "ready"]
    (said,) = [record for record in found if record["message"] == "hello"]
    who = {"worker": 1, "slot": 0, "pid": pid}
    assert own.items() >= {"level": "info", **who}.items()
    assert said.items() >= who.items()
    assert all(record["time"].endswith("Z") for record in found)


def test_a_traceback_is_one_entry(user: Machine) -> None:
    user.corepod("start", "boot_error:app", *ANY_PORT, *ONE)
    (failure,) = [r for r in records(user, user.name) if "DATABASE_URL" in r["message"] and "Traceback" in r["message"]]
    assert failure["level"] == "error"
    assert "\n" in failure["message"]
    assert "  | " not in failure["message"].splitlines()[1][:4]


def test_why_a_pool_has_died(user: Machine) -> None:
    """Its log is found by its name."""
    started = user.start("ok:app", *ONE, "--crash-budget", "1/60")
    user.look(started["pid"])
    first = user.status()["slots"][0]["pid"]
    os.kill(first, signal.SIGKILL)

    def next_worker() -> int:
        # One that dies before it has begun isn't counted.
        slot = user.status()["slots"][0]
        return slot["pid"] if slot["ready"] and slot["pid"] != first else 0

    os.kill(until(next_worker, "the next worker"), signal.SIGKILL)
    until(lambda: not user.supervisors(), "the end of the pool")
    assert "every slot is given up: the pool exits" in "\n".join(logs(user, user.name))
    # Where no name is given others' pools in /run/corepod count, too, and their logs; they come and go.
    before, done, after = (user.corepod(*words) for words in (("ps", "-q"), ("logs",), ("ps", "-q")))
    alone = not before.stdout and not after.stdout
    listed = user.name in done.stderr.partition("there are logs of")[2]
    assert "every slot is given up: the pool exits" in done.stdout or listed or not alone, done


def test_a_name_without_a_log(user: Machine) -> None:
    done = user.corepod("logs", "nothing-of-this-name")
    assert done.returncode == EXIT_NO_POOL
    assert "no pool called nothing-of-this-name runs here" in done.stderr
    user.log().parent.mkdir(parents=True)
    user.log().touch()
    done = user.corepod("logs", "nothing-of-this-name")
    assert f"there are logs of {user.name}" in done.stderr


def test_a_file_by_its_path(user: Machine, tmp_path: Path) -> None:
    (tmp_path / "any.log").write_text("one\ntwo\n")
    assert logs(user, str(tmp_path / "any.log"), "-n", "1") == ["two"]


def test_control_characters_do_not_reach_the_terminal(user: Machine, tmp_path: Path) -> None:
    (tmp_path / "any.log").write_bytes(b"\x1b]0;title\x07 \xff\n")
    assert logs(user, str(tmp_path / "any.log")) == [r"\x1b]0;title\x07 \xff"]


def test_on_a_terminal_without_the_library_for_colours(tmp_path: Path) -> None:
    """As with `kubectl exec -it`: the image of a pod doesn't have it."""
    (tmp_path / "any.log").write_text("one\ntwo\n")
    (tmp_path / "missing/rich").mkdir(parents=True)
    (tmp_path / "missing/rich/__init__.py").write_text("raise ImportError(__name__)\n")
    words = ["env", f"PYTHONPATH={tmp_path}/missing", sys.executable, "-m", "corepod", "logs", f"{tmp_path}/any.log"]
    terminal = Terminal(command=words)
    try:
        assert terminal.process.wait(DEADLINE) == 0, terminal.text
        terminal.shows("one\r\n *two")
    finally:
        terminal.close()


# It follows


def test_it_follows_over_rotation(user: Machine, follow: Callable[..., Following]) -> None:
    """Each line once, in its order, whatever has become of the files between two looks."""
    started = user.start("ok:app", *ONE, "--log-max-size", "4k", "--log-files", "500")
    following = follow(user.name)
    following.until("] ready")
    for number in range(10):
        get(started, f"/say?text=batch-{number}-{'x' * 40}&n=200")
    found = following.until("batch-", 2000)
    assert len(found) == 2000
    assert [re.search(r"batch-(\d)", line)[1] for line in found] == [str(n) for n in range(10) for _ in range(200)]  # type: ignore[index]
    assert len(list(user.log().parent.iterdir())) > 20


def test_it_follows_over_a_rename_and_the_signal(user: Machine, follow: Callable[..., Following]) -> None:
    started = user.start("ok:app", *ONE)
    following = follow(user.name)
    following.until("ready")
    user.log().rename(user.log("yesterday"))
    get(started, "/say?text=between")
    following.until("between")
    os.kill(started["pid"], signal.SIGUSR2)
    following.until("the log file is reopened")
    get(started, "/say?text=afterwards")
    following.until("afterwards")


def test_it_follows_over_a_restart_of_the_pool(user: Machine, follow: Callable[..., Following]) -> None:
    started = user.start("ok:app", *ONE)
    following = follow(user.name)
    following.until("] ready")
    user.stop(started["pid"])
    following.until("stopped")
    again = user.start("ok:app", *ONE)
    following.until("] ready", 2)
    get(again, "/say?text=hello-again")
    following.until("hello-again")


def test_one_slot_followed_as_objects(user: Machine, follow: Callable[..., Following]) -> None:
    started = user.start("ok:app", *TWO)
    following = follow(user.name, "--slot", "1", "--json", "-n", "0")

    def said() -> bool:
        get(started, "/say?text=hello")
        return len(following.having("hello")) > 3

    until(said, "lines of slot 1")
    assert {json.loads(line)["slot"] for line in list(following.lines)} == {1}


# It isn't in a file of the pool's own


def test_a_pool_whose_output_was_redirected_to_a_file(user: Machine, start: Start) -> None:
    pool = start("ok:app", *ONE, "--name", user.name, env={"XDG_RUNTIME_DIR": str(user.run)}).ready()
    found = logs(user, user.name)
    assert found == pool.log.splitlines()[: len(found)]
    assert "] ready" in "\n".join(found)


def test_a_pool_whose_output_is_read_by_another_program(user: Machine, start: Start) -> None:
    read, write = os.pipe()
    pool = start(
        "ok:app", *ONE, "--name", user.name, env={"XDG_RUNTIME_DIR": str(user.run)}, stdout=write, stderr=write
    )
    until(lambda: user.client().status(), "it answers")
    done = user.corepod("logs", user.name)
    assert done.returncode == EXIT_FAILED
    assert "goes to a pipe, which the program that started it reads" in done.stderr
    os.close(write)
    assert pool.stop() == 0
    os.close(read)


JOURNALCTL = """#!/bin/sh
echo "$@" > "$ASKED"
printf '%s\\n' '2026-11-29T19:45:15.012Z INFO    [worker 1 slot 0 pid 7] ready' 'worker 2 slot 1 pid 8 | hello'
"""


@pytest.mark.parametrize(
    ("flags", "options", "shown"),
    [
        ([], "--no-pager --lines=50", ["2026", "worker 2"]),
        (["-f", "-n", "7"], "--no-pager --lines=7 --follow", ["2026", "worker 2"]),
        (["--slot", "1"], "--no-pager --lines=50 --output=cat", ["worker 2"]),
    ],
)
def test_the_journal_shows_the_log_of_a_service(
    user: Machine, tmp_path: Path, flags: list[str], options: str, shown: list[str]
) -> None:
    """There is no journal to be had in a test: a program in place of journalctl says what it was asked for."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "journalctl"
    program.write_text(JOURNALCTL)
    program.chmod(0o755)
    code = (
        "import sys; from corepod.local import journal; from corepod.local.commands import logs\n"
        "from corepod.cli import main; journal.unit = lambda pid: journal.named('0::/system.slice/shop.service')\n"
        "logs.find = lambda pool: None; logs.get = lambda *a: {'log': {'to': 'journal'}, 'pid': 1}\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [*user.command()[:1], "-c", code, "logs", "shop", *flags],
        env={**user.environment, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "ASKED": str(tmp_path / "asked")},
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "asked").read_text() == f"--unit shop.service {options}\n"
    lines = done.stdout.splitlines()
    assert [line.startswith(start) for line, start in zip(lines, shown, strict=True)] == [True] * len(shown)
