"""When the threads that serve requests have stalled, and when they only take their time."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from anyio import to_thread
from corepod.contract.scoreboard import STALLED
from corepod.worker import threads
from corepod.worker.application import wsgi
from corepod.worker.threads import LoopThreads, RequestThreads, Taken, ThreadWatch

from tests.unit.served import DEADLINE, make_record, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Asked:
    """A request, as far as its thread is concerned."""

    over = False
    watched = 0
    name = "GET /"
    expired = 0.0

    def expire(self, seconds: float) -> None:
        self.expired = seconds

    def watch_client(self) -> None:
        self.watched += 1


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The worker's own lines; asyncio may complain of what other tests have left."""
    return [record.getMessage() for record in caplog.records if record.name == "corepod"]


@pytest.fixture
def pool() -> Iterator[RequestThreads]:
    """Two threads."""
    made = RequestThreads(2)
    yield made
    made.shutdown()


def test_a_free_thread(pool: RequestThreads) -> None:
    pool.enter(Asked())
    pool.ask(Asked())
    assert pool.taken() is None


def test_nobody_waits(pool: RequestThreads) -> None:
    pool.enter(Asked())
    pool.enter(Asked())
    assert pool.taken() is None


def test_all_are_taken_and_one_waits(pool: RequestThreads) -> None:
    inside, waiting = [Asked(), Asked()], Asked()
    for request in inside:
        pool.enter(request)
    pool.ask(waiting)
    first = pool.taken()
    assert first is not None
    assert first == pool.taken(), "no progress"
    assert [request.watched for request in inside] == [2, 2]
    pool.end(waiting)
    assert pool.taken() is None, "it has given up"


@pytest.mark.parametrize("step", ["leave", "client"])
def test_progress(pool: RequestThreads, step: str) -> None:
    inside = [Asked(), Asked()]
    for request in inside:
        pool.enter(request)
    pool.ask(Asked())
    first = pool.taken()
    pool.leave(inside[0])
    assert pool.taken() is None, "it waits for its client" if step == "client" else "it is free"
    pool.enter(inside[0] if step == "client" else Asked())
    again = pool.taken()
    assert first is not None
    assert step == "leave" or (again is not None and again.progress != first.progress)


def test_nobody_waits_any_more_but_nobody_needs_those_that_are_served_either(pool: RequestThreads) -> None:
    """With a request_timeout, each one that waits has given up before the next one comes."""
    inside, waiting = [Asked(), Asked()], Asked()
    for request in inside:
        pool.enter(request)
        request.over = True
    assert pool.taken() is None, "none has been refused yet"
    pool.ask(waiting)
    pool.end(waiting)
    assert pool.taken() is not None
    inside[1].over = False
    assert pool.taken() is None, "one is still waited for"
    inside[1].over = True
    pool.leave(inside[0])
    pool.enter(inside[0])
    assert pool.taken() is None, "progress since the refusal"


def test_a_thread_that_runs_on_is_told(
    pool: RequestThreads, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("corepod"), "propagate", True)
    request, done = Asked(), Asked()
    pool.enter(request)
    pool.enter(done)
    pool.leave(done)
    pool.end(done)
    assert not told(caplog)
    pool.end(request)
    assert "its thread can't be stopped and runs on: 1 of 2 threads are taken" in caplog.text


# Over time


class Watched:
    """A pool that says what it is told to, looked at every half second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cpu: defaultdict[int, float] = defaultdict(float)  # seconds each thread has used
        monkeypatch.setattr(threads, "_thread_time", self.cpu.__getitem__)
        self.words, self.now, self.progress = make_record().words, 1000.0, 0
        self.watch = ThreadWatch([self], self.words)
        self.threads: list[int] | None = None
        self.waiting = 0

    def taken(self) -> Taken | None:
        return None if self.threads is None else Taken(self.progress, self.threads)

    def look(self, times: int = 1) -> float:
        """Seconds since when they have stalled, 0 where they haven't."""
        for _ in range(times):
            self.now += 0.5
            self.watch.look(self.now)
        since = self.words[STALLED] / 1e9
        return self.now - since if since else 0.0


