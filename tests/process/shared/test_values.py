"""Values: what every backend has to do with them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from corepod import shared
from corepod.shared import When, values

from tests.process.shared.running import at_the_same_time, becomes, run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.usefixtures("url")

LONG = 1000.0  # seconds that no test takes
SHORT = 0.05
VALUES = [
    b"", b"\0", b"\0\xff{}", b"12", b"x" * values.VALUE_MOST,
    0, -1, 2**63 - 1, 2**80, 1.5, True, False, "", "a\0b", "ü€😀", [], {}, [None], {"a": [1, {"b": None}]},
    "x" * (values.VALUE_MOST - 2),
]  # fmt: skip
KEYS = ["a", "ü€😀", "a b\n\0", "*?[x]", "x" * 512, "ü" * 256, "a'; DROP TABLE state; --", "{a}:b"]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
def test_a_value_comes_back_as_it_was(value: object) -> None:
    async def work() -> None:
        assert await shared.get("a") is None
        assert await shared.set("a", value) is True
        got = await shared.get("a")
        assert got == value
        assert type(got) is type(value)

    run(work)


def test_keys_of_every_kind_are_told_apart() -> None:
    async def work() -> None:
        for number, key in enumerate(KEYS):
            await shared.set(key, number)
        assert [await shared.get(key) for key in KEYS] == list(range(len(KEYS)))
        assert [await shared.get(key) for key in ("A", "ü", "x" * 511, "a\0", "é", "e\u0301")] == [None] * 6

    run(work)


@pytest.mark.parametrize("key", ["", "x" * 513, "ü" * 257, "\ud800"])
def test_what_is_no_key_is_refused(key: str) -> None:
    async def work() -> None:
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: shared.get(key),
            lambda: shared.set(key, 1),
            lambda: shared.delete(key),
            lambda: shared.touch(key, 1),
            lambda: shared.increment(key),
            lambda: shared.compare_and_set(key, None, 1),
            lambda: shared.limit(key, 1, 1),
            lambda: shared.publish(key, 1),
        ]
        for call in calls:
            with pytest.raises(ValueError, match=r"1 to 512 bytes|UTF-8"):
                await call()
        for make in (shared.lock, shared.singleton, shared.subscribe):
            with pytest.raises(ValueError, match=r"1 to 512 bytes|UTF-8"):
                make(key)

    run(work)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (None, TypeError),
        (object(), TypeError),
        ({1, 2}, TypeError),
        (float("nan"), ValueError),
        ("\ud800", ValueError),
        (b"x" * (values.VALUE_MOST + 1), ValueError),
        ("x" * (values.VALUE_MOST - 1), ValueError),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_value_is_refused_and_the_old_one_stays(value: object, error: type[Exception]) -> None:
    async def work() -> None:
        await shared.set("a", "old")
        with pytest.raises(error):
            await shared.set("a", value)
        assert await shared.get("a") == "old"

    run(work)


def test_conditions() -> None:
    async def work() -> None:
        assert not await shared.set("a", 1, when=When.PRESENT)
        assert await shared.get("a") is None
        assert await shared.set("a", 2, when=When.ABSENT)
        assert not await shared.set("a", 3, when=When.ABSENT)
        assert await shared.get("a") == 2
        assert await shared.set("a", 4, when=When.PRESENT)
        assert await shared.get("a") == 4
        assert await shared.delete("a")
        assert not await shared.delete("a")
        assert await shared.get("a") is None

    run(work)


# Expiry


@pytest.mark.parametrize("expires", [0, -1, 0.0009, float("nan"), float("inf"), -0.5, 11 * 365 * 86400])
def test_times_that_are_none_are_refused(expires: float) -> None:
    async def work() -> None:
        await shared.set("a", 1)
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: shared.set("a", 2, expires),
            lambda: shared.touch("a", expires),
            lambda: shared.increment("a", 1, expires),
            lambda: shared.compare_and_set("a", 1, 2, expires),
        ]
        for call in calls:
            with pytest.raises(ValueError, match="expires"):
                await call()
        assert await shared.get("a") == 1

    run(work)


async def _expired(key: str) -> None:
    async def gone() -> bool:
        return await shared.get(key) is None

    await becomes(gone)


def test_a_value_expires_for_every_operation() -> None:
    async def work() -> None:
        for key in "abcdefg":
            await shared.set(key, 1, SHORT)
        await _expired("g")
        assert await shared.get("a") is None
        assert not await shared.delete("a")
        assert not await shared.touch("b", LONG)
        assert await shared.get("b") is None
        assert await shared.increment("c", 5) == 5
        assert not await shared.compare_and_set("d", 1, 2)
        assert await shared.compare_and_set("d", None, 3)
        assert not await shared.set("e", 2, when=When.PRESENT)
        assert await shared.set("f", 2, when=When.ABSENT)

    run(work)


def test_fractions_of_seconds_count_and_long_times_stay() -> None:
    async def work() -> None:
        await shared.set("long", 1, LONG)
        await shared.set("short", 1, 0.001)
        await _expired("short")
        assert await shared.get("long") == 1

    run(work)


def test_a_new_value_has_the_new_time() -> None:
    async def work() -> None:
        await shared.set("a", 1, SHORT)
        await shared.set("a", 2)
        await shared.set("b", 1)
        assert await shared.compare_and_set("b", 1, 2, SHORT)
        await shared.set("c", 1, SHORT)
        assert await shared.compare_and_set("c", 1, 2) or await shared.set("c", 2)
        await _expired("b")
        assert [await shared.get("a"), await shared.get("c")] == [2, 2]

    run(work)


def test_touch_gives_a_value_another_time() -> None:
    async def work() -> None:
        assert not await shared.touch("none", LONG)
        for key in "ab":
            await shared.set(key, key, LONG)
        assert await shared.touch("a", SHORT)
        assert await shared.touch("b", None)
        await _expired("a")
        assert await shared.get("b") == "b"

    run(work)


# Numbers


def test_counting() -> None:
    async def work() -> None:
        assert [await shared.increment("n"), await shared.increment("n", 41), await shared.increment("n", -2)] == [
            1,
            42,
            40,
        ]
        assert await shared.get("n") == 40
        await shared.set("m", -5)
        assert await shared.increment("m", 0) == -5

    run(work)


def test_the_first_one_says_when_a_counter_expires() -> None:
    async def work() -> None:
        async def counted_before_it_has_expired() -> bool:
            await shared.delete("n")
            await shared.increment("n", 1, 0.5)
            return await shared.increment("n", 1, LONG) == 2

        await becomes(counted_before_it_has_expired)
        await _expired("n")
        await shared.increment("m", 1)
        await shared.increment("m", 1, SHORT)
        await shared.set("other", 1, SHORT)
        await _expired("other")
        assert await shared.get("m") == 2

    run(work)


@pytest.mark.parametrize("value", ["12", 1.0, 1e3, True, b"12", b"", [1], "", {}])
def test_what_is_no_integer_isnt_counted(value: object) -> None:
    async def work() -> None:
        await shared.set("a", value)
        with pytest.raises(TypeError):
            await shared.increment("a")
        assert await shared.get("a") == value

    run(work)


@pytest.mark.parametrize(("start", "by"), [(2**63 - 1, 1), (-(2**63), -1), (2**62, 2**62), (2**63, 0), (2**80, -1)])
def test_64_bits_are_the_most(start: int, by: int) -> None:
    async def work() -> None:
        await shared.set("a", start)
        with pytest.raises(OverflowError):
            await shared.increment("a", by)
        assert await shared.get("a") == start
        with pytest.raises(OverflowError):
            await shared.increment("b", 2**63)
        assert await shared.get("b") is None
        assert await shared.increment("c", 2**63 - 1) == 2**63 - 1
        assert await shared.increment("d", -(2**63)) == -(2**63)

    run(work)


@pytest.mark.parametrize("by", [1.0, "1", True, None])
def test_by_is_an_integer(by: object) -> None:
    async def work() -> None:
        with pytest.raises(TypeError, match="int"):
            await shared.increment("a", by)  # type: ignore[arg-type]

    run(work)


def test_processes_count_exactly() -> None:
    script = (
        "import asyncio\nfrom corepod import shared\n"
        "async def main():\n"
        "    found = [await shared.increment('n', by) for by in (1, 2) * 15]\n"
        "    together = await asyncio.gather(*[shared.increment('n', 1) for _ in range(20)])\n"
        "    print(found + together)\n"
        "    await shared.close()\n"
        "asyncio.run(main())\n"
    )
    outputs = at_the_same_time(script, 3)
    seen = [number for output in outputs for number in json.loads(output)]

    async def work() -> None:
        assert await shared.get("n") == 3 * (45 + 20)

    run(work)
    assert len(set(seen)) == len(seen) == 3 * 50  # nobody has seen the same sum


# Compare and set


def test_compare_and_set() -> None:
    async def work() -> None:
        assert not await shared.compare_and_set("a", 1, 2)
        assert await shared.compare_and_set("a", None, {"b": 1})
        assert not await shared.compare_and_set("a", None, 2)
        assert not await shared.compare_and_set("a", {"b": 2}, 2)
        assert not await shared.compare_and_set("a", b'{"b":1}', 2)  # bytes are never equal to JSON
        assert await shared.compare_and_set("a", {"b": 1}, b"")
        assert await shared.get("a") == b""
        assert not await shared.compare_and_set("a", None, 1)
        assert await shared.compare_and_set("a", b"", None)
        assert await shared.get("a") is None
        assert await shared.compare_and_set("a", None, None)
        assert not await shared.delete("a")

    run(work)


def test_many_change_a_value_and_none_is_lost() -> None:
    script = (
        "import asyncio\nfrom corepod import shared\n"
        "async def add(item):\n"
        "    while True:\n"
        "        old = await shared.get('list')\n"
        "        if await shared.compare_and_set('list', old, [*(old or []), item]):\n"
        "            return\n"
        "async def main():\n"
        "    for item in range(8):\n"
        "        await add([number, item])\n"
        "    await shared.close()\n"
        "asyncio.run(main())\n"
    )
    at_the_same_time(script, 3)

    async def work() -> None:
        found = await shared.get("list")
        assert sorted(found) == [[number, item] for number in range(3) for item in range(8)]

    run(work)


def test_the_prefix_keeps_applications_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fill() -> None:
        await shared.set("a", 1)
        assert await shared.increment("n") == 1
        assert (await shared.limit("r", 1, LONG)).allowed
        async with shared.lock("l", LONG):
            pass

    run(fill)
    monkeypatch.setenv("COREPOD_SHARED_PREFIX", "other:")

    async def other() -> None:
        assert await shared.get("a") is None
        await fill()

    run(other)


def test_values_locks_and_limits_of_one_name_are_strangers() -> None:
    async def work() -> None:
        async with shared.lock("x", LONG):
            assert await shared.get("x") is None
            await shared.set("x", "text")
            assert (await shared.limit("x", 1, LONG)).allowed
            assert await shared.delete("x")
            assert await shared.increment("x") == 1
        assert await shared.get("x") == 1
        assert not (await shared.limit("x", 1, LONG)).allowed

    run(work)
