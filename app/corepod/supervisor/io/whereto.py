"""Where the log goes, for whoever looks for it: a file, the journal, a terminal, or a reader that isn't known here."""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def describe(fd: int, file: str, environ: Mapping[str, str], *, drawn: bool) -> dict[str, str]:
    """`to` is file, journal, terminal, device or pipe, and `path` the file's. `fd` is standard error, and `file` the
    log file of the settings; `drawn`: a terminal shows the pool."""
    if file:
        return {"to": "file", "path": file}
    if drawn:
        return {"to": "terminal"}
    found = os.fstat(fd)
    if environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}":
        return {"to": "journal"}
    if stat.S_ISREG(found.st_mode):
        return {"to": "file", "path": os.readlink(f"/proc/self/fd/{fd}")}
    if os.isatty(fd):
        return {"to": "terminal"}
    return {"to": "device" if stat.S_ISCHR(found.st_mode) else "pipe"}
