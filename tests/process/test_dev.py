"""`corepod dev`: from a save to the new code, broken code, the debugger at the terminal, and what stays behind."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from corepod.contract.exits import EXIT_APP, EXIT_SETTINGS
from corepod.local.client import Client

from tests.process.harness import CLIENT, Pool
from tests.process.terminal import Terminal
from tests.procfs import alive, comm, descendants
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCE = """
import os
{at_import}
VERSION = {version!r}

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        {in_lifespan}
        await send({{"type": "lifespan.startup.complete"}})
        await receive()
        return await send({{"type": "lifespan.shutdown.complete"}})
    if scope["path"] == "/boom":
        raise ValueError("<script>")
    if scope["path"] == "/debug":
        secret = 41
        breakpoint()
    text = str(os.getpid()) if scope["path"] == "/pid" else VERSION
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": text.encode()}})
"""
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+), watching")
ROOT = Path(__file__).parents[2]
DOCUMENT, README = ROOT / "docs" / "development.md", ROOT / "README.md"
HTML = {"accept": "text/html,*/*"}
RELOADED = 2 * DEADLINE  # seconds: several interpreters may start, one after the other
LOOK = 0.05  # seconds between two requests, which keep the machine from the reload that they wait for
# `corepod` in place of that of the words that follow: a reload under way is waited for, however slow the machine is.
PATIENT = """
import sys
from corepod.local import dev
dev.PATIENCE = 600.0
from corepod.cli import main
sys.exit(main(sys.argv[4:]))
"""


class Dev(Pool):
    """`corepod dev`, whose own process is the command line."""

    def __init__(self, app: str, *args: str, folder: Path, **options: Any) -> None:
        self._control = str(folder / "control.sock")
        super().__init__(app, "--control", self._control, *args, **{"command": "dev", **options})

    def _addresses(self) -> tuple[int, int]:
        match = until(lambda: ADDRESS.search(self.log) or self._ended(), lambda: f"its address: {self.log}", 60)
        assert not isinstance(match, bool), self.log
        return int(match[1]), 0

    def status(self) -> dict[str, Any]:
        status = until(lambda: Client(self._control).status(), "an answer of the control socket")
        assert status is not None
        return status

    def until_answer(self, text: str, path: str = "/", status: int = 200, **options: Any) -> httpx.Response:
        """Wait for it. The next answer may be an older one again: a worker that has been replaced takes connections
        until it is told."""

        def answered() -> httpx.Response | None:
            response = self.get(path, **options)
            return response if text in response.text and response.status_code == status else None

        response = until(answered, lambda: f"{text!r} from {path}\n{self.log}", RELOADED, LOOK)
        assert response is not None
        return response


class Code:
    """The module `served` below a folder of its own."""

    def __init__(self, folder: Path, start: Callable[..., Pool]) -> None:
        self.folder, self._beside, self._start = folder / "code", folder, start
        self.folder.mkdir()
        self.write("one")

    def write(self, version: str, at_import: str = "", in_lifespan: str = "pass") -> None:
        """As most editors do: another file takes the place of the old one."""
        text = SOURCE.format(version=version, at_import=textwrap.dedent(at_import), in_lifespan=in_lifespan)
        (self.folder / "half").write_text(text)
        (self.folder / "half").rename(self.folder / "served.py")

    def run(self, *args: str, **options: Any) -> Dev:
        env = {"XDG_RUNTIME_DIR": str(self._beside), "PYTHONUNBUFFERED": "1"}
        pool = self._start(
            "served:app", "--chdir", str(self.folder), *args, kind=Dev, folder=self._beside, env=env, **options
        )
        assert isinstance(pool, Dev)
        return pool


@pytest.fixture
def code(tmp_path: Path, start: Callable[..., Pool]) -> Code:
    return Code(tmp_path, start)


def test_a_change_is_served_by_a_new_worker_of_the_same_template(code: Code) -> None:
    pool = code.run()
    pool.until_answer("one")
    template, worker = pool.status()["template"]["pid"], pool.get("/pid").text
    code.write("two")
    pool.until_answer("two")
    pool.until_log("served.py changed: reloaded in ")
    assert pool.status()["template"]["pid"] == template
    until(lambda: pool.get("/pid").text != worker, "an answer of another worker")
    assert len(pool.status()["slots"]) == 1
    pool.until_log('"GET /pid HTTP/1.1" 200')


def test_versions_of_one_length_within_a_second_are_told_apart(code: Code) -> None:
    """Python's bytecode is chosen by size and second: here all versions have both in common."""
    pool = code.run()
    pool.until_answer("one")
    for version in ("two", "six", "ten", "one"):
        code.write(version)
        os.utime(code.folder / "served.py", (2_000_000_000, 2_000_000_000))
        pool.until_answer(version)


