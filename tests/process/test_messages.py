"""Messages between the workers of real pools: order, deaths, reloads, scaling, and who may send."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from tests.process.harness import CLIENT, Pool, running
from tests.procfs import alive
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

pytestmark = pytest.mark.timeout(240)
PATIENT = {"COREPOD_SHARED_TIMEOUT": "30"}  # a busy machine may pause any process


def messages_pool(tmp_path: Path, *args: str, workers: int = 2) -> AbstractContextManager[Pool]:
    log, env = tmp_path / "log", {"MESSAGES": str(tmp_path)}
    flags = ("--workers", str(workers), "--pin", "never", *args)
    return running("messages:app", *flags, log=log, env=env)


def taken(tmp_path: Path, name: str) -> dict[tuple[int, int], list[Any]]:
    """What each worker has taken, by slot and number: lists of the sender's slot and number, data and lost."""
    found = {}
    for path in tmp_path.glob(f"{name}-*-*"):
        slot, worker = map(int, path.name.split("-")[1:])
        found[slot, worker] = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("]")]
    return {where: rows for where, rows in found.items() if rows}


def count(tmp_path: Path, name: str) -> int:
    return sum(map(len, taken(tmp_path, name).values()))


def ask(pool: Pool, path: str, **query: object) -> Any:
    return pool.get(path, params=query, timeout=60.0).json()


MODES = [
    pytest.param(("--preload", "libraries"), id="libraries"),
    pytest.param(("--preload", "application"), id="application"),
    pytest.param(("--preload", "nothing", "--standby", "none"), id="nothing"),
    pytest.param(("--standby", "live"), id="live"),
    pytest.param(
        ("--loop", "uvloop"),
        id="uvloop",
        marks=pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="uvloop isn't installed"),
    ),
]


@pytest.mark.parametrize("mode", MODES)
def test_a_broadcast_reaches_all_in_order_and_a_request_is_answered(tmp_path: Path, mode: tuple[str, ...]) -> None:
    with messages_pool(tmp_path, *mode, workers=3) as pool:
        pool.ready()

        def joined() -> bool:
            """Whether all hear broadcasts: a worker may be ready a moment before."""
            assert ask(pool, "/broadcast", first=-1, count=1) == []
            return len(taken(tmp_path, "all")) == 3

        until(joined, "a broadcast to all")
        assert ask(pool, "/broadcast", first=0, count=500) == []
        until(
            lambda: [rows[-1][2] for rows in taken(tmp_path, "all").values()] == [499] * 3,
            "the last message everywhere",
        )
        found = taken(tmp_path, "all")
        assert [slot for slot, _ in sorted(found)] == [0, 1, 2]
        for rows in found.values():
            assert [row[2] for row in rows if row[2] >= 0] == list(range(500)), "in order, none twice"
            assert not any(row[3] for row in rows), "none lost"
        answers = [ask(pool, "/ask", slot=slot, what="hello")["answer"] for slot in range(3)]
        assert answers == [["hello", slot["pid"]] for slot in pool.status()["slots"]]


def test_a_request_without_an_answer_says_why(tmp_path: Path) -> None:
    with messages_pool(tmp_path) as pool:
        pool.ready()
        assert ask(pool, "/ask", slot=1, what="silence") == {"error": "TimeoutError"}
        assert ask(pool, "/ask", slot=1, topic="unknown") == {"error": "NobodyListens"}
        assert ask(pool, "/ask", slot=2) == {"error": "NoSuchSlot"}


def test_a_child_has_no_inbox(tmp_path: Path) -> None:
    with messages_pool(tmp_path, workers=1) as pool:
        pool.ready()
        ours, childs, said = ask(pool, "/fork")
        assert ours >= 3, "the control socket and two inboxes, in the worker"
        assert (childs, said) == (0, "this process was forked by a worker and isn't one: it can't send messages")


@pytest.fixture
def sending(tmp_path: Path) -> Iterator[tuple[Pool, int]]:
    """A pool in which the worker of one slot sends numbers to the other, and that other slot."""
    with messages_pool(tmp_path, "--crash-budget", "100/60") as pool:
        pool.ready()
        (tmp_path / "go").touch()
        slot = ask(pool, "/start")
        until(lambda: count(tmp_path, "one") > 50, "numbers")
        yield pool, slot
        (tmp_path / "go").unlink(missing_ok=True)


def finish(tmp_path: Path) -> list[list[list[int]]]:
    """Stop the sender, and wait for the last number. What each worker of the slot has taken: numbers, each with how
    many were lost before it."""
    (tmp_path / "go").unlink()
    until((tmp_path / "sent").exists, "the end of sending")
    last = int((tmp_path / "sent").read_text()) - 1
    until(lambda: any(row[2] == last for rows in taken(tmp_path, "one").values() for row in rows[-1:]), "the last one")
    return [[[row[2], row[3]] for row in rows] for _, rows in sorted(taken(tmp_path, "one").items())]


