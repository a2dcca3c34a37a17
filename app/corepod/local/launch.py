"""From the command line to the supervisor: all settings are parsed here, then the supervisor is executed in a clean
interpreter (docs/architecture.md)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import corepod
from corepod.config import document, envfile
from corepod.config.checks import FILES
from corepod.config.resolve import FILE, Effective, SettingsError, resolve
from corepod.config.spec import BY_NAME
from corepod.contract import title
from corepod.contract.env import ENV_SETTINGS, LD_PRELOAD, SECRETS
from corepod.local import development

if TYPE_CHECKING:
    from collections.abc import Sequence

MARKS = ("pid_file", "ready_file")  # made by the supervisor, which runs in another folder with chdir
SUPERVISOR = Path(corepod.__file__).parent / "supervisor" / "__main__.py"


def main(flags: dict[str, Any], faults: list[str], *, pod: bool, dev: bool = False) -> int:
    """Start the pool: on a terminal as a child of this process, which draws the table; elsewhere in place of it. `dev`:
    with the defaults of `corepod dev`.

    Raises SettingsError; returns the supervisor's exit code.
    """
    file = document.asked_for(flags, os.environ)
    effective = resolve(flags, os.environ, file, pod=pod, faults=faults, needs_app=True)
    if dev:
        development.set_defaults(effective)
    return start(effective, file, pod=pod)


def start(effective: Effective, file: str | None, *, pod: bool) -> int:
    """Start the pool as `main` does. `file` is the settings file that was asked for.

    Raises SettingsError; returns the supervisor's exit code.
    """
    environment = prepare(effective)
    if effective.values["reload"]:
        watches = development.prepare(effective, file or FILE, pod=pod)
        from corepod.local import dev as development_console

        return development_console.run(
            watches,
            lambda control, lifeline, outputs: command(effective, environment, pod, control, lifeline, outputs),
        )
    # With --debug the terminal belongs to the debugger in a worker.
    if not pod and not effective.values["debug"] and _can_draw():
        from corepod.local import console

        return console.watch(lambda control, lifeline: command(effective, environment, pod, control, lifeline))
    argv, environment = command(effective, environment, pod, "", None)
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None: started with it closed
        stream.flush()
    os.execve(argv[0], argv, environment)


def prepare(effective: Effective) -> dict[str, str]:
    """Make its paths absolute, print its warnings, and return the environment with what the env file adds.

    Raises SettingsError.
    """
    names = [name for name in (*FILES, *MARKS) if effective.values[name]]
    effective.values.update({name: _from_here(effective.values[name]) for name in names})
    if log := effective.values["log_file"]:
        # The file itself: what is put aside is beside it. /dev/stdout and the like mean another file in each process.
        effective.values["log_file"] = log if log.startswith(("/dev/", "/proc/")) else os.path.realpath(_from_here(log))
    environment = environment_of(effective)
    for warning in effective.warnings:
        print(f"corepod: {warning}", file=sys.stderr)
    return environment


def command(
    effective: Effective,
    environment: dict[str, str],
    pod: bool,
    control: str,
    lifeline: int | None,
    outputs: Sequence[int] = (),
    starter: int | None = None,
) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of the supervisor.

    `outputs` are descriptors that its workers write to; none: the supervisor relays what they write. `starter` is a
    descriptor by which it tells that it is ready.
    """
    values = dict(effective.values)
    filed = bool(values["log_file"])
    values["pythonpath"] = [_from_here(folder) for folder in values["pythonpath"]]
    if values["access_log_file"]:
        values["access_log_file"] = _from_here(values["access_log_file"])
        values["access_log"] = values["access_log"] or not effective.explicit("access_log")
    values["env_file"] = values["env_file"] if _can_be_read_again(values["env_file"]) else ""
    environment = {**environment, **effective.variables}
    beside = {
        "profile": "pod" if pod else "run",
        "python": sys.executable,
        "interpreter": _interpreter_options(),
        "cwd": _from_here(values["chdir"]),
        "env_names": sorted(environment.keys() - os.environ.keys() - effective.variables.keys()),
        "admin_explicit": effective.explicit("admin"),
        "attended": not pod and (os.isatty(2) or starter is not None),
        "lifeline": lifeline,
        "starter": starter,
        "ld_preload": environment.pop(LD_PRELOAD, ""),
        "sources": effective.sources,
        "console": control,
        "terminal": _terminal() if values["debug"] and not pod and starter is None else 0,
        "outputs": list(outputs),
        "prefixed": [] if pod and not filed else _prefixed(values["log_prefix"], own=filed or lifeline is not None),
    }
    # By path, with -I -S, nothing preloaded: nothing of the environment may start threads in the supervisor.
    argv = [sys.executable, "-I", "-S", str(SUPERVISOR), title.BLANK]
    for name in SECRETS:
        environment.pop(BY_NAME[name].variable, None)  # the workers get them with their settings
    return argv, {**environment, ENV_SETTINGS: json.dumps({**values, **beside})}


def environment_of(effective: Effective) -> dict[str, str]:
    """What the supervisor's environment is made of. Raises SettingsError where the env file has a fault."""
    env_file = effective.values["env_file"]
    if not env_file:
        return dict(os.environ)
    try:
        return {**envfile.read(env_file), **os.environ}
    except (ValueError, OSError) as error:
        raise SettingsError([f"env_file: {error}"]) from error


def _can_be_read_again(path: str) -> bool:
    """Not a pipe, and not a name that means another file in each process (/dev/stdin, /dev/fd/63)."""
    return os.path.isfile(path) and not path.startswith(("/dev/", "/proc/"))


def _from_here(path: str) -> str:
    """The path made absolute, with its symbolic links: a reload has to find what they name by then."""
    here = os.environ.get("PWD", "")
    try:
        if not (os.path.isabs(here) and os.path.samefile(here, ".")):
            here = os.getcwd()
    except OSError:
        here = os.getcwd()
    return here if path in ("", ".") else os.path.join(here, path)


def _interpreter_options() -> list[str]:
    """Those that this interpreter was started with (-O, -W, -X ...), for the workers', and -P: the server must not
    import a user's `logging.py` in place of the standard library's."""
    options = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    told = {option.partition("=")[0] for option in options}
    for name, value in sys._xoptions.items():
        if name not in told:
            options += ["-X", name if value is True else f"{name}={value}"]
    return options if {"-P", "-I"} & told else [*options, "-P"]


def _prefixed(choice: str, *, own: bool) -> list[str]:
    """The streams on which lines of workers are named. `own`: both go to the log file, or to the terminal's table."""
    return [
        name
        for name, fd in (("stdout", 1), ("stderr", 2))
        if choice == "always" or (choice == "auto" and (own or os.isatty(fd)))
    ]


def _terminal() -> int:
    """The process group of this command, if it has a terminal to read from; else 0."""
    try:
        os.tcgetpgrp(0)
    except OSError:
        return 0  # no terminal, or another session's
    return os.getpgrp()


def _can_draw() -> bool:
    """Whether there is a terminal for the table, and the library that draws it."""
    if not (os.isatty(1) and os.isatty(2)) or os.environ.get("TERM") == "dumb":
        return False
    try:
        import rich  # noqa: F401
    except ImportError:
        print("corepod: pip install 'corepod[local]' for the live table", file=sys.stderr)
        return False
    return True
