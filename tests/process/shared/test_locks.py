"""Locks, singletons and rate limits: what every backend has to do for them."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from corepod import shared
from corepod.shared import LockLost, SharedError, Unavailable, state, turns

from tests.process.shared.running import at_the_same_time, becomes, run
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from corepod.shared import Lock

pytestmark = pytest.mark.usefixtures("url")

LONG = 1000.0  # seconds that no test takes
NO_WAIT = 0.0


def test_one_holds_it_and_the_next_one_gets_a_larger_token() -> None:
    async def work() -> None:
        tokens = []
        for _ in range(3):
            async with shared.lock("a", LONG) as held:
                tokens.append(held.token)
                with pytest.raises(TimeoutError, match="'a'"):
                    async with shared.lock("a", LONG, NO_WAIT):
                        pytest.fail("two hold it")
                async with shared.lock("b", LONG, NO_WAIT) as other:
                    assert other.token != held.token
        assert tokens == sorted(set(tokens))
        assert all(0 < token < 2**53 for token in tokens)  # JSON keeps them

    run(work)


def test_whoever_waits_gets_it() -> None:
    async def work() -> None:
        order: list[str] = []

        async def second() -> None:
            async with shared.lock("a", LONG, None):
                order.append("second")

        async with shared.lock("a", LONG):
            task = asyncio.create_task(second())
            with pytest.raises(TimeoutError):
                async with shared.lock("a", LONG, 0.05):
                    pytest.fail("two hold it")
            order.append("first")
        await task
        assert order == ["first", "second"]

    run(work)


@pytest.mark.parametrize("lease", [0, -1, 0.09, float("nan"), float("inf"), 90000])
def test_leases_that_are_none(lease: float) -> None:
    async def work() -> None:
        with pytest.raises(ValueError, match="lease"):
            shared.lock("a", lease)
        with pytest.raises(ValueError, match="lease"):
            shared.singleton("a", lease)

    run(work)


@pytest.mark.parametrize("wait", [-1, float("nan")])
def test_waits_that_are_none(wait: float) -> None:
    with pytest.raises(ValueError, match="wait"):
        shared.lock("a", wait=wait)


def test_an_error_of_the_body_goes_on_and_the_lock_is_free() -> None:
    async def work() -> None:
        with pytest.raises(KeyError):
            async with shared.lock("a", LONG):
                raise KeyError
        async with shared.lock("a", LONG, NO_WAIT):
            pass

    run(work)


def test_the_contract_of_a_lease() -> None:
    async def work() -> None:
        backend = state.backend()
        token = await backend.acquire("a", "me", LONG)
        assert token is not None
        assert await backend.acquire("a", "you", LONG) is None
        assert await backend.acquire("a", "me", LONG) == token  # asked again, after an answer that was lost
        assert not await backend.renew("a", "you", LONG)
        assert not await backend.release("a", "you")
        assert await backend.renew("a", "me", LONG)
        assert await backend.release("a", "me")
        assert not await backend.release("a", "me")
        assert not await backend.renew("a", "me", LONG)
        later = await backend.acquire("a", "you", 0.1)
        assert later is not None
        assert later > token

        async def free() -> bool:
            nonlocal later
            later = await backend.acquire("a", "me", LONG)
            return later is not None

        await becomes(free)
        assert later is not None
        assert later > token
        assert not await backend.renew("a", "you", LONG)  # whose lease is over
        assert not await backend.release("a", "you")
        assert await backend.renew("a", "me", LONG)

    run(work)


async def _steal(held: Lock) -> None:
    """Make another one the holder, as if the lease had run out."""
    backend = state.backend()
    await backend.release(held.name, held.owner)
    assert await backend.acquire(held.name, "thief", LONG) is not None


async def _lose(react: Callable[[Lock], None]) -> None:
    """Lose a lock in its body, which does this when it is cancelled for the loss."""
    async with shared.lock("a", 0.3) as held:
        try:
            await _steal(held)
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            react(held)
            raise


def test_a_loss_cancels_the_body_and_raises() -> None:
    async def work() -> None:
        seen = []

        def look(held: Lock) -> None:
            seen.append("cancelled")
            with pytest.raises(LockLost):
                _ = held.token

        with pytest.raises(LockLost, match="'a'"):
            await _lose(look)
        assert seen == ["cancelled"]
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0)  # nothing of the cancellation is left

    run(work)


def test_a_body_that_ends_without_having_waited_hears_of_the_loss() -> None:
    async def work() -> None:
        with pytest.raises(LockLost):
            async with shared.lock("a", LONG) as held:
                await _steal(held)

    run(work)


def test_an_error_of_the_body_isnt_replaced_by_the_loss() -> None:
    async def work() -> None:
        def fail(held: Lock) -> None:
            raise KeyError from None

        with pytest.raises(KeyError):
            await _lose(fail)

    run(work)


def test_a_cancellation_from_outside_stays_one_even_with_a_loss() -> None:
    async def work() -> None:
        def cancel(held: Lock) -> None:
            task.cancel()  # somebody else, at the same time

        task = asyncio.create_task(_lose(cancel))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    run(work)


def test_a_cancelled_body_gives_the_lock_up() -> None:
    async def work() -> None:
        inside = asyncio.Event()

        async def body() -> None:
            async with shared.lock("a", LONG):
                inside.set()
                await asyncio.sleep(LONG)

        task = asyncio.create_task(body())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with shared.lock("a", LONG, DEADLINE):
            pass

    run(work)


def test_whoever_stops_waiting_never_holds_it() -> None:
    async def work() -> None:
        for _ in range(10):  # a cancellation at any moment of the question

            async def take() -> None:
                async with shared.lock("a", LONG, None):
                    await asyncio.sleep(LONG)

            task = asyncio.create_task(take())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        async with shared.lock("a", LONG, DEADLINE):
            pass

    run(work)


def late_questions(
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[asyncio.Event, asyncio.Event, list[asyncio.Task[int | None]], Callable[[], Coroutine[None, None, bool]]]:
    """Questions arrive when they may: events of one that has been sent and of its leave, the questions on their way,
    and whether another one could have the lock of the first."""
    backend, asked, on_its_way = state.backend(), asyncio.Event(), asyncio.Event()
    acquire, arriving, names = backend.acquire, list[asyncio.Task[int | None]](), list[str]()

    async def arrive(name: str, owner: str) -> int | None:
        await on_its_way.wait()
        return await acquire(name, owner, LONG)

    async def ask(name: str, owner: str, lease: float) -> int | None:
        names.append(name)
        arriving.append(asyncio.create_task(arrive(name, owner)))
        asked.set()
        return await asyncio.shield(arriving[0])  # what has been sent arrives, also when nobody waits for it

    async def free() -> bool:
        return await acquire(names[0], "another", LONG) is not None

    monkeypatch.setattr(backend, "acquire", ask)
    return asked, on_its_way, arriving, free


def test_a_question_that_takes_longer_than_whoever_asks_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the question leads to is given back, however late that is: the release must not overtake it."""

    async def work() -> None:
        asked, on_its_way, arriving, free = late_questions(monkeypatch)
        task = asyncio.create_task(shared.lock("a", LONG, None).__aenter__())
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)  # a release that doesn't wait is on its way now
        on_its_way.set()
        assert await arriving[0] is not None
        await becomes(free)

    run(work)


