"""What would keep a pool from starting here, found without starting it: limits, addresses, the application."""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import stat
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from corepod.contract import listening
from corepod.contract.env import ENV_SETTINGS, LD_PRELOAD
from corepod.contract.exits import EXIT_APP, EXIT_BIND, EXIT_BOOT, EXIT_LATE, EXIT_OK
from corepod.local import launch
from corepod.local.client import running
from corepod.supervisor.launch import placement, sockets
from corepod.supervisor.launch.sockets import StartError
from corepod.supervisor.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corepod.config.resolve import Effective


@dataclass(frozen=True)
class Result:
    """One row. `code` is the exit code that `corepod run` would end with, 0 where nothing is wrong; a hook that would
    fail is a fault, too, although it keeps no pool from starting."""

    application: str
    what: str
    text: str
    code: int = EXIT_OK
    detail: str = ""  # a traceback


def check(effective: Effective, timeout: float) -> Iterator[Result]:
    """All results of an application whose settings are in order, in the order in which `corepod run` would meet them.

    `timeout` bounds the import, in seconds.
    """
    environment = launch.environment_of(effective)
    _, whole = launch.command(effective, environment, False, "", None)
    values = json.loads(whole.pop(ENV_SETTINGS))
    settings = Settings(values)
    name = effective.application or settings.pool_name
    yield Result(name, "settings", "valid")
    yield _limits(name, settings)
    ours = _addresses_of(settings.pool_name)
    for address in settings.bind:
        yield _address(name, "address", address, settings, ours)
    if settings.admin != "none":
        yield _address(name, "admin", settings.admin, settings, ours)
    if values["tls_cert"]:
        yield Result(name, "certificate", f"{values['tls_cert']}, and its key matches")
    yield from _application(name, settings, whole, timeout)


def _limits(name: str, settings: Settings) -> Result:
    try:
        slots = placement.slots_within_limits(settings)
    except StartError as error:
        return Result(name, "limits", str(error), error.code)
    return Result(name, "limits", f"room for {slots} worker{'s' * (slots > 1)}")


def _addresses_of(pool: str) -> set[str]:
    """What the pool of this name listens on, if it runs: a check before its reload is no fault."""
    found: set[str] = set()
    for client in running():
        if client.name == pool and (status := client.status()):
            found |= {*status["binds"], status["admin"]}
    return found


def _address(name: str, what: str, address: str, settings: Settings, ours: set[str]) -> Result:
    flag = "--admin" if what == "admin" else "--bind"
    try:
        if address.startswith("unix:"):
            _try_unix(address[5:])
        else:
            _try_tcp(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and any(listening.same(address, other) for other in ours):
            return Result(name, what, f"{address} is held by the running pool {settings.pool_name}")
        if error.errno == errno.EADDRINUSE and what == "admin" and not settings.admin_explicit:
            return Result(name, what, f"{address} is in use; the next free port is taken")
        return Result(name, what, str(sockets.refusal(address, error, flag)), EXIT_BIND)
    return Result(name, what, f"{address} is free")


def _try_tcp(address: str) -> None:
    """Raises OSError. Nothing listens meanwhile: a client is refused as before."""
    host, _, port = address.rpartition(":")
    listening.bound(host.strip("[]"), int(port), socket.SOCK_STREAM).close()


def _try_unix(path: str) -> None:
    """Raises OSError where a socket can't be made there, without making one."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    if not os.path.lexists(path):
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        # What was left behind by a pool that was killed refuses, and is replaced by the next one.
        if not stat.S_ISSOCK(os.stat(path).st_mode) or probe.connect_ex(path) != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _application(name: str, settings: Settings, environment: dict[str, str], timeout: float) -> Iterator[Result]:
    if settings.ld_preload:
        environment[LD_PRELOAD] = settings.ld_preload
    found, end = _import(settings, environment, timeout)
    what = f"{settings.app.partition('(')[0]}"
    if found is None and end is None:
        text = f"the import of {what} hasn't ended within {timeout:g} s (--timeout)"
        yield Result(name, "application", text, EXIT_LATE)
        return
    if found is None:
        yield Result(name, "application", f"the import of {what} ended its process: {end}", EXIT_BOOT)
        return
    if "failed" in found:
        yield Result(name, "application", found["failed"], found["code"], found["traceback"].rstrip())
        return
    text = f"{what} can be imported, {found['interface'].upper()}"
    if why := found["why_not_forkable"]:
        text += f"; workers can't be forked with it in them (preload = application): {why}"
    yield Result(name, "application", text)
    for hook, fault in found["hooks"].items():
        yield Result(name, "hook", f"{hook}: {fault}" if fault else f"{hook} can be imported", EXIT_APP * bool(fault))


def _import(
    settings: Settings, environment: dict[str, str], timeout: float
) -> tuple[dict[str, Any] | None, str | None]:
    """What corepod.worker.check reports, or how its process ended; neither where it is late."""
    reader, writer = os.pipe()
    command = [settings.python, *settings.interpreter, "-m", "corepod.worker.check", str(writer)]
    # Its output goes to standard error: standard output is for what was found. In a group of its own, with all that
    # the import starts. Bytecode isn't written: the folder is left as it is.
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=2,
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        pass_fds=[writer],
        start_new_session=True,
        text=True,
    )
    os.close(writer)
    try:
        assert child.stdin is not None
        try:
            json.dump(settings.values, child.stdin)
            child.stdin.close()
        except BrokenPipeError:
            pass  # it has ended already, and says why
        text = _read(reader, timeout)
        if text is None:
            return None, None
        return (json.loads(text), "") if text else (None, _how(child.pid))
    finally:
        os.close(reader)
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()


def _read(reader: int, timeout: float) -> bytes | None:
    """All that is written until the end; None where that hasn't come in time."""
    parts: list[bytes] = []
    while select.select([reader], [], [], timeout)[0]:
        if not (part := os.read(reader, 65536)):
            return b"".join(parts)
        parts.append(part)
    return None


def _how(pid: int) -> str:
    """How a process ends, which isn't reaped: until its group is killed nobody else may get its number."""
    end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert end is not None
    exited = end.si_code == os.CLD_EXITED
    return f"exit code {end.si_status}" if exited else f"signal {signal.Signals(end.si_status).name}"
