"""Hooks of real pools: what they are told, and that one that fails, hangs or floods harms nothing."""

from __future__ import annotations

import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.exits import EXIT_BUDGET

from tests.process.container import Container
from tests.process.harness import Pool, raw
from tests.process.traffic import zombies
from tests.procfs import alive, command, descendants
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., Pool]

ONE = ("--workers", "1", "--pin", "never", "--lame-duck", "0")
# A stop ends with its own limit, too, whatever hooks still do.
PATIENT = ("--hook-timeout", "600", "--stop-timeout", "600")
KINDS = [pytest.param(Container, id="as PID 1", marks=pytest.mark.root), pytest.param(Pool, id="as a subreaper")]


class Webhook:
    """A server that keeps what it is sent; `answer` is its status."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.answer = 204
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.headers["Content-Type"] == "application/json"
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.heard.append((self.path, body))
                self.send_response(outer.answer)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *words: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    made = Webhook()
    yield made
    made.close()


def text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def outcomes(pool: Pool, hook: str) -> dict[str, int]:
    found: dict[str, int] = pool.status()["hooks"][hook]
    return found


def crash(pool: Pool, path: str = "/exit?code=3") -> None:
    """A request that takes its worker along; nobody answers it."""
    raw(pool.port, f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_hook_and_of_event(start: Start, tmp_path: Path, webhook: Webhook, kind: type[Pool]) -> None:
    """The last one, which is told of the planned end of the last worker, keeps the pool from leaving before it."""
    told, lines = tmp_path / "told", tmp_path / "lines"
    command = f"sh -c 'cat >> {lines}; echo $COREPOD_EVENT $COREPOD_EVENT_POOL $COREPOD_EVENT_PLANNED, $PWD >> {lines}'"
    flags = ("--on-ready", "hooked:told", "--on-reload", "hooked:told_later", "--on-exit", f"{webhook.url}/a?b=c")
    environment = {"TOLD": str(told), "http_proxy": "http://127.0.0.1:9"}
    every = (*ONE, *PATIENT, *flags, "--on-exit", command, "--name", "shop")
    pool = start("hooked:app", *every, kind=kind, env=environment).ready()
    until(lambda: "Ready(pool='shop'" in text(told), "told that it is ready")
    first = pool.slot()["pid"]
    crash(pool)
    path, event = until(lambda: webhook.heard, "the death")[0]
    assert path == "/a?b=c"
    assert (event["event"], event["pool"], event["slot"], event["pid"]) == ("exit", "shop", 0, first)
    assert (event["planned"], event["kind"], event["reason"]) == (False, "exit", "exit code 3")
    assert (event["in_flight"], event["requests"], event["restarts"]) == (1, ["GET /exit"], 0)
    until(lambda: "exit shop false, " in text(lines), "the command")
    assert json.loads(text(lines).partition("\n")[0]) == event
    pool.ready()
    pool.signal(signal.SIGHUP)
    until(lambda: "Reload(pool='shop'" in text(told) and "outcome='done'" in text(told), "the reload")
    until(lambda: text(lines).count("exit shop") == 2, "the planned end of the old worker")
    until(lambda: not zombies(pool), "no zombies")
    assert text(told).count("Ready") == 1
    pool.signal(signal.SIGTERM)
    assert pool.wait(2 * DEADLINE) == 0
    assert [event["planned"] for _, event in webhook.heard] == [False, True, True]
    assert text(lines).count("exit shop true, ") == 2
    assert "hook on_" not in pool.log  # the stacks of a start that took long name hooked.py


def test_failures_are_lines_and_counted(start: Start, webhook: Webhook, tmp_path: Path) -> None:
    webhook.answer = 302
    nobody = "http://127.0.0.1:1/secret"
    hooks = (f"{webhook.url}/secret", nobody, "hooked:fails", "hooked:missing", "false", f"{tmp_path}/none")
    flags = [word for hook in hooks for word in ("--on-ready", hook)]
    pool = start("hooked:app", *ONE, *PATIENT, *flags, "--log-prefix", "always").ready()
    until(lambda: outcomes(pool, "on_ready") == {"done": 0, "failed": 6, "dropped": 0}, lambda: pool.log)
    metrics = pool.admin("/metrics").text
    assert 'corepod_hooks_total{hook="on_ready",outcome="failed"} 6' in metrics
    for line in (
        f"hook on_ready | corepod: on_ready ({webhook.url}): the answer is 302 ",
        "hook on_ready | ValueError: no chat today",
        "module 'hooked' has no attribute 'missing'",
        "[hook on_ready] false: exit code 1 after ",
        "can't be executed: No such file or directory",
        f"there is no command {tmp_path}/none here; the hook will fail",
    ):
        pool.until_log(line)
    assert "secret" not in pool.log
    assert len(webhook.heard) == 1
    assert pool.get("/pid").status_code == 200


def test_one_that_hangs_delays_no_restart_and_no_stop_at_once(start: Start, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    hang = f"sh -c 'echo $$ >> {pids}; sleep 3600 & echo $! >> {pids}; wait'"
    flags = (*ONE, *PATIENT, "--crash-budget", "100/60", "--on-exit", hang)
    pool = start("ok:app", *flags).ready()
    for _ in range(40):
        pool.kill_worker()
    until(lambda: len(text(pids).split()) == 2, "the first one hangs")
    assert outcomes(pool, "on_exit") == {"done": 0, "failed": 0, "dropped": 7}
    assert all(alive(int(pid)) for pid in text(pids).split())
    pool.signal(signal.SIGTERM)
    pool.until_log("] stopped")
    pool.signal(signal.SIGINT)
    assert pool.wait() == 0
    assert "sh: not run for 40 event(s): the pool ends" in pool.log
    until(lambda: not any(alive(int(pid)) for pid in text(pids).split()), "gone with its group")


def test_one_that_hangs_is_killed_with_what_it_has_started(start: Start, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    hang = f"sh -c 'sleep 3600 & echo $! > {pids}; wait'"
    left = f"sh -c 'sleep 3600 & echo $! > {tmp_path}/left'"
    pool = start("ok:app", *ONE, "--hook-timeout", "15", "--on-ready", hang, "--on-ready", left).ready()
    pool.until_log("sh: killed, because it took longer than 15 s (hook_timeout)")
    for pid in (int(text(pids)), int(text(tmp_path / "left"))):
        until(lambda pid=pid: not alive(pid), "ended with the group")  # type: ignore[misc]
    assert outcomes(pool, "on_ready") == {"done": 1, "failed": 1, "dropped": 0}


def test_one_that_floods_is_killed(start: Start) -> None:
    pool = start("ok:app", *ONE, *PATIENT, "--on-exit", "yes", "--log-prefix", "always").ready()
    before = pool.status()["supervisor"]["rss_bytes"]
    pool.kill_worker()
    pool.until_log("yes: killed, because it wrote more than 64 KiB")
    until(lambda: outcomes(pool, "on_exit")["failed"] == 1, "it is over")
    assert pool.log.count("hook on_exit | y\n") <= 1 << 15
    assert pool.status()["supervisor"]["rss_bytes"] - before < 8 << 20
    assert pool.get("/pid").status_code == 200


@pytest.mark.parametrize("kind", KINDS)
def test_the_pool_leaves_when_it_is_told_that_it_was_given_up(start: Start, tmp_path: Path, kind: type[Pool]) -> None:
    """Another hook hangs, and is killed."""
    told = tmp_path / "told"
    flags = ("--on-give-up", f"sh -c 'cat >> {told}'", "--on-exit", "sleep 3600", "--hook-timeout", "20")
    pool = start("ok:app", *ONE, "--crash-budget", "1/600", *flags, kind=kind).ready()
    crash(pool)
    pool.until_restarts(1)
    crash(pool)
    assert pool.wait(2 * DEADLINE) == EXIT_BUDGET
    slot, whole = map(json.loads, text(told).splitlines())
    assert (slot["event"], slot["slot"], slot["exit_code"]) == ("give_up", 0, None)
    assert "the crash budget allows 1" in slot["reason"]
    assert (whole["slot"], whole["exit_code"]) == (None, EXIT_BUDGET)
    assert "sleep: " in pool.log


def test_a_hook_ends_with_a_supervisor_that_is_killed(start: Start, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    pool = start("ok:app", *ONE, *PATIENT, "--on-ready", f"sh -c 'echo $$ > {pid}; exec sleep 3600'").ready()
    until(lambda: text(pid), "it runs")
    os.kill(pool.supervisor, signal.SIGKILL)
    until(lambda: not alive(int(text(pid))), "gone")


def test_a_hook_that_only_starts_ends_with_a_supervisor_that_is_killed(start: Start) -> None:
    pool = start("ok:app", *ONE, *PATIENT, "--on-exit", "sleep 3600").ready()
    os.kill(pool.slot()["pid"], signal.SIGKILL)

    def starting() -> int | None:
        return next((pid for pid in descendants(pool.supervisor) if "corepod.worker.hook" in command(pid)), None)

    hook = until(starting, "the interpreter of the hook")
    os.kill(pool.supervisor, signal.SIGKILL)
    assert hook is not None
    until(lambda: not alive(hook), "gone")
