"""`kubectl corepod` as kubectl runs it: real pools, a real websocket, and an API server that fails on request."""

from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corepod.kubectl.main import COMMANDS

from tests.architecture.test_documents import DOCUMENTS
from tests.process.harness import CLIENT, DEADLINE, until
from tests.process.kubectl.conftest import NAMES
from tests.process.terminal import Terminal
from tools.fakeapi import faults
from tools.fakeapi.execution import Ended

if TYPE_CHECKING:
    import pytest

    from tests.process.kubectl.conftest import Shop
    from tools.fakeapi import Call


def workers(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {w["pod"]: {**w, "on": node["node"]} for node in document["nodes"] for w in node["workers"]}


def to(plural: str, part: str = "") -> Any:
    def match(call: Call) -> bool:
        return (call.plural, call.part) == (plural, part)

    return match


def until_settled(shop: Shop) -> None:
    until(lambda: all(pool.slot()["state"] == "ready" for pool in shop.pools.values()), "ready workers")


def test_top_has_each_worker_on_its_node(shop: Shop) -> None:
    document = until(lambda: None if (found := shop.top()) and shop.ran else found, "an answer by the proxy alone")
    assert document is not None
    found = workers(document)
    assert [(found[name]["on"], found[name]["ready"]) for name in NAMES] == [("a", True), ("b", True)]
    assert [found[name]["restarts"] for name in NAMES] == [pool.slot()["restarts"] for pool in shop.pools.values()]
    assert all(found[name]["rss_bytes"] > 1 << 20 for name in NAMES)
    assert [node["cores"] for node in document["nodes"]] == [2, 2]
    table = shop.kubectl("top", "--interval", "0.5", COLUMNS="100", NO_COLOR="1")
    assert table.code == 0, table
    assert all(name in table.out for name in NAMES)
    assert "\x1b" not in table.out


def test_top_runs_a_command_where_the_proxy_is_closed(shop: Shop) -> None:
    shop.api.fail(faults.status(403, "Forbidden"), times=1000, match=to("pods", "proxy"))

    def seen() -> dict[str, str]:
        found = workers(json.loads(shop.kubectl("top", "--json", "--interval", "0.5").out))
        return {name: worker["state"] for name, worker in found.items()}

    until(lambda: seen() == dict.fromkeys(NAMES, "ready"), "an answer of each pod", 4 * DEADLINE)
    assert {tuple(command) for _, command in shop.ran} == {("corepod", "describe", "--json")}


def test_a_pod_that_hangs_holds_up_no_other(shop: Shop) -> None:
    release = threading.Event()
    page, execute = shop.api.pages, shop.api.container

    def slow(name: str, path: str) -> bytes | None:
        return page(name, path) if name != NAMES[0] or release.wait(60) else None

    def hang(name: str, container: str, command: list[str]) -> Ended:
        return execute(name, container, command) if name != NAMES[0] or release.wait(60) else Ended(1)

    shop.api.pages, shop.api.container = slow, hang
    try:
        done = shop.kubectl("top", "--json", "--interval", "0.5")
    finally:
        release.set()
    found = workers(json.loads(done.out))
    assert found[NAMES[0]]["state"] == "silent"
    assert "no answer" in found[NAMES[0]]["why"] or "within" in found[NAMES[0]]["why"], found
    assert found[NAMES[1]]["state"] == "ready"


def test_restarts_name_the_reason_and_what_was_in_flight(shop: Shop) -> None:
    pool = shop.pools[NAMES[1]]
    before = pool.slot()["restarts"]
    with socket.create_connection(("127.0.0.1", pool.port)) as client:
        client.sendall(b"GET /sleep?s=60 HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: pool.slot()["in_flight"] == 1, "a request in flight")
        pool.kill_worker()
        pool.until_restarts(before + 1)

    def heard() -> str:
        done = shop.kubectl("restarts", "--json")
        return "" if done.err else done.out

    out = until(heard, "an answer of each pod", 4 * DEADLINE)
    death = json.loads(out)[0]
    assert (death["pod"], death["node"], death["reason"], death["lost"]) == (NAMES[1], "b", "signal SIGKILL", 1)
    assert "GET /sleep" in death["requests"]
    table = shop.kubectl("restarts", "--limit", "1").out.splitlines()
    assert table[0].split()[:2] == ["TIME", "POD"]
    assert len(table) == 2


def test_restarts_of_a_pod_that_can_not_be_asked(shop: Shop) -> None:
    [*_, found] = [p for p in shop.api.store.all("pods") if p["metadata"]["name"] == NAMES[0]]
    found["metadata"]["annotations"] = {
        "corepod.dev/worker-restarts-total": "1",
        "corepod.dev/worker-restarts-seen": "1700000000.5/1",
        "corepod.dev/last-worker-restart": "oom (2026-01-01T00:00:00Z)",
    }
    shop.api.store.put("pods", found)
    shop.api.fail(faults.status(403, "Forbidden"), times=1000, match=to("pods", "exec"))
    done = shop.kubectl("restarts", "--json")
    assert [(d["pod"], d["reason"], d["lost"]) for d in json.loads(done.out)] == [(NAMES[0], "oom", None)]
    assert "403" in done.err


def test_dump_shows_stacks(shop: Shop) -> None:
    done = shop.kubectl("dump", f"pod/{NAMES[0]}")
    assert done.code == 0, done
    assert "MainThread" in done.out
    assert json.loads(shop.kubectl("dump", NAMES[0], "--json").out)[0]["answered"]


def test_reload_goes_from_pod_to_pod_and_loses_no_request(shop: Shop) -> None:
    before = {name: pool.slot()["worker"] for name, pool in shop.pools.items()}
    stop, failed, served = threading.Event(), list[str](), 0

    def load() -> None:
        nonlocal served
        while not stop.is_set():
            for name, port in ports.items():
                answer = CLIENT.get(f"http://127.0.0.1:{port}/")
                failed.extend([] if answer.status_code == 200 else [f"{name}: {answer.status_code}"])
                served += 1

    ports = {name: pool.port for name, pool in shop.pools.items()}
    thread = threading.Thread(target=load)
    thread.start()
    try:
        done = shop.kubectl("reload", "web")
    finally:
        stop.set()
        thread.join()
    assert done.code == 0, done
    assert [line.split(":")[0] for line in done.out.splitlines()] == [f"1/2 {NAMES[0]}", f"2/2 {NAMES[1]}"]
    assert (failed, served > 0) == ([], True)
    until_settled(shop)
    assert all(pool.slot()["worker"] > before[name] for name, pool in shop.pools.items())
    assert not shop.api.writes("pods", part="")  # no pod was made or deleted


def test_reload_stops_at_the_first_failure(shop: Shop) -> None:
    def broken(name: str, container: str, command: list[str]) -> Ended:
        shop.ran.append((name, command))
        return Ended(7, err=b"corepod: web: the reload failed: SyntaxError\n")

    shop.api.container = broken
    done = shop.kubectl("reload", "deployment/web", "--json")
    assert (done.code, json.loads(done.out)) == (7, [])
    assert f"{NAMES[0]}: web: the reload failed: SyntaxError" in done.err
    assert "0 of 2 pods have the new code" in done.err
    assert [name for name, _ in shop.ran] == [NAMES[0]]


def test_reload_passes_a_pod_that_vanishes_meanwhile(shop: Shop) -> None:
    """Its end cuts the command off, or lets it fail; the pods behind it get their turn."""
    execute = shop.api.container

    def vanish(name: str, container: str, command: list[str]) -> Ended:
        if name != NAMES[0]:
            return execute(name, container, command)
        [found] = [p for p in shop.api.store.all("pods") if p["metadata"]["name"] == name]
        found["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        shop.api.store.put("pods", found)
        return Ended(137, err=b"Killed")

    shop.api.container = vanish
    done = shop.kubectl("reload", "web")
    assert done.code == 0, done
    assert done.out.startswith(f"2/2 {NAMES[1]}: reloaded")
    assert f"1/2 {NAMES[0]}: is gone" in done.err


def test_reload_survives_an_api_server_that_is_away_for_a_moment(shop: Shop) -> None:
    execute, looked = shop.api.container, faults.cut

    def cut(name: str, container: str, command: list[str]) -> Ended:
        ended = execute(name, container, command)
        shop.api.fail(looked, times=2, match=to("pods"))
        return ended

    shop.api.container = cut
    done = shop.kubectl("reload", "web")
    assert done.code == 0, done
    assert done.out.count("reloaded") == 2


def test_output_that_nobody_reads(shop: Shop) -> None:
    program = shlex.quote(str(Path(sys.executable).parent / "kubectl-corepod"))
    common = f"--kubeconfig {shlex.quote(shop.kubeconfig)}"
    for command in ("top --once --interval 0.5", "restarts", "why"):
        for sink, code, said in (("| true", 0, ""), (">/dev/full", 7, "the output can't be written")):
            script = f"set -o pipefail; {program} {common} {command} {sink}"
            done = subprocess.run(
                ["bash", "-c", script], capture_output=True, text=True, timeout=4 * DEADLINE, check=False
            )
            assert (done.returncode, "Traceback" in done.stderr, said in done.stderr) == (code, False, True), done


def test_reload_waits_for_a_pod_that_is_not_ready(shop: Shop) -> None:
    [found] = [p for p in shop.api.store.all("pods") if p["metadata"]["name"] == NAMES[0]]
    found["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    shop.api.store.put("pods", found)
    done = shop.kubectl("reload", "web", "--timeout", "1")
    assert done.code == 9
    assert f"{NAMES[0]} was not reloaded, because it is not ready" in done.err
    assert shop.ran == []


def test_reload_refuses_during_a_rollout(shop: Shop) -> None:
    [web] = shop.api.store.all("deployments")
    web["status"]["updatedReplicas"] = 1
    shop.api.store.put("deployments", web)
    done = shop.kubectl("reload", "web")
    assert (done.code, shop.ran) == (7, [])
    assert "a rollout of web is under way" in done.err


def test_why_is_the_operators_decision(shop: Shop) -> None:
    done = shop.kubectl("why", "web")
    assert done.code == 0, done
    assert "Deployment shop/web" in done.out
    assert "replicas 2 -> 3: room for 4 pods" in done.out
    assert json.loads(shop.kubectl("why", "--json").out)["workloads"][0]["number"] == 3
    assert not [call for call in shop.api.calls if call.write]


def test_errors_say_what_to_do(shop: Shop) -> None:
    wrong = shop.kubectl("dump", "web-5d8f-3")
    assert wrong.code == 8
    assert "there is no pod web-5d8f-3 in namespace shop; did you mean web-5d8f-" in wrong.err
    assert "did you mean web?" in shop.kubectl("reload", "wbe").err
    assert "did you mean web?" in shop.kubectl("why", "wbe").err
    empty = shop.kubectl("-n", "blog", "top")
    assert empty.code == 8
    assert "no pod of corepod is in namespace blog" in empty.err
    shop.api.container = lambda name, container, command: Ended(refusal='"corepod": executable file not found in $PATH')
    foreign = shop.kubectl("dump", NAMES[0])
    assert foreign.code == 8
    assert "its image needs corepod on the PATH" in foreign.err


def test_a_missing_permission_is_named(shop: Shop) -> None:
    shop.api.fail(faults.status(403, "Forbidden"), times=1000, match=to("pods", "exec"))
    done = shop.kubectl("dump", NAMES[0])
    assert done.code == 7
    assert "a permission is missing: 403 Forbidden" in done.err
    assert "docs/kubectl.md" in done.err
    shop.api.fail(faults.status(403, "Forbidden"), times=1000, match=to("nodes"))
    seen = json.loads(shop.kubectl("top", "--json", "--interval", "0.5").out)
    assert seen["notes"] == ["cores without a worker aren't shown: the permission to list nodes is missing"]
    assert [node["node"] for node in seen["nodes"]] == ["a", "b"]


def test_an_api_server_that_is_away(tmp_path: Path, shop: Shop) -> None:
    config = Path(shop.kubeconfig).read_text()
    with socket.socket() as unheard:  # bound, and not listening: nobody else gets its port
        unheard.bind(("127.0.0.1", 0))
        path = tmp_path / "away"
        path.write_text(config.replace(f":{shop.api.port}", f":{unheard.getsockname()[1]}"))
        done = shop.kubectl("top", "--kubeconfig", str(path))
    assert done.code == 8
    assert "the API server can't be reached" in done.err
    missing = shop.kubectl("top", "--context", "nothing")
    assert missing.code == 2
    assert "kubectl config get-contexts" in missing.err


def test_the_live_view(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", shop.kubeconfig)
    program = str(Path(sys.executable).parent / "kubectl-corepod")
    terminal = Terminal(columns=110, lines=12, command=[program, "top", "--interval", "0.5"])
    try:
        for name in NAMES:
            terminal.shows(rf"{name} +ready")
        terminal.shows("q quit")
        shop.pools[NAMES[0]].kill_worker()
        terminal.shows(rf"{NAMES[0]} +ready .* {shop.pools[NAMES[0]].slot()['restarts']}\b")
        shop.api.fail(faults.status(500), times=1000, match=to("pods"))
        terminal.shows("what is shown is old: 500")
        shop.api.heal()
        terminal.shows("q quit")
        terminal.type(b"q")
        assert terminal.ended() == 0
    finally:
        terminal.close()


def test_completion_asks_the_cluster(shop: Shop) -> None:
    program = Path(sys.executable).parent / "kubectl_complete-corepod"
    words = ["--kubeconfig", shop.kubeconfig]
    for before, found in ((["dump", "web"], [*NAMES]), (["reload", "w"], ["web"])):

        def completed(command: Any = (program, *words, *before), wanted: Any = (*found, ":4")) -> bool:
            done = subprocess.run(command, capture_output=True, text=True, timeout=2 * DEADLINE, check=True)
            return done.stdout.splitlines() == list(wanted)  # a completion doesn't wait for a slow cluster

        until(completed, f"{before} completed", 4 * DEADLINE)
    done = subprocess.run([program, "--kubeconfig", "/nowhere", "dump", ""], capture_output=True, text=True, timeout=99)
    assert (done.returncode, done.stdout) == (0, ":4\n")


TEXTS = [page.read_text() for page in DOCUMENTS]
# Without the synopses of the reference, which have brackets.
SHOWN = dict.fromkeys(re.findall(r"^    kubectl corepod ([^\[\n]*)$", "\n".join(TEXTS), re.MULTILINE))


def test_every_command_that_a_document_shows(shop: Shop) -> None:
    assert {command.split()[0] for command in SHOWN} == set(COMMANDS)
    for command in SHOWN:
        done = shop.kubectl(*shlex.split(command))
        assert done.code == 0, (command, done)
        assert done.out
