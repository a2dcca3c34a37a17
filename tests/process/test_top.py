"""`corepod top` on a terminal and without one, on pools that serve, change, freeze, go and come back.

Each view is given the address of its pool: a name might mean a pool of another test.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from corepod.contract.exits import EXIT_NO_POOL, EXIT_OK, EXIT_SETTINGS
from corepod.local.client import Client

from tests.process.harness import APPS, Pool, running
from tests.process.terminal import Terminal
from tests.procfs import state
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Iterator


OTHER_SCREEN, FIRST_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
RELOADED = 2 * DEADLINE  # seconds: several interpreters start, one after the other
LOOK = 0.05  # seconds between two looks at a whole screen, which take more of the machine than most
COLOUR = re.compile(r"\x1b\[(?:\d+;)*3[0-9]")


class Top(Terminal):
    """The view of the pool whose control socket is at this address, and what is on its screen now."""

    def __init__(self, address: str, *args: str, columns: int = 80, lines: int = 30, env: tuple[str, ...] = ()) -> None:
        command = ["env", *env, sys.executable, "-m", "corepod", "top", address, "--interval", "0.2", *args]
        super().__init__(columns=columns, lines=lines, command=command)

    def sees(self, pattern: str, deadline: float = DEADLINE) -> re.Match[str]:
        """Wait until a line on the screen has this."""

        def found() -> re.Match[str] | None:
            return next(filter(None, (re.search(pattern, line) for line in self.screen)), None)

        match = until(found, lambda: f"{pattern!r} on the screen:\n" + "\n".join(self.screen), deadline, LOOK)
        assert match is not None
        return match

    def rows(self) -> list[str]:
        """The lines of slots; fewer, while a picture has come in part."""
        return [line for line in self.screen if re.match(r" *\d+ .*\[.*\]", line)]

    def lists(self, slots: int) -> None:
        """Wait until there are as many lines of slots."""
        until(lambda: len(self.rows()) == slots, lambda: f"{slots} slots:\n" + "\n".join(self.screen), pause=LOOK)

    def leaves(self) -> None:
        self.type(b"q")
        assert self.ends() == EXIT_OK

    def ends(self) -> int:
        """Its exit code, with the terminal as it was."""
        code = self.process.wait(DEADLINE)
        until(lambda: self.raw.count(FIRST_SCREEN) == self.raw.count(OTHER_SCREEN) > 0, "the first screen")
        assert not self.cursor_hidden
        assert self.modes == self.before
        return code


@contextlib.contextmanager
def shown(
    address: str | Path, *args: str, columns: int = 80, lines: int = 30, env: tuple[str, ...] = ()
) -> Iterator[Top]:
    top = Top(str(address), *args, columns=columns, lines=lines, env=env)
    try:
        yield top
    finally:
        top.close()


@contextlib.contextmanager
def served(tmp_path: Path, *args: str, app: str = "ok:app", cwd: Path = APPS, name: str = "pool") -> Iterator[Pool]:
    control = str(tmp_path / f"{name}.sock")
    with running(app, "--control", control, *args, log=tmp_path / f"{name}.log", cwd=cwd) as pool:
        yield pool.ready()


@contextlib.contextmanager
def traffic(pool: Pool) -> Iterator[None]:
    """Requests, one after the other."""
    over = threading.Event()

    def send() -> None:
        while not over.is_set():
            with contextlib.suppress(httpx.HTTPError):
                pool.get("/pid")

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(DEADLINE)


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pool, str]]:
    """A pool that no test ends or freezes, and the address of its control socket."""
    folder = tmp_path_factory.mktemp("steady")
    with served(folder, "--workers", "2") as pool:
        yield pool, str(folder / "pool.sock")


# What a person sees and does


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_a_pool_under_traffic_is_steered_by_keys(steady: tuple[Pool, str], columns: int) -> None:
    pool, address = steady
    with traffic(pool), shown(address, columns=columns) as top:
        for column in ("SLOT", "USE", "REQ/S", "P99", "RESTARTS", "STATE"):
            top.sees(column)
        top.sees(r"^[1-9]\d* req/s|^0\.[1-9] req/s")
        top.sees(r"p99 [<>][\d.]+ m?s")
        top.sees(r"2 of 2 slots ready")
        top.lists(2)
        # The arrow chooses the second slot; x asks before it restarts that one, and the first one stays.
        first, second = pool.slot(0)["pid"], pool.slot(1)["pid"]
        top.type(b"\x1b[B")
        top.type(b"x")
        top.sees("pool: restart slot 1[?]")
        assert pool.slot(1)["pid"] == second
        top.type(b"y")
        match = top.sees(r"restart slot 1: worker \d+ \(pid (\d+)\) has taken over")
        assert pool.slot(1)["pid"] == int(match[1]) != second
        assert pool.slot(0)["pid"] == first
        assert [slot["restarts"] for slot in pool.status()["slots"]] == [0, 0]
        top.sees(r"replaced +slot 1")
        # The same key again is a yes, too; any other one is a no.
        ended = pool.status()["reloads"]["ended"]
        top.type(b"r")
        top.sees("pool: reload[?]")
        top.type(b"n")
        until(lambda: not any("reload?" in line for line in top.screen), "no question")
        top.type(b"rr")
        top.sees("^reload: done$", RELOADED)
        assert pool.status()["reloads"]["ended"] == ended + 1
        assert pool.slot(0)["pid"] != first
        top.type(b"?")
        top.sees("leave; the pool goes on")
        top.type(b"?sss")
        top.sees("sort: P99")
        top.sees("P99[▼v]")
        top.leaves()
    assert pool.process.poll() is None


def test_slots_come_and_go_and_a_refusal_is_shown_with_its_reason(tmp_path: Path) -> None:
    with served(tmp_path, "--workers", "1") as pool, shown(tmp_path / "pool.sock") as top:
        top.sees("1 of 1 slots ready")
        top.type(b"--")
        top.sees("scale -1: a pool has 1 to 512 slots; now 1, and 0 are asked for")
        top.type(b"+y")
        top.sees("scaled: 1 -> 2 slots")
        top.sees("2 of 2 slots ready")
        assert len(pool.status()["slots"]) == 2
        top.type(b"-y")
        top.sees("scaled: 2 -> 1 slots")
        top.lists(1)


def test_a_reload_that_fails_says_so(tmp_path: Path) -> None:
    code = tmp_path / "changing.py"
    shutil.copy(APPS / "ok.py", code)
    with served(tmp_path, "--workers", "1", app="changing:app", cwd=tmp_path) as pool:
        pid = pool.slot()["pid"]
        code.write_text("raise ValueError('no host')")
        with shown(tmp_path / "pool.sock", columns=160) as top:
            top.sees("1 of 1 slots ready")
            top.type(b"rr")
            top.sees("^reload failed, the old code goes on: .", RELOADED)
            top.sees("reload-failed")
            top.sees("last reload failed")
        assert pool.slot()["pid"] == pid
        assert pool.get("/pid").json() == pid


def test_a_death_shows_at_once_with_its_reason(tmp_path: Path) -> None:
    with served(tmp_path, "--workers", "1") as pool, shown(tmp_path / "pool.sock", columns=120) as top:
        top.sees("restarts 0")
        os.kill(pool.slot()["pid"], signal.SIGKILL)
        top.sees("restarts 1")
        top.sees("died .*signal SIGKILL")


def test_other_windows(steady: tuple[Pool, str]) -> None:
    with shown(steady[1], columns=120) as top:
        for columns in (80, 60, 200, 61):
            top.resize(columns)
            ends = partial(shown_with, top, columns)
            until(ends, lambda columns=columns: f"{columns} columns:\n" + "\n".join(top.screen))  # type: ignore[misc]
    with shown(steady[1], columns=60, lines=10) as low:
        low.sees("REQ/S")
        low.lists(2)
        until(lambda: "q quit" in low.screen[-1], lambda: "the keys below:\n" + "\n".join(low.screen))


def shown_with(top: Top, columns: int) -> bool:
    """Whether the screen is drawn for this width: the chosen slot's line is as wide as the window, and there is one
    head and two slots."""
    heads = [line for line in top.screen if "REQ/S" in line]
    fits = ("CORE" in heads[0]) == (columns >= 100) and ("PID" in heads[0]) == (columns >= 120) if heads else False
    return len(heads) == 1 and len(top.rows()) == 2 and fits


def test_the_next_pool(tmp_path: Path) -> None:
    runtime = f"XDG_RUNTIME_DIR={tmp_path}"
    names = [f"{kind}-{os.getpid()}" for kind in ("left", "right")]
    with contextlib.ExitStack() as stack:
        for name in names:
            log = tmp_path / f"{name}.log"
            env = {"XDG_RUNTIME_DIR": str(tmp_path)}
            stack.enter_context(running("ok:app", "--name", name, "--workers", "1", log=log, env=env)).ready()
        top = stack.enter_context(shown(names[0], env=(runtime,)))
        here = top.sees(r"^(\S+) +\(pool \d+ ")
        assert here[1] == names[0]
        for key, name in ((b"\t", names[1]), (b"\x1b[Z", names[0])):
            while here[1] != name:  # other tests may have pools between them
                top.type(key)
                here = top.sees(rf"^(?!{re.escape(here[0])})(\S+) +\(pool \d+ ")
            top.sees("1 of 1 slots ready")


# Pools that don't answer


def test_a_pool_that_goes_is_waited_for_and_attached_to_again(tmp_path: Path) -> None:
    with served(tmp_path, "--workers", "1") as pool, shown(tmp_path / "pool.sock") as top:
        top.sees("1 of 1 slots ready")
        pool.stop()
        top.sees("gone for .*, waiting for it to come back")
        top.lists(0)
        top.type(b"rr")
        top.sees("reload: nobody is at its address")
        with served(tmp_path, "--workers", "2"):
            top.sees("2 of 2 slots ready")
            top.lists(2)
            top.leaves()


def test_a_frozen_supervisor_freezes_no_key(tmp_path: Path) -> None:
    with served(tmp_path, "--workers", "1") as pool, shown(tmp_path / "pool.sock") as top:
        top.sees("1 of 1 slots ready")
        os.kill(pool.process.pid, signal.SIGSTOP)
        try:
            top.sees("no answer for")
            top.lists(1)  # its workers serve
            top.type(b"?")
            top.sees("leave; the pool goes on")
            top.type(b"?xy")
            top.sees("restart slot 0: no answer; it may be done when the pool answers again")
            with shown(tmp_path / "pool.sock") as other:
                other.sees("doesn't answer")
                other.leaves()
        finally:
            os.kill(pool.process.pid, signal.SIGCONT)
        until(lambda: "no answer" not in top.screen[0], "an answer")
        top.leaves()


# The terminal


@pytest.mark.parametrize(
    ("signum", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131), (signal.SIGINT, EXIT_OK)],
)
def test_a_signal_gives_the_terminal_back(steady: tuple[Pool, str], signum: int, code: int) -> None:
    with shown(steady[1]) as top:
        top.sees("slots ready")
        assert top.cursor_hidden
        assert top.modes != top.before
        top.process.send_signal(signum)
        assert top.ends() == code


@pytest.mark.parametrize(("key", "code"), [(b"\x03", EXIT_OK), (b"\x1c", 131)])
def test_ctrl_c_and_ctrl_backslash_leave(steady: tuple[Pool, str], key: bytes, code: int) -> None:
    with shown(steady[1]) as top:
        top.sees("slots ready")
        top.type(key)
        assert top.ends() == code


def test_a_fault_of_its_own_gives_the_terminal_back_and_shows(tmp_path: Path) -> None:
    address = str(tmp_path / "strange.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        threading.Thread(target=answer_strangely, args=(listener,), daemon=True).start()
        with shown(address) as top:
            top.shows("KeyError")
            assert top.ends() == 1
            assert top.raw.rindex("KeyError") > top.raw.rindex(FIRST_SCREEN)


def answer_strangely(listener: socket.socket) -> None:
    """As no pool does: what everything else is looked for in isn't there."""
    while True:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        with peer, contextlib.suppress(OSError):
            if peer.recv(4096):  # not one that only looked whether somebody is there
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