def test_a_question_for_a_turn_that_takes_longer_than_whoever_asks_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        asked, on_its_way, arriving, free = late_questions(monkeypatch)
        task = asyncio.create_task(turns.hold(1, lambda: None))
        await asked.wait()
        task.cancel()
        await asyncio.wait((task,), timeout=0.2)  # a release that doesn't wait has been answered then
        on_its_way.set()
        assert await arriving[0] is not None
        with pytest.raises(asyncio.CancelledError):
            await task
        await becomes(free)

    run(work)


def test_close_waits_for_what_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        backend, given_back = state.backend(), []
        release = backend.release

        async def late(name: str, owner: str) -> bool:
            await asyncio.sleep(0.05)
            given_back.append(await release(name, owner))
            return given_back[0]

        monkeypatch.setattr(backend, "release", late)
        await backend.acquire("a", "another", LONG)
        with pytest.raises(TimeoutError):
            async with shared.lock("a", LONG, NO_WAIT):
                pytest.fail("two hold it")
        await shared.close()
        assert given_back == [False]

    run(work)


def test_it_is_held_for_longer_than_its_lease() -> None:
    async def work() -> None:
        # The renewal comes after a third: the rest has to be longer than any pause of this process and the server.
        async with shared.lock("a", 12.0) as held:
            first = held.lease

            async def renewed() -> bool:
                return held.lease.asked > first.ends

            await becomes(renewed)
            with pytest.raises(TimeoutError):
                async with shared.lock("a", wait=NO_WAIT):
                    pytest.fail("two hold it")

    run(work)


