"""A front before several pools: a real HAProxy with the configuration that `corepod front` writes."""

from __future__ import annotations

import os
import re
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.process.haproxy import Fronts, Haproxy
from tests.process.harness import CLIENT
from tests.process.traffic import Queued, Traffic, is_free
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.process.background import Machine
    from tests.process.harness import Pool

ROOT = Path(__file__).parents[2]
LAME_DUCK = ("--lame-duck", "3")
KEPT = pytest.mark.parametrize("keep_alive", [True, False], ids=["kept", "new"])


@pytest.fixture
def fronts(user: Machine, start: Callable[..., Pool], tmp_path: Path) -> Iterator[Fronts]:
    with ExitStack() as stack:
        made = Fronts(start, user, tmp_path, stack)
        yield made
        made.end_pools()


def exchanged(text: str, old: str, new: str) -> str:
    assert old in text, text
    return text.replace(old, new)


def deaths(pools: list[Pool]) -> int:
    """Of all workers, when each slot has its next one."""
    return sum(pool.ready().slot()["restarts"] for pool in pools)


def until_dead(pools: list[Pool], number: int) -> None:
    """Until so many workers have died, and no more: the client has its answer before the pool knows of the death."""
    until(lambda: deaths(pools) >= number, f"{number} workers have died")
    for pool in pools:
        assert pool.get("/").status_code == 200
    assert deaths(pools) == number


def in_flight(pools: list[Pool]) -> list[int]:
    return [pool.slot()["in_flight"] for pool in pools]


# Who gets a request


@pytest.mark.parametrize(
    ("balance", "fair"), [("leastconn", True), ("first", False)], ids=["least connections", "control"]
)
def test_the_pool_with_the_fewest_requests_gets_the_next(
    fronts: Fronts, tmp_path: Path, balance: str, fair: bool
) -> None:
    pools, go = fronts.pools(3, "duties:app", "--standby", "none"), tmp_path / "go"
    front = fronts.front(pools, "--balance", balance)
    held = [Queued(front.port, 3, f"/until?path={go}") for _ in range(2)]
    until(lambda: sum(in_flight(pools)) == 6, "they are in flight")
    assert in_flight(pools) == ([2, 2, 2] if fair else [6, 0, 0])
    go.touch()
    assert all(map(str.isdecimal, held[0].answers() + held[1].answers()))


@pytest.mark.parametrize("limit", ["1", "0"], ids=["one at a time", "control"])
def test_a_slot_gets_as_many_requests_at_once_as_it_may(fronts: Fronts, limit: str) -> None:
    front = fronts.front(fronts.pools(2, "duties:app", "--standby", "none"), "--concurrency", limit)
    with Traffic(front.port, "/at_once", clients=6) as traffic:
        traffic.more(100)
    assert not traffic.failures
    assert (set(traffic.answers) == {"1"}) is (limit == "1"), traffic.answers


def test_who_waits_too_long_for_a_slot_gets_503(fronts: Fronts, tmp_path: Path) -> None:
    [pool] = fronts.pools(1)
    front = fronts.front([pool], "--concurrency", "1", "--queue-timeout", "0.5")
    held = Queued(front.port, 1, f"/until?path={tmp_path}/go")
    until(lambda: in_flight([pool]) == [1], "the slot is taken")
    assert front.get("/pid").status_code == 503
    (tmp_path / "go").touch()
    assert held.answers() == [str(pool.slot()["pid"])]
    assert front.get("/pid").status_code == 200
    assert pool.slot()["requests"] == 2, "the one that waited never came to the pool"


# Deaths of workers


@KEPT
def test_a_dead_worker_fails_no_get(fronts: Fronts, keep_alive: bool) -> None:
    pools = fronts.pools(3)
    front = fronts.front(pools)
    with Traffic(front.port, "/sleep?s=0.05", clients=4, keep_alive=keep_alive) as traffic:
        for number in range(9):
            # Also what was lost before has been answered by now: a request isn't sent a third time.
            traffic.each(3)
            pools[number % 3].kill_worker()
        traffic.each(3)
    assert not traffic.failures
    assert front.total("wretr") > 0, "no request was lost"


