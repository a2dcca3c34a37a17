"""What a response says of the session that was used for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from corepod.shared.sessions.cookie import Cookie
    from corepod.shared.sessions.store import Answer


def added(headers: Iterable[tuple[str, str]], accessed: bool, answer: Answer, cookie: Cookie) -> list[tuple[str, str]]:
    """The headers that a response gets in addition to its own (names in any case).

    A response that has to do with a session is one client's: a cache that serves several keeps it from others by
    `Vary`, and one that ignores that by `Cache-Control: private`, unless the application has said something itself.
    """
    known = [(name.lower(), value.lower()) for name, value in headers]
    more = []
    changed = answer.value is not None or answer.remove
    if accessed or changed:
        varies = {part.strip() for name, value in known if name == "vary" for part in value.split(",")}
        if not varies & {"cookie", "*"}:
            more.append(("Vary", "Cookie"))
        if all(name != "cache-control" for name, _ in known):
            more.append(("Cache-Control", "private"))
    if answer.value is not None:
        more.append(("Set-Cookie", cookie.given(answer.value, answer.max_age)))
    elif answer.remove:
        more.append(("Set-Cookie", cookie.taken_away()))
    return more