def test_bytecode_that_is_older_than_the_last_save_of_that_second_is_not_served(code: Code) -> None:
    """What another program, such as a test runner, has left behind."""
    os.utime(code.folder / "served.py", (2_000_000_000, 2_000_000_000))
    import py_compile

    py_compile.compile(str(code.folder / "served.py"))
    code.write("two")
    os.utime(code.folder / "served.py", (2_000_000_000, 2_000_000_000))
    plain = [sys.executable, "-c", "import served; print(served.VERSION)"]
    assert subprocess.check_output(plain, cwd=code.folder, text=True) == "one\n"  # what Python makes of it
    code.run().until_answer("two")


def test_a_new_module_a_deleted_one_and_a_package(code: Code) -> None:
    pool = code.run()
    pool.until_answer("one")
    (code.folder / "parts").mkdir()
    (code.folder / "parts" / "__init__.py").write_text("NAME = 'from a package'\n")
    code.write("x", "from parts import NAME")
    (code.folder / "served.py").write_text((code.folder / "served.py").read_text().replace("'x'", "NAME"))
    pool.until_answer("from a package")
    (code.folder / "parts" / "__init__.py").write_text("NAME = 'changed there'\n")
    pool.until_answer("changed there")
    (code.folder / "parts" / "__init__.py").unlink()
    pool.until_answer("cannot import name", status=500)


def test_what_comes_with_a_new_folder_is_a_change(code: Code, tmp_path: Path) -> None:
    """It may be there before the folder is watched."""
    code.write("x", "from parts import NAME")
    served = code.folder / "served.py"
    served.write_text(served.read_text().replace("'x'", "NAME"))
    parts = tmp_path / "parts"
    (parts / "deeper").mkdir(parents=True)
    (parts / "__init__.py").write_text("from parts.deeper import NAME\n")
    (parts / "deeper" / "__init__.py").write_text("NAME = 'from a package'\n")
    pool = code.run()
    pool.until_answer("No module named 'parts'", status=500)
    parts.rename(code.folder / "parts")
    pool.until_answer("from a package")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"at_import": "import nothing_of_this_name"}, "No module named 'nothing_of_this_name'"),
        ({"at_import": "x = ("}, "was never closed"),
        ({"at_import": "raise SystemExit(3)"}, "SystemExit: 3"),
        ({"in_lifespan": "raise OSError('no database')"}, "no database"),
    ],
)
def test_broken_code_is_shown_here_and_in_the_browser_until_it_is_repaired(
    code: Code, fault: dict[str, str], words: str
) -> None:
    pool = code.run()
    pool.until_answer("one")
    code.write("two", **fault) if "at_import" in fault else code.write(
        "two", in_lifespan="return await send({'type': 'lifespan.startup.failed', 'message': 'no database'})"
    )
    pool.until_answer(words, status=500)
    pool.until_log("changed: broken: ")
    pool.until_log(words)
    shown = pool.until_answer("location.reload()", status=500, headers=HTML)
    assert shown.headers["content-type"].startswith("text/html")
    assert shown.headers["x-corepod-broken"] == "1"
    assert "http://" not in shown.text
    code.write("three")
    assert "x-corepod-broken" not in pool.until_answer("three").headers


