"""`corepod operator --once`: size everything as it is now, show how, and end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_INTERNAL, EXIT_OK
from corepod.operator import report
from corepod.operator.act import Actor
from corepod.operator.cluster import Cluster
from corepod.operator.errors import ClusterError
from corepod.operator.events import Events
from corepod.operator.known import Known
from corepod.operator.loop import Loop, Wake
from corepod.operator.sizing import Sizing

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.operator.options import Options
    from corepod.operator.transport import Transport


def once(chosen: Options, transport: Transport, tell: Callable[[str], None]) -> int:
    """Size everything as it is now, show how, and end."""
    cluster = Cluster(transport)
    known = Known(cluster, namespace=chosen.namespace, seconds=chosen.watch_seconds, changed=lambda: None, tell=tell)
    events = Events(cluster, "once", tell)
    # The table says what was decided; the log only what went wrong.
    actor = Actor(cluster, events, lambda words: None, lambda: True, dry=chosen.dry_run)
    loop = Loop(known, Sizing(chosen.scale_down_wait), actor, Wake(), lambda: True, tell)
    try:
        known.read_once()
        loop.turn(0.0)
    except ClusterError as error:
        print(f"corepod operator: {error}", file=sys.stderr)
        return EXIT_INTERNAL
    events.flush()
    for key, failures in actor.failures.items():
        tell(f"{key}: {failures.words}")
    _show(chosen, loop)
    return EXIT_INTERNAL if actor.failed else EXIT_OK


def _show(chosen: Options, loop: Loop) -> None:
    if loop.view is None:
        return
    if chosen.json:
        found = [report.workload(loop.view, decision, nodes=True) for decision in loop.decisions]
        sys.stdout.write(report.dump({"workloads": found}))
        return
    from rich.console import Console

    from corepod.operator import table

    console = Console() if sys.stdout.isatty() else Console(width=140)
    table.show(loop.view, loop.decisions, console)
