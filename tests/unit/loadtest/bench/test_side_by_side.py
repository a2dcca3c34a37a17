"""What make balancing does around the cluster: the open loop, its ratios and goals, and what the simulation reads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from loadtest.bench.balancing.measured import compare, stored
from tests.e2e.balance_report import BASE, NAMES, Cell, Plan, document, table_of
from tests.e2e.balancing import idle, requests, systems
from tests.e2e.side_by_side import side_by_side

if TYPE_CHECKING:
    from pathlib import Path


async def _serve(log: list[str], status: bytes, gate: asyncio.Event) -> asyncio.Server:
    """Answers once the gate is open."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        log.append((await reader.readuntil(b"\r\n\r\n")).decode().split()[1])
        await gate.wait()
        writer.write(b"HTTP/1.1 %b\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok" % status)
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


def test_all_servers_get_the_same_requests_without_waiting_for_answers() -> None:
    async def run() -> None:
        gate, logs = asyncio.Event(), {"good": list[str](), "bad": list[str]()}
        servers = {
            name: await _serve(logs[name], status, gate) for name, status in (("good", b"200 OK"), ("bad", b"503 No"))
        }
        urls = {name: f"http://127.0.0.1:{one.sockets[0].getsockname()[1]}" for name, one in servers.items()}
        urls["nobody"] = "http://127.0.0.1:1"
        paths = [f"/{number}" for number in range(20)]
        asked = asyncio.create_task(side_by_side(urls, [number / 1000 for number in range(20)], paths, 1))
        while min(map(len, logs.values())) < 20:  # noqa: ASYNC110 - an open loop: nothing has been answered yet
            await asyncio.sleep(0.01)
        gate.set()
        answers = await asked
        assert sorted(logs["good"]) == sorted(logs["bad"]) == sorted(paths)
        assert [sum(a.good for a in answers[name]) for name in urls] == [20, 0, 0]
        assert all(answer.seconds > 0 for answer in answers["good"])
        for server in servers.values():
            server.close()
            await server.wait_closed()

    asyncio.run(asyncio.wait_for(run(), 60))


def cells(least: float = 0.4) -> list[Cell]:
    found = []
    for service in ("fixed", "exp"):
        cell = Cell(service, 0.7, idle=[0.5, 0.9])
        for factor in (1.0, 2.0):
            for system, seconds in {BASE: 1.0, "least": least, "queue": 0.4, "pool": 0.4, "ideal": 0.4}.items():
                cell.add(system, [factor * seconds] * 3, failed=int(system == BASE))
        found.append(cell)
    return found


@pytest.mark.parametrize(("least", "reached"), [(0.4, [True] * 3), (0.55, [False] * 3), (0.49, [True, True, True])])
def test_ratios_are_those_of_the_rounds_and_goals_of_p99(least: float, reached: list[bool]) -> None:
    tables = table_of(cells(least))
    assert [table.key for table in tables] == ["front-cluster-mean", "front-cluster-p50", "front-cluster-p99"]
    text = f"{least:.2f} ({least:.2f}-{least:.2f})"
    assert tables[0].rows[0] == ["fixed, 70%", "2", text, *["0.40 (0.40-0.40)"] * 3, "50%-90%"]
    assert [goal.reached for goal in tables[-1].goals[:3]] == reached
    assert tables[-1].notes[-1] == "Failed requests: kube-proxy 4, least 0, queue 0, pool 0, ideal 0."


def test_the_document_is_what_the_simulation_is_compared_with(tmp_path: Path) -> None:
    import json

    path = tmp_path / "pods.json"
    path.write_text(json.dumps(document(Plan(fronts=2), cells())))
    compared = compare(stored(path), 3)
    assert {one.system for one in compared} == {"least", "queue", "pool"} == set(NAMES) - {"ideal"}
    assert {one.measured for one in compared if one.system == "least"} == {0.4}


def test_rounds_differ_and_have_the_load() -> None:
    plan, cell = Plan(seconds=60.0), Cell("fixed", 0.7)
    first, second = (requests(plan, cell, number) for number in (0, 1))
    assert first != second
    assert len(first) == 0.7 * 4 * 600
    assert requests(plan, cell, 0) == first


def test_each_system_has_pods_of_its_own() -> None:
    found = systems(Plan(pods=3, fronts=1), "mine")
    assert {name: values.get("replicas") for name, (_, values) in found.items()} == {
        BASE: 3,
        "least": 3,
        "queue": 3,
        "pool": 1,
    }
    assert len({release.full_name for release, _ in found.values()}) == 4
    assert found["pool"][1]["cpu"]["slots"] == 3
    assert found["queue"][1]["front"]["concurrency"] == 1
    assert all(values["image"]["tag"] == "mine" for _, values in found.values())


def test_idle_is_a_share_of_all_cpu() -> None:
    assert idle([0] * 8, [30, 0, 10, 50, 10, 0, 0, 0]) == 0.6
