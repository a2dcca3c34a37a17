"""The cookie of a session (RFC 6265bis): its attributes, checked when the application starts, and its two headers."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

SameSite = Literal["Lax", "Strict", "None"]
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
_ATTRIBUTE = re.compile(r"[!-:<-~]+", re.ASCII)  # visible, and no semicolon
_TRIED = 8  # cookies of one name, of which a client may send any number


class Cookie(NamedTuple):
    """What `checked` has found to be in order."""

    name: str
    path: str
    domain: str | None
    secure: bool
    samesite: SameSite

    def given(self, value: str, max_age: int | None) -> str:
        """Set-Cookie with this value, for `max_age` seconds; None: until the browser is closed."""
        lasting = "" if max_age is None else f"; Max-Age={max_age}"
        return f"{self.name}={value}{lasting}{self._attributes()}"

    def taken_away(self) -> str:
        """Set-Cookie that makes the client forget it."""
        return f"{self.name}=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT{self._attributes()}"

    def _attributes(self) -> str:
        domain = f"; Domain={self.domain}" if self.domain else ""
        secure = "; Secure" if self.secure else ""
        return f"; Path={self.path}{domain}; HttpOnly{secure}; SameSite={self.samesite}"

    def values(self, header: str) -> list[str]:
        """The values of this name in a Cookie header; more than one where a client has several paths or domains."""
        found = []
        for pair in header.split(";"):
            name, equals, value = pair.strip(" \t").partition("=")
            if equals and name.rstrip(" \t") == self.name:
                found.append(value.strip(" \t").strip('"'))
        return found[:_TRIED]


def checked(name: str | None, path: str, domain: str | None, secure: bool, samesite: str) -> Cookie:
    """A cookie that browsers accept. Without a name it is `__Host-session`, which no other host of the domain can set,
    or `session` where the other attributes don't allow that. Raises ValueError, which says what doesn't fit."""
    site = samesite.capitalize()
    host_only = secure and path == "/" and domain is None
    name = name or ("__Host-session" if host_only else "session")
    if not _NAME.fullmatch(name):
        raise ValueError(f"a cookie can't be named {name!r}: letters, digits and !#$%&'*+-.^_`|~ are allowed")
    if not path.startswith("/") or not _ATTRIBUTE.fullmatch(path):
        raise ValueError(f"the path of a cookie begins with / and has no semicolon or space, but is {path!r}")
    if domain is not None and not _ATTRIBUTE.fullmatch(domain):
        raise ValueError(f"a cookie can't have the domain {domain!r}")
    if site not in ("Lax", "Strict", "None"):
        raise ValueError(f"samesite is Lax, Strict or None, but is {samesite!r}")
    if site == "None" and not secure:
        raise ValueError("browsers refuse a cookie with samesite=None that isn't secure")
    if name.lower().startswith("__host-") and not host_only:
        raise ValueError(f"browsers accept {name} only with secure=True, path='/' and no domain")
    if name.lower().startswith("__secure-") and not secure:
        raise ValueError(f"browsers accept {name} only with secure=True")
    return Cookie(name, path, domain, secure, site)  # type: ignore[arg-type] # one of the three