def test_a_dead_worker_fails_a_get_without_retries(fronts: Fronts) -> None:
    [pool] = fronts.pools(1)
    front = fronts.front([pool], "--no-retries")
    held = Queued(front.port, 1, "/never")
    until(lambda: in_flight([pool]) == [1], "it is in flight")
    pool.kill_worker()
    assert "502 Bad Gateway" in held.answers()[0]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_request_that_kills_takes_two_workers_and_then_one(fronts: Fronts, method: str) -> None:
    pools = fronts.pools(3)
    front = fronts.front(pools)
    for killed in (2, 3, 4):
        assert front.ask(method, "/kill").status_code == 502
        until_dead(pools, killed)


def test_a_post_is_not_sent_again(fronts: Fronts) -> None:
    pools = fronts.pools(2)
    front = fronts.front(pools)
    assert front.ask("POST", "/kill").status_code == 502
    until_dead(pools, 1)
    # Nor does it count against a GET of its path, which is sent again.
    assert front.ask("GET", "/kill").status_code == 502
    until_dead(pools, 3)


@pytest.mark.parametrize("again", [False, True], ids=["as written", "control"])
def test_a_request_that_is_late_is_not_sent_again(fronts: Fronts, again: bool) -> None:
    def change(text: str) -> str:
        text = re.sub(r"timeout server \d+s", "timeout server 1s", text)
        return exchanged(text, "empty-response", "empty-response response-timeout") if again else text

    pools = fronts.pools(2)
    front = fronts.front(pools, change=change)
    assert front.get("/never").status_code == 504
    for pool in pools:  # whatever has come to its socket before has been accepted then
        assert pool.get("/pid").status_code == 200
    assert sum(pool.slot()["accepted"] for pool in pools) - len(pools) == (2 if again else 1)


# What the checks say


def test_a_drain_shows_in_one_check_and_a_restart_in_none(fronts: Fronts, tmp_path: Path) -> None:
    """A check that follows a change comes 10 s later: what shows before that, one check has found out."""
    go = tmp_path / "go"
    go.touch()
    args = ("--standby", "none", "--lame-duck", "60", "--stop-timeout", "90")
    restarts, drains = fronts.pools(2, "duties:app", *args, env={"START_WHEN": str(go)})
    slow = fronts.front(
        [restarts, drains], change=lambda text: exchanged(text, "fastinter 200ms", "fastinter 10s"), falls=True
    )
    name, before = fronts.name(restarts), slow.rows()[fronts.name(restarts)]["chkfail"]
    down = slow.total("chkdown")
    go.unlink()
    os.kill(restarts.slot()["pid"], signal.SIGKILL)
    until(lambda: int(slow.rows()[name]["chkfail"]) > int(before), "a check has failed")
    assert slow.status(name).startswith("UP")
    go.touch()
    slow.until_status(name, "UP")
    drains.signal(signal.SIGTERM)
    slow.until_status(fronts.name(drains), "NOLB")
    assert slow.total("chkdown") == down
    assert {slow.get("/pid").text for _ in range(4)} == {str(restarts.slot()["pid"])}


@pytest.mark.parametrize("lame_duck", ["0", "3"])
@KEPT
def test_a_pool_that_stops_fails_no_request(fronts: Fronts, lame_duck: str, keep_alive: bool) -> None:
    pools = fronts.pools(2, "duties:app", "--lame-duck", lame_duck)
    front = fronts.front(pools)
    with Traffic(front.port, clients=4, keep_alive=keep_alive) as traffic:
        traffic.more(20)
        assert pools[0].stop() == 0
        traffic.more(20)
    assert not traffic.failures


def test_a_pool_that_is_gone_is_left_at_once(fronts: Fronts) -> None:
    """Even before a check has noticed, and with requests that may not be repeated: none has begun."""
    pools = fronts.pools(2)
    front = fronts.front(pools, change=lambda text: exchanged(text, "inter 500ms fastinter 200ms", "inter 10s"))
    port = pools[0].port
    os.kill(pools[0].supervisor, signal.SIGKILL)
    pools[0].wait()
    until(lambda: is_free(port), "its workers are gone")
    alive = str(pools[1].slot()["pid"])
    answers = [front.ask("POST", "/pid") for _ in range(6)]
    assert [(answer.status_code, answer.text) for answer in answers] == [(200, alive)] * 6
    assert front.status(fronts.name(pools[0])).startswith("UP")
    assert front.total("wredis") > 0


