"""`corepod check`: what would keep a pool from starting is found, and nothing is started or changed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from corepod.local import checks

from tests.process.harness import APPS
from tests.procfs import alive, descendants, state
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

FREE = ("--bind", "127.0.0.1:0", "--admin", "127.0.0.1:0")


def check(
    *args: str, cwd: Path = APPS, env: dict[str, str] | None = None
) -> tuple[int, dict[str, dict[str, Any]], str]:
    """Exit code, results by what they are about, and standard error."""
    command = [sys.executable, "-m", "corepod", "check", *args, "--json"]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("COREPOD_")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd, env={**clean, **(env or {})})
    return done.returncode, {one["what"]: one for one in json.loads(done.stdout)}, done.stderr


def run_code(*args: str, cwd: Path = APPS) -> int:
    """What `corepod run` ends with, of a pool that can't start."""
    command = [sys.executable, "-m", "corepod", "run", *args]
    return subprocess.run(command, capture_output=True, timeout=120, cwd=cwd, check=False).returncode


@pytest.mark.parametrize(("app", "interface"), [("ok:app", "ASGI"), ("wsgi_app:app", "WSGI")])
def test_an_application_that_would_start(app: str, interface: str) -> None:
    code, found, _ = check(app, *FREE)
    assert code == 0
    assert [one["code"] for one in found.values()] == [0] * 5
    assert interface in found["application"]["text"]


@pytest.mark.parametrize(
    ("args", "what", "phrase"),
    [
        (("ok:app", "--standby", "x"), "settings", "'x' is not one of"),
        (("ok:app", *FREE, "--workers", "500", "--pin", "auto"), "limits", "500 workers are asked for"),
        (("ok:app", "--admin", "none", "--bind", "192.0.2.1:80"), "address", "no such address"),
        (("missing_import:app", *FREE), "application", "raised ModuleNotFoundError"),
        (("nowhere:app", *FREE), "application", "there is no module 'nowhere'"),
        (("boot_error:app", *FREE), "application", "while it was imported"),
    ],
)
def test_a_fault_has_the_exit_code_that_run_would_have(args: tuple[str, ...], what: str, phrase: str) -> None:
    code, found, _ = check(*args)
    assert phrase in found[what]["text"]
    assert code == found[what]["code"] == run_code(*args)
    assert code != 0


def test_an_import_that_fails_is_shown_with_its_traceback() -> None:
    assert "boot_error.py" in check("boot_error:app", *FREE)[1]["application"]["detail"]


def test_an_address_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken, socket.socket(socket.AF_UNIX) as unix:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, found, _ = check("ok:app", "--admin", "none", "--bind", address)
        assert (code, found["address"]["code"]) == (6, 6)
        assert "it is in use" in found["address"]["text"]
        unix.bind(str(tmp_path / "taken"))
        unix.listen()
        assert check("ok:app", "--admin", "none", "--bind", f"unix:{tmp_path}/taken")[0] == 6
    # What was left behind is replaced by a pool, and not by the check.
    assert check("ok:app", "--admin", "none", "--bind", f"unix:{tmp_path}/taken")[0] == 0
    assert (tmp_path / "taken").exists()
    assert check("ok:app", "--admin", "none", "--bind", f"unix:{tmp_path}/nowhere/sock")[0] == 6


def test_addresses_of_the_running_pool_are_no_fault(start: Start, tmp_path: Path) -> None:
    environment = {"XDG_RUNTIME_DIR": str(tmp_path)}
    pool = start("ok:app", "--workers", "1", "--name", "shop", env=environment).ready()
    flags = ("--bind", f"127.0.0.1:{pool.port}", "--admin", f"127.0.0.1:{pool.admin_port}", "--workers", "1")
    code, found, _ = check("ok:app", "--name", "shop", *flags, env=environment)
    assert code == 0
    assert "held by the running pool shop" in found["address"]["text"]
    assert check("ok:app", "--name", "blog", *flags, env=environment)[0] == 6


def test_what_forbids_forking_is_named() -> None:
    code, found, _ = check("thread_at_import:app", *FREE)
    assert code == 0
    assert "started 1 thread(s)" in found["application"]["text"]


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(
        "import subprocess, sys\nprint('on standard output')\n"
        "child = subprocess.Popen(['sleep', '1000'])\nopen('pid', 'w').write(str(child.pid))\n"
        "async def app(scope, receive, send): pass\n"
    )
    code, _, errors = check("main:app", *FREE, cwd=tmp_path)
    assert code == 0
    assert "on standard output" in errors  # where it can't be taken for a result
    child = int((tmp_path / "pid").read_text())
    until(lambda: not alive(child), "the end of what the import has started")  # killed, which may take a moment
    assert sorted(path.name for path in tmp_path.iterdir()) == ["main.py", "pid"]
    assert not [pid for pid in descendants(os.getpid()) if "corepod.worker.check" in command_of(pid)]


def command_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read()
    except OSError:
        return ""


@pytest.mark.parametrize(
    ("source", "code", "phrase"),
    [
        ("import os; os._exit(7)", 3, "ended its process: exit code 7"),
        ("import os; os.kill(os.getpid(), 11)", 3, "ended its process: signal SIGSEGV"),
        ("import time; time.sleep(1000)", 9, "hasn't ended within 1 s (--timeout)"),
    ],
)
def test_an_import_that_ends_or_holds_its_process(tmp_path: Path, source: str, code: int, phrase: str) -> None:
    (tmp_path / "main.py").write_text(source)
    timeout = ("--timeout", "1") if code == 9 else ()
    found = check("main:app", *FREE, *timeout, cwd=tmp_path)
    assert found[0] == code
    assert phrase in found[1]["application"]["text"]


@pytest.mark.parametrize(
    ("code", "how"), [("os._exit(7)", "exit code 7"), ("os.kill(os.getpid(), 9)", "signal SIGKILL")]
)
def test_an_import_that_has_ended_keeps_its_number(code: str, how: str) -> None:
    """Its group is killed by it, which must be nobody else's by then."""
    with subprocess.Popen([sys.executable, "-c", f"import os; {code}"]) as process:
        assert checks._how(process.pid) == how
        assert state(process.pid) == "Z"
    assert state(process.pid) != "Z"


FILE = """
[apps.shop]
app = "ok:app"
bind = "127.0.0.1:0"
[apps.shop.env]
GREETING = "hello"
[apps.admin]
app = "nowhere:app"
bind = "127.0.0.1:0"
"""


def test_all_applications_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "corepod.toml").write_text(FILE)
    command = [sys.executable, "-m", "corepod", "check"]
    environment = {**os.environ, "PYTHONPATH": str(APPS), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path, env=environment)
    assert done.returncode == 4
    lines = done.stdout.splitlines()
    assert any(line.startswith("✓ shop   application  ok:app") for line in lines)
    assert any(line.startswith("✗ admin  application  there is no module") for line in lines)


def test_the_application_of_the_file_runs_with_its_variables(start: Start, tmp_path: Path) -> None:
    (tmp_path / "corepod.toml").write_text(FILE + '[apps.shop.env.production]\nGREETING = "good evening"\n')
    environment = {"PYTHONPATH": str(APPS), "GREETING": "from outside"}
    pool = start("shop", "--workers", "1", "--env", "production", cwd=tmp_path, env=environment).ready()
    assert json.loads(pool.get("/env?prefix=GREETING").text) == {"GREETING": "good evening"}
    assert pool.log.splitlines()[0].partition("shop: 1 worker")[1]
