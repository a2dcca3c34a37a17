"""`corepod operator --once`: size all workloads once, show how, and exit."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from corepod.contract.exits import EXIT_INTERNAL, EXIT_OK
from corepod.operator.admin import status
from corepod.operator.api.autoscaler import node_groups
from corepod.operator.api.cluster import Cluster
from corepod.operator.api.errors import ClusterError
from corepod.operator.api.events import Events
from corepod.operator.api.informers import Informers
from corepod.operator.apply import Applier
from corepod.operator.loop import ControlLoop, Round, Wake
from corepod.operator.sizing.engine import Sizing

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.operator.api.transport import Transport
    from corepod.operator.options import Options


class Found(NamedTuple):
    """What was decided. `node_groups`: those of a cluster-autoscaler. `failed`: whether a write has failed."""

    last: Round
    node_groups: list[str]
    failed: bool


def once(chosen: Options, transport: Transport, log: Callable[[str], None]) -> int:
    """Size all workloads once and show how. Returns the exit code."""
    try:
        found = decide(chosen, transport, log)
    except ClusterError as error:
        print(f"corepod operator: {error}", file=sys.stderr)
        return EXIT_INTERNAL
    show(found, as_json=chosen.json)
    return EXIT_INTERNAL if found.failed else EXIT_OK


def decide(chosen: Options, transport: Transport, log: Callable[[str], None]) -> Found:
    """The decisions about all workloads, made once and written unless `chosen` says otherwise. Raises ClusterError."""
    cluster = Cluster(transport)
    informers = Informers(
        cluster, namespaces=chosen.namespace, seconds=chosen.watch_seconds, changed=lambda: None, log=log
    )
    events = Events(cluster, "once", log)
    # The table shows what was decided, so the log has only failures.
    applier = Applier(cluster, events, lambda line: None, lambda: True, dry=chosen.dry_run)
    loop = ControlLoop(informers, Sizing(chosen.scale_down_wait), applier, Wake(), lambda: True, log)
    informers.read_once()
    loop.reconcile(0.0)
    events.flush()
    for key, failures in applier.failures.items():
        log(f"{key}: {failures.message}")
    assert loop.last is not None
    return Found(loop.last, node_groups(cluster), bool(applier.failed))


def show(found: Found, *, as_json: bool, name: str = "") -> None:
    """Print the decisions, or those about the workload of this name."""
    snapshot, groups = found.last.snapshot, found.node_groups
    decisions = [decision for decision in found.last.decisions if name in ("", decision.key.name)]
    if as_json:
        workloads = [status.workload(snapshot, decision, nodes=True) for decision in decisions]
        sys.stdout.write(status.dump({"workloads": workloads, "autoscaler_node_groups": groups}))
        return
    from rich.console import Console

    from corepod.operator.admin import table

    console = Console() if sys.stdout.isatty() else Console(width=140)
    with console.capture() as drawn:  # rich would end the command itself when nobody reads on
        table.show(snapshot, decisions, console)
        if groups:
            text = f"\ncluster-autoscaler resizes the node groups {', '.join(groups)}"
            console.print(text, highlight=False, markup=False)
    print(drawn.get(), end="")
