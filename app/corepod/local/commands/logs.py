"""`corepod logs`: the log of a pool, also of one that has ended."""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import json
import os
import time
from typing import TYPE_CHECKING

from corepod.contract import runtime
from corepod.contract.exits import EXIT_FAILED, EXIT_NO_POOL, EXIT_OK
from corepod.local import journal, logfiles, output
from corepod.local.loglines import entries, entries_backwards, styled
from corepod.local.pools import CommandError, add_pool, find, get

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from corepod.local.loglines import Entry

LINES = 50
LOOK = 0.2  # seconds between two looks at a file that is followed
ELSEWHERE = {
    "terminal": "goes to the terminal that it was started in; corepod start, or --log-file, gives it a file",
    "pipe": "goes to a pipe, which the program that started it reads (docker logs, kubectl logs); --log-file gives "
    "it a file",
    "device": "goes to a device, such as /dev/null; --log-file gives it a file",
}


def configure(parser: argparse.ArgumentParser) -> None:
    add_pool(parser, slot=True)
    parser.add_argument("-f", "--follow", action="store_true", help="go on with new lines, over restarts of the pool")
    parser.add_argument("--slot", type=_number, metavar="N", help="only lines of this slot's workers, or about it")
    parser.add_argument(
        "-n",
        "--lines",
        type=_number,
        default=LINES,
        metavar="LINES",
        help=f"show so many of the last lines; a traceback counts as one (default: {LINES})",
    )
    output.add_json(parser, "print an object for each line")


def main(options: argparse.Namespace) -> int:
    pool, slash, slot = (options.pool or "").rpartition("/")
    if slash and slot.isascii() and slot.isdecimal() and not os.path.exists(options.pool):
        options.pool, options.slot = pool or None, int(slot)
    path, unit = _find(options.pool)
    if unit:
        return journal.show(unit, options, show)
    if not logfiles.is_there(path):
        raise CommandError(f"the log file {path} isn't there, or is no file", EXIT_FAILED)
    with contextlib.closing(logfiles.Follower(path)) as follower:
        _print(follower, options)
    return EXIT_OK


def _print(follower: logfiles.Follower, options: argparse.Namespace) -> None:
    wanted = (e for e in entries_backwards(follower.before()) if options.slot is None or e.is_about(options.slot))
    show(reversed(list(itertools.islice(wanted, options.lines))), as_json=options.json)
    while options.follow:
        new = (e for e in entries(follower.lines()) if options.slot is None or e.is_about(options.slot))
        show(new, as_json=options.json)
        time.sleep(LOOK)


def show(found: Iterable[Entry], *, as_json: bool) -> None:
    """Print these entries, in colours on a terminal."""
    colours = None if as_json else _console()
    for entry in found:
        if as_json:
            print(json.dumps(entry.record()))
        elif colours is not None:
            for line in entry.lines:
                colours.print(styled(line.encode()), soft_wrap=True)
        else:
            print("\n".join(entry.lines))
    print(end="", flush=True)


def _find(pool: str | None) -> tuple[str, list[str]]:
    """The path of the log file, or the arguments of journalctl that name the unit whose journal has it."""
    if pool and os.path.isfile(pool):
        return pool, []
    try:
        client = find(pool)
    except CommandError as error:
        return _of_ended(pool, error), []
    try:
        status = get(client, "/status")
    except CommandError as error:  # it is frozen, or ends: its log may say why
        path = _of_ended(client.name, error)
        output.complain(f"{error}; this is in {path}")
        return path, []
    log = status["log"]
    if log["to"] == "file":
        return log["path"], []
    if log["to"] == "journal":
        return "", journal.unit(status["pid"])
    raise CommandError(f"the log of {client.name} {ELSEWHERE[log['to']]}", EXIT_FAILED)


def _of_ended(pool: str | None, error: CommandError) -> str:
    """The log file of a pool that doesn't run any more. Raises CommandError where it isn't found by its name."""
    left = logfiles.existing()
    if pool and (name := runtime.names(pool)[0]) in left:
        return left[name]
    if pool is None and len(left) == 1:
        return next(iter(left.values()))
    if not left or error.code != EXIT_NO_POOL:
        raise error
    raise CommandError(f"{error}; there are logs of {', '.join(left)}", error.code)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


@functools.cache
def _console() -> Console | None:
    return output.console()
