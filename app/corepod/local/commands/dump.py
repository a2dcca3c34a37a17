"""`corepod dump`: the stacks of all threads and tasks of a running or stuck worker."""

from __future__ import annotations

import json
import os
import sysconfig
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from corepod.contract.exits import EXIT_LATE, EXIT_OK
from corepod.local.pools import add_pool, find_slot, get
from corepod.local.stacks import PATIENCE, collect

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from corepod.local.stacks import Group, Stacks

_STDLIB = os.path.join(sysconfig.get_path("stdlib"), "")
_PACKAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "")
_DEMO = os.path.join(_PACKAGE, "demo", "")


def configure(parser: ArgumentParser) -> None:
    add_pool(parser, slot=True)
    parser.add_argument(
        "--timeout",
        type=float,
        default=PATIENCE,
        metavar="SECONDS",
        help=f"time in which each worker has to answer (default: {PATIENCE:g})",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(options: Namespace) -> int:
    client, slot = find_slot(options.pool)
    slots = [slot] if slot else [str(found["slot"]) for found in get(client, "/status")["slots"] if found["pid"]]
    # One after the other: the pool keeps the stacks of a few workers at a time.
    found = [stacks for number in slots for stacks in collect(client, number, options.timeout)]
    if options.json:
        print(json.dumps([stacks.as_json() for stacks in found]))
    else:
        console = Console(highlight=False, soft_wrap=True)
        for stacks in found:
            console.print(shown(client.name, stacks))
    return EXIT_OK if all(stacks.answered for stacks in found) else EXIT_LATE


def shown(pool: str, stacks: Stacks) -> Text:
    """The stacks of one worker for people. The application's own lines stand out."""
    text = Text()
    text.append(f"{pool}/{stacks.slot}: worker {stacks.worker} (pid {stacks.pid})\n", "bold")
    if not stacks.answered:
        why = stacks.kernel or "there is no such process here any more"
        return text.append(f"  it hasn't written its stacks in time; {why}\n", "red")
    for group in stacks.threads:
        _append(text, group)
    if stacks.tasks is None:
        text.append("\nIts tasks can't be shown: the interpreter doesn't answer, it is in a call into C", "yellow")
        text.append(f" ({stacks.kernel})\n" if stacks.kernel else "\n", "yellow")
        return text
    text.append(f"\n{stacks.task_count} task{'' if stacks.task_count == 1 else 's'}\n", "bold")
    for group in stacks.tasks:
        _append(text, group)
    return text


def _append(text: Text, group: Group) -> None:
    if group.title:
        text.append(f"\n{group.title}, most recent call first:\n", "cyan")
    for frame in group.frames:
        place = f"  {frame['file']}:{frame['line'] or '?'} in {frame['function']}\n"
        text.append(place, "bold" if _is_application(frame["file"]) else "dim")
    for note in group.notes:
        text.append(f"  {note}\n", "italic")


def _is_application(file: str) -> bool:
    if file.startswith(_PACKAGE):
        return file.startswith(_DEMO)
    return not file.startswith((_STDLIB, "<")) and "site-packages" not in file
