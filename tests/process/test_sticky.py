"""Sticky sessions in real pools: a client's connections go to one slot, and none is lost on its way there."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.process.harness import raw
from tests.process.test_drain import patient
from tests.process.traffic import stopped
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

COOKIE = re.compile(r"corepod_sticky=([0-9a-f]{12})\.(\d+)((?:; [^;\r]+)*)")
FLAGS = ("--sticky", "--pin", "never")


def head(path: str = "/slot", cookie: str = "", more: str = "") -> bytes:
    line = f"Cookie: {cookie}\r\n" if cookie else ""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}{line}\r\n".encode()


class Answer:
    """To a request on a connection of its own."""

    def __init__(self, data: bytes) -> None:
        text, _, body = data.decode().partition("\r\n\r\n")
        self.status, self.body, self.set = int(([*text.split(" ", 2), "0", "0"])[1] or 0), body, COOKIE.search(text)
        self.text = text


def get(pool: Pool, cookie: str = "", path: str = "/slot", more: str = "") -> Answer:
    return Answer(raw(pool.port, head(path, cookie, more)))


def cookies(pool: Pool, slots: int) -> list[str]:
    """A cookie of each slot, as the pool sets it."""
    name = get(pool).set
    assert name is not None
    return [f"corepod_sticky={name[1]}.{slot}" for slot in range(slots)]


@pytest.mark.parametrize("flags", [(), ("--http", "h11"), ("--accept", "batch"), ("--preload", "nothing")])
def test_a_client_comes_back_to_its_slot(start: Start, flags: tuple[str, ...]) -> None:
    pool = start("ok:app", *FLAGS, "-w", "3", *flags).ready()
    for slot, cookie in enumerate(cookies(pool, 3)):
        for _ in range(15):
            answer = get(pool, f"a=b; {cookie}")
            assert (answer.status, answer.body, answer.set) == (200, str(slot), None), answer.text
    slots = pool.status()["slots"]
    assert sum(slot["passed_on"] for slot in slots) > 0
    passed_on = re.findall(r'corepod_connections_passed_on_total\{slot="\d"\} (\d+)', pool.admin("/metrics").text)
    assert sum(map(int, passed_on)) >= sum(slot["passed_on"] for slot in slots)


def test_without_it_they_go_anywhere(start: Start) -> None:
    """The negative control."""
    pool = start("ok:app", "--pin", "never", "-w", "3").ready()
    assert get(pool).set is None
    with stopped(pool.slot(0)["pid"]):
        assert get(pool, "corepod_sticky=0123456789ab.0").body in ("1", "2")


def test_the_cookie_that_is_set_names_who_has_answered(start: Start) -> None:
    pool = start("ok:app", *FLAGS, "-w", "2", "--root-path", "/shop").ready()
    for other in (0, 1):
        with stopped(pool.slot(other)["pid"]):  # whoever has no cookie is served by the one that has time
            answer = get(pool)
        assert answer.set is not None
        assert answer.set[2] == str(1 - other)
        assert answer.set[3] == "; Path=/shop; HttpOnly; SameSite=Lax"


def test_secure_where_a_proxy_says_https(start: Start) -> None:
    pool = start("ok:app", *FLAGS, "-w", "1").ready()
    assert get(pool, more="X-Forwarded-Proto: https\r\n").text.count("; Secure") == 1
    assert get(pool, more="X-Forwarded-Proto: http\r\n").text.count("; Secure") == 0


@pytest.mark.parametrize(
    "cookie",
    [
        "corepod_sticky=",
        "corepod_sticky=0123456789ab.1",
        "corepod_sticky=../../1",
        "corepod_sticky=POOL.9",
        "corepod_sticky=POOL.-1",
        "; ".join(["a=b"] * 3000),
    ],
)
def test_a_cookie_that_names_no_slot_is_as_none(start: Start, cookie: str) -> None:
    pool = start("ok:app", *FLAGS, "-w", "2").ready()
    name = get(pool).set
    assert name is not None
    answer = get(pool, cookie.replace("POOL", name[1]))
    assert answer.status == 200
    assert answer.set is not None
    assert answer.set[2] == answer.body


def test_slow_silent_huge_and_garbage_heads_are_answered(start: Start) -> None:
    pool = start("ok:app", *FLAGS, "-w", "2", "--keep-alive", "60").ready()
    one = cookies(pool, 2)[1]
    with (
        socket.create_connection(("127.0.0.1", pool.port), timeout=DEADLINE) as slow,
        socket.create_connection(("127.0.0.1", pool.port), timeout=DEADLINE) as silent,
        socket.create_connection(("127.0.0.1", pool.port), timeout=DEADLINE) as half,
    ):
        half.sendall(b"GET /slot HTTP/1.1\r\nHos")
        for byte in head(cookie=one):
            slow.sendall(bytes([byte]))
        assert b"".join(iter(lambda: slow.recv(65536), b"")).startswith(b"HTTP/1.1 200 ")
        silent.sendall(head(cookie=one))
        assert b"".join(iter(lambda: silent.recv(65536), b"")).endswith(b"\r\n\r\n1")
        until(lambda: get(pool).status == 200, "others are served meanwhile")
        half.sendall(b"t: x\r\nConnection: close\r\n\r\n")
        assert b"".join(iter(lambda: half.recv(65536), b"")).startswith(b"HTTP/1.1 200 ")
    assert Answer(raw(pool.port, head(cookie=one, more=f"X: {'x' * 20_000}\r\n"))).status == 431
    assert Answer(raw(pool.port, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")).status == 400
    assert Answer(raw(pool.port, b"GET\r\n\r\n")).status in (400, 501)
    assert get(pool, one).body == "1"
    until(lambda: sum(slot["connections"] for slot in pool.status()["slots"]) == 0, "all are closed")


def test_a_unix_socket_and_a_wsgi_application(start: Start, tmp_path: Any) -> None:
    path = tmp_path / "app.sock"
    pool = start("wsgi_app:app", *FLAGS, "-w", "2", "--bind", f"unix:{path}").ready()
    name = get(pool).set
    assert name is not None
    for slot in (0, 1, 0, 1, 1, 0):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            sock.sendall(head(cookie=f"corepod_sticky={name[1]}.{slot}"))
            answer = Answer(b"".join(iter(lambda: sock.recv(65536), b"")))
        assert (answer.status, answer.set) == (200, None), answer.text


def test_a_worker_that_is_killed_loses_no_connection_that_waited_for_it(start: Start) -> None:
    pool = start("ok:app", *FLAGS, "-w", "2", "--crash-budget", "0").ready()
    one = cookies(pool, 2)[1]
    for _ in range(3):
        victim, before = pool.slot(1), pool.slot(0)["passed_on"]
        with stopped(victim["pid"]):
            socks = [socket.create_connection(("127.0.0.1", pool.port), timeout=DEADLINE) for _ in range(8)]
            for sock in socks:
                sock.sendall(head(cookie=one))
            until(lambda: pool.slot(0)["passed_on"] >= before + 8, "all handed over")  # noqa: B023
            os.kill(victim["pid"], signal.SIGKILL)
        for sock in socks:
            with sock:
                assert b"".join(iter(lambda: sock.recv(65536), b"")).startswith(b"HTTP/1.1 200 ")  # noqa: B023
        pool.until_restarts(victim["restarts"] + 1, 1)
        until(lambda: get(pool, one).body == "1", "its clients come back")


def test_a_worker_that_stands_still_is_waited_for_and_no_longer(start: Start) -> None:
    pool = start("ok:app", *FLAGS, "-w", "2", "--stuck-timeout", "0").ready()
    one = cookies(pool, 2)[1]
    with stopped(pool.slot(1)["pid"]):
        answer = get(pool, one)
        assert (answer.body, answer.set) == ("0", None)  # it goes back there as soon as that is possible
    until(lambda: get(pool, one).body == "1", "the slot's worker again")


def test_a_session_goes_on_elsewhere_when_its_slot_is_removed(start: Start) -> None:
    pool = start("ok:app", *FLAGS, "-w", "3").ready()
    old = cookies(pool, 3)
    assert [get(pool, cookie).body for cookie in old] == ["0", "1", "2"]
    for left in (2, 1):
        pool.signal(signal.SIGTTOU)
        until(lambda: len(pool.status()["slots"]) == left, f"slots: {left}")  # noqa: B023
    for cookie in old[1:]:
        # The worker of a slot that has just been removed may answer, too, until it has read that it drains.
        until(lambda: (found := get(pool, cookie)).set and found.set[2] == found.body == "0", "a new cookie")  # noqa: B023
    for now in (2, 3):
        pool.signal(signal.SIGTTIN)
        until(lambda: len(pool.ready().status()["slots"]) == now, f"slots: {now}")  # noqa: B023
    until(lambda: [get(pool, cookie).body for cookie in old] == ["0", "1", "2"], "slots that old workers learn of")


@pytest.mark.parametrize("flags", [(), ("--limit-connections", "4")])
def test_reloads_and_restarts_lose_no_request(start: Start, flags: tuple[str, ...]) -> None:
    pool = start("ok:app", *FLAGS, "-w", "2", *flags).ready()
    answers: Counter[str] = Counter()
    over = threading.Event()
    failures: list[str] = []

    def client(cookie: str) -> None:
        while not over.is_set():
            try:
                answer = get(pool, cookie, "/pid")
            except OSError as error:
                failures.append(repr(error))
                continue
            answers[cookie] += 1
            if answer.status != 200:
                failures.append(answer.text)

    threads = [threading.Thread(target=client, args=(cookie,)) for cookie in cookies(pool, 2) * 2]
    for thread in threads:
        thread.start()
    try:
        for number in (1, 2):
            goal = answers.total() + 100
            pool.signal(signal.SIGHUP)
            until(
                lambda: all((slot["worker"] or 0) > 2 * number for slot in pool.status()["slots"]),  # noqa: B023
                lambda: f"reloaded; {failures} {pool.log}",
            )
            until(lambda: answers.total() >= goal, lambda: f"more answers; {failures}")  # noqa: B023
    finally:
        over.set()
        for thread in threads:
            thread.join(DEADLINE)
    assert failures == []
    pool.ready()


def test_a_stop_serves_what_is_on_its_way(start: Start) -> None:
    pool = start("ok:app", *FLAGS, "-w", "2").ready()
    both = cookies(pool, 2)
    with stopped(pool.slot(1)["pid"]):
        before = pool.slot(0)
        socks = [socket.create_connection(("127.0.0.1", pool.port), timeout=DEADLINE) for _ in range(20)]
        for number, sock in enumerate(socks):
            sock.sendall(head("/sleep?s=0.2", both[number % 2]))
        until(
            lambda: (
                pool.slot(0)["accepted"] >= before["accepted"] + 20
                and pool.slot(0)["passed_on"] >= before["passed_on"] + 10
            ),
            lambda: f"all accepted, and half of them passed on: {pool.status()['slots']}",
        )
        pool.signal(signal.SIGTERM)
        pool.until_log("draining")
    for sock in socks:
        with sock:
            assert b"".join(iter(lambda: sock.recv(65536), b"")).startswith(b"HTTP/1.1 200 ")  # noqa: B023
    assert pool.wait() == 0


@pytest.mark.parametrize("flags", [("--lame-duck", "0"), ("--lame-duck", "0.5"), ("--limit-connections", "3")])
def test_a_stop_under_load_resets_no_connection(start: Start, tmp_path: Path, flags: tuple[str, ...]) -> None:
    """Clients whose cookies name either slot: what has been accepted, wherever it is at that moment, is answered."""
    # For clients that don't come to their next step for seconds.
    patience = "worker.LATE = 6.0\nconnections.FIRST_REQUEST = 10.0"
    pool = patient(start, tmp_path, "ok:app", patience, *FLAGS, "-w", "2", *flags).ready()
    answered: Counter[str] = Counter()
    failures: list[str] = []
    clients = 6

    def client(cookie: str) -> None:
        while True:
            try:
                sock = socket.create_connection(("127.0.0.1", pool.port), timeout=DEADLINE)
            except OSError:
                return  # the pool accepts nothing any more
            try:
                with sock:
                    sock.sendall(head("/sleep?s=0.01", cookie))
                    data = b"".join(iter(lambda: sock.recv(65536), b""))  # noqa: B023
            except OSError as error:
                failures.append(repr(error))
                continue
            answered[cookie] += 1
            if not data.startswith(b"HTTP/1.1 200 "):
                failures.append(repr(data))

    both = cookies(pool, 2)
    threads = [threading.Thread(target=client, args=(both[number % 2],)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: all(answered[cookie] > 20 for cookie in both), lambda: f"answers; {failures}")
        assert sum(slot["passed_on"] for slot in pool.status()["slots"]) > 0
    finally:
        code = pool.stop()
        for thread in threads:
            thread.join(DEADLINE)
    assert code == 0
    assert failures == []


def test_thousands_of_foreign_cookies_cost_the_others_nothing(start: Start) -> None:
    """More connections for one slot than its socket holds: they are served where they were accepted."""
    pool = start("ok:app", *FLAGS, "-w", "2", "--stuck-timeout", "0").ready()
    zero, one = cookies(pool, 2)
    with stopped(pool.slot(1)["pid"]):
        socks = [socket.create_connection(("127.0.0.1", pool.port), timeout=DEADLINE) for _ in range(400)]
        for sock in socks:
            sock.sendall(head("/slot", one))
        assert get(pool, zero).body == "0"
        here = [sock for sock in socks if b"".join(iter(lambda: sock.recv(65536), b"")).endswith(b"0")]  # noqa: B023
        assert len(here) == 400
    for sock in socks:
        sock.close()
    until(lambda: get(pool, one).body == "1", "the slot's worker again")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--sticky-cookie", "a b"), "--sticky-cookie: 'a b' can't be the name of a cookie: use letters"),
    ],
)
def test_what_cannot_work_is_refused(start: Start, flags: tuple[str, ...], said: str) -> None:
    pool = start("ok:app", "--sticky", *flags)
    pool.wait()
    assert said in pool.log
