"""The inboxes of workers: the supervisor makes them and hands out their ends, and no message passes through it.

An inbox is a pair of connected sockets: the kernel keeps the order and bounds the length. A slot's inbox is for
whichever worker is in the slot: both ends are kept here, and what is in it waits for the next worker. A worker's own
inbox ends with the worker, the only one to read it, and its writers see that. A pool whose workers ask for nothing has
none of this.
"""

from __future__ import annotations

import fcntl
import socket
import sys
import termios
from collections import deque

from corepod.contract.messages import InboxAnswer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.contract.messages import InboxRequest
    from corepod.supervisor.pool.state import Process

    Pair = tuple[socket.socket, socket.socket]  # read end, write end

SO_SNDBUFFORCE = 32
ROOM = 1 << 20  # bytes of messages, with the kernel's own, that wait in an inbox, where the kernel allows so much
# Workers that are gone and still named to those who read what they had written.
GONE_KEPT = 256
# Bytes of answers that a process hasn't read: one that asks on and on without reading gets no more. Descriptors on
# their way count against a limit that all processes of a user share.
UNREAD_MOST = 1 << 16


class Inboxes:
    """`changed` is called when a broadcast reaches others than before, or a slot is another one."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._slots: dict[int, Pair] = {}
        self._own: dict[int, socket.socket] = {}  # write ends, by the worker's number
        self._members: dict[int, list[int]] = {}  # those that have asked: number, pid, slot, whether it has an inbox
        self._gone: deque[list[int]] = deque(maxlen=GONE_KEPT)
        self._removed = 0

    def answer(
        self, request: InboxRequest, process: Process, slots: int, lost: int
    ) -> tuple[InboxAnswer, list[int], list[int]]:
        """The answer, the descriptors that go with it, and those of them that are to be closed then."""
        assert process.slot is not None
        number, slot = process.number, process.slot.number
        me = self._members.setdefault(number, [number, process.pid, slot, 0])
        fds: list[int] = []
        close: list[int] = []
        why = ""
        try:
            if request.join:
                fds.append(self._slot(slot)[0].fileno())
                close.append(self._make_own(number))
                fds += close
                me[3] = 1
                self._changed()  # before the answer: whoever broadcasts when this one has it, sees it
            fds += [self._slot(asked)[1].fileno() for asked in request.slots if 0 <= asked < slots]
        except OSError as error:
            why, fds = error.strerror or str(error), []
        workers = [asked for asked in request.workers if asked in self._own] if not why else []
        fds += [self._own[asked].fileno() for asked in workers]
        members = [*self._gone, *self._members.values()]
        answer = InboxAnswer(request.number, slots, self._removed, members, workers, lost, why)
        return answer, fds, close

    def forget(self, number: int) -> None:
        """This worker is gone."""
        if (me := self._members.pop(number, None)) is not None:
            self._gone.append([*me[:3], 0])
        if (write := self._own.pop(number, None)) is not None:
            write.close()
            self._changed()

    def remove_slot(self, slot: int) -> bool:
        """This slot is no more. Whether a message was still in its inbox."""
        pair = self._slots.pop(slot, None)
        if pair is None:
            return False
        unread = _queued(pair[0], termios.FIONREAD) > 0
        for end in pair:
            end.close()
        self._removed += 1
        self._changed()
        return unread

    def _slot(self, slot: int) -> Pair:
        pair = self._slots.get(slot)
        if pair is None:
            pair = self._slots[slot] = _make()
        return pair

    def _make_own(self, number: int) -> int:
        if (old := self._own.pop(number, None)) is not None:
            old.close()
        read, self._own[number] = _make()
        return read.detach()


def reads(control: socket.socket) -> bool:
    """Whether the process at the other end reads what it is answered."""
    return _queued(control, termios.TIOCOUTQ) <= UNREAD_MOST


def _make() -> Pair:
    read, write = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (read, write):
        end.setblocking(False)  # a property of what all copies share
    read.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    try:
        write.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, ROOM)
    except OSError:
        write.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)  # as much as net.core.wmem_max allows
    return read, write


def _queued(sock: socket.socket, what: int) -> int:
    try:
        return int.from_bytes(fcntl.ioctl(sock, what, bytes(4)), sys.byteorder)
    except OSError:  # a sandbox
        return 0