def test_the_terminal_is_the_shells_after_ctrl_z_and_the_views_again_after_fg(steady: tuple[Pool, str]) -> None:
    if shutil.which("bash") is None:
        pytest.skip("no bash for job control")
    shell = Terminal(command=["bash", "--norc", "--noprofile", "--noediting", "-i"], columns=100)
    try:
        before = until(lambda: "$" in shell.text and shell.modes, "a prompt")
        shell.type(shlex.join([sys.executable, "-m", "corepod", "top", steady[1]]).encode() + b"\n")
        shell.shows("2 of 2 slots ready")
        assert shell.modes != before
        shell.type(b"\x1a")
        shell.shows("Stopped")
        until(lambda: shell.modes == before and not shell.cursor_hidden, "the shell's terminal")
        entered = shell.raw.count(OTHER_SCREEN)
        assert shell.raw.count(FIRST_SCREEN) == entered == 1
        shell.type(b"fg\n")
        until(lambda: shell.raw.count(OTHER_SCREEN) == 2 and shell.cursor_hidden, "the view again")
        shell.type(b"q")
        until(lambda: shell.raw.count(FIRST_SCREEN) == 2 and shell.modes == before, "the shell's terminal")
        shell.type(b"echo left with $?\n")
        shell.shows("left with 0")
    finally:
        shell.type(b"exit\nexit\n")
        shell.close()


