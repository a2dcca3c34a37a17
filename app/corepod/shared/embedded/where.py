"""Where the file of the embedded state is.

A place of its own for each user: systemd's StateDirectory, which outlives a restart of the service, or a folder in
the temporary folder, the one thing that can be written in a pod with a read-only root, where the chart mounts a volume
that outlives the container. XDG_RUNTIME_DIR and RUNTIME_DIRECTORY, in which sockets are, end with a logout or the
service.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from corepod.shared.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from corepod.worker.application.shared_state import SharedSettings


def path(settings: SharedSettings, environ: Mapping[str, str], uid: int) -> str | None:
    """The path of the file, None where it is this process's memory: outside of a pool and without a URL."""
    if settings.url:
        return unquote(urlsplit(settings.url).path)
    if not settings.pool:
        return None
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", settings.pool)[:100]
    if folder := environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return os.path.join(folder, f"{plain}.{_mark(settings.pool)}.sqlite")
    folder = os.path.join(environ.get("TMPDIR") or "/tmp", f"corepod-{uid}")
    return os.path.join(folder, f"{plain}.{_mark(settings.pool, settings.folder)}.sqlite")


def _mark(*parts: str) -> str:
    """Tells apart what looks the same in a file's name: pools a/b and a-b, or two projects' pools called main."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:8]


def prepare(path: str, uid: int, *, chosen: bool) -> None:
    """Make the file, which only its owner may read. `chosen`: the user has named it, and so is responsible for its
    folder. Raises Unavailable, OSError."""
    folder = os.path.dirname(path)
    if not chosen:
        _own_folder(folder, uid)
    try:
        # Never open one that is there: to close it would end SQLite's locks on it, which are the process's.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        found = os.stat(path) if chosen else os.lstat(path)
        if not stat.S_ISREG(found.st_mode):
            raise Unavailable(f"the shared state {path} is no file; remove it") from None
        if not chosen and found.st_uid != uid:
            raise Unavailable(f"the shared state {path} belongs to user {found.st_uid}, not {uid}") from None


def _own_folder(folder: str, uid: int) -> None:
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (uid, 0):
        raise Unavailable(
            f"{folder} is a link or another user's: remove it, or say where the state is (sqlite:///PATH)"
        )
    if found.st_mode & 0o022:
        raise Unavailable(f"others may write in {folder}: chmod 700 it, or say where the state is (sqlite:///PATH)")
