"""Ids of sessions, signed with keys that can be changed without ending a session.

An id is 256 random bits. A cookie carries it with an HMAC (RFC 2104) over SHA-256, so that an id which this application
hasn't given out costs no question to the shared state, and no client can choose its own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

MINIMUM = 32  # bytes of a key; what HMAC-SHA-256 can make use of
MAKE_ONE = "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
_TOKEN = re.compile(r"([A-Za-z0-9_-]{43})\.[A-Za-z0-9_-]{43}", re.ASCII)
_PURPOSE = b"corepod.shared.sessions: id of a session"  # a key that signs other things, too, signs no ids for those


class KeysError(ValueError):
    """There is no key for sessions, or one that is too short."""


class Signed(NamedTuple):
    """An id that one of the keys has signed."""

    id: str
    current: bool  # by the first key


class Keys:
    """The first key signs, all of them verify. Raises KeysError where there is none or one has less than 32 bytes."""

    def __init__(self, keys: str | Iterable[str | bytes]) -> None:
        given = keys.split() if isinstance(keys, str) else list(keys)
        if not given:
            raise KeysError(
                f"sessions need a key that all workers know, and none is given; make one with: {MAKE_ONE} "
                "and keep it where the application reads its other secrets"
            )
        self._keys = [_derived(key, number) for number, key in enumerate(given, 1)]

    def sign(self, id: str) -> str:  # noqa: A002 - what it is
        """The value of a cookie."""
        return f"{id}.{_signature(self._keys[0], id)}"

    def read(self, value: str) -> Signed | None:
        """The id in the value of a cookie; None where none of the keys has signed it, whatever it is."""
        match = _TOKEN.fullmatch(value)
        if match is None:
            return None
        for number, key in enumerate(self._keys):
            if hmac.compare_digest(value, f"{match[1]}.{_signature(key, match[1])}"):
                return Signed(match[1], number == 0)
        return None


def new_id() -> str:
    """43 characters that nobody can guess."""
    return secrets.token_urlsafe(32)


def place(id: str) -> str:  # noqa: A002
    """The key in the shared state: who reads the state learns no id that a cookie could carry."""
    return f"session:{hashlib.sha256(id.encode()).hexdigest()}"


def _derived(key: str | bytes, number: int) -> bytes:
    secret = key.encode() if isinstance(key, str) else bytes(key)
    if len(secret) < MINIMUM:
        raise KeysError(
            f"key {number} for sessions has {len(secret)} bytes, and needs {MINIMUM} or more; make one with: {MAKE_ONE}"
        )
    return hmac.digest(secret, _PURPOSE, "sha256")


def _signature(key: bytes, id: str) -> str:  # noqa: A002
    return base64.urlsafe_b64encode(hmac.digest(key, id.encode(), "sha256")).rstrip(b"=").decode()
