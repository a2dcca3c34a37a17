"""`kubectl corepod dump POD`: the stacks of all threads and tasks of a pod's workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod.contract import escaping
from corepod.kubectl.access import connect
from corepod.kubectl.execute import execute
from corepod.kubectl.pods import find_one
from corepod.local import output
from corepod.local.pools import add_timeout

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

PATIENCE = 30.0  # seconds for the whole command: several slots are asked one after another


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("pod", metavar="POD", help="name of the pod")
    add_timeout(parser, PATIENCE, "time to wait for the stacks")
    output.add_json(parser, "print a list of JSON objects, one for each worker")


def main(options: Namespace) -> int:
    access = connect(options)
    pod = find_one(access, options.pod)
    command = ["corepod", "dump", *(["--json"] if options.json else [])]
    ended = execute(access.transport, pod, command, within=options.timeout)
    print(escaping.lines(ended.out), end="")
    if ended.err:
        output.complain(f"{pod.name}: {escaping.lines(ended.err.strip())}")
    return ended.code
