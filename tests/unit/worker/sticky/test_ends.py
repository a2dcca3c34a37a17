"""Handing connections over: by real sockets between two workers' ends, until they are full or a process is."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
from contextlib import ExitStack
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from corepod.supervisor.launch.handovers import HandoverSockets
from corepod.worker.sticky import ends as ends_module
from corepod.worker.sticky.ends import Ends, FullError, LostError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corepod.contract.messages import Handovers

SLOTS = 3


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@contextlib.contextmanager
def no_descriptor_left(room: int = 0) -> Iterator[list[int]]:
    """Descriptors that take all that this process may have, `room` above its largest one; closed at the end."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + room, before[1]))
    held: list[int] = []
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.dup(0))
        yield held
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def workers(stack: ExitStack, count: int, slots: int = SLOTS) -> tuple[list[Ends], HandoverSockets]:
    """The ends of so many workers, as the supervisor hands them out."""
    sockets, ends = HandoverSockets(), {}
    for worker in range(count):
        ends[worker] = Ends()
        stack.callback(ends[worker].close)
        give(sockets, ends, worker, slots)
    stack.callback(close, sockets)
    return list(ends.values()), sockets


def close(sockets: HandoverSockets) -> None:
    for pair in sockets._pairs:
        for end in pair:
            end.close()


def give(sockets: HandoverSockets, ends: dict[int, Ends], worker: int, slots: int) -> None:
    assert sockets.activate(worker, slots)  # type: ignore[arg-type]
    tell(sockets, ends)


def tell(sockets: HandoverSockets, ends: dict[int, Ends]) -> None:
    def send(process: object, message: Handovers, fds: list[int]) -> bool:
        assert len(fds) == 2 * message.slots
        ends[process].add(message.first, [os.dup(fd) for fd in fds])  # type: ignore[index]
        return True

    sockets.tell(send)


def connection(stack: ExitStack, said: bytes) -> tuple[socket.socket, socket.socket]:
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    client = stack.enter_context(socket.create_connection(listener.getsockname()))
    client.sendall(said)
    accepted = stack.enter_context(listener.accept()[0])
    accepted.recv(1, socket.MSG_PEEK)  # it has come
    return client, accepted


def test_a_connection_is_whole_where_it_arrives(stack: ExitStack) -> None:
    (one, two), _ = workers(stack, 2)
    client, accepted = connection(stack, b"unread")
    assert accepted.recv(100, socket.MSG_PEEK) == b"unread"
    assert one.give(1, accepted)
    accepted.close()
    assert two.take(0) is None
    waited = two.waits(1)
    assert waited is not None
    assert waited >= 0
    with two.take(1) or pytest.fail("nothing has come") as taken:
        assert taken.recv(100) == b"unread"
        assert taken.getpeername() == client.getsockname()
        assert not taken.getblocking()
        assert not taken.get_inheritable()
    assert two.waits(1) is None
    assert two.take(1) is None


def test_what_a_worker_leaves_another_one_takes(stack: ExitStack) -> None:
    (one, two), _ = workers(stack, 2)
    for number in range(5):
        _, accepted = connection(stack, b"%d" % number)
        assert one.give(2, accepted)
    one.close()
    taken = [stack.enter_context(two.take(2) or pytest.fail("lost")).recv(1) for _ in range(5)]
    assert taken == [b"0", b"1", b"2", b"3", b"4"]


def test_a_full_socket_takes_no_more_and_loses_nothing(stack: ExitStack) -> None:
    (one, two), _ = workers(stack, 2)
    _, accepted = connection(stack, b"x")
    given = 0
    while one.give(1, accepted):
        given += 1
        assert given < 100_000
    assert given > 10
    taken = 0
    while (found := two.take(1)) is not None:
        found.close()
        taken += 1
    assert taken == given
    assert one.give(1, accepted)


def test_a_process_without_descriptors_leaves_what_waits(stack: ExitStack) -> None:
    (one, two), _ = workers(stack, 2)
    _, accepted = connection(stack, b"unread")
    assert one.give(1, accepted)
    with no_descriptor_left(), pytest.raises(FullError):
        two.take(1)
    with two.take(1) or pytest.fail("lost") as taken:
        assert taken.recv(100) == b"unread"


def test_a_slot_of_which_nothing_is_known(stack: ExitStack) -> None:
    (one,), _ = workers(stack, 1)
    _, accepted = connection(stack, b"x")
    assert not one.give(SLOTS, accepted)
    assert one.inbox(SLOTS) is None


def test_slots_that_are_added_are_told_to_those_that_serve(stack: ExitStack) -> None:
    (one, two), sockets = workers(stack, 2)
    three = Ends()
    stack.callback(three.close)
    give(sockets, {0: one, 1: two, 2: three}, 2, 70)  # in several messages
    assert [list(ends.slots()) for ends in (one, two, three)] == [list(range(70))] * 3
    _, accepted = connection(stack, b"x")
    assert one.give(69, accepted)
    with three.take(69) or pytest.fail("lost"):
        pass
    sockets.forget(0)  # type: ignore[arg-type]
    sockets.activate(1, 71)  # type: ignore[arg-type]
    told: list[object] = []

    def send(process: object, message: Handovers, fds: list[int]) -> bool:
        told.append(process)
        return True

    sockets.tell(send)
    assert set(told) == {1, 2}


def test_what_could_not_be_sent_is_sent_later(stack: ExitStack) -> None:
    """As many descriptors as one user may have on their way (ETOOMANYREFS) are fewer than a large pool has at once."""
    (one,), sockets = workers(stack, 1, slots=70)
    two = Ends()
    stack.callback(two.close)
    sockets.activate(1, 70)  # type: ignore[arg-type]
    tries = iter([True, False, False])

    def send(process: object, message: Handovers, fds: list[int]) -> bool:
        if sent := next(tries):
            two.add(message.first, [os.dup(fd) for fd in fds])
        return sent

    sockets.tell(send)
    assert list(two.slots()) == list(range(30))
    sockets.tell(send)
    tell(sockets, {0: one, 1: two})
    assert list(two.slots()) == list(range(70))
    sockets.tell(lambda process, message, fds: pytest.fail("all is told"))


def test_a_connection_that_the_kernel_drops_is_told_of(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread takes the last descriptor between the look for one and the receipt."""
    (one, two), _ = workers(stack, 2)
    _, accepted = connection(stack, b"unread")
    assert one.give(1, accepted)
    with no_descriptor_left(room=2) as held:
        os.close(held.pop())
        monkeypatch.setattr(ends_module, "os", SimpleNamespace(dup=os.dup, close=held.append))
        with pytest.raises(LostError):
            two.take(1)
    assert two.take(1) is None
