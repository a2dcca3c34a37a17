"""Whether a process may be forked with what the user's import left in it. Real interpreters, real descriptors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from corepod.contract.env import WORKER_ENV
from corepod.worker import forkable

APPS = Path(__file__).parents[2] / "apps"
compat = pytest.mark.compat
PROBE = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
import corepod.worker.bootstrap  # as before the user's import: ctypes has a file open with some versions of libffi
from corepod.worker import forkable
forkable.LEAVING = int(os.environ.get("LOOKS", forkable.LEAVING))
before = forkable.open_fds()
exec(sys.argv[2])
why = forkable.why_not_forkable(before)
print(json.dumps([why, len(forkable.shared_files(before))]))
sys.stdout.flush()
os._exit(0)
"""


# Its threads name themselves, once they run.
GRPC = """
import time, grpc_app
while any("unnamed" in name for name in forkable.thread_names()):
    time.sleep(0.01)
"""
LIBC = "import ctypes; d = ctypes.CDLL(None)"
TCP = "import socket; s = socket.create_server(('127.0.0.1', 0))"
UDP = "import socket; s = socket.socket(type=socket.SOCK_DGRAM)"
UNIX = "import socket; s = socket.socket(socket.AF_UNIX)"


def after(code: str, **env: str) -> tuple[str, int]:
    """Why a process that has run this code may not be forked, and the number of files that forks would reopen."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(APPS), code],
        capture_output=True,
        text=True,
        timeout=150,  # some of these import hundreds of modules
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **WORKER_ENV, **env},
        cwd=env.get("TMPDIR"),
    )
    assert done.returncode == 0, done.stderr
    why, files = json.loads(done.stdout.splitlines()[-1])
    return why, files


@pytest.mark.parametrize(
    "code",
    [
        "pass",
        "import ok",
        "import heavy",
        pytest.param("import fastapi_app", marks=compat("fastapi")),
        "import flask_app",
        pytest.param("import django_app", marks=compat("django")),
        pytest.param("import boto_app", marks=compat("boto3")),
        pytest.param("import sentry_app", marks=compat("sentry_sdk")),
        pytest.param("import numpy_app", marks=compat("numpy")),
        "import threading; t = threading.Thread(target=int); t.start(); t.join()",  # it has ended
        "import socket; socket.socket().close()",
        "devnull = open('/dev/null', 'w')",
        "random = open('/dev/urandom', 'rb')",
        "folder = os.open('/tmp', os.O_RDONLY)",
    ],
)
def test_may_be_forked(code: str) -> None:
    # On a busy machine a thread that has been joined may take its time to leave.
    assert after(code, LOOKS="4000") == ("", 0)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import thread_at_import", "started 1 thread(s) (metrics-flusher)"),
        ("import socket_at_import", "left a UDP socket open"),
        pytest.param("import sqlalchemy_app", "shop.db for writing open", marks=compat("sqlalchemy")),
        pytest.param(GRPC, "event_engine, grpc_global_tim, lifeguard)", marks=compat("grpc")),
        pytest.param("import ddtrace_app", "thread(s) (", marks=compat("ddtrace")),
        ("import select; e = select.epoll()", "left an event loop (epoll) open"),
        ("e = os.eventfd(0)", "left the wake-up descriptor of an event loop or thread pool (eventfd) open"),
        ("import asyncio; loop = asyncio.new_event_loop()", "left an event loop (epoll) open"),
        ("p = os.pipe()", "left a pipe open"),
        ("import subprocess; p = subprocess.Popen(['true'], stdout=-1)", "left a pipe open"),
        ("m = os.memfd_create('shared')", "left shared memory (memfd:shared) for writing open"),
        ("import threading as t; [t.Thread(target=t.Event().wait, name='w').start() for _ in 'ab']", "(2 x w)"),
        (f"{LIBC}.inotify_init()", "left a file watcher (inotify) open"),
        (f"{LIBC}.timerfd_create(1, 0)", "left a timer (timerfd) open"),
        ("p = os.pidfd_open(1)", "left a handle of another process (pidfd) open"),
        (
            f"{TCP}; c = socket.create_connection(s.getsockname()); t = s.accept(); s.close()",
            "left a TCP connection to 127.0.0.1:",
        ),
        (
            "import socket; s = socket.create_server(('::1', 0), family=socket.AF_INET6)",
            "left a TCP socket that listens on [::1]:",
        ),
        (TCP, "left a TCP socket that listens on 127.0.0.1:"),
        ("import socket; s = socket.socket()", "left a TCP socket open"),
        ("import socket; s = socket.socket(type=socket.SOCK_DGRAM)", "left a UDP socket open"),
        (f"{UDP}; s.connect(('127.0.0.1', 514))", "left a UDP socket to 127.0.0.1:514 open"),
        ("import socket; p = socket.socketpair()", "left one end of a pair of sockets open"),
        (f"{UNIX}; s.bind('\\0cpd-%d' % os.getpid()); s.listen()", "left a Unix socket that listens on @cpd-"),
        (f"{UNIX}; s.bind('u.sock'); s.listen()", "left a Unix socket that listens on u.sock open"),
        (
            f"{UNIX}; s.bind('u.sock'); s.listen(); c = socket.socket(socket.AF_UNIX); c.connect('u.sock'); s.close()",
            "left a connection to the Unix socket u.sock open",
        ),
        ("import socket; s = socket.socket(16, socket.SOCK_RAW)", "left a socket of the family AF_NETLINK open"),
        (
            "import faulthandler as h; h.dump_traceback_later(1000)",
            "thread(s) (unnamed)",
        ),
        ("t = open('/dev/ptmx', 'rb', 0)", "left the device /dev/ptmx open"),
    ],
)
def test_may_not_be_forked(code: str, why: str, tmp_path: Path) -> None:
    why_not, _ = after(code, TMPDIR=str(tmp_path))
    assert why_not.startswith("the application's import ")
    assert why in why_not


@pytest.mark.parametrize(
    ("mode", "allowed", "files"),
    [("r", True, 1), ("a", True, 0), ("w", False, 0), ("r+", False, 0), ("a+", True, 0)],
)
def test_files(mode: str, allowed: bool, files: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("content")
    why, count = after("import file_at_import", OPEN_FILE=str(path), OPEN_MODE=mode)
    assert (why == "") is allowed
    assert count == files
    assert allowed or str(path) in why


def test_what_was_open_before_is_not_the_applications() -> None:
    read, write = os.pipe()
    try:
        why_not = forkable.why_not_forkable(forkable.open_fds())
        assert why_not == "" or "thread" in why_not
        assert forkable.open_fds()[read].startswith("pipe:")
    finally:
        os.close(read)
        os.close(write)


def fork_and_read(fd: int, *, own: bool) -> tuple[bytes, bytes]:
    """Four bytes read by a forked child and then four by this process."""
    read, write = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            if own:
                forkable.reopen(fd)
            os.write(write, os.read(fd, 4))
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    childs = os.read(read, 4)
    os.close(read)
    return childs, os.read(fd, 4)


# From 3.12 on Python warns of a fork beside other threads, such as that of pytest's timeout.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(("own", "result"), [(False, (b"1111", b"2222")), (True, (b"1111", b"1111"))])
@pytest.mark.parametrize("deleted", [False, True])
def test_a_reopened_file_has_a_place_of_its_own(own: bool, result: Any, deleted: bool, tmp_path: Path) -> None:
    """Without it two workers read from one place in the file, each what the other skips."""
    path = tmp_path / "data"
    path.write_bytes(b"000011112222")
    fd = os.open(path, os.O_RDONLY)
    if deleted:
        path.unlink()
    assert os.read(fd, 4) == b"0000"
    assert fork_and_read(fd, own=own) == result
    os.close(fd)


def test_reopening_keeps_number_and_inheritance(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x")
    for inheritable in (False, True):
        fd = os.open(tmp_path / "data", os.O_RDONLY)
        os.set_inheritable(fd, inheritable)
        forkable.reopen(fd)
        assert os.get_inheritable(fd) is inheritable
        os.close(fd)