@pytest.mark.parametrize("fallback", [True, False], ids=["as written", "control"])
def test_pools_serve_while_none_passes_its_check(fronts: Fronts, fallback: bool) -> None:
    pools = fronts.pools(2)
    front = fronts.front(
        pools,
        change=lambda text: text if fallback else re.sub("^ *use_backend fallback.*", "", text, flags=re.MULTILINE),
        falls=True,
    )
    for pool in pools:
        assert pool.get("/set_ready?ready=0&why=tired").status_code == 200
    for pool in pools:
        front.until_status(fronts.name(pool), "DOWN")
    assert front.get("/pid").status_code == (200 if fallback else 503)
    for pool in pools:
        assert pool.get("/set_ready?ready=1").status_code == 200
        front.until_status(fronts.name(pool), "UP")
    before = front.total("stot", "fallback")
    assert front.get("/pid").status_code == 200
    assert front.total("stot", "fallback") == before


def test_pools_that_all_drain_are_asked_to_their_end(fronts: Fronts) -> None:
    pools = fronts.pools(2, "duties:app", "--lame-duck", "60", "--stop-timeout", "90")
    front = fronts.front(pools)
    for pool in pools:
        pool.signal(signal.SIGTERM)
    for pool in pools:
        front.until_status(fronts.name(pool), "NOLB")
    assert front.get("/pid").status_code == 200
    for pool in pools:
        pool.signal(signal.SIGQUIT)
        pool.wait()
    assert front.get("/pid").status_code == 503


# The front itself


@KEPT
def test_a_reload_of_the_front_fails_no_request(fronts: Fronts, keep_alive: bool) -> None:
    pools = fronts.pools(2)
    front = fronts.front(pools, mode="-Ws")
    workers = front.workers()
    with Traffic(front.port, clients=4, keep_alive=keep_alive) as traffic:
        traffic.more(20)
        front.process.send_signal(signal.SIGUSR2)
        until(lambda: (now := front.workers()) and not now & workers, lambda: f"another worker\n{front.output}")
        traffic.more(20)
    assert not traffic.failures


# Clients


