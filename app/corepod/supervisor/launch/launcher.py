"""Processes of the operating system: how they are made, told and killed, and the sockets and pipes to them."""

from __future__ import annotations

import os
import select
import signal
import socket

from corepod.contract import title
from corepod.contract.credentials import ANCILLARY, sender
from corepod.contract.messages import CONTROL_FD, PACKET, Activate, Fork, Malformed, decode, encode, show
from corepod.contract.stacks import STACKS_SIGNAL
from corepod.supervisor.health.procfs import catches
from corepod.supervisor.io.relay import Relay, Stacks
from corepod.supervisor.launch.child import Child, is_child
from corepod.supervisor.launch.execute import execute
from corepod.supervisor.launch.inboxes import reads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from corepod.contract.messages import InboxRequest, Load, Message
    from corepod.supervisor.io.log import StreamLog
    from corepod.supervisor.io.loop import Loop
    from corepod.supervisor.launch.handovers import HandoverSockets
    from corepod.supervisor.launch.inboxes import Inboxes
    from corepod.supervisor.pool.state import Process
    from corepod.supervisor.settings import Settings

    Handler = Callable[[Process, Message | Malformed | None, int], None]

KEPT_MOST = 4  # processes whose stacks are kept for those who ask
REST = 100  # packets of a dead process that are still read: others may have its socket, and write without end


