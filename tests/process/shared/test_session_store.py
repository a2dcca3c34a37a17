"""What becomes of a session in the shared state, of each kind, whoever else uses it at the same time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from corepod import shared
from corepod.shared import state
from corepod.shared.sessions.keys import Keys, place
from corepod.shared.sessions.record import Lifetimes, SessionTooLarge
from corepod.shared.sessions.session import Session
from corepod.shared.sessions.store import REMOVE, UNCHANGED, Answer, Store
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

pytestmark = pytest.mark.usefixtures("url")
KEY, OTHER = "k" * 32, "o" * 32
LIFETIMES = Lifetimes(idle=1000, absolute=5000)


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def run(body: Callable[[Store, Clock], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        try:
            await body(Store(Keys([KEY]), LIFETIMES, 1000, state.backend, clock := Clock()), clock)
        finally:
            await shared.close()

    asyncio.run(main())


async def request(store: Store, value: str | None) -> Session:
    """A session as a request with this cookie has it."""
    session = Session(lambda: pytest.fail("it is loaded"))
    session.fill(await store.find([value] if value else []))
    return session


async def login(store: Store, **data: Any) -> str:
    """The cookie of a new session."""
    session = await request(store, None)
    session.update(data)
    answer = await store.commit(session)
    assert answer.value is not None
    return answer.value


async def stored(store: Store, value: str) -> Any:
    """What the shared state has for a cookie."""
    signed = store.keys.read(value)
    assert signed is not None
    found = await shared.get(place(signed.id))
    return found and found["data"]


def test_a_session_is_kept_under_a_hash_and_comes_back() -> None:
    async def body(store: Store, _: Clock) -> None:
        value = await login(store, user="ada")
        assert dict(await request(store, value)) == {"user": "ada"}
        assert await stored(store, value) == {"user": "ada"}
        assert await shared.get(f"session:{value.partition('.')[0]}") is None

    run(body)


def test_what_is_not_used_or_not_changed_is_not_written() -> None:
    async def body(store: Store, clock: Clock) -> None:
        assert await store.commit(await request(store, None)) == UNCHANGED
        empty = await request(store, None)
        assert empty.get("user") is None
        assert await store.commit(empty) == UNCHANGED
        value = await login(store, user="ada")
        clock.now += 0.09 * LIFETIMES.idle
        reads = await request(store, value)
        assert reads["user"] == "ada"
        await shared.set(place(value.partition(".")[0]), before := b"whatever is there stays there")
        assert await store.commit(reads) == UNCHANGED
        assert await shared.get(place(value.partition(".")[0])) == before

    run(body)


def test_the_time_to_live_is_extended_by_use_up_to_the_absolute_one() -> None:
    async def body(store: Store, clock: Clock) -> None:
        value = await login(store, user="ada")
        for _ in range(5):
            clock.now += 0.9 * LIFETIMES.idle
            session = await request(store, value)
            assert session["user"] == "ada"
            answer = await store.commit(session)
            assert answer.value == value
            assert answer.max_age == min(1000, 5000 - (clock.now - Clock.now))
        clock.now += 0.9 * LIFETIMES.idle
        assert await store.find([value]) is None

    run(body)


def test_an_unused_session_expires() -> None:
    async def body(store: Store, clock: Clock) -> None:
        value = await login(store, user="ada")
        clock.now += LIFETIMES.idle
        session = await request(store, value)
        session["cart"] = 1
        answer = await store.commit(session)
        assert answer.value not in (None, value), "an id that has expired isn't used again"

    run(body)


def test_a_new_id_ends_the_old_one() -> None:
    async def body(store: Store, _: Clock) -> None:
        planted = await login(store, cart=[1])
        session = await request(store, planted)
        session.renew()
        session["user"] = "ada"
        answer = await store.commit(session)
        assert answer.value is not None
        assert dict(await request(store, answer.value)) == {"cart": [1], "user": "ada"}
        assert dict(await request(store, planted)) == {}
        assert await stored(store, planted) is None

    run(body)


def test_what_another_request_writes_while_the_id_is_renewed_goes_to_the_new_one_or_nowhere() -> None:
    async def body(store: Store, _: Clock) -> None:
        planted = await login(store, cart=[1])
        session, early, late = [await request(store, planted) for _ in range(3)]
        early["seen"] = 1
        assert (await store.commit(early)).value == planted
        session.renew()
        session["user"] = "ada"
        answer = await store.commit(session)
        late["seen"] = 2
        assert await store.commit(late) == UNCHANGED
        assert await stored(store, planted) is None
        assert await stored(store, answer.value or "") == {"cart": [1], "seen": 1, "user": "ada"}

    run(body)


def test_a_renewed_session_that_was_ended_meanwhile_has_only_what_the_request_has_set() -> None:
    async def body(store: Store, _: Clock) -> None:
        value = await login(store, user="ada")
        elsewhere, login_again, step_up = [await request(store, value) for _ in range(3)]
        elsewhere.clear()
        assert await store.commit(elsewhere) == REMOVE
        login_again.renew()
        login_again["user"] = "bob"
        assert dict(await request(store, (await store.commit(login_again)).value)) == {"user": "bob"}
        step_up.renew()
        assert await store.commit(step_up) == UNCHANGED

    run(body)


def test_a_logout_ends_it_whatever_another_request_does() -> None:
    async def body(store: Store, _: Clock) -> None:
        value = await login(store, user="ada")
        slow, logout = await request(store, value), await request(store, value)
        slow["cart"] = [1]
        logout.clear()
        assert await store.commit(logout) == REMOVE
        assert await store.commit(slow) == UNCHANGED
        assert await stored(store, value) is None

    run(body)


def test_a_read_doesnt_bring_a_session_back_that_was_ended_meanwhile() -> None:
    async def body(store: Store, clock: Clock) -> None:
        value = await login(store, user="ada")
        reads = await request(store, value)
        assert reads["user"] == "ada"
        await store.delete(value.partition(".")[0])
        clock.now += 0.5 * LIFETIMES.idle
        assert await store.commit(reads) == UNCHANGED
        assert await stored(store, value) is None

    run(body)


def test_what_is_set_after_a_logout_begins_another_session() -> None:
    async def body(store: Store, _: Clock) -> None:
        value = await login(store, user="ada")
        session = await request(store, value)
        session.clear()
        session["message"] = "goodbye"
        answer = await store.commit(session)
        assert answer.value not in (None, value)
        assert await stored(store, value) is None
        assert await stored(store, answer.value or "") == {"message": "goodbye"}

    run(body)


def test_a_session_whose_last_key_is_gone_is_ended() -> None:
    async def body(store: Store, _: Clock) -> None:
        value = await login(store, user="ada")
        session = await request(store, value)
        del session["user"]
        assert await store.commit(session) == REMOVE
        assert await stored(store, value) is None

    run(body)


def test_changes_of_requests_at_the_same_time_are_all_kept() -> None:
    async def body(store: Store, _: Clock) -> None:
        value = await login(store, user="ada")
        sessions = [await request(store, value) for _ in range(12)]
        for number, session in enumerate(sessions):
            session[f"tab{number}"] = number
        await asyncio.gather(*(store.commit(session) for session in sessions))
        assert await stored(store, value) == {"user": "ada", **{f"tab{number}": number for number in range(12)}}

    run(body)


def test_a_change_inside_of_a_value_is_saved() -> None:
    async def body(store: Store, _: Clock) -> None:
        value = await login(store, cart=[{"pieces": 1}])
        session = await request(store, value)
        session["cart"][0]["pieces"] = 2
        assert (await store.commit(session)).value == value
        assert await stored(store, value) == {"cart": [{"pieces": 2}]}

    run(body)


def test_a_cookie_of_an_older_key_is_signed_again_without_a_write() -> None:
    async def body(store: Store, _: Clock) -> None:
        value = await login(store, user="ada")
        rotated = store._replace(keys=Keys([OTHER, KEY]))
        session = await request(rotated, value)
        assert session["user"] == "ada"
        answer = await rotated.commit(session)
        assert answer.value is not None
        assert Keys([OTHER]).read(answer.value) == (value.partition(".")[0], True)
        assert dict(await request(store._replace(keys=Keys([OTHER])), value)) == {}

    run(body)


def test_the_first_cookie_that_stands_for_a_session_counts() -> None:
    async def body(store: Store, _: Clock) -> None:
        value = await login(store, user="ada")
        foreign = Keys([OTHER]).sign(value.partition(".")[0])
        ended = store.keys.sign("e" * 43)
        found = await store.find(["", "garbage", foreign, ended, value])
        assert found is not None
        assert found.record.data == {"user": "ada"}
        assert await store.find(["", "garbage", foreign, ended]) is None

    run(body)


def test_a_session_that_is_too_large_is_refused_and_the_old_one_stays() -> None:
    async def body(store: Store, _: Clock) -> None:
        value = await login(store, user="ada")
        session = await request(store, value)
        session["cart"] = "x" * 2000
        with pytest.raises(SessionTooLarge, match=r"bytes of JSON, and max_size allows 1000; most of it is 'cart'"):
            await store.commit(session)
        assert await stored(store, value) == {"user": "ada"}

    run(body)


def test_something_else_under_the_key_is_no_session() -> None:
    async def body(store: Store, _: Clock) -> None:
        value = await login(store, user="ada")
        await shared.set(place(value.partition(".")[0]), ["something", "else"])
        session = await request(store, value)
        session["user"] = "bob"
        assert (await store.commit(session)).value not in (None, value)

    run(body)


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["load", "set", "remove", "clear", "renew", "commit"])), max_size=25
)


@given(STEPS)
@settings(max_examples=30, deadline=None)
def test_a_session_that_was_ended_never_comes_back(steps: list[tuple[int, str]]) -> None:
    """Three requests with the cookie of the first session, in any order of their steps."""

    async def body(store: Store, _: Clock) -> None:
        value = await login(store, user="ada", secret="of the first")
        requests: dict[int, Session] = {}
        ended = False
        for number, step in steps:
            session = requests.get(number)
            if step == "load":
                requests[number] = await request(store, value)
                assert ("user" in requests[number]) <= (not ended)
            elif session is None:
                continue
            elif step == "set":
                session[f"by{number}"] = 1
            elif step == "remove":
                session.pop(f"by{number}", None)
            elif step == "clear":
                session.clear()
            elif step == "renew":
                session.renew()
            else:
                answer = await store.commit(session)
                ended = ended or (session.found is not None and (session.cleared or session.renewed))
                _check(answer, value, ended)
                del requests[number]
                if ended:
                    assert await stored(store, value) is None

    run(body)


def _check(answer: Answer, value: str, ended: bool) -> None:
    assert not (ended and answer.value == value), "the cookie of a session that has ended is not given again"
