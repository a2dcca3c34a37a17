"""`corepod operator --once`: size all workloads once, show how, and exit."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_INTERNAL, EXIT_OK
from corepod.operator.admin import status
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


def once(chosen: Options, transport: Transport, log: Callable[[str], None]) -> int:
    """Size all workloads once and show how. Returns the exit code."""
    cluster = Cluster(transport)
    informers = Informers(
        cluster, namespaces=chosen.namespace, seconds=chosen.watch_seconds, changed=lambda: None, log=log
    )
    events = Events(cluster, "once", log)
    # The table shows what was decided, so the log has only failures.
    applier = Applier(cluster, events, lambda line: None, lambda: True, dry=chosen.dry_run)
    loop = ControlLoop(informers, Sizing(chosen.scale_down_wait), applier, Wake(), lambda: True, log)
    try:
        informers.read_once()
        loop.reconcile(0.0)
    except ClusterError as error:
        print(f"corepod operator: {error}", file=sys.stderr)
        return EXIT_INTERNAL
    events.flush()
    for key, failures in applier.failures.items():
        log(f"{key}: {failures.message}")
    if loop.last is not None:
        _show(chosen, loop.last)
    return EXIT_INTERNAL if applier.failed else EXIT_OK


def _show(chosen: Options, last: Round) -> None:
    if chosen.json:
        found = [status.workload(last.snapshot, decision, nodes=True) for decision in last.decisions]
        sys.stdout.write(status.dump({"workloads": found}))
        return
    from rich.console import Console

    from corepod.operator.admin import table

    console = Console() if sys.stdout.isatty() else Console(width=140)
    table.show(last.snapshot, last.decisions, console)
