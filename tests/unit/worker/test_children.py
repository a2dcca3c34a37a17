"""What a process that the application forks doesn't keep of its worker, in interpreters of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.plugins import needs

START = """
import asyncio, os, signal, socket, sys, threading, time
# A job in a shell's background inherits that it ignores SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)
from corepod.worker import children, threads  # whose modules have hooks of their own

def wait(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def fork(work=lambda: time.sleep(60)):
    me, code = os.getpid(), 1
    try:
        if pid := os.fork():  # an interrupt may come before the child's next line
            return pid
        code = work() or 0
    except KeyboardInterrupt:
        code = 2
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        if os.getpid() != me:
            os._exit(code)

def in_worker(main, new_loop=asyncio.new_event_loop):
    stops = []
    async def run():
        children.handle_stops(asyncio.get_running_loop(), lambda: stops.append(1))
        await main()
        await asyncio.sleep(0.05)  # a signal that came astray is told in the next rounds of the loop
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(run())
    return stops

control, other = socket.socketpair()
listener = socket.create_server(("127.0.0.1", 0))
children.keep_from_children(control, listener)
"""


def run(code: str) -> str:
    """Run it in an interpreter of its own; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", START + code],
        capture_output=True,
        text=True,
        timeout=150,  # one of these starts eight interpreters
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("stop", ["SIGTERM", "SIGINT"])
def test_a_stop_of_the_child_is_the_childs_alone(loop: str, stop: str) -> None:
    """Also at once, before it has run a line. Python's answer to INT is an exception, as soon as it runs."""
    needs.packages(loop)
    run(f"""
import {loop}

async def main():
    for pause in (0, 0, 0, 0, 0, 0.05):
        child = fork()
        await asyncio.sleep(pause)
        os.kill(child, signal.{stop})
        assert await asyncio.to_thread(wait, child) in (-signal.{stop}, 2)

assert in_worker(main, {loop}.new_event_loop) == []
""")


def test_an_interrupt_is_not_lost_while_it_gets_its_handler() -> None:
    """What Python's answer to it raises in the hook itself would be dropped."""
    run("""
worker, set_handler = os.getpid(), signal.signal

def at_that_moment(signum, handler):
    set_handler(signum, handler)
    if os.getpid() != worker and handler is signal.default_int_handler:
        signal.raise_signal(signum)

async def main():
    signal.signal = at_that_moment
    assert await asyncio.to_thread(wait, fork(lambda: 0)) == -signal.SIGINT

in_worker(main)
""")


def test_an_interrupt_is_not_lost_in_a_hook_of_the_application() -> None:
    run("""
os.register_at_fork(after_in_child=lambda: signal.raise_signal(signal.SIGINT))

async def main():
    assert await asyncio.to_thread(wait, fork(lambda: 0)) == -signal.SIGINT

in_worker(main)
""")


def test_the_worker_itself_still_hears_it() -> None:
    run("""
async def main():
    assert wait(fork(lambda: 0)) == 0
    os.kill(os.getpid(), signal.SIGTERM)

assert in_worker(main) == [1]
assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
""")


def test_handlers_of_the_application_stay() -> None:
    """It may have replaced the worker's."""
    run("""
async def main():
    signal.signal(signal.SIGTERM, lambda signum, frame: os._exit(7))
    def work():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    assert await asyncio.to_thread(wait, fork(work)) == 7

in_worker(main)
""")


@pytest.mark.parametrize("thread", [False, True])
def test_what_is_the_workers_is_closed(thread: bool) -> None:
    """Whichever thread forks: those of a WSGI application do."""
    run(f"""
def work():
    assert control.fileno() == listener.fileno() == -1
    assert other.fileno() > 0
    assert signal.set_wakeup_fd(-1) == -1
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
    assert asyncio.run(asyncio.sleep(0, "a loop of its own")) == "a loop of its own"
    # Its own children keep what it makes itself.
    mine = socket.create_server(("127.0.0.1", 0))
    return wait(fork(lambda: mine.fileno() < 0))

async def main():
    fork_and_wait = lambda: wait(fork(work))
    assert (await asyncio.to_thread(fork_and_wait) if {thread} else fork_and_wait()) == 0
    assert min(control.fileno(), listener.fileno()) > 0

in_worker(main)
""")


def test_a_child_is_no_worker_of_the_pool() -> None:
    run("""
import corepod
from corepod.worker.application import api
api.join_pool(api.Worker(0, 1, None, 0, os.getpid()), None)

def work():
    assert corepod.this_worker() is None
    corepod.set_ready(False)
    return open("/proc/self/comm").read().startswith("corepod")

assert corepod.this_worker() is not None
assert wait(fork(work)) == 0
""")


def test_a_worker_that_the_template_forks_keeps_everything() -> None:
    run("""
def grandchild():
    return int(listener.fileno() != -1)

def work():
    assert min(control.fileno(), listener.fileno()) > 0
    children.keep_from_children(listener)
    return wait(fork(grandchild))

with children.forking_workers():
    worker = fork(work)
assert wait(worker) == 0
assert wait(fork(grandchild)) == 0  # of the template's own application
""")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_the_standard_library(method: str) -> None:
    run(f"""
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from operator import neg
context = multiprocessing.get_context("{method}")

async def main():
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        assert list(await asyncio.to_thread(lambda: list(executor.map(neg, range(4))))) == [0, -1, -2, -3]
    for _ in range(3):
        with context.Pool(2) as pool:
            assert pool.map(neg, [1]) == [-1]

assert in_worker(main) == []
""")
