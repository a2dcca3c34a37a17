"""The URL of shared state: what kinds there are, and what is wrong with one before anything is opened."""

from __future__ import annotations

import os
from importlib.util import find_spec
from urllib.parse import SplitResult, unquote, urlsplit

SQLITE = "sqlite"
SENTINEL = ("redis+sentinel", "rediss+sentinel")
REDIS = ("redis", "rediss", "unix", *SENTINEL)
PREFIX_MOST = 128  # bytes


def fault(url: str) -> str:
    """What is wrong with it, empty where nothing is. Says nothing of user and password."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in SENTINEL:
            _ = parts.port
    except ValueError as error:
        # The text of the standard library may have the part in it that it can't read, which may be the password.
        reason = "the port is no number from 0 to 65535" if "ort" in str(error) else "it can't be read"
        return f"is no URL: {reason}; special characters of a password are written as %XX"
    if not url:
        return ""
    if parts.scheme == SQLITE:
        return _file(parts)
    if parts.scheme in REDIS:
        return _server(parts)
    kinds = "redis://, rediss://, redis+sentinel://, unix:// and sqlite:///"
    what = f"{parts.scheme}:// is" if parts.scheme else "it has"
    return f"{what} no kind of shared state; there are {kinds}"


def fault_of_prefix(prefix: str) -> str:
    """The same for the text in front of every key."""
    try:
        size = len(prefix.encode())
    except UnicodeEncodeError:
        return "is no text that UTF-8 can express"
    return f"has {size} bytes; {PREFIX_MOST} are the most" if size > PREFIX_MOST else ""


def _file(parts: SplitResult) -> str:
    path = unquote(parts.path)
    if parts.netloc or not os.path.isabs(path):
        return "needs an absolute path behind three slashes: sqlite:///var/lib/app/state.sqlite"
    if parts.query or parts.fragment:
        return "sqlite:///PATH takes no options behind ? or #; in a path they are %3F and %23"
    if os.path.isdir(path):
        return f"{path} is a folder; name a file in it"
    if not os.path.isdir(os.path.dirname(path)):
        return f"there is no folder {os.path.dirname(path)}"
    return ""


def _server(parts: SplitResult) -> str:
    if parts.scheme == "unix":
        if not parts.path:
            return "unix:// names no socket: unix:///run/redis.sock"
    elif not parts.netloc.rpartition("@")[2] or (parts.scheme not in SENTINEL and not parts.hostname):
        return f"names no host: {parts.scheme}://HOST:PORT"
    path = parts.path.strip("/")
    database = path.partition("/")[2] if parts.scheme in SENTINEL else path
    if parts.scheme != "unix" and not (database.isdecimal() or not database):
        # Not quoted: it may be a part of the password.
        return "has no number of a database behind its host, as /0; a password's special characters are written as %XX"
    if parts.fragment:
        return "has a # in it; a password's special characters are written as %XX"
    if find_spec("redis") is None:
        return f"{parts.scheme}:// needs the package redis; pip install 'corepod[redis]'"
    return ""
