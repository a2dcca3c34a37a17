"""`kubectl corepod why`: how many pods the nodes hold for a workload, node by node, and why it has the number it has.

The decision is the operator's own code on the same facts, read with the rights of the person who asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_FAILED, EXIT_NO_POOL, EXIT_OK
from corepod.kubectl.access import connect
from corepod.kubectl.pods import suggestion
from corepod.local import output
from corepod.local.pools import CommandError
from corepod.operator import options as operator_options
from corepod.operator.model.names import SIZED
from corepod.operator.once import decide, show

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

DRY = ("--once", "--dry-run")


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("workload", nargs="?", metavar="DEPLOYMENT", help="only this one (or statefulset/NAME)")
    output.add_json(parser)


def main(options: Namespace) -> int:
    access = connect(options)
    chosen = operator_options.parse([*DRY, "--namespace", access.namespace], {})
    found = decide(chosen, access.transport, output.complain)
    name = (options.workload or "").rpartition("/")[2]
    known = [decision.key.name for decision in found.last.decisions]
    if name and name not in known:
        raise CommandError(
            f"the operator sizes no {name} in {access.where}{suggestion(name, known)}; what it sizes has the label "
            f"{SIZED}=true",
            EXIT_NO_POOL,
        )
    show(found, as_json=options.json, name=name)
    return EXIT_FAILED if found.failed else EXIT_OK
