"""Nodes as rows, their cores as cells: which worker has which core. Pure: pods and readings in, rows out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from corepod.kubectl.pods import Pod
    from corepod.kubectl.reading import Reading

SILENT = "silent"  # the state of a pod that runs and doesn't answer


class NodeFacts(NamedTuple):
    name: str
    cores: int


class Worker(NamedTuple):
    """A slot of a pod, or a pod of which no slot is known. `cpu` is the share of a core that it uses, None until there
    have been two looks. `why` is what keeps it from answering."""

    namespace: str
    pod: str
    node: str
    slot: int | None
    core: int | None
    state: str
    ready: bool
    cpu: float | None
    restarts: int
    container_restarts: int
    in_flight: int | None
    rss_bytes: int | None
    why: str


class Look(NamedTuple):
    """`at` is in Unix time. `nodes` is None where they can't be listed; `notes` are sentences for people."""

    at: float
    nodes: Sequence[NodeFacts] | None
    workers: Sequence[Worker]
    notes: Sequence[str]


class Cell(NamedTuple):
    """One core with its worker, or several cores in a row without one (`worker` None, from `core` to `last`)."""

    core: int | None
    last: int | None
    worker: Worker | None


class NodeRow(NamedTuple):
    """`cores` is None where the node isn't known; the name is empty for pods that have no node yet."""

    node: str
    cores: int | None
    cells: list[Cell]


def workers(pod: Pod, reading: Reading | None, shares: Mapping[int, float], fault: str) -> Iterator[Worker]:
    """The cells of a pod. `fault` is why it has not answered this time."""
    slots = reading.slots if reading is not None and pod.runs else ()
    whole = Worker(
        namespace=pod.namespace,
        pod=pod.name,
        node=pod.node,
        slot=None,
        core=None,
        state=pod.state or SILENT,
        ready=pod.ready,
        cpu=None,
        restarts=pod.deaths,
        container_restarts=pod.container_restarts,
        in_flight=None,
        rss_bytes=None,
        why=fault,
    )
    if not slots:
        yield whole
    for slot in slots:
        yield whole._replace(
            slot=slot.slot,
            core=slot.core,
            state=SILENT if fault else slot.state,
            cpu=None if fault else shares.get(slot.slot),
            # The operator's number outlives the container, but doesn't say which slot's deaths they were.
            restarts=max(slot.restarts, pod.deaths) if len(slots) == 1 else slot.restarts,
            in_flight=slot.in_flight,
            rss_bytes=slot.rss_bytes,
        )


def rows(look: Look) -> list[NodeRow]:
    """Nodes with workers first, by name; then the nodes without any, and pods that have no node at the end."""
    known = {node.name: node.cores for node in look.nodes or ()}
    by_node: dict[str, list[Worker]] = {name: [] for name in known}
    for worker in look.workers:
        by_node.setdefault(worker.node, []).append(worker)
    order = sorted(by_node, key=lambda name: (not name, not by_node[name], name))
    return [NodeRow(name, known.get(name), _cells(by_node[name], known.get(name))) for name in order]


def _cells(found: Sequence[Worker], cores: int | None) -> list[Cell]:
    pinned = sorted((w for w in found if w.core is not None), key=lambda w: (w.core or 0, w.namespace, w.pod))
    loose = sorted((w for w in found if w.core is None), key=lambda w: (w.namespace, w.pod, w.slot or 0))
    cells, after = list[Cell](), 0
    for worker in pinned:
        assert worker.core is not None
        if cores is not None and worker.core > after:
            cells.append(Cell(after, worker.core - 1, None))
        cells.append(Cell(worker.core, worker.core, worker))
        after = worker.core + 1
    if cores is not None and after < cores:
        cells.append(Cell(after, cores - 1, None))
    return [*cells, *(Cell(None, None, worker) for worker in loose)]


def document(look: Look) -> dict[str, Any]:
    """The view for programs."""
    return {
        "time": round(look.at, 3),
        "nodes": [
            {
                "node": row.node or None,
                "cores": row.cores,
                "workers": [c.worker._asdict() for c in row.cells if c.worker],
            }
            for row in rows(look)
        ],
        "notes": list(look.notes),
    }
