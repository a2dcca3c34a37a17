"""Checks of the values against each other and against this machine."""

from __future__ import annotations

import grp
import os
import pwd
import re
import shlex
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from corepod.config import tls
from corepod.contract import hooks, shared_url

FILES = ("tls_cert", "tls_key", "tls_client_ca", "env_file")
# Of the access log: those of gunicorn and hypercorn (see worker/access_atoms.py). Headers and variables are {name}i,
# {name}o and {name}e.
ATOMS = (
    "h",
    "l",
    "u",
    "t",
    "r",
    "R",
    "s",
    "st",
    "S",
    "m",
    "U",
    "Uq",
    "q",
    "H",
    "b",
    "B",
    "f",
    "a",
    "T",
    "D",
    "M",
    "L",
    "p",
)

COOKIE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def faults_between(values: dict[str, Any], sources: dict[str, str]) -> list[str]:
    """Phrases for the values that don't fit together, each beginning with the source of the value."""
    checks = (
        _files(values),
        _marks(values),
        _empty(values, sources),
        tls.faults(values),
        _paths(values),
        _times(values),
        _people(values),
        _shared(values),
        _sticky(values),
        _others(values),
    )
    return [f"{_place(name, sources)}: {phrase}" for check in checks for name, phrase in check]


def warnings_about(values: dict[str, Any], sources: dict[str, str], path: str | None) -> list[str]:
    """Phrases for values that may be wrong. `path` is where commands are looked for."""
    return [
        f"{_place(name, sources)}: there is no command {word} here; the hook will fail"
        for name in hooks.HOOKS
        for value in values[name]
        if hooks.kind(value) == hooks.COMMAND
        if (word := shlex.split(value)[0])
        and shutil.which(os.path.join(values["chdir"], word) if "/" in word else word, path=path) is None
    ]


def _place(name: str, sources: dict[str, str]) -> str:
    source = sources[name]
    return source if source.startswith(("--", "COREPOD_")) else f"{source}: {name}"


def _files(values: dict[str, Any]) -> list[tuple[str, str]]:
    faults = [
        (
            name,
            f"{values[name]} can't be read: {'no such file' if not Path(values[name]).exists() else 'no permission'}",
        )
        for name in FILES
        if values[name] and not os.access(values[name], os.R_OK)
    ]
    if values["chdir"] and not Path(values["chdir"]).is_dir():
        faults.append(("chdir", f"there is no folder {values['chdir']}"))
    if (log := values["access_log_file"]) and not Path(log).parent.is_dir():
        faults.append(("access_log_file", f"there is no folder {Path(log).parent}"))
    if log == "-":
        faults.append(("access_log_file", "- is no file: leave it out, and access_log writes to standard output"))
    faults += [("pythonpath", f"there is no folder {path}") for path in values["pythonpath"] if not Path(path).is_dir()]
    return faults


def _marks(values: dict[str, Any]) -> list[tuple[str, str]]:
    # What they name is replaced when a pool starts, and removed when it ends.
    others: dict[str, str] = {}
    faults = []
    for name in ("log_file", "access_log_file", *FILES, "pid_file", "ready_file"):
        path = os.path.realpath(values[name]) if values[name] else ""
        if path in others and name in ("pid_file", "ready_file"):
            faults.append((name, f"{values[name]} is {others[path]} already; name another file"))
        elif path:
            others[path] = name
    return faults


def _empty(values: dict[str, Any], sources: dict[str, str]) -> list[tuple[str, str]]:
    # An empty variable counts as not set. Empty elsewhere it is a mistake, and TLS would be off in silence.
    return [
        (name, "names no file; leave it out for a pool without TLS")
        for name in FILES
        if name.startswith("tls_") and not values[name] and sources[name] != "default"
    ]