def test_processes_exclude_each_other() -> None:
    script = (
        "import asyncio, json\nfrom corepod import shared\n"
        "async def main():\n"
        "    tokens = []\n"
        "    for _ in range(5):\n"
        "        async with shared.lock('a', 1000, None) as held:\n"
        "            old = await shared.get('n') or 0\n"
        "            await asyncio.sleep(0.002)\n"
        "            await shared.set('n', old + 1)\n"
        "            tokens.append([old, held.token])\n"
        "    print(json.dumps(tokens))\n"
        "    await shared.close()\n"
        "asyncio.run(main())\n"
    )
    found = sorted(pair for output in at_the_same_time(script, 3) for pair in json.loads(output))
    assert [old for old, _ in found] == list(range(15))
    tokens = [token for _, token in found]
    assert tokens == sorted(set(tokens))


HOLDER = """
import asyncio
from corepod import shared
async def main():
    while True:
        try:
            async with shared.singleton("one", lease=2.0) as held:
                print(held.token, flush=True)
                while True:
                    await asyncio.sleep(0.01)
                    held.token
        except shared.LockLost:
            print("lost", flush=True)
asyncio.run(main())
"""


class Candidate:
    """A process that holds the lock whenever it can: a busy machine may make it lose the lock at any moment."""

    def __init__(self, output: Path) -> None:
        self._output = output
        with output.open("wb") as file:
            self.process = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=file)

    @property
    def _lines(self) -> list[str]:
        return self._output.read_text().split()

    @property
    def token(self) -> int:
        """The last that it has got, 0 before the first."""
        return max((int(line) for line in self._lines if line != "lost"), default=0)

    def after(self, token: int) -> str:
        """What it has said next, empty where that is nothing yet."""
        lines = self._lines
        return "".join(lines[lines.index(str(token)) + 1 :][:1])

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def candidates(tmp_path: Path) -> Iterator[tuple[Candidate, Candidate]]:
    """Who has held the lock last, and who comes next."""
    with ExitStack() as stack:
        both = []
        for number in range(2):
            both.append(Candidate(tmp_path / f"candidate{number}"))
            stack.callback(both[-1].end)
        until(lambda: any(one.token for one in both), "one holds it")
        heir, holder = sorted(both, key=lambda one: one.token)
        yield holder, heir


def test_a_killed_holder_is_followed_by_the_next_one(candidates: tuple[Candidate, Candidate]) -> None:
    holder, heir = candidates
    token = holder.token
    holder.process.kill()
    until(lambda: heir.token > token, "the next one holds it")


