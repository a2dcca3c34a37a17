"""A trial import: a child of the template imports the application once and tells the template which libraries it
needed, while the template imports them as well. The child then ends, and workers that are forked from the template
import the application itself, each for its own.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from corepod.contract.exits import EXIT_BOOT, EXIT_OK
from corepod.worker import children, title
from corepod.worker.libraries import ImportWatch, Libraries
from corepod.worker.load import BootError, load_application
from corepod.worker.process import die_with_parent, lead_group, set_name, stacks_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from io import FileIO
    from typing import NoReturn

    from corepod.worker.children import Closeable
    from corepod.worker.settings import WorkerSettings

GOODBYE = 5.0  # seconds that the application's exit functions may take in the trial


def import_libraries(settings: WorkerSettings, *private: Closeable) -> None:
    """Import the application in a child, and what it has of libraries in this process. The child closes what is
    `private`.

    Raises BootError where the application can't be imported.
    """
    reader, writer = os.pipe()
    me = os.getpid()
    with children.forking_workers():
        child = os.fork()
    if child == 0:
        os.close(reader)
        _be_the_trial(settings, writer, private, me)
    os.close(writer)
    outcome: dict[str, Any] = {}
    with os.fdopen(reader) as stream, _environment_restored() as changed, stacks_of(child):
        for line in stream:
            outcome = json.loads(line)
            _follow(outcome, changed)
            if "done" in outcome or "failed" in outcome:
                break
    # Whatever the import holds, a port or a lock, is free again when the first worker imports the application.
    end = _end(child)
    if failure := outcome.get("failed"):
        raise BootError(*failure)
    if "done" not in outcome:
        raise BootError("exception", EXIT_BOOT, f"the application's import ended its process: {end}")


def _end(child: int) -> str:
    """Wait for the end of the trial, and end what the import has started. Until the child is reaped its group can't be
    anybody else's."""
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    with contextlib.suppress(OSError):
        os.killpg(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code >= 0:
        return f"exit code {code}"
    return f"signal {signal.Signals(-code).name if -code in set(signal.Signals) else -code}"


def _follow(message: dict[str, Any], changed: dict[str, str | None]) -> None:
    for name, value in message.get("set", {}).items():
        changed.setdefault(name, os.environ.get(name))
        _set_variable(name, value)
    for name in message.get("modules", ()):
        # What can't be imported without the application is left to the workers.
        with contextlib.suppress(Exception, SystemExit):
            importlib.import_module(name)


@contextlib.contextmanager
def _environment_restored() -> Iterator[dict[str, str | None]]:
    """A mapping of variables and their former values, which are set again at the end: workers change theirs themselves,
    when they import the application."""
    changed: dict[str, str | None] = {}
    try:
        yield changed
    finally:
        for name, value in changed.items():
            _set_variable(name, value)


def _set_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _be_the_trial(settings: WorkerSettings, writer: int, private: Iterable[Closeable], parent: int) -> NoReturn:
    try:
        die_with_parent(parent)
        lead_group()
        set_name("corepod-trial")
        title.show("trial import")
        for one in private:
            one.close()
        report = os.fdopen(writer, "wb", buffering=0)
        children.keep_from_children(report)  # what it forks could live on, and the template would wait for it
        _import(settings, lambda message: _write(report, message))
        _leave()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(EXIT_OK)


def _import(settings: WorkerSettings, report: Any) -> None:
    gc.freeze()  # a collection would write to every page that it shares with the template
    try:
        with ImportWatch(Libraries(settings.app), report):
            load_application(settings)
    except BootError as error:
        report({"failed": [error.kind, error.code, str(error), error.traceback]})
    else:
        report({"done": True})


def _write(file: FileIO, message: dict[str, Any]) -> None:
    rest = json.dumps(message).encode() + b"\n"
    while rest:
        rest = rest[file.write(rest) :]


def _leave() -> None:
    """Undo what the import has made outside of this process, such as temporary folders. Buffers aren't flushed: the
    workers print the same. An exit function that hangs is cut off."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.setitimer(signal.ITIMER_REAL, GOODBYE)
    atexit._run_exitfuncs()
