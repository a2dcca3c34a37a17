"""One process of the pool, from its spawn or fork until it is reaped, and the control socket to it."""

from __future__ import annotations

import os
import select
import signal
import socket
from enum import Enum

from corepod.contract.env import PRELOAD
from corepod.contract.messages import CONTROL_FD, PACKET, Fork, decode, encode
from corepod.supervisor.relay import Relay, Stacks
from corepod.supervisor.watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from corepod.contract.messages import Failed, Load, Message
    from corepod.supervisor.log import Log
    from corepod.supervisor.loop import Loop
    from corepod.supervisor.settings import Settings
    from corepod.supervisor.slot import Slot

    Handler = Callable[["Process", Message | None], None]


class Stage(Enum):
    """How far a process has come."""

    LOADING = "loading"  # executed; imports and warms the application
    TEMPLATE = "template"  # loaded; forks on request
    FORKING = "forking"  # asked of the template; its pid isn't known yet
    ARMING = "arming"  # forked, or loaded where nothing may be forked; warms its server
    ARMED = "armed"  # the standby: waits to be told its slot
    STARTING = "starting"  # has its slot; runs the application's lifespan
    SERVING = "serving"
    DRAINING = "draining"


class Process:
    """State of one child; `pid` is 0 until it is known."""

    def __init__(self, stage: Stage, generation: int, control: socket.socket, now: float) -> None:
        self.stage = stage
        self.generation = generation
        self.pid = 0
        self.control: socket.socket | None = control
        self.outputs: list[Relay | Stacks] = []
        self.since = now  # when it entered its stage
        self.slot: Slot | None = None
        self.number = 0
        self.record = -1
        self.started_at = 0.0  # wall clock, for people
        self.ready_at: float | None = None
        self.live = False
        self.accepting_word = True  # the application's own word on readiness
        self.word = ""
        self.cpu_seen = 0.0  # CPU seconds at the last look: the dead can't be asked
        self.kill_at: float | None = None
        self.cause = ""  # why the supervisor ended it
        self.failure: Failed | None = None  # what it said of its failed boot
        self.watch = Watch(now)
        self.who: dict[str, object] = {"process": stage.value}

    def enter(self, stage: Stage, now: float) -> None:
        self.stage, self.since = stage, now

    def rename(self, who: dict[str, object]) -> None:
        """Name its lines in the log from now on."""
        self.who = who
        for output in self.outputs:
            output.who = who

    def send(self, message: Message, fds: list[int] | None = None) -> bool:
        """Tell it something; False where it is gone or its queue is full, which its end or its deadline will show."""
        if self.control is None:
            return False
        try:
            socket.send_fds(self.control, [encode(message)], fds or [])
        except OSError:
            return False
        return True

    def signal(self, signum: int) -> None:
        """Signal it, if it has a pid; its pid can't be somebody else's before it is reaped."""
        if self.pid:
            try:
                os.kill(self.pid, signum)
            except ProcessLookupError:
                pass

    def end(self, cause: str) -> None:
        """End it now; `cause` explains the death that will be seen."""
        self.cause = self.cause or cause
        self.signal(signal.SIGKILL)


class Channels:
    """Makes control sockets and output pipes, and hands what comes over them to the pool."""

    def __init__(self, loop: Loop, log: Log, settings: Settings, handler: Handler) -> None:
        self._loop, self._log, self._settings, self._handler = loop, log, settings, handler
        # Only a local pool relays output; in a pod workers write to the container's log themselves (decision 10).
        self._relays = settings.profile == "run"

    def open(self, stage: Stage, generation: int) -> tuple[Process, socket.socket, list[int]]:
        """A new process's record, the child's end of its control socket, and descriptors for the child:
        where stacks are written, then (local pools) standard output and standard error.

        Raises OSError where no descriptor is left.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pipes: list[tuple[int, int]] = []
        try:
            for _ in range(3 if self._relays else 1):
                pipes.append(os.pipe2(os.O_CLOEXEC))
        except OSError:
            _close_all([fd for pipe in pipes for fd in pipe])
            ours.close()
            theirs.close()
            raise
        ours.setblocking(False)
        process = Process(stage, generation, ours, self._loop.now())
        process.outputs.append(Stacks(pipes[0][0], self._loop, self._log, process.who))
        for (read, _), sink in zip(pipes[1:], (self._log.out, self._log.err), strict=False):
            process.outputs.append(Relay(read, self._loop, self._log, sink, process.who))
        self._loop.add(ours.fileno(), select.EPOLLIN, lambda mask: self._readable(process))
        return process, theirs, [write for _, write in pipes]

    def spawn(self, generation: int, load: Load, load_fds: list[int]) -> Process:
        """Execute a new interpreter that loads the application. It inherits its control socket and nothing else.

        Raises OSError where the system has no room for another process.
        """
        process, theirs, fds = self.open(Stage.LOADING, generation)
        actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), CONTROL_FD)]
        if not self._settings.debug:  # a debugger reads the terminal
            actions.insert(0, (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0))
        actions += [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(fds[1:], start=1)]
        python = self._settings.python
        try:
            process.pid = os.posix_spawn(
                python,
                [python, "-m", "corepod.worker"],
                {**os.environ, PRELOAD: self._settings.preload} if self._settings.preload else os.environ,
                file_actions=actions,
                setpgroup=0,  # Ctrl-C and a group's TERM reach the supervisor, which then stops them in order
                # A clean start: what the supervisor blocks or ignores must not reach the application.
                setsigmask=[],
                setsigdef=[s for s in signal.valid_signals() if s not in (signal.SIGKILL, signal.SIGSTOP)],
            )
            process.send(load, [*load_fds, fds[0]])
        except OSError:
            self.close(process)
            raise
        finally:
            theirs.close()
            _close_all(fds)
        return process

    def fork(self, template: Process, warm: bool, live: bool) -> Process:
        """Ask the template for a child.

        Raises OSError where no descriptor is left.
        """
        process, theirs, fds = self.open(Stage.FORKING, template.generation)
        template.send(Fork(warm, live), [theirs.fileno(), *fds])
        theirs.close()
        _close_all(fds)
        process.live = live
        return process

    def close(self, process: Process) -> None:
        """Forget the control socket. Output pipes close themselves when their last writer is gone."""
        if process.control is not None:
            self._loop.remove(process.control.fileno())
            process.control.close()
            process.control = None

    def drain(self, process: Process) -> None:
        """Read what the process had said before it died."""
        while process.control is not None and self._read_one(process):
            pass

    def _readable(self, process: Process) -> None:
        self._read_one(process)

    def _read_one(self, process: Process) -> bool:
        assert process.control is not None
        try:
            data = process.control.recv(PACKET)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self.close(process)
            self._handler(process, None)
            return False
        try:
            message = decode(data)
        except ValueError as error:
            self._log.warning(f"a message on the control socket is not valid and is ignored: {error}", **process.who)
            return True
        self._handler(process, message)
        return True


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