def check(parts: list[list[list[int]]]) -> int:
    """In order, none twice, and what is missing is what was said to be lost; a death may take with it one number that
    the application had got and not yet written down. How many are missing."""
    expected = missing = 0
    for part in parts:
        first = True
        for number, lost in part:
            assert number >= expected, "in order and none twice"
            if first and part is not parts[0]:
                assert number - expected <= lost + 1, f"{number - expected} missing, {lost} said to be lost"
            else:
                assert number - expected == lost
            missing += number - expected
            expected, first = number + 1, False
    return missing


def test_a_killed_receiver_loses_what_it_had_taken_and_says_so(tmp_path: Path, sending: tuple[Pool, int]) -> None:
    pool, slot = sending
    for death in range(1, 4):
        if death == 2:  # what it has taken piles up
            assert "answer" in ask(pool, "/ask", slot=slot, what="hold")
            until((tmp_path / "piled").exists, "messages that it has taken")
        os.kill(pool.slot(slot)["pid"], signal.SIGKILL)
        pool.until_restarts(death, slot)
        before = count(tmp_path, "one")
        until(lambda before=before: count(tmp_path, "one") > before + 50, "numbers for the next worker")  # type: ignore[misc]
    parts = finish(tmp_path)
    assert len(parts) == 4
    check(parts)
    assert "message(s) from its slot's inbox" in pool.log
    assert parts[2][0][1] > 0, "the one after the worker that held its messages back"


def test_a_worker_that_is_stopped_leaves_the_rest_to_the_next_one(tmp_path: Path, sending: tuple[Pool, int]) -> None:
    pool, slot = sending
    before = count(tmp_path, "one")
    old = pool.slot(slot)["pid"]
    os.kill(old, signal.SIGTERM)
    until(lambda: pool.slot(slot)["pid"] not in (old, None), "the next worker")
    until(lambda: count(tmp_path, "one") > before + 100, "numbers for the next worker")
    until(lambda: not alive(old), "the end of the old worker, which writes down what it has taken")
    assert check(finish(tmp_path)) == 0, "nothing is lost"


def test_a_reload_loses_no_message_and_none_comes_twice(tmp_path: Path) -> None:
    with messages_pool(tmp_path) as pool:
        pool.ready()
        pool.signal(signal.SIGHUP)
        first = 0
        while pool.log.count("] ready") < 4 or first < 200:
            assert ask(pool, "/send", slot=1, first=first, count=20, timeout=30) == {"sent": 20}
            first += 20
        until(lambda: count(tmp_path, "one") >= first, "every number")
        numbers = [row[2] for rows in taken(tmp_path, "one").values() for row in rows]
        assert sorted(numbers) == list(range(first))
        assert not any(row[3] for rows in taken(tmp_path, "one").values() for row in rows)


def test_what_a_worker_has_taken_its_application_gets_before_a_reload_ends_it(tmp_path: Path) -> None:
    with messages_pool(tmp_path, workers=1) as pool:
        pool.ready()
        assert ask(pool, "/send", slot=0, topic="slow", first=0, count=40) == {"sent": 40}
        until(lambda: count(tmp_path, "slow") >= 2, "the first ones")
        pool.signal(signal.SIGHUP)
        assert ask(pool, "/send", slot=0, topic="slow", first=40, count=5, timeout=30) == {"sent": 5}
        until(lambda: count(tmp_path, "slow") >= 45, "every number")
        numbers = [row[2] for _, rows in sorted(taken(tmp_path, "slow").items()) for row in rows]
        assert numbers == list(range(45))
        pool.until_log("reload: done")


def test_an_inbox_that_nobody_empties_gets_full(tmp_path: Path) -> None:
    with messages_pool(tmp_path) as pool:
        pool.ready()
        slot = 1
        assert "answer" in ask(pool, "/ask", slot=slot, what="hold")
        answer = ask(pool, "/send", slot=slot, first=0, count=10**6, timeout=0.2)
        assert (answer["error"], answer["slot"]) == ("Full", slot)
        # The held worker still takes what is in its own inbox: requests would wait behind what nobody takes.
        assert ask(pool, "/broadcast", first=0, count=1) == []
        os.kill(pool.slot(slot)["pid"], signal.SIGKILL)  # what waits is for the next one
        rest = until(lambda: max((rows[-1][2] for rows in taken(tmp_path, "one").values()), default=0), "the rest")
        until(lambda: any(r[-1][2] == answer["sent"] - 1 for r in taken(tmp_path, "one").values()), f"all, not {rest}")