def sticks(front: Haproxy, cookies: dict[str, str], count: int = 4) -> set[int]:
    """Which workers answer this client."""
    found = set()
    for _ in range(count):
        answer = front.get("/pid", headers={"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())})
        assert answer.status_code == 200
        cookies.update(dict(answer.cookies))
        found.add(answer.json())
    return found


def test_a_client_sticks_to_its_pool_until_that_is_gone(fronts: Fronts) -> None:
    pools = fronts.pools(3, "duties:app", "--lame-duck", "60", "--stop-timeout", "90")
    front = fronts.front(pools, "--sticky", "PLACE")
    clients: list[dict[str, str]] = [{} for _ in range(3)]
    for cookies in clients:
        assert len(sticks(front, cookies)) == 1
    assert {cookies["PLACE"] for cookies in clients} == {fronts.name(pool) for pool in pools}
    assert len(sticks(front, {"PLACE": "nowhere"})) == 1

    [mine] = sticks(front, clients[0])
    [pool] = [pool for pool in pools if pool.slot()["pid"] == mine]
    pool.signal(signal.SIGTERM)
    front.until_status(fronts.name(pool), "NOLB")
    assert sticks(front, clients[0]) == {mine}, "it stays as long as the pool does"
    assert mine not in {front.get("/pid").json() for _ in range(6)}, "others don't go there"
    pool.signal(signal.SIGQUIT)
    pool.wait()
    [other] = sticks(front, clients[0])
    assert other != mine
    assert clients[0]["PLACE"] != fronts.name(pool)


def test_a_client_sticks_to_a_pool_whose_worker_dies(fronts: Fronts) -> None:
    cookies: dict[str, str] = {}
    pools = fronts.pools(3)
    front = fronts.front(pools, "--sticky", "PLACE")
    sticks(front, cookies)
    place = cookies["PLACE"]
    [pool] = [pool for pool in pools if fronts.name(pool) == place]
    pool.kill_worker()
    assert sticks(front, cookies) == {pool.slot()["pid"]}
    assert cookies["PLACE"] == place


DIRECT, REPORTED = {"client": "127.0.0.9", "scheme": "http"}, {"client": "1.2.3.4", "scheme": "https"}
FORGED = {"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "forged.example"}


def seen(front: Haproxy) -> dict[str, Any]:
    """What the application sees of a client at 127.0.0.9 that writes headers of a proxy."""
    transport = httpx.HTTPTransport(local_address="127.0.0.9")
    with httpx.Client(transport=transport, timeout=DEADLINE, trust_env=False) as client:
        found: dict[str, Any] = client.get(f"http://127.0.0.1:{front.port}/echo", headers=FORGED).json()
    return {key: found[key] for key in ("client", "scheme")} | {"client": found["client"][0]}


@pytest.mark.parametrize(
    ("trusts", "seen_with"),
    [
        (
            "loopback",
            {(): DIRECT, ("--trusted-proxies", "127.0.0.9"): REPORTED, ("--trusted-proxies", "10.0.0.0/8"): DIRECT},
        ),
        ("none", {(): {"client": "127.0.0.1", "scheme": "http"}}),
        ("127.0.0.1", {(): DIRECT}),
    ],
    ids=["loopback", "none", "address"],
)
def test_the_application_sees_the_client(
    fronts: Fronts, trusts: str, seen_with: dict[tuple[str, ...], dict[str, str]]
) -> None:
    pools = fronts.pools(1, "duties:app", "--trusted-proxies", trusts)
    for options, expected in seen_with.items():
        assert seen(fronts.front(pools, *options)) == expected, options


def test_a_websocket_goes_through_and_is_told_of_a_stop(fronts: Fronts) -> None:
    pools = fronts.pools(1, "duties:app", *LAME_DUCK)
    front = fronts.front(pools)
    with connect(f"ws://127.0.0.1:{front.port}/", proxy=None) as socket:
        socket.send("hello")
        assert socket.recv(timeout=DEADLINE) == "hello"
        pools[0].signal(signal.SIGTERM)
        with pytest.raises(Exception, match="1012"):
            socket.recv(timeout=DEADLINE)


def test_a_pool_on_a_unix_socket(fronts: Fronts, tmp_path: Path) -> None:
    pools = fronts.pools(1, "duties:app", "--bind", f"unix:{fronts.user.run}/shop")
    front = fronts.front(
        pools, change=lambda text: re.sub(r"(server \S+) 127.0.0.1:\d+", rf"\1 unix@{fronts.user.run}/shop", text)
    )
    assert seen(front) == DIRECT


def test_a_connection_that_nobody_needs_is_closed_before_the_pool_does_it(fronts: Fronts) -> None:
    """Which would lose a POST that comes at this moment."""
    pools = fronts.pools(1, "duties:app", "--keep-alive", "600")
    front = fronts.front(pools, change=lambda text: exchanged(text, "pool-purge-delay 5000ms", "pool-purge-delay 50ms"))
    accepted = pools[0].slot()["accepted"]
    with httpx.Client(timeout=DEADLINE, trust_env=False) as client:
        for _ in range(2):
            assert client.post(f"http://127.0.0.1:{front.port}/pid").status_code == 200
            until(lambda: pools[0].slot()["connections"] == 0, "it is closed")
    assert pools[0].slot()["accepted"] == accepted + 2


@pytest.mark.parametrize("limit", [16384, 65536])
def test_a_head_that_the_pool_takes_fits(fronts: Fronts, limit: int) -> None:
    pools = fronts.pools(1, "duties:app", "--limit-header", str(limit))
    front = fronts.front(pools)
    # Many lines, each of which costs HAProxy some room.
    headers = {f"X-{number:03}": (limit - 1000) // 240 * "x" for number in range(200)}
    assert front.get("/pid", headers=headers).text == str(pools[0].slot()["pid"])
    assert front.get("/pid", headers={"X": limit * "x"}).status_code == 431, "the pool says so"


@pytest.mark.parametrize("closes", [True, False], ids=["as written", "control"])
def test_clients_stick_to_slots_though_they_share_a_connection(fronts: Fronts, closes: bool) -> None:
    def change(text: str) -> str:
        return text if closes else exchanged(text, "option http-server-close", "http-reuse safe")

    [pool] = fronts.pools(1, "ok:app", "--sticky", "--workers", "2")
    front = fronts.front([pool], change=change)
    [found] = dict(front.get("/slot").cookies).values()
    label = found.partition(".")[0]
    with httpx.Client(timeout=DEADLINE, trust_env=False) as proxy:
        url = f"http://127.0.0.1:{front.port}/slot"
        answers = [proxy.get(url, headers={"Cookie": f"corepod_sticky={label}.{n % 2}"}).text for n in range(8)]
    assert (answers == ["0", "1"] * 4) is closes, answers


def figures(front: Haproxy) -> str:
    return CLIENT.get(f"http://127.0.0.1:{front.stats}/metrics").text


def own_errors(front: Haproxy, backend: str) -> float:
    """Responses 5xx of a backend that none of its servers has given, computed as docs/operations.md says."""
    text = figures(front)
    found = dict.fromkeys(("backend", "server"), 0.0)
    for kind, labels, value in re.findall(r"^haproxy_(\w+?)_http_responses_total\{(.*)\} (\S+)$", text, re.MULTILINE):
        if f'proxy="{backend}"' in labels and 'code="5xx"' in labels:
            found[kind] += float(value)
    return found["backend"] - found["server"]


def test_whose_503_it_is_and_why(fronts: Fronts, tmp_path: Path) -> None:
    """The runbook tells them apart in this way."""
    runbook = (ROOT / "docs/operations.md").read_text().partition("**The front answers 503.**")[2]
    said = "No server is available to handle this request"
    assert said in runbook
    [pool] = fronts.pools(1, "duties:app", "--limit-requests", "1")
    limited = fronts.front([pool], "--concurrency", "1", "--queue-timeout", "0.5")
    passing = fronts.front([pool], falls=True)
    held = Queued(limited.port, 1, f"/until?path={tmp_path}/go")
    until(lambda: in_flight([pool]) == [1], "the slot is taken")

    late = limited.get("/pid")
    assert (late.status_code, said in late.text, "retry-after" in late.headers) == (503, True, False)
    until(lambda: own_errors(limited, "pods") == 1, "it is counted")  # its client has it before that
    assert own_errors(limited, "fallback") == 0

    shed = passing.get("/pid")
    assert (shed.status_code, said in shed.text, "retry-after" in shed.headers) == (503, False, True)
    assert (own_errors(passing, "pods"), own_errors(passing, "fallback")) == (0, 0)

    (tmp_path / "go").touch()
    held.answers()
    pool.signal(signal.SIGQUIT)
    pool.wait()
    passing.until_status(fronts.name(pool), "DOWN")
    gone = passing.get("/pid")
    assert (gone.status_code, said in gone.text) == (503, True)
    until(lambda: own_errors(passing, "fallback") == 1, "it is counted")
    assert own_errors(passing, "pods") == 0


def test_figures_are_for_prometheus(fronts: Fronts) -> None:
    front = fronts.front(fronts.pools(1))
    text = figures(front)
    assert 'haproxy_backend_active_servers{proxy="pods"} 1' in text


@pytest.mark.parametrize("waits", [False, True], ids=["ends", "control"])
def test_a_stop_does_not_wait_for_who_reads_its_figures(fronts: Fronts, waits: bool) -> None:
    def change(text: str) -> str:
        text = exchanged(text, "hard-stop-after 30s", "hard-stop-after 1s" if waits else "hard-stop-after 1d")
        return exchanged(text, "  no option idle-close-on-response\n", "") if waits else text

    front = fronts.front(fronts.pools(1), change=change)
    with httpx.Client(timeout=DEADLINE, trust_env=False) as prometheus:
        assert prometheus.get(f"http://127.0.0.1:{front.stats}/metrics").status_code == 200
        front.process.send_signal(signal.SIGUSR1)
        front.process.wait(DEADLINE)
    assert ("performing a hard-stop" in front.output) is waits, front.output
