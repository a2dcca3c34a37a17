"""The supervisor runs this in a process of its own for one event of one hook: as the worker's user and in its folder it
calls the webhook or the function, or becomes the command."""

from __future__ import annotations

import inspect
import json
import os
import shlex
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any

from corepod import __version__
from corepod.contract import escaping, hooks
from corepod.contract.exits import EXIT_OK
from corepod.worker.credentials import set_folder_and_user
from corepod.worker.environment import read_env_file_again
from corepod.worker.process import die_with_parent
from corepod.worker.settings import WorkerSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

FAILED = 1
NOT_EXECUTABLE, NOT_FOUND = 126, 127  # as shells have it


def main() -> int:
    """What is to be done comes on standard input. Returns the exit code."""
    with open(0, closefd=False) as told_on:
        told: dict[str, Any] = json.load(told_on)
    name, value, event = told["name"], told["value"], told["event"]
    try:
        if told["version"] != __version__:
            raise ValueError(f"the pool runs corepod {told['version']}, and {__version__} is installed by now")
        settings = WorkerSettings.from_values(told["settings"])
        _become_the_worker(settings, event["supervisor"])
        kind = hooks.kind(value)
        if kind == hooks.COMMAND:
            return execute(shlex.split(value), event)
        _read_nothing()
        timeout = told["settings"]["hook_timeout"]
        if kind == hooks.WEBHOOK:
            return post(value, event, timeout)
        from corepod.worker.application.importer import look_up_first

        look_up_first(settings.pythonpath)
        return call(value, event)
    except (OSError, ValueError, KeyError, LookupError) as error:
        print(f"corepod: {name} ({hooks.shown(value)}): {escaping.line(str(error))}", file=sys.stderr)
        return FAILED


def _become_the_worker(settings: WorkerSettings, supervisor: int) -> None:
    read_env_file_again(settings)  # while this process may: it may be readable by root alone
    set_folder_and_user(settings)
    die_with_parent(supervisor)


def _read_nothing() -> None:
    """Code that reads standard input finds nothing: what was there isn't meant for it."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def execute(words: list[str], event: Mapping[str, Any]) -> int:
    """Become the command. It finds the event on standard input and in its environment. Returns where it can't."""
    os.environ.update(variables(event))
    memory = os.memfd_create("corepod-event")
    os.write(memory, json.dumps(event).encode() + b"\n")
    os.lseek(memory, 0, os.SEEK_SET)
    os.dup2(memory, 0)
    os.close(memory)
    for signum in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these
        signal.signal(signum, signal.SIG_DFL)
    try:
        os.execvp(words[0], words)
    except OSError as error:
        print(f"corepod: hook: {words[0]} can't be executed: {error.strerror}", file=sys.stderr)
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE


def variables(event: Mapping[str, Any]) -> dict[str, str]:
    """The event as variables. Lists are left out: their place is the JSON."""
    found = {"COREPOD_EVENT": str(event["event"])}
    for key, value in event.items():
        if key != "event" and not isinstance(value, list):
            text = "" if value is None else json.dumps(value) if isinstance(value, bool) else str(value)
            found[f"COREPOD_EVENT_{key.upper()}"] = text
    return found


def post(url: str, event: Mapping[str, Any], timeout: float) -> int:
    """POST the event as JSON, without proxies and without following redirections. Raises OSError or ValueError."""
    from http.client import HTTPConnection, HTTPException, HTTPSConnection
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = connect(parts.hostname or "", parts.port, timeout=timeout)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"Content-Type": "application/json", "User-Agent": f"corepod/{__version__}"}
    try:
        connection.request("POST", target, json.dumps(event).encode(), headers)
        answer = connection.getresponse()
    except HTTPException as error:
        raise OSError(f"the answer isn't HTTP ({error!r})") from None
    if not 200 <= answer.status < 300:
        raise OSError(f"the answer is {answer.status} {answer.reason}")
    return EXIT_OK


def call(reference: str, event: Mapping[str, Any]) -> int:
    """Call the function. Raises LookupError where there is none. What it raises itself is shown with its traceback."""
    from corepod.hooks import EVENTS

    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in event.items()}
    del fields["event"]
    function = find(reference)
    try:
        result = function(EVENTS[event["event"]](**fields))
        if inspect.iscoroutine(result):
            import asyncio

            asyncio.run(result)
    except Exception:
        traceback.print_exc()
        return FAILED
    return EXIT_OK


def find(text: str) -> Any:
    """The function. Raises LookupError where there is none, or what its module raises."""
    from corepod.worker.application.reference import AppNotFoundError, find_attribute, import_module, parse

    try:
        reference = parse(text)
        found = find_attribute(import_module(reference.module), reference)
    except AppNotFoundError as error:
        raise LookupError(str(error)) from None
    if not callable(found):
        raise LookupError(f"{text} is no function")
    return found


if __name__ == "__main__":
    sys.exit(main())