def test_code_that_is_broken_from_the_start_does_not_end_it_and_gets_its_libraries_later(code: Code) -> None:
    code.write("one", "raise RuntimeError('at first')")
    pool = code.run()
    pool.until_answer("at first", status=500)
    code.write("two", "import decimal")
    pool.until_answer("two")
    pool.until_log("reloaded with its libraries")


def test_an_application_that_is_not_there_ends_it(code: Code) -> None:
    pool = code.run()
    pool.until_answer("one")
    pool.stop()
    (code.folder / "served.py").unlink()
    assert code.run().wait(2 * DEADLINE) == EXIT_APP


def test_a_worker_that_dies_at_import_leaves_the_old_one(code: Code) -> None:
    pool = code.run()
    pool.until_answer("one")
    code.write("two", "os._exit(9)")
    pool.until_log("ended before it was ready: exit code 9")
    assert pool.get().text == "one"
    code.write("three")
    pool.until_answer("three")


def test_an_exception_of_a_handler_is_shown_to_the_browser_escaped(code: Code) -> None:
    pool = code.run()
    shown = pool.until_answer("ValueError: <script>", "/boom", 500)
    assert "served.py" in shown.text
    shown = pool.get("/boom", headers=HTML)
    assert "ValueError: &lt;script&gt;" in shown.text
    assert "<script>" not in shown.text
    assert pool.get().text == "one"


def test_a_pool_that_is_not_for_development_shows_no_traceback(code: Code, start: Callable[..., Pool]) -> None:
    pool = start("served:app", "--chdir", str(code.folder), "--workers", "1").ready()
    answer = pool.get("/boom")
    assert answer.status_code == 500
    assert "ValueError" not in answer.text


def test_only_what_is_watched_counts(code: Code) -> None:
    pool = code.run("--reload-include", "*.py", "--reload-include", "*.html", "--reload-exclude", "tests")
    pool.until_answer("one")
    (code.folder / "tests").mkdir()
    (code.folder / "notes.txt").write_text("x")
    (code.folder / "tests" / "test_x.py").write_text("x = 1")
    (code.folder / "__pycache__").mkdir(exist_ok=True)
    (code.folder / "__pycache__" / "x.py").write_text("x = 1")
    (code.folder / "page.html").write_text("x")
    log = pool.until_log("changed: ")
    # Once, or once more: a file that is made and written are two changes.
    assert set(re.findall(r"^(.*) changed: ", log, re.MULTILINE)) == {"page.html"}


def test_what_is_saved_during_a_reload_causes_one_more(code: Code) -> None:
    pool = code.run(prefix=(sys.executable, "-c", PATIENT))
    pool.until_answer("one")
    gate = code.folder / "gate"
    waits = code.folder / "waits"
    at_import = f"import time, pathlib\npathlib.Path({str(waits)!r}).touch()\n"
    at_import += f"while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)"
    code.write("two", at_import)
    until(waits.exists, "an import under way")
    code.write("six", at_import)
    assert pool.get().text == "one"  # the old one serves meanwhile
    gate.touch()
    pool.until_answer("six")
    log = pool.until_log(" changed: reloaded", 2)
    assert log.count(" changed: ") == 2


def test_a_save_is_served_although_the_last_one_hangs_at_import(code: Code) -> None:
    pool = code.run()
    pool.until_answer("one")
    supervisor = pool.status()["pid"]
    hangs = code.folder / "hangs"
    code.write("two", f"import time\nopen({str(hangs)!r}, 'w').close()\ntime.sleep(1000)")
    until(hangs.exists, "an import under way")
    code.write("three")
    pool.until_answer("three")
    pool.until_log("reloaded with its libraries")
    until(lambda: len(descendants(supervisor)) == 2, lambda: f"template and worker: {descendants(supervisor)}", 60)


