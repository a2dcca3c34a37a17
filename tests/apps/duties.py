"""ok.py, and what few tests ask of it. START_WHEN, where set, names a file without which it doesn't start."""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import os
import re
import subprocess
import sys
import threading
import time

import ok


async def app(scope, receive, send):
    if scope["type"] == "lifespan" and "START_WHEN" in os.environ:
        while not os.path.exists(os.environ["START_WHEN"]):
            await asyncio.sleep(0.02)
    await ok.app(scope, receive, send)


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


def spin(query, request):
    """Burns CPU in the loop for `s` seconds, however much of a core it gets."""
    end = time.monotonic() + float(query.get("s", 1))
    while time.monotonic() < end:
        pass


def compute(query, request):
    """Uses `s` seconds of CPU in the loop, however long that takes."""
    end = time.thread_time() + float(query.get("s", 1))
    while time.thread_time() < end:
        pass


def in_a_lock(query, request):
    """The loop waits for a lock that nobody frees."""
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def in_c(query, request):
    """The loop never comes back from a call into C that keeps the interpreter to itself: a mutex that is taken."""
    mutex, libc = ctypes.create_string_buffer(64), ctypes.PyDLL(None)
    for _ in range(2):
        libc.pthread_mutex_lock(mutex)


async def hogged(query, request):
    """A thread keeps the interpreter to itself, in a call into C, while the loop has nothing to do."""
    go = threading.Event()
    threading.Thread(target=hog, args=(go,)).start()
    # Not before the loop is idle: the thread might have it while start() still waits for the thread.
    asyncio.get_running_loop().call_later(0.01, go.set)
    await asyncio.sleep(0.05)


def hog(go):
    go.wait()
    re.match(r"(a*)*b", "a" * 23)


def for_ever(query, request):
    while True:
        pass


HEALTH = {"why": ""}


async def until(query, request):
    """Answered when there is a file at `path`."""
    while not os.path.exists(query["path"]):
        await asyncio.sleep(0.02)
    return os.getpid()


def block_until(query, request):
    """The same, and the loop is blocked meanwhile."""
    while not os.path.exists(query["path"]):
        time.sleep(0.02)
    return os.getpid()


PRESENT = {"now": 0, "most": 0}


async def at_once(query, request):
    """How many requests for this have been in the worker at once, at the most so far."""
    PRESENT["now"] += 1
    PRESENT["most"] = max(PRESENT.values())
    try:
        await asyncio.sleep(0.01)
        return PRESENT["most"]
    finally:
        PRESENT["now"] -= 1


def health(query, request):
    """What `ready_path` asks; `why` makes it fail until it is asked with an empty one."""
    if "why" in query or request["query_string"] == b"why=":
        HEALTH["why"] = query.get("why", "")
    elif HEALTH["why"]:
        raise RuntimeError(HEALTH["why"])


def long(query, request):
    """One line of `kb` kilobytes."""
    print("x" * 1024 * int(query.get("kb", 100)))


@atexit.register
def last_words():
    for number in range(100):
        print(f"last words {number} of {os.getpid()}")


async def never(query, request):
    await asyncio.Event().wait()


ok.ROUTES.update(
    {
        "/stubborn": stubborn,
        "/echo_child": echo_child,
        "/flood": flood,
        "/blink": blink,
        "/compute": compute,
        "/in_a_lock": in_a_lock,
        "/in_c": in_c,
        "/hogged": hogged,
        "/for_ever": for_ever,
        "/never": never,
        "/spin": spin,
        "/until": until,
        "/block_until": block_until,
        "/at_once": at_once,
        "/health": health,
        "/long": long,
    }
)
