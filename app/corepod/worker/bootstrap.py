"""Imports the application or its libraries, then serves as the template, or becomes a worker itself where it may not be
forked."""

from __future__ import annotations

import asyncio
import gc
import importlib
import socket
from typing import TYPE_CHECKING, Any

from corepod import __version__
from corepod.contract.exits import EXIT_APP, EXIT_OK
from corepod.contract.messages import CONTROL_FD, Load, Loaded
from corepod.worker import access_file, children, forkable, fresh, template, terminal, title, trial
from corepod.worker.application import shared_state
from corepod.worker.control import Control
from corepod.worker.credentials import set_folder_and_user
from corepod.worker.environment import read_env_file_again
from corepod.worker.implementation import tls_context
from corepod.worker.ipc import place
from corepod.worker.load import BootError, load_application
from corepod.worker.process import Inheritance, die_with_supervisor, end_without_supervisor, prepare_process, set_name
from corepod.worker.run import become_worker
from corepod.worker.scoreboard import ScoreboardRecord
from corepod.worker.settings import WorkerSettings
from corepod.worker.warmup import warm_up_without_application
from corepod.worker.warmup_requests import serve_warmup_requests

if TYPE_CHECKING:
    import ssl


def main() -> int:
    """Returns the exit code; by then the supervisor knows of a failure."""
    control = Control(CONTROL_FD)
    place.expect()
    children.let_stops_pass()
    try:
        message, fds = control.receive()
    except ValueError:
        return _not_ours(control, "another version")
    if not isinstance(message, Load):
        return EXIT_OK
    if message.version != __version__:
        return _not_ours(control, message.version)
    try:
        inheritance, why_not_forkable = _boot(control, message, fds)
    except BootError as error:
        control.failed(error.kind, str(error), error.traceback)
        return error.code
    control.send(Loaded(not why_not_forkable, why_not_forkable))
    if why_not_forkable:
        return become_worker(inheritance, warm=True, live=message.live)
    return template.serve(inheritance)


def _not_ours(control: Control, version: str) -> int:
    """The supervisor is of another version. Messages and the layout of the scoreboard are those of one version only."""
    control.failed(
        "missing",
        f"this pool runs corepod {version}, and corepod {__version__} is installed by now: to change over to that one, "
        "stop the pool and start it again",
    )
    return EXIT_APP


def _boot(control: Control, message: Load, fds: list[int]) -> tuple[Inheritance, str]:
    """Import what is to be shared. The text says why this process may not be forked, empty where it may.

    Raises BootError.
    """
    settings = WorkerSettings.from_values(message.settings)
    shared_state.settle(settings)
    set_name("corepod-boot")
    title.prepare(settings)
    title.show("boot")
    scoreboard_fd, *listener_fds, stacks_fd = fds
    prepare_process(control, stacks_fd)
    if settings.reload:
        fresh.distrust_bytecode_of_the_second()
    if settings.terminal:
        terminal.lend(settings.terminal)
    tls = read_files(settings)  # while this process may: they may be readable by root alone
    apply_process_settings(settings)
    end_without_supervisor(control)
    _try_access_file(settings)
    record = ScoreboardRecord(scoreboard_fd)
    listeners = [socket.socket(fileno=fd) for fd in listener_fds]
    children.keep_from_children(control, *listeners)
    _warm_up(settings, record)
    before, app = forkable.open_fds(), None
    why = "decided before"
    if message.role == "template":
        if settings.preload == "libraries" and forkable.threads() == 1:
            trial.import_libraries(settings, control, *listeners)
        else:
            app = load_application(settings)
        why = forkable.why_not_forkable(before)
        if settings.warmup:
            why = _serve_warmup_requests(settings, record, app, before, why)
    if why and app is None:
        app = load_application(settings)
    return Inheritance(control, settings, record, listeners, app, tls, forkable.shared_files(before)), why


def _serve_warmup_requests(
    settings: WorkerSettings, record: ScoreboardRecord, app: Any, before: dict[int, str], why: str
) -> str:
    """Let the template serve them, where it is one; returns why it may not be forked then."""
    if why:
        return f"{why}; the warm-up requests aren't made, for workers would not share what comes of them"
    serve_warmup_requests(app, settings, record)
    if why := forkable.why_not_forkable(before, f"the warm-up requests ({', '.join(settings.warmup)})"):
        why += "; leave out of warmup what does that"
    return why


def read_files(settings: WorkerSettings) -> ssl.SSLContext | None:
    """The env file goes into the environment; certificate and key are returned. Raises BootError."""
    try:
        read_env_file_again(settings)
    except (OSError, ValueError) as error:
        raise BootError("missing", EXIT_APP, f"the file of variables can't be read (env_file): {error}") from None
    try:
        return tls_context(settings)
    except OSError as error:  # ssl.SSLError is one
        what = f"certificate and key can't be used (tls_cert, tls_key): {error.strerror or error}"
        raise BootError("missing", EXIT_APP, what) from None


def apply_process_settings(settings: WorkerSettings) -> None:
    """Folder, umask, group and user of a worker. Raises BootError."""
    try:
        set_folder_and_user(settings)
    except (KeyError, OSError) as error:
        what = f"can't change to the worker's user, group or folder (user, group, chdir): {error}"
        raise BootError("missing", EXIT_APP, what) from None
    die_with_supervisor()


def _try_access_file(settings: WorkerSettings) -> None:
    if not settings.access_log_file:
        return
    try:
        access_file.check(settings.access_log_file)
    except OSError as error:
        what = f"workers can't write to the access log {settings.access_log_file} (access_log_file): {error.strerror}"
        raise BootError("missing", EXIT_APP, what) from None


def _warm_up(settings: WorkerSettings, record: ScoreboardRecord) -> None:
    # The first request would import these: anyio chooses its backend as late as that.
    for module in (
        ("anyio._backends._asyncio", "uvloop") if settings.loop == "uvloop" else ("anyio._backends._asyncio",)
    ):
        try:
            importlib.import_module(module)
        except ImportError:
            pass
    asyncio.run(warm_up_without_application(settings, record))
    gc.collect()
