"""Cores as cells: none is lost, none is shown twice, and lines fit into any window."""

from __future__ import annotations

from typing import Any

import pytest
from corepod.kubectl.draw import lines
from corepod.kubectl.grid import Cell, Look, NodeFacts, document, rows, workers
from corepod.kubectl.pods import Pod, decode
from corepod.kubectl.reading import Reading, Slot


def pod(name: str = "web-5d8f-aaaaa", node: str = "a", **changes: Any) -> Pod:
    whole = Pod(name, "shop", name, node, "worker", 9000, "", True, 0, "", 0, None)
    return whole._replace(**changes)


def slot(number: int = 0, core: int | None = None, **changes: Any) -> Slot:
    return Slot(number, core, "ready", 0, 1.0, 1 << 20, 0)._replace(**changes)


def reading(*slots: Slot) -> Reading:
    return Reading(1.0, 1.0, slots)


def look(*found: tuple[Pod, Reading | None], nodes: list[NodeFacts] | None = None, fault: str = "") -> Look:
    all_workers = [w for each, read in found for w in workers(each, read, {0: 0.5}, fault)]
    return Look(1_700_000_000.0, nodes, all_workers, [])


def test_cores_and_the_gaps_between_them() -> None:
    seen = look(
        (pod("one"), reading(slot(core=1))),
        (pod("two"), reading(slot(core=4))),
        (pod("loose"), reading(slot())),
        nodes=[NodeFacts("a", 6), NodeFacts("empty", 2)],
    )
    [a, empty] = rows(seen)
    assert [(c.core, c.last, c.worker.pod if c.worker else None) for c in a.cells] == [
        (0, 0, None), (1, 1, "one"), (2, 3, None), (4, 4, "two"), (5, 5, None), (None, None, "loose"),
    ]  # fmt: skip
    assert (empty.node, empty.cells) == ("empty", [Cell(0, 1, None)])


def test_two_workers_that_claim_one_core_are_both_shown() -> None:
    [row] = rows(
        look((pod("one"), reading(slot(core=0))), (pod("two"), reading(slot(core=0))), nodes=[NodeFacts("a", 1)])
    )
    assert [cell.worker and cell.worker.pod for cell in row.cells] == ["one", "two"]


def test_without_the_right_to_list_nodes_they_are_those_of_the_pods() -> None:
    [row] = rows(look((pod(), reading(slot(core=2)))))
    assert (row.node, row.cores, len(row.cells)) == ("a", None, 1)


def test_a_pod_without_a_node_comes_last() -> None:
    waiting = pod("waiting", node="", state="Pending", ready=False)
    found = rows(look((waiting, None), (pod(), reading(slot())), nodes=[NodeFacts("z", 2)]))
    assert [row.node for row in found] == ["a", "z", ""]
    [cell] = found[-1].cells
    assert cell.worker is not None
    assert (cell.worker.state, cell.worker.slot) == ("Pending", None)


def test_deaths_of_former_supervisors_count() -> None:
    [worker] = workers(pod(deaths=7), reading(slot(restarts=2)), {}, "")
    assert worker.restarts == 7
    each = workers(pod(deaths=7), reading(slot(0, restarts=2), slot(1, restarts=3)), {}, "")
    assert [worker.restarts for worker in each] == [2, 3]


def test_a_pod_that_has_stopped_answering_is_silent() -> None:
    [worker] = workers(pod(), reading(slot(core=1)), {0: 0.5}, "timed out")
    assert (worker.state, worker.core, worker.cpu, worker.why) == ("silent", 1, None, "timed out")
    # What was read before its container ended is no longer so.
    [worker] = workers(pod(state="CrashLoopBackOff"), reading(slot(core=1)), {}, "")
    assert (worker.state, worker.core) == ("CrashLoopBackOff", None)


def test_the_document_is_for_programs() -> None:
    found = document(look((pod(), reading(slot(core=0))), nodes=[NodeFacts("a", 1)]))
    [node] = found["nodes"]
    assert (node["node"], node["cores"]) == ("a", 1)
    assert node["workers"][0] | {"core": 0, "cpu": 0.5, "pod": "web-5d8f-aaaaa"} == node["workers"][0]


@pytest.mark.parametrize("width", [1, 20, 40, 60, 80, 120, 200])
@pytest.mark.parametrize("namespaces", [True, False])
def test_no_line_is_wider_than_the_window(width: int, namespaces: bool) -> None:
    names = [f"shop-corepod-with-a-long-name-5d8f9c7b-{n:05}" for n in range(9)]
    found = [(pod(name), reading(slot(core=n))) for n, name in enumerate(names)]
    seen = look(*found, nodes=[NodeFacts("a", 64)], fault="")
    drawn = lines(seen, "namespace shop", width, namespaces=namespaces)
    assert max(line.cell_len for line in drawn) <= width
    if width >= 80:
        text = "\n".join(line.plain for line in drawn)
        assert all(name[-5:] in text for name in names)
        assert "9-63" in text


def test_wide_windows_have_cells_beside_each_other() -> None:
    found = [(pod(f"web-{n}"), reading(slot(core=n))) for n in range(4)]
    tall, flat = (lines(look(*found), "", width, namespaces=False) for width in (50, 200))
    assert len(flat) == 4  # title, nothing, head, and one row
    assert len(tall) == 7


def test_why_a_pod_is_silent_is_below_the_grid() -> None:
    seen = look(*[(pod(f"web-{n}"), None) for n in range(5)], fault="connection\x1b[2J refused")
    text = [line.plain for line in lines(seen, "", 200, namespaces=False)]
    assert text[-4].startswith("web-0 doesn't answer: connection")
    assert text[-1] == "2 more pods don't answer"
    assert "\x1b" not in "".join(text)


def test_a_pod_of_the_api() -> None:
    item = {
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "u", "annotations": {
            "corepod.dev/worker-restarts-total": "3", "corepod.dev/worker-restarts-seen": "1700000000.5/3",
            "corepod.dev/last-worker-restart": "signal SIGKILL (2026-01-01T00:00:00Z)"}},
        "spec": {"nodeName": "a", "containers": [
            {"name": "proxy"}, {"name": "web", "ports": [{"name": "admin", "containerPort": 9100}]}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [
            {"name": "web", "restartCount": 1, "state": {"running": {}}, "lastState": {"terminated": {
                "exitCode": 5, "reason": "Error", "finishedAt": "2026-01-01T00:00:00Z"}}}]},
    }  # fmt: skip
    found = decode(item)
    assert (found.container, found.port, found.ready, found.deaths, found.runs) == ("web", 9100, True, 3, True)
    assert found.last_stop is not None
    assert (found.last_stop.code, found.container_restarts) == (5, 1)
    item["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}  # type: ignore[index]
    assert decode(item).state == "CrashLoopBackOff"
    assert decode({"metadata": {"name": "bare"}}).state == "Unknown"
    item["metadata"]["annotations"] |= {"corepod.dev/worker-restarts-total": "9" * 10_000}  # type: ignore[index]
    assert decode(item).deaths == 0
