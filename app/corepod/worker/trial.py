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
from corepod.worker.process import die_with_parent, set_name, stacks_of

if TYPE_CHECKING:
    from collections.abc import Iterable
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
        children.keep_from_children()
        _be_the_trial(settings, writer, private, me)
    os.close(writer)
    outcome: dict[str, Any] = {}
    with os.fdopen(reader) as stream, _environment_restored() as changed, stacks_of(child):
        for line in stream:
            outcome = json.loads(line)
            _follow(outcome, changed)
    # Whatever the import holds, a port or a lock, is free again when the first worker imports the application.
    end = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if failure := outcome.get("failed"):
        raise BootError(*failure)
    if "done" not in outcome:
        how = f"exit code {end}" if end >= 0 else f"signal {signal.Signals(-end).name}"
        raise BootError("exception", EXIT_BOOT, f"the application's import ended its process: {how}")


def _follow(message: dict[str, Any], changed: dict[str, str | None]) -> None:
    for name, value in message.get("set", {}).items():
        changed.setdefault(name, os.environ.get(name))
        _set_variable(name, value)
    for name in message.get("modules", ()):
        # What can't be imported without the application is left to the workers.
        with contextlib.suppress(Exception, SystemExit):
            importlib.import_module(name)


@contextlib.contextmanager
def _environment_restored() -> Any:
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
        set_name("corepod-trial")
        title.show("trial import")
        for one in private:
            one.close()
        _import(settings, lambda message: _write(writer, message))
        os.close(writer)
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


def _write(fd: int, message: dict[str, Any]) -> None:
    rest = json.dumps(message).encode() + b"\n"
    while rest:
        rest = rest[os.write(fd, rest) :]


def _leave() -> None:
    """Undo what the import has made outside of this process, such as temporary folders. Buffers aren't flushed: the
    workers print the same. An exit function that hangs is cut off."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, GOODBYE)
    atexit._run_exitfuncs()