def test_a_view_that_was_stopped_without_a_word_draws_again(steady: tuple[Pool, str]) -> None:
    with shown(steady[1]) as top:
        top.sees("slots ready")
        for _ in range(2):
            top.process.send_signal(signal.SIGSTOP)
            until(lambda: state(top.process.pid) == "T", "stopped")
            written = len(top.raw)
            top.process.send_signal(signal.SIGCONT)
            until(lambda written=written: "\x1b[?25l" in top.raw[written:], "drawn anew")  # type: ignore[misc]
        assert top.raw.count(OTHER_SCREEN) == 1
        top.leaves()


def test_without_colours(steady: tuple[Pool, str]) -> None:
    for env, coloured in ((("NO_COLOR=1",), False), (("NO_COLOR=",), True)):
        with shown(steady[1], env=env) as top:
            top.lists(2)
            top.leaves()
            assert bool(COLOUR.search(top.raw)) is coloured


def test_a_terminal_that_cannot_be_drawn_on_gets_one_table(steady: tuple[Pool, str]) -> None:
    with shown(steady[1], env=("TERM=dumb",)) as top:
        assert top.process.wait(DEADLINE) == EXIT_OK
        top.shows("2 of 2 slots ready")
        assert OTHER_SCREEN not in top.raw
        assert "q quit" not in top.raw
        assert top.modes == top.before


