"""What the pool needs of the world. It has no clock, descriptor or process of its own: events and the time come in as
arguments, and what is to be done goes out here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from corepod.contract.messages import InboxRequest, Load, Message
    from corepod.supervisor.pool.state import Process

    class Launcher(Protocol):
        """Makes, tells and ends processes. `Pool` alone uses it."""

        def spawn(self, process: Process, load: Load) -> int:
            """Execute an interpreter that loads the application, and return its pid.

            Raises OSError where the system has no room for another process.
            """

        def fork(self, template: Process, process: Process, *, warm: bool) -> None:
            """Ask the template for a child, which will say hello. Raises OSError like `spawn`."""

        def adopt(self, process: Process, pid: int) -> bool:
            """The fork has this pid from now on; False, and nothing is changed, where it isn't that of a child of the
            supervisor which isn't reaped yet."""

        def send(self, process: Process, message: Message) -> None:
            """Tell a process something. Where it can't be told, its end or its deadline will show that."""

        def kill(self, process: Process) -> None:
            """Send SIGKILL to a process whose pid is known."""

        def dump_stacks(self, process: Process) -> None:
            """Let a process write its stacks to the log."""

        def kept_stacks(self, process: Process) -> str | None:
            """What it has written since, for a while; None where nothing is kept."""

        def answer(self, process: Process, request: InboxRequest, slots: int, lost: int) -> None:
            """Hand a worker the ends of inboxes that it asks for. The pool has so many slots, and so many messages to
            this one were lost with its last worker."""

        def remove_inbox(self, slot: int) -> bool:
            """The slot is no more. Whether a message was still in its inbox."""

        def close(self, process: Process) -> None:
            """Close the control socket of a process: it is dead, or ends by itself when it finds the socket closed."""

    class Scoreboard(Protocol):
        """A record for each worker, which the worker writes."""

        @property
        def free(self) -> int:
            """How many records are left."""

        def acquire(self) -> int:
            """An empty record. Raises IndexError where `free` is 0."""

        def release(self, record: int) -> None:
            """The record's worker is gone, and its numbers are kept elsewhere."""

        def word(self, record: int, index: int) -> int: ...

        def words(self, record: int) -> list[int]: ...

        def serving(self, record: int) -> list[tuple[float, str]]:
            """What the worker is serving, oldest first: since when (on the pool's clock), and the request's shape."""

    class Log(Protocol):
        """Lines for people; `who` names the process that a line is about. `event` is the kind of event that a line
        tells of (see contract.events), where it tells of one."""

        def info(self, message: str, event: str = "", **who: object) -> None: ...

        def warning(self, message: str, event: str = "", **who: object) -> None: ...

        def error(self, message: str, event: str = "", **who: object) -> None: ...
