"""What an error of redis-py means: what people read of it, and how far it reaches."""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from redis import exceptions
from redis.asyncio.sentinel import MasterNotFoundError


class Reach(Enum):
    """Which operations a fault concerns."""

    ALL = "the server can't be used"
    WRITES = "the server answers, and refuses what would add data"
    ONE = "the server refuses this operation"


class Fault(NamedTuple):
    reach: Reach
    text: str  # continues a sentence that begins with the server


_BY_TYPE: tuple[tuple[type[Exception], Reach, str], ...] = (
    (MasterNotFoundError, Reach.ALL, "can't be reached: no Sentinel that answers knows the master"),
    (exceptions.BusyLoadingError, Reach.ALL, "is still loading its data"),
    (exceptions.AuthenticationError, Reach.ALL, "refuses the user or the password; see the setting `shared`"),
    (exceptions.OutOfMemoryError, Reach.WRITES, "is out of memory (maxmemory) and takes no more data"),
    (exceptions.NoPermissionError, Reach.ONE, "doesn't permit this operation to the user in the setting `shared`"),
    (exceptions.ReadOnlyError, Reach.WRITES, "is a replica and takes no data"),
)
_COMMAND = re.compile("the '([^']+)' command")
# Scripts of Redis 6.2 put the error they have met into a text of their own, so it is looked for anywhere in it.
_BY_WORD: tuple[tuple[str, Reach, str], ...] = (
    ("OOM ", Reach.WRITES, "is out of memory (maxmemory) and takes no more data"),
    ("READONLY ", Reach.WRITES, "is a replica and takes no data"),
    ("MISCONF ", Reach.WRITES, "can't store its data on its disk and takes no more of it"),
    ("NOREPLICAS ", Reach.WRITES, "has too few replicas and takes no data"),
    ("NOPERM ", Reach.ONE, "doesn't permit this operation to the user in the setting `shared`"),
    ("No permissions", Reach.ONE, "doesn't permit this operation to the user in the setting `shared`"),
    ("WRONGPASS ", Reach.ALL, "refuses the user or the password; see the setting `shared`"),
    ("NOAUTH ", Reach.ALL, "wants a password; see the setting `shared`"),
    ("Authentication required", Reach.ALL, "wants a password; see the setting `shared`"),
    ("max number of clients", Reach.ALL, "has no room for another connection (maxclients)"),
    ("DENIED ", Reach.ALL, "is in protected mode: it accepts no other machines until it has a password"),
    ("LOADING ", Reach.ALL, "is still loading its data"),
    ("MASTERDOWN ", Reach.ALL, "is a replica that has lost its master"),
    ("CLUSTERDOWN ", Reach.ALL, "is a cluster that is down"),
    ("MOVED ", Reach.ALL, "is a Redis Cluster, which corepod.shared doesn't speak: name one server, or Sentinels"),
    ("BUSY ", Reach.ALL, "is busy with a script"),
    ("DB index is out of range", Reach.ALL, "has no database of this number; see the setting `shared`"),
)


def _forbidden(said: str, reach: Reach) -> str:
    """Which command isn't permitted, without the user's name, which is beside it."""
    command = _COMMAND.search(said) if reach is Reach.ONE else None
    return f" ({command[1]})" if command else ""


def fault(error: BaseException, timeout: float) -> Fault | None:
    """None where the error is an answer, and the server is well. `timeout`: seconds that an operation may take."""
    said = str(error)
    for word, reach, text in _BY_WORD:
        if isinstance(error, exceptions.RedisError) and word in said:
            return Fault(reach, text + _forbidden(said, reach))
    for kind, reach, text in _BY_TYPE:
        if isinstance(error, kind):
            return Fault(reach, text + _forbidden(said, reach))
    if isinstance(error, (TimeoutError, exceptions.TimeoutError)):
        return Fault(Reach.ALL, f"hasn't answered within {timeout:g} s (shared_timeout)")
    if isinstance(error, exceptions.ResponseError):
        return None
    said = said.strip().rstrip(".") or type(error).__name__
    return Fault(Reach.ALL, f"can't be reached: {said}")
