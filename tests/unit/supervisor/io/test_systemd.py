"""What the service manager is told, and when."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from corepod.supervisor.io.systemd import Facts, Manager, States, take, watchdog_interval
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def facts(
    ready: int = 2, *, ever: bool = True, stopping: bool = False, reloads: tuple[int, int, str] = (0, 0, "")
) -> Facts:
    asked, ended, failure = reloads
    return Facts(ready, 2, ever, stopping, {"asked": asked, "ended": ended, "failure": failure})


def states(watchdog: float | None = None) -> States:
    return States(stop_timeout=25.0, watchdog=watchdog)


def test_a_pool_is_ready_with_its_first_worker_and_once() -> None:
    told = states()
    assert told.messages(facts(0, ever=False), 1.0) == ["STATUS=starting; 0 of 2 workers ready"]
    assert told.messages(facts(0, ever=False), 2.0) == []
    assert told.messages(facts(1), 3.0) == ["READY=1\nSTATUS=1 of 2 workers ready"]
    assert told.messages(facts(2), 4.0) == ["STATUS=2 of 2 workers ready"]
    # A pool that loses all of its workers is no less started.
    assert told.messages(facts(0), 5.0) == ["STATUS=0 of 2 workers ready"]


def test_a_reload_has_a_beginning_and_an_end() -> None:
    told = states()
    told.messages(facts(), 1.0)
    assert told.messages(facts(reloads=(1, 0, "")), 2.5) == [
        "RELOADING=1\nMONOTONIC_USEC=2500000\nSTATUS=reloading; 2 of 2 workers ready"
    ]
    assert told.messages(facts(reloads=(1, 0, "")), 3.0) == []
    assert told.messages(facts(reloads=(1, 1, "")), 4.0) == ["READY=1\nSTATUS=2 of 2 workers ready"]


def test_a_reload_that_failed_has_ended_too() -> None:
    told = states()
    told.messages(facts(), 1.0)
    told.messages(facts(reloads=(1, 0, "")), 2.0)
    (message,) = told.messages(facts(reloads=(1, 1, "it raised")), 3.0)
    assert message.startswith("READY=1\nSTATUS=")
    assert "the last reload failed (it raised)" in message


def test_a_reload_asked_for_during_another_is_announced_and_ends_once() -> None:
    told = states()
    told.messages(facts(), 1.0)
    told.messages(facts(reloads=(1, 0, "")), 2.0)
    assert told.messages(facts(reloads=(2, 0, "")), 3.0) == ["RELOADING=1\nMONOTONIC_USEC=3000000"]
    assert told.messages(facts(reloads=(2, 1, "")), 4.0) == []
    assert told.messages(facts(reloads=(2, 2, "")), 5.0) == ["READY=1\nSTATUS=2 of 2 workers ready"]


def test_a_reload_before_the_start_is_over_waits_for_it() -> None:
    told = states()
    told.messages(facts(0, ever=False, reloads=(1, 0, "")), 1.0)
    first, second = told.messages(facts(1, reloads=(1, 0, "")), 2.0)
    assert first.startswith("READY=1")
    assert second.startswith("RELOADING=1")


@pytest.mark.parametrize("ever", [True, False])
def test_a_stop_is_announced_once_with_the_time_it_may_take(ever: bool) -> None:
    told = states()
    told.messages(facts(0, ever=ever), 1.0)
    (message,) = told.messages(facts(0, ever=ever, stopping=True), 2.0)
    assert message.splitlines()[:2] == ["STOPPING=1", "EXTEND_TIMEOUT_USEC=30000000"]
    # Nothing that comes later makes it ready again.
    assert told.messages(facts(0, ever=True, stopping=True, reloads=(1, 1, "")), 3.0) == []


def test_signs_of_life_come_in_time_and_no_more_often() -> None:
    told = states(watchdog=5.0)
    assert "WATCHDOG=1" in told.messages(facts(), 10.0)
    assert told.due == 15.0
    assert told.messages(facts(), 14.9) == []
    assert told.messages(facts(), 15.0) == ["WATCHDOG=1"]
    assert states().due is None


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 2)), max_size=30))
def test_the_manager_is_left_in_no_reload(steps: list[tuple[bool, bool, int]]) -> None:
    """Whatever happens in whichever order: a reload is announced only to a manager that knows of the start, and every
    one of them ends."""
    told, asked, ended, ever, sent = states(), 0, 0, False, ""
    for became_ready, asks, ends in [*steps, (True, False, 99)]:
        ever, asked = ever or became_ready, asked + asks
        ended = min(asked, ended + ends)
        for message in told.messages(facts(ever=ever, reloads=(asked, ended, "")), 1.0):
            kind = message.partition("=")[0]
            if kind == "RELOADING":
                assert sent
            sent = kind if kind in ("READY", "RELOADING") else sent
    assert sent == "READY"


@pytest.mark.parametrize(
    ("variables", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_meant_for_this_process(variables: dict[str, str], interval: float | None) -> None:
    assert watchdog_interval(variables, 7) == interval


def test_children_inherit_nothing_of_it() -> None:
    environ = {"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "2", "HOME": "/"}
    assert take(environ) == {"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "2"}
    assert environ == {"HOME": "/"}


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "path" else f"@corepod-test-{os.getpid()}-{tmp_path.name}"


def bound(address: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind("\0" + address[1:] if address.startswith("@") else address)
    sock.setblocking(False)
    return sock


@pytest.fixture
def told(address: str) -> Iterator[Manager]:
    manager = Manager({"NOTIFY_SOCKET": address}, pid=os.getpid(), stop_timeout=1.0)
    yield manager
    manager.close()


def test_messages_arrive_at_either_kind_of_address(address: str, told: Manager) -> None:
    with bound(address) as sock:
        told.look(facts(), 1.0)
        assert sock.recv(1000) == b"READY=1\nSTATUS=2 of 2 workers ready"


def test_what_the_manager_has_no_room_for_is_sent_later(address: str, told: Manager) -> None:
    """Whichever is full first: its queue (net.unix.max_dgram_qlen), or the buffer of the one who sends."""
    with bound(address) as sock:
        now, ready = 1.0, 0
        while told.due is None:
            now, ready = now + 1, ready + 1
            told.look(facts(ready), now)
        assert told.due == pytest.approx(now + 0.1)
        received = []
        with suppress(BlockingIOError):
            while True:
                received.append(sock.recv(1000).decode())
        assert [text.partition("STATUS=")[2] for text in received] == [facts(n).text() for n in range(1, ready)]
        told.look(facts(ready), now + 0.1)
        assert sock.recv(1000).decode() == f"STATUS={facts(ready).text()}"
        assert told.due is None


def test_a_manager_that_is_gone_holds_nothing_up(address: str, told: Manager) -> None:
    bound(address).close()
    told.look(facts(), 1.0)
    assert told.due is None