def test_a_holder_that_was_stopped_for_longer_than_its_lease_finds_out(candidates: tuple[Candidate, Candidate]) -> None:
    holder, heir = candidates
    token = holder.token
    holder.process.send_signal(signal.SIGSTOP)
    until(lambda: heir.token > token, "the next one holds it")
    holder.process.send_signal(signal.SIGCONT)
    assert until(lambda: holder.after(token), "the holder finds out") == "lost"


def test_a_renewal_that_fails_for_any_reason_ends_with_the_loss(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    time, tries = 0.0, 0
    monkeypatch.setattr(sys.modules["corepod.shared.lock"], "now", lambda: time)  # shared.lock is the function

    async def work() -> None:
        async def renew(*_: object) -> bool:
            nonlocal time, tries
            tries += 1
            time = LONG if tries == 3 else 0.0  # the lease is over
            raise SharedError("an answer that nobody has foreseen")

        monkeypatch.setattr(state.backend(), "renew", renew)
        with pytest.raises(LockLost):
            async with shared.lock("a", 0.5):
                await asyncio.sleep(LONG)

    run(work)
    assert tries == 3
    assert len([line for line in caplog.messages if "can't be renewed" in line]) == 1


def test_an_outage_is_told_of_once_while_a_singleton_waits(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys.modules["corepod.shared.lock"], "LOOK_MOST", 0.001)  # shared.lock is the function

    async def work() -> None:
        backend, left = state.backend(), 50
        acquire = backend.acquire

        async def fail(name: str, owner: str, lease: float) -> int | None:
            nonlocal left
            left -= 1
            if left:
                raise Unavailable("it is away")
            return await acquire(name, owner, lease)

        monkeypatch.setattr(backend, "acquire", fail)
        async with shared.singleton("a", LONG):
            assert left == 0

    run(work)
    assert len([line for line in caplog.messages if "still waited for" in line]) == 1


# Rate limits


def test_a_limit_lets_so_many_pass() -> None:
    async def work() -> None:
        found = [await shared.limit("a", 3, LONG) for _ in range(5)]
        assert [one.allowed for one in found] == [True, True, True, False, False]
        assert [one.remaining for one in found] == [2, 1, 0, 0, 0]
        assert [one.retry_after == 0 for one in found] == [True, True, True, False, False]
        assert all(0 < one.retry_after <= LONG / 3 for one in found[3:])
        assert (await shared.limit("b", 1, LONG)).allowed

    run(work)


def test_attempts_come_back_one_by_one() -> None:
    async def work() -> None:
        assert (await shared.limit("a", 1, 0.05)).allowed

        async def allowed() -> bool:
            return (await shared.limit("a", 1, 0.05)).allowed

        await becomes(allowed)

    run(work)


@pytest.mark.parametrize(("limit", "per"), [(0, 1), (-1, 1), (1, 0), (1, -1), (1, float("nan")), (10**10, 1)])
def test_limits_that_are_none(limit: int, per: float) -> None:
    async def work() -> None:
        with pytest.raises(ValueError, match=r"limit|per"):
            await shared.limit("a", limit, per)
        with pytest.raises(TypeError):
            await shared.limit("a", 1.5, 1)  # type: ignore[arg-type]

    run(work)


def test_processes_count_against_one_limit() -> None:
    script = (
        "import asyncio\nfrom corepod import shared\n"
        "async def main():\n"
        "    print(sum([(await shared.limit('a', 20, 100000)).allowed for _ in range(15)]))\n"
        "    await shared.close()\n"
        "asyncio.run(main())\n"
    )
    assert sum(int(output) for output in at_the_same_time(script, 3)) == 20


def test_a_limit_that_was_longer_before() -> None:
    """A new release counts the same attempts in seconds that were counted in hours."""

    async def work() -> None:
        for _ in range(3):
            await shared.limit("a", 3, LONG)
        found = await shared.limit("a", 3, 3.0)
        assert not found.allowed
        assert 0 < found.retry_after <= 1.0

    run(work)
