"""ok.py, and children of every kind that an application starts."""

from __future__ import annotations

import asyncio
import multiprocessing
import operator
import os
import subprocess
import time
from concurrent.futures import ProcessPoolExecutor

import ok


def forked(query, request):
    """A child that sleeps; its pid."""
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(300,))
    child.start()
    ok.KEPT.append(child)
    return child.pid


def executed(query, request):
    child = subprocess.Popen(["sleep", "300"])
    ok.KEPT.append(child)
    return child.pid


def spawned(query, request):
    """One that posix_spawn makes; every descriptor that may be inherited is."""
    return os.posix_spawn("/bin/sleep", ["sleep", "300"], os.environ)


def daemon(query, request):
    """One that leaves its parent, session and group, as daemons do; its pid."""
    read, write = os.pipe()
    middle = os.fork()
    if middle == 0:
        os.setsid()
        inside = os.fork()
        if inside == 0:
            time.sleep(300)
            os._exit(0)
        os.write(write, str(inside).encode())
        os._exit(0)
    os.waitpid(middle, 0)
    os.close(write)
    inside = int(os.read(read, 20))
    os.close(read)
    return inside


def terminated(query, request):
    """Start and terminate a child; its exit code."""
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(300,))
    child.start()
    child.terminate()
    child.join()
    return child.exitcode


async def pooled(query, request):
    """What a pool of processes computes, started with `method`."""
    context = multiprocessing.get_context(query["method"])
    return await asyncio.to_thread(_compute, context)


def negative(number):
    """The children import this module to find it."""
    return -number


def _compute(context):
    with ProcessPoolExecutor(2, mp_context=context) as executor, context.Pool(2) as pool:
        return list(executor.map(negative, range(3))) + pool.map(negative, range(3))


ok.ROUTES.update(
    {f"/{route.__name__}": route for route in (forked, executed, spawned, daemon, terminated, pooled)},
)
app = ok.app


def wsgi(environ, start_response):
    """`/pool` uses a pool of forked processes, and ends it by TERM, in a thread."""
    if environ["PATH_INFO"] == "/pool":
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(operator.neg, range(3)) == [0, -1, -2]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
