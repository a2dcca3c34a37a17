"""`corepod check` runs this in a process of its own: it imports the application as a worker does, says what came of it,
and ends."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from corepod.contract import hooks
from corepod.contract.exits import EXIT_OK
from corepod.worker import forkable
from corepod.worker.application.wsgi import Adapter
from corepod.worker.bootstrap import apply_process_settings, read_files
from corepod.worker.hook import find
from corepod.worker.load import BootError, load_application
from corepod.worker.settings import WorkerSettings


def main() -> int:
    """The settings come on standard input, what was found goes to the descriptor in the first argument, as JSON."""
    values = json.load(sys.stdin)
    settings = WorkerSettings.from_values(values)
    report = os.fdopen(int(sys.argv.pop()), "w")
    os.set_inheritable(report.fileno(), False)  # else what the import starts would hold it open
    json.dump(_look(settings, {name: values[name] for name in hooks.HOOKS}), report)
    for stream in filter(None, (report, sys.stdout, sys.stderr)):  # the application may have printed something
        stream.flush()
    # At once: neither exit functions nor threads of the application have a part in what was asked.
    os._exit(EXIT_OK)


def _look(settings: WorkerSettings, asked: dict[str, list[str]]) -> dict[str, Any]:
    try:
        read_files(settings)
        apply_process_settings(settings)
        before = forkable.open_fds()
        app = load_application(settings)
    except BootError as error:
        return {"failed": str(error), "code": error.code, "traceback": error.traceback}
    interface = "wsgi" if isinstance(app, Adapter) else "asgi"
    why = forkable.why_not_forkable(before)
    return {"interface": interface, "why_not_forkable": why, "hooks": _look_for(asked)}


def _look_for(asked: dict[str, list[str]]) -> dict[str, str]:
    """The functions that hooks name, and what is wrong with each, empty where nothing is."""
    found = {}
    for text in (text for texts in asked.values() for text in texts if hooks.kind(text) == hooks.FUNCTION):
        try:
            find(text)
            found[text] = ""
        except Exception as error:  # whatever its module raises
            found[text] = str(error) or type(error).__name__
    return found


if __name__ == "__main__":
    sys.exit(main())
