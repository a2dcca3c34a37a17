"""Tests that are late fail alone: the others run, and the session ends with a summary. With the project's settings."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# The second one ends the whole process: far behind the first, which a busy machine may notice seconds late.
LIMITS = ("-o", "timeout=2", "-o", "faulthandler_timeout=25")
# Those that aren't late have a limit that no busy machine reaches.
LATE = """
import asyncio, re, threading, time
import pytest

@pytest.mark.timeout(100)
def test_before(): pass

def test_waits(): time.sleep(1000)

def test_waits_for_a_thread():
    thread = threading.Thread(target=time.sleep, args=(1000,), daemon=True)
    thread.start()
    thread.join()

def test_loop_waits(): asyncio.run(asyncio.sleep(1000))

def test_computes(): any(False for _ in iter(int, 1))

@pytest.mark.timeout(100)
def test_after(): pass
"""
# As where an extension computes without end: only the end of its process ends it.
NEVER_INTERRUPTED = """
import signal

def test_never_interrupted():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    time.sleep(1000)

@pytest.mark.timeout(100)
def test_after_that(): pass
"""


def session(folder: Path, code: str, *flags: str) -> tuple[int, str]:
    """The exit code and the output of a session of these tests."""
    (folder / "test_these.py").write_text(code)
    settings = ("-c", str(ROOT / "pyproject.toml"), f"--rootdir={folder}", "-p", "no:cacheprovider", *LIMITS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *settings, *flags, "test_these.py"],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    return done.returncode, done.stdout


def summary(text: str) -> dict[str, int]:
    """The counts of the last line."""
    return {word: int(count) for count, word in re.findall(r"(\d+) (failed|passed|error)", text.splitlines()[-1])}


def test_in_a_row(tmp_path: Path) -> None:
    status, text = session(tmp_path, LATE)
    assert (status, summary(text)) == (1, {"failed": 4, "passed": 2}), text
    assert text.count(" - Failed: Timeout ") == 4, text


def test_side_by_side(tmp_path: Path) -> None:
    """As `make test` runs them: where a process has to end for it, another one goes on with the tests that are left."""
    status, text = session(tmp_path, LATE + NEVER_INTERRUPTED, "-n", "2", "--dist", "worksteal")
    assert (status, summary(text)) == (1, {"failed": 5, "passed": 3}), text
    assert text.count(" - Failed: Timeout ") == 4, text
    assert re.search("crashed while running .*test_never_interrupted", text), text