class SystemLauncher:
    """The pool's launcher (`pool.ports`). What comes over a control socket goes to `handler`, with the pid of its
    writer; None is the socket's end.
    """

    def __init__(
        self,
        loop: Loop,
        log: StreamLog,
        settings: Settings,
        scoreboard_fd: int,
        listeners: list[socket.socket],
        handler: Handler,
        inboxes: Inboxes,
    ) -> None:
        self._loop, self._log, self._settings, self._handler = loop, log, settings, handler
        self._scoreboard_fd, self._listeners, self._inboxes = scoreboard_fd, listeners, inboxes
        self._handovers: HandoverSockets | None = None
        if settings.sticky:
            from corepod.supervisor.launch.handovers import HandoverSockets  # others don't load this

            self._handovers = HandoverSockets()
        self._controls: dict[Process, socket.socket] = {}
        self._children: dict[Process, Child] = {}
        self._stacks: dict[Process, Stacks] = {}
        self._kept: list[Stacks] = []  # those asked for last

    def spawn(self, process: Process, load: Load) -> int:
        """Execute a new interpreter that loads the application. It inherits its control socket and nothing else.

        Raises OSError where the system has no room for another process.
        """
        theirs, fds = self._open(process)
        try:
            actions = self._file_actions(theirs.fileno(), fds[1:] or self._settings.outputs)
            pid = execute(self._settings, ["-m", "corepod.worker", title.BLANK], actions)
            self._children[process] = Child(pid)
            inherited = [self._scoreboard_fd, *(sock.fileno() for sock in self._listeners), fds[0]]
            self._send(process, load, inherited)
        except OSError:
            self.close(process)
            raise
        finally:
            theirs.close()
            _close_all(fds)
        return pid

    def fork(self, template: Process, process: Process, *, warm: bool) -> None:
        """Ask the template for a child, which says hello over its own control socket, and is then adopted.

        Raises OSError where no descriptor is left.
        """
        theirs, fds = self._open(process)
        self._send(template, Fork(warm, process.live), [theirs.fileno(), *fds])
        theirs.close()
        _close_all(fds)

    def adopt(self, process: Process, pid: int) -> bool:
        """Whether the pid is that of a child of ours, which `process` is from now on."""
        if not is_child(pid):
            return False
        self._children[process] = Child(pid)
        return True

    def send(self, process: Process, message: Message) -> None:
        """Tell it something. Where it is gone or its queue is full, its end or its deadline will show that."""
        if self._handovers is not None and isinstance(message, Activate):
            if not self._handovers.activate(process, message.slots):
                self._log.warning("no descriptor is left for the sockets of sticky sessions (raise ulimit -n)")
            self._handovers.tell(self._send)
        self._send(process, message, [])

    def answer(self, process: Process, request: InboxRequest, slots: int, lost: int) -> None:
        control = self._controls.get(process)
        if control is not None and reads(control):
            message, fds, close = self._inboxes.answer(request, process, slots, lost)
            self._send(process, message, fds)
            _close_all(close)

    def remove_inbox(self, slot: int) -> bool:
        return self._inboxes.remove_slot(slot)

    def kill(self, process: Process) -> None:
        self._signal(process, signal.SIGKILL)

    def dump_stacks(self, process: Process) -> None:
        # The interpreter is asked first: it knows tasks, too, and what it reads stands still. faulthandler reads stacks
        # that are in motion, which can crash the process; where the interpreter doesn't answer, little moves.
        stacks = self._stacks.get(process)
        if stacks is None or not catches(process.pid, STACKS_SIGNAL):
            self._signal(process, signal.SIGQUIT)
            if stacks is not None:
                self._keep(stacks, lambda: None)
            return
        self._keep(stacks, lambda: self._signal(process, signal.SIGQUIT))
        self._signal(process, STACKS_SIGNAL)

    def _keep(self, stacks: Stacks, otherwise: Callable[[], None]) -> None:
        self._kept = [kept for kept in self._kept if kept is not stacks]
        while len(self._kept) >= KEPT_MOST:
            self._kept.pop(0).forget()
        self._kept.append(stacks)
        stacks.expect(otherwise)

    def kept_stacks(self, process: Process) -> str | None:
        stacks = self._stacks.get(process)
        return stacks.kept if stacks is not None else None

    def close(self, process: Process) -> None:
        """Forget a process. Output pipes close themselves when their last writer is gone."""
        self._close_control(process)
        self._inboxes.forget(process.number)
        if self._handovers is not None:
            self._handovers.forget(process)
        self._stacks.pop(process, None)
        child = self._children.pop(process, None)
        if child is not None:
            child.close()

    def _signal(self, process: Process, signum: int) -> None:
        child = self._children.get(process)
        if child is not None:
            child.signal(signum)

    def _close_control(self, process: Process) -> None:
        control = self._controls.pop(process, None)
        if control is not None:
            self._loop.remove(control.fileno())
            control.close()

    def read_rest(self, process: Process) -> None:
        """Deliver what the process had said before it died."""
        for _ in range(REST):
            if process not in self._controls or not self._read_one(process):
                return

    def _open(self, process: Process) -> tuple[socket.socket, list[int]]:
        """Make the child's end of its control socket, and descriptors for the child: where stacks are written, then
        (local pools) standard output and standard error.

        Raises OSError where no descriptor is left.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pipes: list[tuple[int, int]] = []
        try:
            for _ in range(3 if self._settings.relays else 1):
                pipes.append(os.pipe2(os.O_CLOEXEC))
        except OSError:
            _close_all([fd for pipe in pipes for fd in pipe])
            ours.close()
            theirs.close()
            raise
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._stacks[process] = Stacks(pipes[0][0], self._loop, self._log, process)
        for (read, _), sink in zip(pipes[1:], (self._log.out, self._log.err), strict=False):
            Relay(read, self._loop, self._log, sink, process)
        self._controls[process] = ours
        self._loop.add(ours.fileno(), select.EPOLLIN, lambda mask: self._readable(process))
        return theirs, [write for _, write in pipes]

    def _file_actions(self, control: int, outputs: list[int]) -> list[tuple[Any, ...]]:
        actions: list[tuple[Any, ...]] = []
        if not self._settings.debug:  # a debugger reads the terminal
            actions.append((os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0))
        actions += [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(outputs, start=1)]
        return [*actions, (os.POSIX_SPAWN_DUP2, control, CONTROL_FD)]  # last: its number may be that of an output

    def _send(self, process: Process, message: Message, fds: list[int]) -> bool:
        """Whether it is on its way; where it isn't, the end of the process or its deadline will show it."""
        control = self._controls.get(process)
        if control is None:
            return False
        try:
            socket.send_fds(control, [encode(message)], fds)
        except OSError:
            return False
        return True

    def _readable(self, process: Process) -> None:
        # One packet a wake-up: a process that writes without end must not keep the others from being heard.
        self._read_one(process)

    def _read_one(self, process: Process) -> bool:
        try:
            data, ancillary, _, _ = self._controls[process].recvmsg(PACKET, ANCILLARY)
        except BlockingIOError:
            return False
        except OSError:
            data, ancillary = b"", []
        if not data and not ancillary:  # an empty packet has a sender
            self._close_control(process)
            self._handler(process, None, 0)
            return False
        try:
            message: Message | Malformed = decode(data)
        except ValueError as error:
            message = Malformed(str(error), show(data))
        self._handler(process, message, sender(ancillary))
        if self._handovers is not None:
            self._handovers.tell(self._send)
        return True


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
