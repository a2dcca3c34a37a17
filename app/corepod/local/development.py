"""Decisions of `corepod dev`: what is watched, which changes count, and what each of them needs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import IntEnum
from importlib.util import find_spec
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from corepod.config.resolve import Effective, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# What `corepod dev` sets unless a flag or a variable does: a file is written for production.
DEFAULTS: dict[str, Any] = {
    "reload": True,
    "workers": 1,
    "pin": "never",
    "debug": True,
    "access_log": True,
    "log_level": "warning",
    "crash_budget": (0, 0.0),
}
# A standby would become a worker with the code that it was made from.
ALWAYS: dict[str, Any] = {"standby": "none", "standbys": 1}
INSTALLED = {"site-packages", "dist-packages"}


class Need(IntEnum):
    """What a change asks for; the greater includes the lesser."""

    NOTHING = 0
    WORKER = 1  # new workers, which import the application's code themselves
    TEMPLATE = 2  # a reload: a new template, which imports the libraries again
    START = 3  # settings are read at the start only


@dataclass(frozen=True)
class Watches:
    """What is watched. Paths are absolute; `files` count wherever they are watched, each with what its change needs."""

    folders: tuple[str, ...]
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    files: dict[str, Need]
    attached: bool  # workers read and write the terminal, not a pipe
    shared: bool  # workers share nothing that holds the application's code
    overlap: bool


def set_defaults(effective: Effective) -> None:
    """Change what neither a flag nor a variable of corepod says."""
    for name, value in DEFAULTS.items():
        if not effective.sources[name].startswith(("--", "COREPOD_")):
            effective.values[name], effective.sources[name] = value, "corepod dev"


def prepare(effective: Effective, settings_file: str, *, pod: bool) -> Watches:
    """What to watch. Changes the settings that reloads depend on.

    Raises SettingsError.
    """
    values = effective.values
    faults = []
    if pod:
        faults.append("--reload is for development, and not for a container's main process: use corepod dev")
    if missing := [name for name in ("watchfiles", "rich") if find_spec(name) is None]:
        what = " and ".join(missing)
        faults.append(f"--reload needs further packages ({what}): pip install 'corepod[dev]'")
    found = values["reload_dir"] or [values["chdir"] or ".", *values["pythonpath"]]
    folders = list(dict.fromkeys(os.path.abspath(folder) for folder in found))
    faults += [f"--reload-dir: there is no folder {folder}" for folder in folders if not os.path.isdir(folder)]
    if faults:
        raise SettingsError(faults)
    for name, value in ALWAYS.items():
        if values[name] != value:
            values[name], effective.sources[name] = value, "--reload"
    files = {os.path.abspath(settings_file): Need.START}
    if values["env_file"]:
        files[os.path.abspath(values["env_file"])] = Need.TEMPLATE
    return Watches(
        tuple(folders),
        tuple(values["reload_include"]),
        tuple(values["reload_exclude"]),
        files,
        values["debug"],
        values["preload"] == "libraries",
        values["overlap"],
    )


def counting(watches: Watches, changed: Iterable[str], ignored: Any) -> list[str]:
    """Those of the changed paths that count. `ignored` says of a path, relative to the folder that is watched, whether
    its change never does."""
    return sorted(path for path in set(changed) if path in watches.files or _counts(watches, path, ignored))


def _counts(watches: Watches, path: str, ignored: Any) -> bool:
    for folder in watches.folders:
        if path.startswith(os.path.join(folder, "")):
            inside = PurePath(os.path.relpath(path, folder))
            above = (inside, *list(inside.parents)[:-1])
            return (
                any(inside.match(pattern) for pattern in watches.include)
                and not any(one.match(pattern) for one in above for pattern in watches.exclude)
                and not ignored(str(inside))
            )
    return False


def need(watches: Watches, changed: Sequence[str], *, forks: bool, complete: bool) -> Need:
    """What these changes ask for. `forks`: workers are forked from a template, which is `complete` if the application
    could be imported when it was made: else it has only the libraries that came before the fault."""
    if not changed:
        return Need.NOTHING
    listed = max(watches.files.get(path, Need.NOTHING) for path in changed)
    installed = any(INSTALLED & set(PurePath(path).parts) for path in changed)
    anew = installed or not (watches.shared and watches.overlap and forks and complete)
    return max(listed, Need.TEMPLATE if anew and listed is not Need.START else Need.WORKER)


def named(watches: Watches, changed: Sequence[str]) -> str:
    """The changed paths for people."""
    shown = []
    for path in changed[:3]:
        inside = [os.path.relpath(path, folder) for folder in watches.folders if path.startswith(folder + os.sep)]
        shown.append(inside[0] if inside else path)
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    return ", ".join(shown) + more
