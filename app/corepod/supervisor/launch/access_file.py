"""The file of the access log is made here: its folder may be root's, and workers another user's."""

from __future__ import annotations

import os

from corepod.contract.exits import EXIT_SETTINGS
from corepod.supervisor.launch.sockets import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.settings import Settings

# Never one that is there already, nor where a link leads to: workers could make root give them any file.
FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
MODE = 0o640


def make(settings: Settings) -> None:
    """Make the file, as the workers' user's, unless it is there. Raises OSError."""
    try:
        fd = os.open(settings.access_log_file, FLAGS, MODE)
    except FileExistsError:
        return
    try:
        if os.geteuid() == 0:
            os.fchown(fd, *_owner(settings.values["user"], settings.values["group"]))
    finally:
        os.close(fd)


def make_at_start(settings: Settings) -> None:
    """Raises StartError."""
    path = settings.access_log_file
    try:
        make(settings)
        if not os.access(path, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        what = f"the access log {path} can't be written ({error.strerror}); choose another with --access-log-file"
        raise StartError(what, EXIT_SETTINGS) from error


def _owner(user: str, group: str) -> tuple[int, int]:
    """-1 for what stays as it is."""
    import grp
    import pwd

    uid = gid = -1
    if user:
        found = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
        uid, gid = found.pw_uid, found.pw_gid
    if group:
        gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    return uid, gid
