"""ok.py, and what few tests ask of it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time

import ok

app = ok.app


def stubborn(query, request):
    """A grandchild that ignores TERM; answered when it does."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('!', flush=True); time.sleep(300)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    child.stdout.read(1)
    ok.KEPT.append(child)
    return child.pid


def echo_child(query, request):
    """A grandchild that prints `text` to the output it inherits."""
    return subprocess.run(["echo", query.get("text", "said")]).returncode


def flood(query, request):
    """Write `kb` of lines to standard output, past any buffer, and never wait for the loop."""
    line = b"flood " * 170 + b"\n"
    for _ in range(int(query.get("kb", 100))):
        os.write(1, line)
    return os.getpid()


def blink(query, request):
    """A thread that burns CPU while the loop is blocked without any, for `s` seconds."""
    end = time.monotonic() + float(query.get("s", 1))

    def burn():
        while time.monotonic() < end:
            sum(range(1000))

    threading.Thread(target=burn).start()
    time.sleep(max(0.0, end - time.monotonic()))
    return os.getpid()


def in_a_lock(query, request):
    """The loop waits for a lock that nobody frees."""
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def for_ever(query, request):
    while True:
        pass


async def never(query, request):
    await asyncio.Event().wait()


ok.ROUTES.update(
    {
        "/stubborn": stubborn,
        "/echo_child": echo_child,
        "/flood": flood,
        "/blink": blink,
        "/in_a_lock": in_a_lock,
        "/for_ever": for_ever,
        "/never": never,
    }
)
