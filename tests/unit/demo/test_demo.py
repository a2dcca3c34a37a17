"""The sample application: real results, bounded parameters, who answered, and crashes only where they are wanted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import corepod
import httpx
import pytest
from corepod.contract.scoreboard import IN_FLIGHT
from corepod.demo import app
from corepod.demo.report import MOST_ORDERS, PRICES, quantile, sales_report
from corepod.demo.who import running_core
from websockets.sync.client import connect

from tests.unit.served import DEADLINE, Served, until

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOP_THREAD = "served"
ME = {"slot": 2, "worker": 7, "core": 1, "restarts": 3, "pid": 4711}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served(app, keep_alive=60.0) as served:
        yield served


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url(), timeout=DEADLINE) as client:
        yield client


@pytest.fixture
def in_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corepod, "this_worker", lambda: corepod.Worker(**ME))


# The report


def test_the_report_adds_up() -> None:
    report = sales_report(5000)
    assert report["orders"] == 5000
    total = report["revenue_cents"]
    assert total == sum(report["by_month"]) == sum(report["by_region"].values()) == sum(report["by_product"].values())
    assert set(report["by_product"]) == set(PRICES)
    assert 0 < report["order_value_cents"]["median"] <= report["order_value_cents"]["p95"]
    best = [customer["revenue_cents"] for customer in report["best_customers"]]
    assert best == sorted(best, reverse=True)
    assert len(best) == 3


def test_the_report_depends_on_its_size_alone() -> None:
    assert sales_report(1000) == sales_report(1000)
    assert sales_report(1000)["revenue_cents"] == 42_920_115
    assert sales_report(1000) != sales_report(1001)


def test_a_report_of_one_order() -> None:
    report = sales_report(1)
    assert [customer["revenue_cents"] for customer in report["best_customers"]] == [report["revenue_cents"]]


@pytest.mark.parametrize(
    ("counts", "share", "value"),
    [({5: 1}, 0.5, 5), ({1: 50, 9: 50}, 0.5, 1), ({1: 49, 9: 51}, 0.5, 9), ({1: 95, 2: 5}, 0.95, 1), ({}, 0.5, 0)],
)
def test_quantile(counts: dict[int, int], share: float, value: int) -> None:
    assert quantile(Counter(counts), share) == value


@pytest.mark.parametrize("path", ["/generate-report", "/generate-report/blocking"])
def test_generate_report(client: httpx.Client, path: str) -> None:
    answer = client.get(path, params={"size": 2000}).json()
    assert answer["report"] == sales_report(2000)
    assert 0 < answer["cpu_seconds"] <= answer["duration_seconds"] + 0.01
    assert answer["blocking"] is path.endswith("blocking")
    assert {"pid", "worker", "slot", "core"} <= set(answer)


@pytest.mark.parametrize("path", ["/generate-report", "/generate-report/blocking"])
@pytest.mark.parametrize("size", ["0", "-1", "abc", "", "1.5", "1e3", str(MOST_ORDERS + 1), "9" * 5000, "nan"])
def test_a_size_that_is_none(client: httpx.Client, path: str, size: str) -> None:
    answer = client.get(path, params={"size": size})
    assert answer.status_code == 400
    assert answer.text.startswith("size has to be a whole number from 1 to 5000000, not ")
    assert len(answer.text) < 150


def test_one_report_is_made_in_a_thread_and_the_other_in_the_loop(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corepod.demo.sales_report", lambda orders: threading.current_thread().name)
    assert client.get("/generate-report").json()["report"] != LOOP_THREAD
    assert client.get("/generate-report/blocking").json()["report"] == LOOP_THREAD


# Who answers


def test_outside_a_pool(client: httpx.Client) -> None:
    answer = client.get("/whoami")
    me = answer.json()
    assert (me["worker"], me["slot"], me["restarts"], me["pinned"]) == (None, None, None, False)
    assert answer.headers["x-corepod-pid"] == str(me["pid"])
    assert "x-corepod-worker" not in answer.headers


def test_in_a_pool(client: httpx.Client, in_pool: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAME", "shop-5d8f")
    monkeypatch.setenv("NODE_NAME", "node-3")
    answer = client.get("/whoami")
    me = answer.json()
    assert {key: me[key] for key in ("slot", "worker", "restarts", "pinned")} == {
        "slot": 2,
        "worker": 7,
        "restarts": 3,
        "pinned": True,
    }
    assert (me["pod"], me["node"]) == ("shop-5d8f", "node-3")
    headers = {key: answer.headers[f"x-corepod-{key}"] for key in ("slot", "worker", "core", "pid")}
    assert headers == {"slot": "2", "worker": "7", "core": "1", "pid": "4711"}


def test_the_core_that_runs_this_thread() -> None:
    allowed = os.sched_getaffinity(0)
    core = min(allowed)
    os.sched_setaffinity(0, {core})
    try:
        assert running_core() == core
    finally:
        os.sched_setaffinity(0, allowed)


def test_even_errors_say_who_answered(client: httpx.Client) -> None:
    for path in ("/nowhere", "/wait?seconds=99"):
        assert "x-corepod-pid" in client.get(path).headers


# The page


def test_the_page_for_browsers(client: httpx.Client, in_pool: None) -> None:
    answer = client.get("/", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["cache-control"] == "no-store"
    assert "worker 7, slot 2, core" in answer.text
    assert "WHO_ANSWERED" not in answer.text
    assert not re.search(r"(src|href)=\"(https?:)?//", answer.text), "nothing comes from elsewhere"
    for link in re.findall(r'href="(/[^"]*)"', answer.text):
        assert client.get(quick(link)).status_code == 200, link


def test_json_for_curl(client: httpx.Client) -> None:
    answer = client.get("/", headers={"accept": "*/*"})
    assert "pid" in answer.json()
    assert answer.text.endswith("\n")
    for path in answer.json()["endpoints"]:
        if path not in ("/ws", "/crash?mode=exit"):
            assert client.get(quick(path)).status_code == 200, path


def quick(path: str) -> str:
    """The same with less to do."""
    return re.sub("(size|count)=[0-9]+", r"\1=1", path.replace("&amp;", "&")).replace("seconds=1", "seconds=0")


# Waiting, streaming, WebSocket


def test_waiting_is_no_work(client: httpx.Client) -> None:
    answer = client.get("/wait", params={"seconds": "0.02"}).json()
    assert answer["duration_seconds"] >= 0.02
    assert "gain nothing" in answer["note"]


def test_one_worker_waits_for_many_at_once(served: Served) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            sock = stack.enter_context(served.connect())
            sock.sendall(b"GET /wait?seconds=8 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        until(lambda: served.words[IN_FLIGHT] == 20, "all wait")
        until(lambda: not served.words[IN_FLIGHT], "all are answered")


@pytest.mark.parametrize("seconds", ["-1", "31", "nan", "inf", "soon", ""])
def test_bad_seconds(client: httpx.Client, seconds: str) -> None:
    answer = client.get("/wait", params={"seconds": seconds})
    assert answer.status_code == 400
    assert "seconds has to be a number from 0 to 30" in answer.text


def test_stream(client: httpx.Client) -> None:
    with client.stream("GET", "/stream", params={"count": 3, "interval": 0}) as answer:
        lines = list(answer.iter_lines())
    assert [line.split(",")[0] for line in lines] == ['{"line": 1', '{"line": 2', '{"line": 3']


@pytest.mark.parametrize("query", ["count=0", "count=1001", "interval=-1", "interval=11", "count=x"])
def test_bad_stream(client: httpx.Client, query: str) -> None:
    assert client.get(f"/stream?{query}").status_code == 400


def test_websocket(served: Served, in_pool: None) -> None:
    with connect(f"ws://127.0.0.1:{served.port}/ws", open_timeout=DEADLINE, close_timeout=DEADLINE) as socket:
        answers = [json.loads(socket.recv(DEADLINE))]
        for message in ("one", b"two \xff"):
            socket.send(message)
            answers.append(json.loads(socket.recv(DEADLINE)))
    assert answers[0]["hello"]["worker"] == 7
    assert [(answer["echo"], answer["worker"]) for answer in answers[1:]] == [("one", 7), ("two \ufffd", 7)]


def test_healthz(client: httpx.Client) -> None:
    assert client.get("/healthz").text == "ok\n"


# Crashes


def test_crashes_are_switched_off(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COREPOD_DEMO_CRASH", raising=False)
    answer = client.get("/crash", params={"mode": "exit"})
    assert answer.status_code == 404
    assert "COREPOD_DEMO_CRASH=1" in answer.text


@pytest.fixture
def crash(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("COREPOD_DEMO_CRASH", "1")
    return lambda query: client.get(f"/crash?{query}")


def test_crashes_that_the_worker_survives(crash: Any) -> None:
    assert crash("mode=exception").status_code == 500
    assert crash("mode=hang&seconds=0.01").json()["survived"] == "hung 0.01 s"
    assert crash("mode=block&seconds=0.01").json()["survived"] == "computed 0.01 s"
    assert crash("mode=oom&mb=16").json()["survived"].endswith("MB allocated and kept")
    assert crash("mode=signal&signal=SIGWINCH").json()["survived"] == "SIGWINCH"


def test_hanging_uses_no_cpu_and_blocking_does(crash: Any) -> None:
    used = {}
    # The second one longer: a busy machine may leave it a small part of a core.
    for mode, seconds in (("hang", 0.3), ("block", 2)):
        before = time.process_time()
        crash(f"mode={mode}&seconds={seconds}")
        used[mode] = time.process_time() - before
    assert used["hang"] < used["block"]


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("", "mode has to be one of exit, signal, exception, oom, hang, block"),
        ("mode=fire", "mode has to be one of"),
        ("mode=exit&code=256", "code has to be a whole number from 0 to 255"),
        ("mode=signal&signal=9", "signal has to be one of"),
        ("mode=oom&mb=0", "mb has to be a whole number"),
        ("mode=hang&seconds=nan", "seconds has to be a number"),
    ],
)
def test_bad_crashes(crash: Any, query: str, fault: str) -> None:
    answer = crash(query)
    assert answer.status_code == 400
    assert fault in answer.text


# Under a server of another kind


@pytest.mark.parametrize(
    ("query", "code"), [("mode=exit&code=7", 7), ("mode=signal", -signal.SIGKILL), ("mode=signal&signal=SIGSEGV", -11)]
)
def test_under_plain_hypercorn(query: str, code: int) -> None:
    """No pool, no supervisor: everything works, and a crash is one."""
    command = [sys.executable, "-m", "hypercorn", "corepod.demo:app", "--bind", "127.0.0.1:0", "--workers", "0"]
    env = {**os.environ, "COREPOD_DEMO_CRASH": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    try:
        assert process.stdout is not None
        url = next(match[0] for line in process.stdout if (match := re.search(r"http://[0-9.:]+", line)))
        answer = httpx.get(f"{url}/whoami", timeout=DEADLINE)
        assert answer.json()["worker"] is None
        assert answer.headers["x-corepod-pid"] == str(process.pid)
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"{url}/crash?{query}", timeout=DEADLINE)
        assert process.wait(DEADLINE) == code
    finally:
        process.kill()
        process.communicate()
