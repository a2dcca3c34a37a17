"""What the head of an HTTP/1.1 request may say, whichever implementation serves it: its target, and its host.

Pure functions of the received bytes. Two servers in a row that understand one of them differently can be played off
against each other, so what isn't in the grammar of RFC 3986 and RFC 9112 is refused.
"""

from __future__ import annotations

import re
from functools import lru_cache

_H16 = "[0-9A-Fa-f]{1,4}"
_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_LS32 = rf"(?:{_H16}:{_H16}|{_BYTE}(?:\.{_BYTE}){{3}})"
_IPV6 = "|".join(
    [
        f"(?:{_H16}:){{6}}{_LS32}",
        f"::(?:{_H16}:){{5}}{_LS32}",
        *(f"(?:(?:{_H16}:){{0,{most}}}{_H16})?::(?:{_H16}:){{{4 - most}}}{_LS32}" for most in range(5)),
        f"(?:(?:{_H16}:){{0,5}}{_H16})?::{_H16}",
        f"(?:(?:{_H16}:){{0,6}}{_H16})?::",
    ]
)
_SUB = "!$&'()*+,;="
_NAME = rf"[A-Za-z0-9._~{_SUB}-]*(?:%[0-9A-Fa-f]{{2}}[A-Za-z0-9._~{_SUB}-]*)*"
_LITERAL = rf"\[(?:{_IPV6}|[vV][0-9A-Fa-f]+\.[A-Za-z0-9._~{_SUB}:-]+)\]"
_HOST = rf"(?:{_NAME}|{_LITERAL})(?::[0-9]*)?".encode()
_PATH = rb"""/[!"$->@-~]*"""  # visible ASCII without ? and #
_QUERY = rb"""\?([!"$-~]*)"""

_host = re.compile(_HOST).fullmatch
_origin_form = re.compile(rb"(%s)(?:%s)?" % (_PATH, _QUERY)).fullmatch
_absolute_form = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://(?![:/?]|\Z)(%s)(%s)?(?:%s)?" % (_HOST, _PATH, _QUERY)).fullmatch
_control = re.compile(rb"[\0-\x08\x0a-\x1f\x7f]").search


@lru_cache(64)  # most requests name the same few
def is_host(value: bytes) -> bool:
    """Whether this is the value of a Host header: `uri-host [":" port]` (RFC 9110, 7.2).

    It may be empty, as a client has to send it whose target has no authority. User information and paths aren't part
    of it: applications put it into URLs, and would take them for their own.
    """
    return _host(value) is not None


def has_control(value: bytes) -> bool:
    """Whether the value of a header contains a control character other than a tab (RFC 9110, 5.5)."""
    return _control(value) is not None


def split_target(method: bytes, target: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Path, query and host of a request's target, None where no request but CONNECT may have it.

    The host is empty unless the target is an absolute URI; there it takes the place of the Host header (RFC 9112,
    3.2.2). A fragment is none of a server's business, and a proxy that cuts it off sees another path than one that
    doesn't.
    """
    if match := _origin_form(target):
        path, query = match.groups(b"")
        return path, query, b""
    if target == b"*":
        return (target, b"", b"") if method == b"OPTIONS" else None
    if match := _absolute_form(target):
        host, path, query = match.groups()
        if path is None:
            # The whole server is asked for what "*" means, by a client that believes it speaks to a proxy (3.2.4).
            path = b"*" if method == b"OPTIONS" and query is None else b"/"
        return path, query or b"", host
    return None


def with_host(headers: list[tuple[bytes, bytes]], host: bytes) -> list[tuple[bytes, bytes]]:
    """Headers, with names in lower case, whose Host is that of an absolute target. HTTP/1.0 needs none beside it."""
    changed = [(name, host if name == b"host" else value) for name, value in headers]
    return changed if any(name == b"host" for name, _ in headers) else [(b"host", host), *changed]
