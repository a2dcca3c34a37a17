"""Which message a process may send at which stage of its life.

A worker runs the user's code, perhaps as a user that isn't to be trusted, and that code can write to the control socket
whatever it likes. What has no place in this table costs the process that wrote it, and nobody else.
"""

from __future__ import annotations

from corepod.contract.messages import (
    Armed,
    Failed,
    Hello,
    Imported,
    InboxRequest,
    Loaded,
    Malformed,
    Readiness,
    Ready,
    Refused,
    Signalled,
    TurnAnswer,
    Unforkable,
    Unpinned,
    encode,
    show,
)
from corepod.supervisor.pool.state import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.contract.messages import Message
    from corepod.supervisor.pool.state import Process

# A process that drains may have sent what belongs to its stage before it was told to.
STAGES: dict[type[Message], tuple[Stage, ...]] = {
    Loaded: (Stage.LOADING, Stage.DRAINING),
    Imported: (Stage.IMPORTING, Stage.DRAINING),
    Unforkable: (Stage.TEMPLATE,),
    Hello: (Stage.FORKING,),
    Refused: (Stage.FORKING,),
    Armed: (Stage.ARMING, Stage.DRAINING),
    Ready: (Stage.STARTING, Stage.DRAINING),
    Unpinned: (Stage.STARTING, Stage.DRAINING),
    Signalled: (Stage.STARTING, Stage.SERVING, Stage.DRAINING),
    Failed: (Stage.LOADING, Stage.IMPORTING, Stage.ARMING, Stage.STARTING, Stage.DRAINING),
    Readiness: (Stage.STARTING, Stage.SERVING, Stage.DRAINING),
    InboxRequest: (Stage.STARTING, Stage.SERVING, Stage.DRAINING),
    TurnAnswer: (Stage.SERVING, Stage.DRAINING),
}
LONGEST_WHY = 500  # characters of a reason that a process gives for its state


def complaint(process: Process, message: Message | Malformed, *, by_another: bool) -> str:
    """What is wrong with a message on the control socket of a process, for the log; empty where it has its place there.

    `by_another`: another process of the pool has written it.
    """
    if isinstance(message, Malformed):
        return f"{message.packet} (not a message: {message.why})"
    if process.stage not in STAGES.get(type(message), ()):
        why = f"a message that has no place at the stage {process.stage.value!r}"
    elif by_another and not isinstance(message, Refused):  # the template's, in the name of a child that isn't there
        why = "in the name of another process"
    else:
        return ""
    return f"{show(encode(message))} ({why})"