def _paths(values: dict[str, Any]) -> list[tuple[str, str]]:
    faults = [
        ("access_log_skip", f"{path!r} matches no path: it has to start with / or *, and the query doesn't count")
        for path in values["access_log_skip"]
        if not path.startswith(("/", "*")) or "?" in path
    ]
    return faults + [
        (name, f"{values[name]!r} has to start with /")
        for name in ("ready_path", "root_path")
        if values[name] and not values[name].startswith("/")
    ]


def _times(values: dict[str, Any]) -> list[tuple[str, str]]:
    if values["lame_duck"] and values["lame_duck"] >= values["stop_timeout"]:
        text = (
            f"{values['lame_duck']:g} s is too long: stop_timeout ({values['stop_timeout']:g} s) includes it, "
            "and no time would be left for draining"
        )
        return [("lame_duck", text)]
    return []


def _people(values: dict[str, Any]) -> list[tuple[str, str]]:
    faults = []
    for name, find in (("user", pwd.getpwnam), ("group", grp.getgrnam)):
        text = values[name]
        if not text:
            continue
        if os.geteuid() != 0:
            faults.append((name, "only root may run workers as another user or group"))
        elif not text.isdigit():
            try:
                find(text)
            except KeyError:
                faults.append((name, f"there is no {name} {text!r}"))
        elif name == "user":
            try:
                pwd.getpwuid(int(text))
            except KeyError:
                faults.append((name, f"there is no user with the number {text}"))
    return faults


def _shared(values: dict[str, Any]) -> list[tuple[str, str]]:
    found = [
        ("shared", shared_url.fault(values["shared"])),
        ("shared_prefix", shared_url.fault_of_prefix(values["shared_prefix"])),
    ]
    return [(name, phrase) for name, phrase in found if phrase]


def _sticky(values: dict[str, Any]) -> list[tuple[str, str]]:
    faults = []
    if values["sticky"] and values["tls_cert"]:
        what = "the cookie is encrypted when a worker has to know it, so sticky can't be used with tls_cert"
        faults.append(("sticky", f"{what}: let a proxy in front of the pool end TLS, or leave one of them out"))
    if not COOKIE_NAME.fullmatch(values["sticky_cookie"]):
        what = f"{values['sticky_cookie']!r} can't be the name of a cookie"
        faults.append(("sticky_cookie", f"{what}: use letters, digits, - and _"))
    return faults


def _others(values: dict[str, Any]) -> list[tuple[str, str]]:
    faults = []
    if values["loop"] == "uvloop" and find_spec("uvloop") is None:
        faults.append(("loop", "uvloop isn't installed; pip install 'corepod[uvloop]'"))
    if values["http"] == "httptools" and find_spec("httptools") is None:
        faults.append(("http", "httptools isn't installed; install it (pip install httptools), or use auto or h11"))
    try:
        values["access_log_format"] % _Atoms()
    except KeyError as error:
        known = ", ".join(ATOMS)
        faults.append(
            ("access_log_format", f"there is no %({error.args[0]})s; there are {known}, {{header}}i, {{header}}o")
        )
    except (ValueError, TypeError) as error:
        faults.append(("access_log_format", f"is not a valid format: {error}"))
    if values["standbys"] > 1 and values["standby"] == "none":
        faults.append(("standbys", f"{values['standbys']} standbys are asked for, but standby is none"))
    faults += [
        (f"{name}_jitter", f"is added to {name}, which isn't set; set it, or leave the jitter out")
        for name in ("max_requests", "max_age")
        if values[f"{name}_jitter"] and not values[name]
    ]
    if values["warmup"] and values["preload"] != "application":
        what = f"needs preload = application, with which workers share what a request makes; it is {values['preload']}"
        faults.append(("warmup", f"{what}. Change it, or leave warmup out"))
    if not values["bind"]:
        faults.append(("bind", "has no address"))
    return faults


class _Atoms(dict[str, str]):
    def __missing__(self, name: str) -> str:
        if name in ATOMS or re.fullmatch(r"\{[^{}]+\}[ioe]", name):
            return ""
        raise KeyError(name)
