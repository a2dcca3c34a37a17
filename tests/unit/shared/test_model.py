"""The embedded backend against a simple reference, in random orders and at random times."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from corepod.shared.backend import When
from corepod.shared.embedded import clock
from corepod.shared.embedded.backend import EmbeddedBackend
from corepod.shared.embedded.store import Store
from corepod.worker.application.shared_state import SharedSettings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

if TYPE_CHECKING:
    from collections.abc import Coroutine

NAMES = st.sampled_from("ab")
OWNERS = st.sampled_from(["me", "you", "they"])
EXPIRES = st.one_of(st.none(), st.integers(1, 8).map(float))
VALUES = st.sampled_from([b"1", b"-7", b'"x"', b"\0"])


class SharedState(RuleBasedStateMachine):
    """Times are whole seconds, and an attempt of a limit comes back each second: so all sums are exact."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.patch = pytest.MonkeyPatch()
        self.time = 1000.0
        self.patch.setattr(clock, "running", lambda: self.time)
        self.backend = self.do(self.connect())
        self.values: dict[str, tuple[bytes, float | None]] = {}
        self.locks: dict[str, tuple[str, int, float]] = {}
        self.last_token = 0
        self.attempts: dict[tuple[str, int], tuple[float, float]] = {}  # how many are taken, and when that was so

    async def connect(self) -> EmbeddedBackend:
        backend = EmbeddedBackend(SharedSettings("", "", 60.0, False, ""))
        backend._store = Store(None, chosen=False)
        return backend

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.backend._store.stop()
        self.loop.close()
        self.patch.undo()

    def alive(self, key: str) -> bytes | None:
        value, expires = self.values.get(key, (None, None))
        return None if expires is not None and expires <= self.time else value

    def put(self, key: str, value: bytes, expires: float | None) -> None:
        self.values[key] = (value, None if expires is None else self.time + expires)

    @rule(seconds=st.integers(1, 5))
    def time_passes(self, seconds: int) -> None:
        self.time += seconds

    @rule(key=NAMES, value=VALUES, expires=EXPIRES, when=st.sampled_from(When))
    def set(self, key: str, value: bytes, expires: float | None, when: When) -> None:
        allowed = when is When.ALWAYS or (self.alive(key) is None) == (when is When.ABSENT)
        assert self.do(self.backend.set(key, value, expires, when)) is allowed
        if allowed:
            self.put(key, value, expires)

    @rule(key=NAMES)
    def delete(self, key: str) -> None:
        assert self.do(self.backend.delete(key)) is (self.alive(key) is not None)
        self.values.pop(key, None)

    @rule(key=NAMES, expires=EXPIRES)
    def touch(self, key: str, expires: float | None) -> None:
        value = self.alive(key)
        assert self.do(self.backend.touch(key, expires)) is (value is not None)
        if value is not None:
            self.put(key, value, expires)

    @rule(key=NAMES, by=st.integers(-3, 3), expires=EXPIRES)
    def increment(self, key: str, by: int, expires: float | None) -> None:
        value = self.alive(key)
        if value in (b'"x"', b"\0"):
            with pytest.raises(TypeError):
                self.do(self.backend.increment(key, by, expires))
            return
        total = by + int(value or 0)
        assert self.do(self.backend.increment(key, by, expires)) == total
        if value is None:
            self.put(key, b"%d" % total, expires)
        else:
            self.values[key] = (b"%d" % total, self.values[key][1])

    @rule(key=NAMES, expected=st.one_of(st.none(), VALUES), value=st.one_of(st.none(), VALUES), expires=EXPIRES)
    def compare_and_set(self, key: str, expected: bytes | None, value: bytes | None, expires: float | None) -> None:
        fits = self.alive(key) == expected
        assert self.do(self.backend.compare_and_set(key, expected, value, expires)) is fits
        if fits and value is None:
            self.values.pop(key, None)
        elif fits and value is not None:
            self.put(key, value, expires)

    def holder(self, name: str) -> tuple[str, int, float] | None:
        held = self.locks.get(name)
        return held if held and held[2] > self.time else None

    @rule(name=NAMES, owner=OWNERS, lease=st.integers(1, 8))
    def acquire(self, name: str, owner: str, lease: int) -> None:
        token, held = self.do(self.backend.acquire(name, owner, lease)), self.holder(name)
        if held is not None and held[0] != owner:
            assert token is None
            return
        if held is not None:
            assert token == held[1]
        else:
            assert token > self.last_token
            self.last_token = token
        self.locks[name] = (owner, token, self.time + lease)

    @rule(name=NAMES, owner=OWNERS, lease=st.integers(1, 8))
    def renew(self, name: str, owner: str, lease: int) -> None:
        held = self.holder(name)
        mine = held is not None and held[0] == owner
        assert self.do(self.backend.renew(name, owner, lease)) is mine
        if held is not None and mine:
            self.locks[name] = (owner, held[1], self.time + lease)

    @rule(name=NAMES, owner=OWNERS)
    def release(self, name: str, owner: str) -> None:
        held = self.holder(name)
        mine = held is not None and held[0] == owner
        assert self.do(self.backend.release(name, owner)) is mine
        if mine:
            del self.locks[name]

    @rule(key=NAMES, limit=st.sampled_from([1, 2, 4]))
    def limit(self, key: str, limit: int) -> None:
        """The reference is a bucket that loses one attempt a second."""
        taken, since = self.attempts.get((key, limit), (0.0, self.time))
        taken = max(0.0, taken - (self.time - since))
        found = self.do(self.backend.allow(f"{key}{limit}", limit, float(limit)))
        assert found.allowed is (taken + 1 <= limit)
        taken += found.allowed
        assert found.remaining == int(limit - taken)
        assert (found.retry_after == 0) is found.allowed
        assert found.allowed or found.retry_after == taken + 1 - limit
        self.attempts[key, limit] = (taken, self.time)

    @invariant()
    def values_are_those_of_the_reference(self) -> None:
        for key in "ab":
            assert self.do(self.backend.get(key)) == self.alive(key)


TestSharedState = SharedState.TestCase