# Without a terminal


def top(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "corepod", "top", "--interval", "0.3", *args]
    clean = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    return subprocess.run(
        words, capture_output=True, text=True, env={**clean, **env}, stdin=subprocess.DEVNULL, timeout=DEADLINE * 2
    )


def test_a_pipe_gets_one_plain_table(steady: tuple[Pool, str]) -> None:
    for args in ((steady[1],), (steady[1], "--once")):
        ended = top(*args)
        assert (ended.returncode, ended.stderr) == (EXIT_OK, "")
        assert "\x1b" not in ended.stdout
        lines = ended.stdout.splitlines()
        assert sum(bool(re.match(r" *\d .*\[.*\].*ready", line)) for line in lines) == 2
        assert any("req/s" in line for line in lines)
    narrow = top(steady[1], COLUMNS="60")
    assert max(map(len, narrow.stdout.splitlines())) <= 60


def test_ascii_where_the_terminal_has_nothing_else(steady: tuple[Pool, str]) -> None:
    ended = top(steady[1], PYTHONIOENCODING="ascii")
    assert ended.returncode == EXIT_OK
    assert ended.stdout.isascii()


def test_json_measures_what_comes_between_two_looks(steady: tuple[Pool, str]) -> None:
    pool, address = steady

    def measured(served: bool) -> dict[str, object] | None:
        found: dict[str, object] = json.loads(top(address, "--json").stdout)
        return found if bool(found["p99_seconds"]) is served else None

    # A request that was answered before this test began may be counted after that.
    idle = until(lambda: measured(False), "no requests")
    assert idle is not None
    assert idle["requests_per_second"] == 0
    assert idle["p50_seconds"] is None
    with traffic(pool):
        busy = until(lambda: measured(True), "requests")
    assert busy is not None
    assert isinstance(busy["requests_per_second"], float)
    assert busy["requests_per_second"] > 0
    assert isinstance(busy["slots"], list)
    assert [slot["state"] for slot in busy["slots"]] == ["ready", "ready"]


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "none.sock")
    gone = top(nowhere)
    assert (gone.returncode, gone.stderr) == (EXIT_NO_POOL, f"corepod: no pool listens at {nowhere}\n")
    unknown = top("no-such-pool-anywhere")
    assert unknown.returncode == EXIT_NO_POOL
    assert "no pool called no-such-pool-anywhere runs here" in unknown.stderr
    for interval in ("0", "nan", "x", "1e9"):
        wrong = top(nowhere, "--interval", interval)
        assert wrong.returncode == EXIT_SETTINGS
        assert "not a number of seconds from 0.1 to 60" in wrong.stderr


def test_a_socket_that_was_left_behind_is_no_pool(tmp_path: Path) -> None:
    address = str(tmp_path / "left.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        assert not Client(address).listens()
        listener.listen()
        assert Client(address).listens()
    assert not Client(address).listens()
    assert top(address).returncode == EXIT_NO_POOL


def test_the_commands_of_the_page_as_they_stand_there(tmp_path: Path) -> None:
    page = (APPS.parents[1] / "docs" / "top.md").read_text()
    commands = [line.partition("#")[0].strip() for line in re.findall(r"^    (corepod .*)$", page, re.MULTILINE)]
    assert len(commands) == 5
    here = {"XDG_RUNTIME_DIR": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with running("ok:app", "--name", "shop", "--workers", "1", log=tmp_path / "log", env=here) as pool:
        pool.ready()
        for command in commands:
            ended = subprocess.run(
                shlex.split(command), capture_output=True, text=True, env={**os.environ, **here}, timeout=2 * DEADLINE
            )
            # Without a name, pools of other tests are there, too, and may end or be frozen meanwhile.
            assert ended.returncode == EXIT_OK or command == "corepod top", ended.stderr
            assert re.search(rf"^shop .*:{pool.port}\b|\"name\": \"shop\"", ended.stdout, re.MULTILINE), ended.stdout