def test_the_env_file_is_read_again_by_a_new_template(code: Code) -> None:
    (code.folder / "dev.env").write_text("GREETING=hello\n")
    code.write("x")
    served = code.folder / "served.py"
    served.write_text(served.read_text().replace("'x'", "os.environ['GREETING']"))
    pool = code.run("--env-file", str(code.folder / "dev.env"))
    pool.until_answer("hello")
    (code.folder / "dev.env").write_text("GREETING=good evening\n")
    pool.until_answer("good evening")


def test_preloaded_applications_and_several_workers_are_reloaded_as_a_whole(code: Code) -> None:
    pool = code.run("--workers", "2", "--preload", "application")
    pool.until_answer("one")
    code.write("two")
    pool.until_log("served.py changed: reloaded with its libraries in ")
    until(lambda: {pool.get().text for _ in range(10)} == {"two"}, "nothing but the new code")


def test_reloads_leave_no_processes_and_no_memory(code: Code) -> None:
    pool = code.run()
    pool.until_answer("one")
    supervisor = pool.status()["pid"]
    for number in range(10):
        code.write(f"v{number}")
        pool.until_answer(f"v{number}")
    before = pool.status()["supervisor"]["rss_bytes"]
    for number in range(10, 50):
        code.write(f"v{number}")
        pool.until_answer(f"v{number}")
    assert pool.status()["supervisor"]["rss_bytes"] - before < 512 * 1024
    until(lambda: len(descendants(supervisor)) == 2, lambda: f"template and worker: {descendants(supervisor)}")
    assert pool.stop() == 0


def test_it_stops_with_its_command_line(code: Code) -> None:
    pool = code.run()
    pool.until_answer("one")
    family = pool.family()
    pool.process.kill()
    until(lambda: not any(map(alive, family[1:])), f"gone: {family}")


def test_ctrl_c_while_it_is_about_to_watch_ends_it(code: Code) -> None:
    interrupted = """
import os, signal, sys, threading
from corepod.cli import main

class Thread(threading.Thread):
    def start(self):
        super().start()
        if self.name == "log":
            os.kill(os.getpid(), signal.SIGINT)

threading.Thread = Thread
sys.exit(main(sys.argv[4:]))
"""
    pool = code.run(prefix=(sys.executable, "-c", interrupted))
    assert pool.wait(2 * DEADLINE) == 130


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--reload-dir", "/nowhere"), "there is no folder /nowhere"),
    ],
)
def test_what_cannot_be_watched_is_said(code: Code, args: tuple[str, ...], words: str) -> None:
    pool = code.run(*args)
    assert pool.wait() == EXIT_SETTINGS
    assert words in pool.log


def test_it_says_what_is_missing(code: Code) -> None:
    """As where only `corepod` is installed."""
    (code.folder / "sitecustomize.py").write_text("import sys\nsys.modules['watchfiles'] = None\n")
    hidden = "import sys; sys.modules['watchfiles'] = None; from corepod.cli import main; sys.exit(main(sys.argv[1:]))"
    shown = Terminal(command=[sys.executable, "-c", hidden, "dev", "served:app", "--chdir", str(code.folder)])
    try:
        assert shown.process.wait(DEADLINE) == EXIT_SETTINGS
        shown.shows(r"pip install 'corepod\[dev\]'")
    finally:
        shown.close()


def test_a_pod_is_not_for_development(code: Code, start: Callable[..., Pool]) -> None:
    pool = start("served:app", "--chdir", str(code.folder), "--reload", command="pid1")
    assert pool.wait() == EXIT_SETTINGS
    assert "use corepod dev" in pool.log


# At a terminal


