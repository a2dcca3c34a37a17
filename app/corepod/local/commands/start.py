"""`corepod start`: a pool in the background, or one for each application of the settings file."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING

from corepod.config import document
from corepod.config.apps import resolve_all
from corepod.config.resolve import SettingsError
from corepod.contract.exits import EXIT_OK
from corepod.contract.listening import url
from corepod.local import background, launch, output
from corepod.local.pools import CommandError, add_timeout

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from typing import Any

STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)  # the others aren't started then, either


def configure(parser: ArgumentParser) -> None:
    add_timeout(parser, 90, "time to become ready, after which the pool is stopped")
    output.add_json(parser, "print one JSON object a line for each pool that is ready")


def main(flags: dict[str, Any], faults: list[str]) -> int:
    """Returns 0 when every pool is ready, otherwise the code of the first that isn't: the supervisor's exit code or one
    of the commands'. Of several applications the others are started all the same.

    Raises SettingsError.
    """
    timeout, as_json = flags.pop("timeout"), flags.pop("json")
    effectives = resolve_all(flags, os.environ, document.asked_for(flags, os.environ), faults=faults)
    if any(effective.values["reload"] for effective in effectives):
        raise SettingsError(["--reload watches files for development: use corepod dev, or corepod run --reload"])
    prepared = [(effective, launch.prepare(effective)) for effective in effectives]
    code, unwritten = EXIT_OK, None
    for effective, environment in prepared:
        try:
            started = background.start(effective, environment, timeout=timeout)
        except CommandError as error:
            print(f"corepod: {error}", file=sys.stderr)
            code = code or error.code
            if error.code in STOPPED:
                break
        else:
            try:
                print(json.dumps(started) if as_json else describe(started), flush=True)
            except OSError as error:  # nobody reads that; the others are started all the same
                sys.stdout, unwritten = None, error
    if unwritten is not None and code == EXIT_OK:
        raise unwritten
    return code


def describe(started: dict[str, Any]) -> str:
    name = started["name"]
    where = ", ".join(map(url, started["binds"]))
    lines = [f"{name} is ready on {where} (admin {started['admin']}, pid {started['pid']})", f"log: {started['log']}"]
    if started["control"] == "none":
        lines.append(f"it has no control socket, so no command finds it: kill {started['pid']} stops it")
    return "\n".join(lines)