def test_slots_that_come_and_go(tmp_path: Path) -> None:
    with messages_pool(tmp_path) as pool:
        pool.ready()
        assert ask(pool, "/ask", slot=2) == {"error": "NoSuchSlot"}
        for turn in range(2):
            pool.signal(signal.SIGTTIN)
            until(lambda: len(pool.status()["slots"]) == 3, "a slot more")
            pool.ready()
            found = ask(pool, "/ask", slot=2, what=turn)["answer"]
            assert found == [str(turn), pool.slot(2)["pid"]]
            assert ask(pool, "/broadcast", first=turn, count=1) == []
            until(lambda turn=turn: count(tmp_path, "all") == 3 + 3 * turn, "the broadcast in every slot")  # type: ignore[misc]
            removed = pool.slot(2)["pid"]
            pool.signal(signal.SIGTTOU)
            until(lambda: len(pool.status()["slots"]) == 2, "a slot less")
            until(lambda removed=removed: not alive(removed), "the end of its worker")  # type: ignore[misc]
            until(lambda: ask(pool, "/ask", slot=2) == {"error": "NoSuchSlot"}, "no slot 2")


def test_the_sample_applications_counter_is_the_same_in_all_workers(tmp_path: Path) -> None:
    # The file of its shared state outlives a pool: this one gets its own.
    env = {"TMPDIR": str(tmp_path), **PATIENT}
    with running("corepod.demo:app", "--workers", "2", "--pin", "never", log=tmp_path / "log", env=env) as pool:
        pool.ready()

        def counts() -> dict[int, int]:
            answers = [pool.get("/counter").json() for _ in range(20)]
            return {answer["worker"]: answer["count"] for answer in answers}

        for number in range(1, 21):
            answer = CLIENT.post(f"http://127.0.0.1:{pool.port}/counter").raise_for_status()
            assert answer.json()["count"] == number, "exact at every moment"
        until(lambda: [*counts().values()] == [20, 20], lambda: f"20 in both workers: {counts()}")
        os.kill(pool.slot(1)["pid"], signal.SIGKILL)
        pool.until_restarts(1, 1)
        until(lambda: counts().get(3) == 20, lambda: f"20 in the new worker: {counts()}")


@pytest.mark.parametrize("keys", ["", "0123456789abcdefghijklmnopqrstuvwxyz"])
def test_the_sample_applications_session_is_the_same_in_all_workers(tmp_path: Path, keys: str) -> None:
    env = {"TMPDIR": str(tmp_path), "SESSION_KEYS": keys, **PATIENT}
    with (
        running("corepod.demo:app", "--workers", "2", "--pin", "never", log=tmp_path / "log", env=env) as pool,
        httpx.Client(base_url=f"http://127.0.0.1:{pool.port}", timeout=DEADLINE) as browser,
        httpx.Client(base_url=f"http://127.0.0.1:{pool.port}", timeout=DEADLINE) as other,
    ):
        pool.ready()

        def visit() -> dict[str, Any]:
            answer: dict[str, Any] = browser.get("/session").raise_for_status().json()
            visits.append(answer["visits"])
            return answer

        visits: list[int] = []
        until(lambda: len(visit()["answered"]) == 2, "an answer of each worker")
        os.kill(pool.slot(1)["pid"], signal.SIGKILL)
        pool.until_restarts(1, 1)
        until(lambda: len(visit()["answered"]) == 3, "an answer of the new worker")
        assert visits == list(range(1, len(visits) + 1))
        assert other.get("/session").json()["visits"] == 1, "a session of its own"
        browser.delete("/session").raise_for_status()
        assert browser.get("/session").json()["visits"] == 1


def test_a_key_that_is_too_short_is_told_at_the_start(tmp_path: Path) -> None:
    env = {"SESSION_KEYS": "short"}
    with running("corepod.demo:app", "--workers", "1", "--pin", "never", log=tmp_path / "log", env=env) as pool:
        error = "key 1 for sessions has 5 bytes, and needs 32 or more"
        until(lambda: error in pool.log, lambda: f"the error is in the log: {pool.log}", 4 * DEADLINE)


def test_users_of_the_chat_hear_each_other_whichever_worker_they_have(tmp_path: Path) -> None:
    env = {"TMPDIR": str(tmp_path), **PATIENT}
    with (
        running("corepod.demo:app", "--workers", "2", "--pin", "never", log=tmp_path / "log", env=env) as pool,
        ExitStack() as on,
    ):
        pool.ready()
        users: dict[int, ClientConnection] = {}

        def both() -> bool:
            user = on.enter_context(connect(f"ws://127.0.0.1:{pool.port}/chat/ws", open_timeout=DEADLINE))
            users.setdefault(json.loads(user.recv(DEADLINE))["hello"]["slot"], user)
            return len(users) == 2

        until(both, "a user of each worker")
        users[0].send("hello")
        heard = [json.loads(user.recv(DEADLINE)) for user in users.values()]
        assert [message["text"] for message in heard] == ["hello", "hello"]