@pytest.fixture
def terminal(code: Code, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    words = ["dev", "served:app", "--chdir", str(code.folder), "--bind", "127.0.0.1:0", "--admin", "none"]
    shown = Terminal(command=[sys.executable, "-m", "corepod", *words])
    yield shown
    shown.close()


class Request:
    """One that takes as long as a person sits in the debugger, which is as long as many waits of a test."""

    def __init__(self, port: str, path: str) -> None:
        self.text = ""
        self._thread = threading.Thread(target=self._ask, args=(f"http://127.0.0.1:{port}{path}",))
        self._thread.start()

    def _ask(self, url: str) -> None:
        self.text = CLIENT.get(url, timeout=4 * DEADLINE).text

    def answer(self) -> str:
        self._thread.join(DEADLINE)
        return self.text


def test_breakpoint_asks_at_the_terminal_and_ctrl_c_interrupts_the_line(terminal: Terminal, code: Code) -> None:
    port = terminal.shows(ADDRESS.pattern)[1]
    request = Request(port, "/debug")
    terminal.shows(r"\(Pdb\) ")
    terminal.type(b"p secret + 1\r")
    # It asks again: before that, `p` would swallow Ctrl-C as a fault of the value.
    terminal.shows(r"[\r\n]42\s+\(Pdb\) ")
    terminal.type(b"\x03")
    terminal.shows("--KeyboardInterrupt--")
    code.write("two")
    terminal.shows("changed: waits until the debugger has ended")
    terminal.type(b"c\r")
    assert request.answer() == "one"
    terminal.shows("served.py changed: reloaded in")
    until(lambda: CLIENT.get(f"http://127.0.0.1:{port}/").text == "two", "the new code")
    terminal.type(b"\x03")
    assert terminal.process.wait(DEADLINE) == 0


def test_breakpoint_in_a_module_asks_for_the_template_and_for_the_worker(terminal: Terminal, code: Code) -> None:
    terminal.shows(ADDRESS.pattern)
    code.write("two", "here = 'in the module'\nbreakpoint()")
    terminal.shows(r"\(Pdb\) ")
    terminal.type(b"p here\r")
    terminal.shows("[\r\n]'in the module'")
    terminal.type(b"c\r")
    terminal.shows("served.py changed: reloaded in")


def test_breakpoint_asks_without_watching_too(code: Code, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    words = ["run", "served:app", "--chdir", str(code.folder), "--bind", "127.0.0.1:0", "--admin", "none"]
    shown = Terminal(command=[sys.executable, "-m", "corepod", *words, "--debug", "--workers", "1"])
    try:
        port = shown.shows(r"on 127\.0\.0\.1:(\d+)")[1]
        request = Request(port, "/debug")
        shown.shows(r"\(Pdb\) ")
        shown.type(b"p secret + 1\r")
        shown.shows(r"42\s")
        shown.type(b"c\r")
        assert request.answer() == "one"
        shown.type(b"\x03")
        assert shown.process.wait(DEADLINE) == 0
    finally:
        shown.close()


def test_the_terminal_comes_back_from_a_worker_that_is_killed_in_the_debugger(terminal: Terminal) -> None:
    port = terminal.shows(ADDRESS.pattern)[1]
    request = threading.Thread(target=_ask_in_vain, args=(port,))
    request.start()
    terminal.shows(r"\(Pdb\) ")
    worker = next(pid for pid in terminal.family() if comm(pid) == "corepod-worker")
    os.kill(worker, 9)
    request.join(DEADLINE)
    terminal.shows("died: signal SIGKILL")
    home = os.getpgid(terminal.process.pid)
    until(lambda: Path(f"/proc/{home}/stat").read_text().rpartition(")")[2].split()[5] == str(home), "its terminal")
    terminal.type(b"\x03")
    assert terminal.process.wait(DEADLINE) == 0


def _ask_in_vain(port: str) -> None:
    with pytest.raises(httpx.HTTPError):
        CLIENT.get(f"http://127.0.0.1:{port}/debug")


def test_faults_are_in_colours(terminal: Terminal, code: Code) -> None:
    terminal.shows(ADDRESS.pattern)
    code.write("two", "1 / 0")
    terminal.shows("changed: broken: ZeroDivisionError")
    # The pool's log, which another thread passes on.
    until(lambda: "\x1b[1;31mZeroDivisionError: division by zero" in terminal.raw, lambda: repr(terminal.raw))


# The documents


def commands() -> list[str]:
    lines = [*DOCUMENT.read_text().splitlines(), *README.read_text().splitlines()]
    found = [line.partition("  #")[0].strip() for line in lines if line.startswith("    corepod ")]
    return sorted({command for command in found if " dev " in command or "--reload" in command})


@pytest.mark.parametrize("command", commands())
def test_every_command_of_the_documents_reloads(command: str, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    for name in (folder, folder / "src", tmp_path / "shared"):
        name.mkdir()
    watched = folder / "src" if "src" in command else folder
    served = SOURCE.format(
        version="one", at_import="import sys; sys.path.append('src'); import part", in_lifespan="pass"
    )
    (folder / "main.py").write_text(served.replace("'one'", "part.TEXT"))
    (watched / "part.py").write_text("TEXT = 'one'\n")
    env = {"COREPOD_BIND": "127.0.0.1:0", "COREPOD_ADMIN": "none", "XDG_RUNTIME_DIR": str(tmp_path)}
    log = tmp_path / "log"
    program = f"{sys.executable} -m {command}"
    with log.open("wb") as file:
        process = subprocess.Popen(
            ["sh", "-c", f"exec {program}"], cwd=folder, env={**os.environ, **env}, stdout=file, stderr=file
        )
    family: list[int] = []
    try:
        match = until(lambda: ADDRESS.search(log.read_text()), log.read_text, 2 * DEADLINE)
        assert match is not None
        family = descendants(process.pid)
        url = f"http://127.0.0.1:{match[1]}/"
        assert CLIENT.get(url).text == "one"
        (watched / "part.py").write_text("TEXT = 'two'\n")
        until(lambda: CLIENT.get(url).text == "two", log.read_text, RELOADED, LOOK)
        process.terminate()
        assert process.wait(DEADLINE) == 0
        until(lambda: not any(map(alive, family)), f"gone: {family}")
    finally:
        process.kill()  # its pool ends with it
        process.wait()


def test_the_documents_have_commands() -> None:
    assert len(commands()) >= 4


# Streams that aren't there


@pytest.mark.parametrize("closed", ["<&- >&-", ">&- 2>&-", "<&- >&- 2>&-", "2>&1 | head -n 1 >/dev/null"])
def test_it_works_without_its_streams(closed: str, code: Code, tmp_path: Path) -> None:
    bind = tmp_path / "app.sock"
    words = f"{sys.executable} -m corepod dev served:app --chdir {code.folder} --bind unix:{bind} --admin none"
    env = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "TMPDIR": "/nowhere", "HOME": "/nowhere"}
    shell = subprocess.Popen(
        ["sh", "-c", f"{words} --access-log {closed}"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    client = httpx.Client(transport=httpx.HTTPTransport(uds=str(bind)), timeout=RELOADED)

    def answer() -> str:
        return client.get("http://app/").text

    family: list[int] = []
    try:
        until(lambda: _listens(bind), "its socket", 2 * DEADLINE)  # from now on none is refused
        assert answer() == "one"
        code.write("two")
        until(lambda: answer() == "two", "the second answer", RELOADED, LOOK)
        family = descendants(shell.pid)
        supervisors = [pid for pid in family if comm(pid) == "corepod"]
        assert len(supervisors) == 1, {pid: comm(pid) for pid in family}
        os.kill(supervisors[0], 15)
        shell.wait(DEADLINE)
        until(lambda: not any(map(alive, family)), f"gone: {family}")
    finally:
        client.close()
        for pid in filter(alive, [*descendants(shell.pid), shell.pid]):
            os.kill(pid, 9)
        shell.wait(DEADLINE)


def _listens(path: Path) -> bool:
    """Whether connections are accepted: the file is there from `bind` on, which `listen` follows later."""
    with socket.socket(socket.AF_UNIX) as visitor:
        return visitor.connect_ex(str(path)) == 0
