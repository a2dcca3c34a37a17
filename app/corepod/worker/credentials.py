"""Folder, umask, group and user of the processes that run the user's code."""

from __future__ import annotations

import grp
import os
import pwd
from typing import TYPE_CHECKING, Any

from corepod.contract.env import METRICS_FOLDER

if TYPE_CHECKING:
    from corepod.worker.settings import WorkerSettings


def set_folder_and_user(settings: WorkerSettings) -> None:
    """Folder, umask, group and user, in the order in which each is still allowed. Raises KeyError or OSError."""
    os.chdir(settings.cwd)
    if settings.umask is not None:
        os.umask(settings.umask)
    user = _lookup(settings.user, pwd.getpwnam, pwd.getpwuid)
    group = _lookup(settings.group, grp.getgrnam, grp.getgrgid)
    gid = group.gr_gid if group else user.pw_gid if user else None
    _make_metrics_folder(user.pw_uid if user else -1, -1 if gid is None else gid)
    if gid is not None:
        if user:
            os.initgroups(user.pw_name, gid)
        os.setgid(gid)
    if user:
        os.setuid(user.pw_uid)
        os.environ.update(HOME=user.pw_dir, USER=user.pw_name, LOGNAME=user.pw_name)


def _lookup(text: str, by_name: Any, by_number: Any) -> Any:
    if not text:
        return None
    return by_number(int(text)) if text.isdigit() else by_name(text)


def _make_metrics_folder(uid: int, gid: int) -> None:
    """That of prometheus_client, which doesn't make it; owned by the worker."""
    folder = next((os.environ[name] for name in METRICS_FOLDER if os.environ.get(name)), "")
    if folder and not os.path.exists(folder):
        try:
            os.makedirs(folder)
            os.chown(folder, uid, gid)
        except OSError:
            pass  # prometheus_client says what it lacks
