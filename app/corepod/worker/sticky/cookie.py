"""The cookie of sticky sessions: which slot it names, where it is in the first bytes of a connection, how it is set.

Its value is the pool's random name, a dot, and the slot's number. The pool's name is another one after a restart of the
pool, and on another machine, so that no pool takes another's cookie for its own. It isn't signed: all that a client
could write in it is the number of a slot that the same client would be given if it asked often enough.
"""

from __future__ import annotations

import re
from typing import NamedTuple

END = re.compile(rb"\r?\n\r?\n")  # of a head
LINE = re.compile(rb"\n(?i:cookie):([^\r\n]*)(?=\r?\n)")
PUBLIC = (b"public", b"s-maxage")  # of Cache-Control: a cache gives the response to every client


class Look(NamedTuple):
    """What the first bytes of a connection tell. `whole`: more of them would tell nothing else."""

    whole: bool
    slot: int | None


class Cookie:
    """That of one pool."""

    def __init__(self, name: str, pool: str, root_path: str) -> None:
        self._named = f"{name}={pool}."
        value = rb"(?:^|;)[ \t]*%b(0|[1-9][0-9]{0,3})[ \t]*(?:;|\Z)" % re.escape(self._named.encode())
        self._value = re.compile(value)
        self._attributes = f"; Path={root_path.rstrip('/') or '/'}; HttpOnly; SameSite=Lax"

    def slot(self, header: bytes) -> int | None:
        """The slot that a Cookie header names. None where it names none of this pool, in whatever way."""
        found = self._value.search(header)
        return None if found is None else int(found[1])

    def look(self, data: bytes) -> Look:
        """Whether these first bytes, one at least, name a slot. A body isn't looked at, nor what isn't HTTP/1."""
        if not data[:1].isalpha():
            return Look(whole=True, slot=None)
        end = END.search(data)
        head = data if end is None else data[: end.end()]
        for line in LINE.finditer(head):
            if (slot := self.slot(line[1])) is not None:
                return Look(whole=True, slot=slot)
        return Look(whole=end is not None, slot=None)

    def setting(self, slot: int, *, secure: bool) -> bytes:
        """The value of a Set-Cookie header (RFC 6265, 4.1) that names this slot, for as long as the client's session
        lasts. `secure`: the client speaks https, and shall send it no other way."""
        return f"{self._named}{slot}{self._attributes}{'; Secure' if secure else ''}".encode()


def is_public(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether caches on the way may keep a response with these headers: all their clients would go to one slot."""
    return any(
        name.lower() == b"cache-control" and any(word in value.lower() for word in PUBLIC) for name, value in headers
    )
