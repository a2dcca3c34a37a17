"""What warm-up requests leave behind in the process that has served them, and what they say. Real interpreters, because
what is left behind stays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

APPS = Path(__file__).parents[2] / "apps"
PROBE = """
import os, sys
sys.path.insert(0, sys.argv[1])
import corepod.worker.bootstrap  # as before the user's import
from corepod.config.spec import SETTINGS
from corepod.contract.scoreboard import SIZE
from corepod.worker import forkable, warmup_requests
from corepod.worker.load import load_application
from corepod.worker.scoreboard import ScoreboardRecord
from corepod.worker.settings import WorkerSettings

reference, loop, limit, leaving, *paths = sys.argv[2:]
warmup_requests.LIMIT, warmup_requests.GRACE, warmup_requests.LEAVING = float(limit), 0.5, float(leaving)
beside = dict(profile="run", prefixed=[], cwd=os.getcwd(), env_names=[], terminal=0)
given = dict(app=reference, loop=loop, warmup=paths, preload="application", access_log=True)
values = {setting.name: setting.default for setting in SETTINGS} | beside | given
settings = WorkerSettings.from_values(values)
fd = os.memfd_create("scoreboard")
os.ftruncate(fd, SIZE)
record = ScoreboardRecord(fd)
os.close(fd)
before = forkable.open_fds()
app = load_application(settings)
assert forkable.why_not_forkable(before) == ""
warmup_requests.serve_warmup_requests(app, settings, record)
print("why:", forkable.why_not_forkable(before, "the warm-up"))
print("asked:", *[asked["target"] for asked in getattr(sys.modules.get("warmed"), "ASKED", ())])
sys.stdout.flush()
os._exit(0)
"""
FAST = "30"  # seconds of the limit where it isn't what is tested
SHORT = "5"  # enough to reach the application, also where the machine holds the process up for a while


def after(
    app: str, *paths: str, loop: str = "asyncio", limit: str = FAST, leaving: str = FAST
) -> tuple[str, list[str], str]:
    """Why a process that has served these may not be forked, what the application was asked for, and the log."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", PROBE, str(APPS), app, loop, limit, leaving, *paths],
        capture_output=True,
        text=True,
        timeout=150,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )
    assert done.returncode == 0, done.stderr
    *other, why, asked = done.stdout.splitlines()
    assert not other, "nothing in the access log"
    return why.removeprefix("why:").strip(), asked.split()[1:], done.stderr


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize(
    ("app", "path"),
    [
        ("warmed:app", "/fill?a=b"),
        ("warmed:app", "/in-thread"),  # in the loop's own threads
        ("warmed:app", "/task"),
        ("threads_asgi:app", "/sleep?s=0"),  # in anyio's
        ("threads_wsgi:app", "/pid"),  # in those of the WSGI adapter
        ("threads_wsgi:app", "/stream?s=0"),
    ],
)
def test_nothing_is_left_behind(app: str, path: str, loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    why, asked, log = after(app, path, path, loop=loop)
    assert why == ""
    assert f"warm-up requests: {path} 200, {path} 200\n" in log
    assert app != "warmed:app" or len(asked) == 2
    assert "WARNING" not in log
    assert "ResourceWarning" not in log


@pytest.mark.parametrize(("path", "status"), [("/fail", "500"), ("/unavailable", "503"), ("/leave", "500")])
def test_a_request_that_fails_is_named_and_the_next_one_is_made(path: str, status: str) -> None:
    why, asked, log = after("warmed:app", path, "/fill")
    assert why == ""
    assert asked == [f"{path}?", "/fill?"]
    assert f"warm-up requests: {path} {status}, /fill 200\n" in log
    assert log.count("WARNING") == 1
    assert f"the warm-up request {path} was answered with {status}: the start goes on." in log


def test_a_task_that_ends_the_loop_ends_the_requests_and_not_the_process() -> None:
    why, _, log = after("warmed:app", "/leave-in-task", "/fill")
    assert why == ""
    assert "the warm-up requests ended with SystemExit: the start goes on" in log


@pytest.mark.parametrize("path", ["/sleep", "/block", "/stubborn"])
def test_a_request_that_does_not_end_is_given_up_at_the_limit(path: str) -> None:
    """Whether it waits in the loop, holds it up, or goes on when it is cancelled."""
    why, asked, log = after("warmed:app", path, "/fill", limit=SHORT)
    assert why == ""
    assert asked == [f"{path}?"]
    assert f"the warm-up requests took longer than {SHORT} s, and {path} didn't end: the start goes on" in log


@pytest.mark.parametrize(
    ("app", "path", "limit", "said"),
    [
        ("warmed:app", "/start-thread", FAST, "the warm-up started 1 thread(s) (metrics-flusher)"),
        ("warmed:app", "/open-socket", FAST, "the warm-up left a UDP socket open"),
        ("warmed:app", "/hang-in-thread", SHORT, "the warm-up started 1 thread(s) (asyncio_0)"),
        ("threads_wsgi:app", "/forever", SHORT, "the warm-up started 1 thread(s) (wsgi_0)"),
        ("threads_asgi:app", "/forever", SHORT, "the warm-up started 1 thread(s) (AnyIO worker thread)"),
    ],
)
def test_what_stays_forbids_forking(app: str, path: str, limit: str, said: str) -> None:
    why, _, _ = after(app, path, limit=limit, leaving="0")
    assert why == said