def test_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Watched(monkeypatch)
    assert pool.look() == 0
    pool.threads = [7]
    pool.look()
    assert pool.look(20) == 10
    pool.progress += 1
    assert pool.look() == 0
    assert pool.words[STALLED], "since now"
    assert pool.look(3) == 1.5
    pool.threads = None
    pool.look()
    assert not pool.words[STALLED]


def test_threads_that_use_cpu_work(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Watched(monkeypatch)
    pool.threads = [7, 8]
    pool.look()
    for _ in range(10):
        pool.cpu[8] += 0.1
        assert pool.look() == 0
    for _ in range(10):
        pool.cpu[8] += 0.001  # a look at a lock now and then
        pool.look()
    assert pool.look() == 5.5


def test_the_log_says_it_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("corepod"), "propagate", True)
    pool = Watched(monkeypatch)
    pool.threads = [7]
    pool.look(4)
    assert not told(caplog)
    pool.look(20)
    assert caplog.text.count("requests wait for a thread: each of the 1 threads serves one") == 1


def burn() -> None:
    end = time.thread_time() + 0.05
    while time.thread_time() < end:
        pass


def test_the_time_of_a_thread() -> None:
    me = threading.get_native_id()
    before = threads._thread_time(me)
    burn()
    assert 0.04 < threads._thread_time(me) - before < DEADLINE
    go = threading.Event()
    thread = threading.Thread(target=go.wait, args=(DEADLINE,))
    thread.start()
    assert thread.native_id is not None
    other = thread.native_id

    def stands_still() -> bool:
        before = threads._thread_time(other)
        burn()
        return threads._thread_time(other) == before

    until(stands_still, "its own, whatever others do while it waits")
    go.set()
    thread.join(DEADLINE)


# Whose threads


def test_the_threads_of_a_wsgi_application() -> None:
    app = wsgi.as_asgi(lambda environ, start_response: [], 3)
    assert threads.pools(app, LoopThreads(int), int) == [app.threads]
    assert app.threads.most == 3


def test_the_threads_of_the_loop() -> None:
    """Those of asyncio.to_thread, and in which Quart runs functions that aren't asynchronous."""
    in_flight, go = [1], threading.Event()
    pool = LoopThreads(lambda: in_flight[0])
    jobs = [pool.submit(go.wait, DEADLINE) for _ in range(pool._max_workers)]
    until(lambda: all(job.running() for job in jobs), "all threads are taken")
    assert pool.taken() is None, "nobody waits"
    waiting, another = pool.submit(go.wait, DEADLINE), pool.submit(int)
    first = pool.taken()
    assert first is not None
    assert len(first.threads) == pool._max_workers
    in_flight[0] = 0
    assert pool.taken() is None, "it is work of the application's own"
    in_flight[0] = 1
    assert another.cancel()
    assert pool.taken() == first
    assert waiting.cancel()
    assert pool.taken() is None, "nobody waits any more"
    go.set()
    pool.shutdown()
    assert not pool._jobs


def test_the_threads_of_anyio() -> None:
    """Those in which Starlette and FastAPI run functions that aren't asynchronous."""
    in_flight, go = [1], threading.Event()

    async def main() -> None:
        _, pool = threads.pools(object(), LoopThreads(int), lambda: in_flight[0])
        limiter = to_thread.current_default_thread_limiter()
        limiter.total_tokens = 2

        async def asyncly(condition: Callable[[], Any]) -> Any:
            for _ in range(int(DEADLINE / 0.01)):
                if found := condition():
                    return found
                await asyncio.sleep(0.01)
            raise AssertionError("it doesn't come true")

        jobs = [asyncio.create_task(to_thread.run_sync(go.wait, DEADLINE)) for _ in range(2)]
        await asyncly(lambda: not limiter.available_tokens)
        assert pool.taken() is None, "nobody waits"
        jobs.append(asyncio.create_task(to_thread.run_sync(go.wait, DEADLINE)))
        first = await asyncly(pool.taken)
        assert len(first.threads) >= 2
        again = pool.taken()
        assert again is not None
        assert again.progress == first.progress  # threads of the loop of another test may be ending meanwhile
        in_flight[0] = 0
        assert pool.taken() is None, "it is work of the application's own"
        in_flight[0] = 1
        go.set()
        await asyncio.gather(*jobs)
        assert pool.taken() is None

    asyncio.run(asyncio.wait_for(main(), DEADLINE))
