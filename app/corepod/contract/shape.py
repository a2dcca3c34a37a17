"""What of a request may be shown in a log."""

from __future__ import annotations


def shape(request: str) -> str:
    """The route of "METHOD path", as far as it shows without the application: what looks like a name, number or token
    of one person's is starred, so that the log holds no personal data.
    """
    method, _, path = request.partition(" ")
    return method + " " + "/".join("*" if _private(part) else part for part in path.split("/"))


def _private(part: str) -> bool:
    if part[:1] == "v" and part[1:].isdigit() and len(part) <= 3:
        return False  # the version of an interface
    plain = part.isascii() and part.isprintable()
    return len(part) > 24 or not plain or any(c.isdigit() or c in "@%=:;," for c in part)
