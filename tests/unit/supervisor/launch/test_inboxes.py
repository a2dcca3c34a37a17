"""The ends of inboxes that workers ask for: who gets which, and what is closed when a worker or a slot is gone."""

from __future__ import annotations

import os
import socket

from corepod.contract.messages import InboxRequest
from corepod.supervisor.launch.inboxes import GONE_KEPT, UNREAD_MOST, Inboxes, reads
from corepod.supervisor.pool.state import Process, Slot, Stage


def worker(number: int, slot: int = 0) -> Process:
    process = Process(Stage.ARMED, 1, 0.0)
    process.has_pid(1000 + number)
    process.take_place(Slot(slot, None), number, 0, 0.0, 0.0)
    return process


def ends(fds: list[int]) -> list[socket.socket]:
    return [socket.socket(fileno=os.dup(fd)) for fd in fds]


def test_a_worker_gets_its_own_ends_and_those_of_slots_and_workers_that_are_there() -> None:
    changes: list[int] = []
    inboxes = Inboxes(lambda: changes.append(1))
    answer, fds, close = inboxes.answer(InboxRequest(1, True, [], []), worker(1), 2, 3)
    slot, own = ends(fds)
    os.close(close[0])
    assert (answer.lost, answer.members, len(changes)) == (3, [[1, 1001, 0, 1]], 1)
    answer, fds, close = inboxes.answer(InboxRequest(2, False, [0, 2, -1], [1, 9]), worker(2, 1), 2, 0)
    assert (answer.workers, len(fds), close) == ([1], 2, [])
    assert answer.members == [[1, 1001, 0, 1], [2, 1002, 1, 0]]
    to_slot, to_own = ends(fds)
    to_slot.send(b"slot")
    to_own.send(b"own")
    assert [slot.recv(9), own.recv(9)] == [b"slot", b"own"]
    inboxes.forget(1)
    inboxes.remove_slot(0)
    for sock in (slot, own, to_slot, to_own):
        sock.close()


def test_a_worker_that_is_gone_is_named_for_a_while_and_its_inbox_closed() -> None:
    inboxes = Inboxes(lambda: None)
    for number in range(1, GONE_KEPT + 10):
        answer, _, close = inboxes.answer(InboxRequest(number, True, [], []), worker(number), 1, 0)
        os.close(close[0])
        inboxes.forget(number)
    answer, fds, _ = inboxes.answer(InboxRequest(0, False, [], [3]), worker(999), 1, 0)
    assert len(answer.members) == GONE_KEPT + 1
    assert (answer.workers, fds) == ([], [])
    inboxes.remove_slot(0)


def test_a_slot_that_is_removed_says_whether_something_was_in_its_inbox() -> None:
    inboxes = Inboxes(lambda: None)
    assert not inboxes.remove_slot(0)
    for content in (b"", b"message"):
        answer, fds, _ = inboxes.answer(InboxRequest(0, False, [0], []), worker(1), 1, 0)
        (write,) = ends(fds)
        with write:
            if content:
                write.send(content)
            assert inboxes.remove_slot(0) == bool(content)
    assert answer.removed == 1


def test_one_that_asks_and_does_not_read_gets_no_more() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        assert reads(ours)
        for _ in range(4):
            ours.send(bytes(UNREAD_MOST // 4))
        assert not reads(ours)
        theirs.recv(UNREAD_MOST)
        theirs.recv(UNREAD_MOST)
        assert reads(ours)
