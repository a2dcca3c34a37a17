"""Every message on the control socket between the supervisor and its processes, in both directions.

A message is one packet of a Unix socket: a JSON object with the message's name under `type` and its fields beside it.
Descriptors travel beside the packet and are named where the message is described.
"""

from __future__ import annotations

import json

from corepod.contract.escaping import from_bytes
from corepod.contract.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# The control socket is descriptor 3 of the process that the supervisor executes.
CONTROL_FD = 3
PACKET = 1 << 16  # greatest size of a message, bytes
INBOXES_MOST = 60  # descriptors that go with one message
HANDOVERS_MOST = 30  # slots, each with two descriptors


class Message(Record):
    """What one end of the control socket tells the other."""


# From the supervisor


class Load(Message):
    """Import the application, or its libraries. With it come scoreboard, listening sockets and the pipe for stacks."""

    version: str  # the supervisor's: another one may be installed by now, and be what is executed
    settings: dict[str, Any]
    role: str  # template, or worker where nothing is forked
    live: bool


class Fork(Message):
    """To the template: make a child. With it come the child's control socket and its pipes."""

    warm: bool  # it may rehearse a request before it reports that it is armed
    live: bool  # it runs the application's lifespan before that, too


class Activate(Message):
    """To an armed process: become the worker of this slot."""

    slot: int
    worker: int
    core: int | None
    restarts: int
    record: int
    slots: int


class Handovers(Message):
    """Connections of sticky sessions are handed over by these sockets. With it come the read end and the write end of
    so many slots, from the slot `first` on, which outlive the slot's workers."""

    pool: str  # what the cookies of this pool begin with, and those of no other one
    first: int
    slots: int


class Lame(Message):
    """Keep serving, but ask every client to close its connection: the pool is about to stop."""


class Drain(Message):
    """Finish what is being served and exit."""

    within: float  # seconds until the process is killed
    linger: float  # seconds of these for which idle connections may stay open


class InboxAnswer(Message):
    """To an InboxRequest. With it come the descriptors that were asked for, as far as they are there: the read ends of
    the slot's inbox and of the worker's own one, the write ends of slots, and of workers, each in the order asked."""

    number: int  # the request's
    slots: int  # how many there are now: numbers from 0
    removed: int  # slots that have been removed so far: with each, what is known of the write ends of slots is void
    members: list[list[int]]  # number, pid, slot and 1 where it has an inbox (else 0), of each worker that has asked
    workers: list[int]  # those of the request whose write ends come with it
    lost: int  # messages that the slot's last worker had taken, and lost with its death
    why: str  # the system refused, empty where it didn't; no descriptor comes then


class TurnRequest(Message):
    """To a worker that is to be replaced: take a turn among the workers of all pools that share the state, and keep it
    until your process ends. Answered by a TurnAnswer."""

    number: int  # the answer has it, too
    places: int  # how many workers may be replaced at the same time; 0: give the turn back, or don't take it


# To the supervisor


class Hello(Message):
    """A fork has come to life. Its pid comes from the kernel, with the packet: a process could name any."""


class Loaded(Message):
    """What is to be shared is imported. `why` says what forbids forking the process, if anything does."""

    forkable: bool
    why: str


class Imported(Message):
    """A fork of a template that has only the libraries has imported the application."""


class Unforkable(Message):
    """The template must not be forked any more."""

    why: str


class Refused(Message):
    """On a child's own socket: the system refused to fork it."""

    why: str


class Armed(Message):
    """Ready to be given a slot."""


class Ready(Message):
    """The worker accepts connections."""


class Failed(Message):
    """The boot failed. `kind` is missing (there is no such application), exception (it raised) or memory (there wasn't
    enough to import it). The last word of a process: it exits then.
    """

    kind: str  # one of FAILURES
    message: str
    traceback: str


class Readiness(Message):
    """What the application itself says about its readiness."""

    ready: bool
    why: str


class Signalled(Message):
    """Somebody has sent TERM or INT to the worker itself. It serves until it is told what follows from that."""


class Unpinned(Message):
    """The worker can't be pinned to its core."""

    why: str


class InboxRequest(Message):
    """A worker with a slot wants ends of inboxes, at most INBOXES_MOST in all."""

    number: int  # the answer has it, too
    join: bool  # read ends: of the slot's inbox, and of a new one of its own
    slots: list[int]  # write ends of these slots' inboxes
    workers: list[int]  # ... and of these workers' own


class TurnAnswer(Message):
    """The worker has its turn, or can't have one."""

    number: int  # the request's
    why: str  # the shared state can't give it, empty where it has


class Malformed(Record):
    """What has come in place of a message. `packet` is its beginning, escaped."""

    why: str
    packet: str


BROKEN = "the application is broken: "  # so begins the `why` of Readiness where a page with the fault is served

_BY_NAME = {kind.__name__.lower(): kind for kind in Message.__subclasses__()}
_KINDS: dict[object, Any] = {
    "int": int,
    "str": str,
    "bool": bool,
    "float": (int, float),
    "int | None": (int, type(None)),
    "dict[str, Any]": dict,
    "list[int]": list,
    "list[list[int]]": list,
}
FAILURES = ("missing", "exception", "memory")
_SHOWN = 120  # characters of a packet


def encode(message: Message) -> bytes:
    """The packet of a message."""
    return json.dumps({"type": name_of(message), **message.__dict__}).encode()


def name_of(message: Message) -> str:
    """What a message is called in its packet."""
    return type(message).__name__.lower()


def show(packet: bytes) -> str:
    """The beginning of a packet, for the log."""
    text = from_bytes(packet[: _SHOWN + 1])
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def decode(packet: bytes) -> Message:
    """The message of a packet.

    Raises ValueError where the packet isn't one of the messages: the application shares the descriptor with its worker,
    and a packet may have been cut.
    """
    try:
        fields = json.loads(packet)
    except RecursionError:  # not a ValueError, and a packet has room for 60 000 brackets
        raise ValueError("nested too deeply") from None
    called = fields.pop("type", None) if isinstance(fields, dict) else None
    kind = _BY_NAME.get(called) if isinstance(called, str) else None
    if kind is None:
        raise ValueError("no such message")
    for name, annotation in kind.__annotations__.items():
        value = fields.get(name)
        if not isinstance(value, _KINDS[annotation]) or not _has_integers(value, annotation):
            raise ValueError(f"{called} without a valid {name}")
    if kind is InboxRequest and len(fields["slots"]) + len(fields["workers"]) > INBOXES_MOST - 2:
        raise ValueError("inboxrequest for too many slots and workers")
    if kind is Failed and fields["kind"] not in FAILURES:
        raise ValueError("failed without a valid kind")
    try:
        return kind(**fields)
    except TypeError as error:
        raise ValueError(str(error)) from None


def _has_integers(value: Any, annotation: str) -> bool:
    """Whether a list has in it what it must, and nothing else."""
    if annotation == "list[int]":
        return all(type(one) is int for one in value)
    if annotation == "list[list[int]]":
        return all(isinstance(one, list) and _has_integers(one, "list[int]") for one in value)
    return True
