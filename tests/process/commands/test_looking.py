"""corepod ps, describe and events: what they show of pools that run, die, restart, and are gone."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest
from corepod.local.client import Client

from tests.process.commands.client import QUICK, address, corepod, words
from tests.process.harness import APPS
from tests.process.terminal import Terminal
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]


@pytest.fixture
def shop(start: Start) -> Pool:
    return start("duties:app", "--name", "shop", "--workers", "2", *QUICK).ready()


def listed(runtime: Path) -> list[dict[str, Any]]:
    """The pools of this test."""
    return [found for found in corepod("ps", "--json").document if found["control"].startswith(f"{runtime}/")]


# ps


@pytest.mark.root
def test_where_nothing_runs_ps_says_so_and_is_content(runtime: Path, alone: tuple[str, ...]) -> None:
    (runtime / "corepod").mkdir()
    done = corepod("ps", prefix=alone)
    assert (done.code, done.out) == (0, "")
    assert "no pool runs here" in done.err
    assert (corepod("ps", "--json", prefix=alone).document, corepod("ps", "-q", prefix=alone).out) == ([], "")
    assert "no pool runs here" in corepod("stop", "--all", prefix=alone).err


def test_ps_in_a_pipe_has_columns(shop: Pool, start: Start) -> None:
    start("ok:app", "--name", "blog", "--workers", "1", *QUICK).ready()
    head, *rows = corepod("ps").out.splitlines()
    assert head.split() == ["NAME", "STATE", "WORKERS", "RESTARTS", "CPU", "MEMORY", "UP", "PID", "ADDRESSES"]
    assert {"blog", "shop"} <= {row.split()[0] for row in rows}
    # By its pid: another pool of this machine may have the same name.
    (cells,) = (row.split() for row in rows if str(shop.process.pid) in row.split())
    assert cells[:4] == ["shop", "ready", "2/2", "0"]
    assert cells[-1] == f"127.0.0.1:{shop.port}"
    assert {"blog", "shop"} <= set(corepod("ps", "-q").out.splitlines())


def test_ps_for_programs(shop: Pool, runtime: Path) -> None:
    shop.kill_worker()
    (found,) = listed(runtime)
    assert found["restarts"] == 1
    assert (found["ready"], found["slots"], found["state"]) == (2, 2, "ready")
    assert found["control"] == address(runtime)
    assert found["rss_bytes"] > sum(slot["rss_bytes"] for slot in shop.status()["slots"]) / 2
    assert 0 <= found["uptime_seconds"] < 3600


def test_ps_on_a_terminal_is_a_table(shop: Pool) -> None:
    terminal = Terminal(command=words("ps"))
    try:
        terminal.shows(r"name +state +workers")
        terminal.shows(r"shop +ready +2/2")
        assert terminal.process.wait(DEADLINE) == 0
        assert "\x1b[32mready" in terminal.raw  # green
    finally:
        terminal.close()


def test_two_pools_of_one_name_are_two(shop: Pool, start: Start, runtime: Path) -> None:
    start("ok:app", "--name", "shop", "--workers", "1", *QUICK).ready()
    assert [found["name"] for found in listed(runtime)] == ["shop", "shop-2"]
    done = corepod("describe")
    assert done.code == 8
    assert "several pools run here (" in done.err
    assert "name the one that is meant" in done.err
    assert corepod("describe", "shop-2", "--json").document["status"]["app"] == "ok:app"


def test_a_killed_pool_is_told_and_can_be_forgotten(start: Start, runtime: Path) -> None:
    name = f"killed-{os.getpid()}"  # one that no other pool of this machine has, for it is stopped
    pool = start("ok:app", "--name", name, "-w", "1", *QUICK).ready()
    os.kill(pool.process.pid, signal.SIGKILL)
    pool.process.wait(DEADLINE)
    done = corepod("ps")
    assert done.code == 0
    assert re.search(rf"^{name} +killed ", done.out, re.MULTILINE)
    assert "corepod stop NAME forgets one" in done.err
    (found,) = listed(runtime)
    assert (found["state"], found["control"]) == ("killed", address(runtime, name))
    reload = corepod("reload", name)
    assert reload.code == 8
    assert "it was killed, and has left" in reload.err
    assert corepod("stop", name).code == 0
    assert listed(runtime) == []


def test_a_new_pool_takes_the_place_of_a_killed_one(shop: Pool, start: Start, runtime: Path) -> None:
    os.kill(shop.process.pid, signal.SIGKILL)
    shop.process.wait(DEADLINE)
    start("ok:app", "--name", "shop", "--workers", "1", *QUICK).ready()
    assert [(found["name"], found["state"]) for found in listed(runtime)] == [("shop", "ready")]


def test_a_pool_that_does_not_answer_holds_up_no_other(shop: Pool, start: Start, runtime: Path) -> None:
    start("ok:app", "--name", "blog", "--workers", "1", *QUICK).ready()
    os.kill(shop.process.pid, signal.SIGSTOP)
    try:
        found = {pool["name"]: pool for pool in listed(runtime)}
        assert (found["blog"]["state"], found["shop"]["state"]) == ("ready", "silent")
        assert "timed out" in found["shop"]["why"]
        done = corepod("scale", "shop", "+1")
        assert done.code == 8
        assert "shop doesn't answer" in done.err
    finally:
        os.kill(shop.process.pid, signal.SIGCONT)


def test_a_wrong_name_is_corrected(shop: Pool) -> None:
    done = corepod("describe", "shpo")
    assert (done.code, done.out) == (8, "")
    assert "no pool called shpo runs here; did you mean shop?" in done.err


# describe


def sections(text: str) -> dict[str, list[str]]:
    """The lines below each title."""
    found: dict[str, list[str]] = {"": []}
    title = ""
    for before, line in zip(["", *text.splitlines()], text.splitlines(), strict=False):
        if not before and line and not line.startswith(" ") and found[""]:
            title = line.partition(" (")[0]
            found[title] = []
        elif line:
            found[title].append(line.strip())
    return found


def test_describe_shows_what_was_set_and_where(start: Start) -> None:
    start("duties:app", "--name", "shop", "-w", "1", *QUICK, env={"COREPOD_STOP_TIMEOUT": "7"}).ready()
    found = sections(corepod("describe", "shop").out)
    assert "State:         ready" in found[""]
    rows = [row.split() for row in found["Settings that were set"]]
    assert ["stop_timeout", "7", "COREPOD_STOP_TIMEOUT"] in rows
    assert ["workers", "1", "-w"] in rows or ["workers", "1", "--workers"] in rows
    assert not any(row[0] == "keep_alive" for row in rows)
    every = sections(corepod("describe", "shop", "--all").out)["Settings"]
    assert any(row.split()[0] == "keep_alive" and row.split()[-1] == "default" for row in every)
    document = corepod("describe", "shop", "--json").document
    assert document["settings"]["stop_timeout"] == {"value": 7.0, "from": "COREPOD_STOP_TIMEOUT"}
    assert document["settings"]["keep_alive"]["from"] == "default"


def test_describe_shows_a_death_and_what_was_lost(shop: Pool, tmp_path: Path) -> None:
    with asking(shop, f"/block_until?path={tmp_path}/never") as slot:
        os.kill(slot["pid"], signal.SIGKILL)
    shop.until_restarts(1, slot["slot"])
    (end,) = corepod("describe", f"shop/{slot['slot']}", "--json").document["slot"]["exits"]
    assert (end["worker"], end["pid"], end["asked"], end["lost"]) == (slot["worker"], slot["pid"], False, 1)
    assert end["how"].startswith("signal SIGKILL after ")
    assert "lost 1 in flight: GET /block_until" in end["how"]
    shown = sections(corepod("describe", "shop").out)
    assert any("signal SIGKILL" in line and "lost 1 in flight" in line for line in shown["Last exits"])
    assert any(line.split()[1] == "died" for line in shown["Last events"])
    assert any("ERROR" in line and "died: signal SIGKILL" in line for line in shown["Last log lines"])


class asking:
    """A request in flight for the length of a with block; the slot that serves it."""

    def __init__(self, pool: Pool, path: str) -> None:
        self._pool, self._path = pool, path

    def __enter__(self) -> dict[str, Any]:
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()
        return until(self._slot, "a request in flight") or {}

    def _ask(self) -> None:
        try:
            self._pool.get(self._path)
        except Exception:
            pass  # its worker was killed

    def _slot(self) -> dict[str, Any] | None:
        # A worker counts a request before it notes which one it is.
        status = self._pool.status()
        client = Client(status["control"])
        details = [client.get(f"/slot?slot={slot['slot']}") for slot in status["slots"] if slot["in_flight"]]
        serving = {detail["slot"] for detail in details for process in detail["processes"] if process["serving"]}
        return next((slot for slot in status["slots"] if slot["slot"] in serving), None)

    def __exit__(self, *error: object) -> None:
        self._thread.join(DEADLINE)


def test_describe_shows_what_is_in_flight(shop: Pool, tmp_path: Path) -> None:
    go = tmp_path / "go"
    with asking(shop, f"/block_until?path={go}") as slot:
        try:
            found = sections(corepod("describe", f"shop/{slot['slot']}").out)
            other = sections(corepod("describe", f"shop/{1 - slot['slot']}").out)
        finally:
            go.touch()
    assert re.search(r"worker \d+: GET /block_until \([0-9.]+ s\)", found["In flight now"][0])
    assert other["In flight now"] == ["(nothing)"]
    assert any("serving" in line for line in found["Processes"])


def test_the_history_of_exits_is_bounded(start: Start) -> None:
    pool = start("ok:app", "--name", "shop", "-w", "1", *QUICK).ready()
    for _ in range(5):
        assert corepod("restart", "shop/0").code == 0
    # The one that was replaced last may still drain, and an exit counts when it comes.
    until(lambda: len(_exits()) == 5, "five exits")
    pool.kill_worker()
    until(lambda: not _exits()[-1]["asked"], "the death")
    assert [end["asked"] for end in _exits()] == [True] * 4 + [False]


def _exits() -> list[dict[str, Any]]:
    exits: list[dict[str, Any]] = corepod("describe", "shop/0", "--json").document["slot"]["exits"]
    return exits


def test_a_slot_that_is_not_there(shop: Pool) -> None:
    for command in ("describe", "restart"):
        done = corepod(command, "shop/9")
        assert done.code == 7
        assert "there is no slot 9: the pool has slots 0 to 1" in done.err


def test_secrets_are_not_shown(start: Start) -> None:
    start("factory:create_with('s3cret')", "--name", "shop", "-w", "1", *QUICK).ready()
    assert "factory:create_with" in (text := corepod("describe", "shop", "--json", "--all").out)
    assert "s3cret" not in text


# events


def test_events_tell_what_happened(shop: Pool) -> None:
    shop.kill_worker()
    assert corepod("scale", "shop", "+2").code == 0
    lines = corepod("events", "shop").out.splitlines()
    kinds = [line.split()[1] for line in lines]
    assert kinds[:3] == ["started", "ready", "ready"]
    assert (kinds.count("died"), kinds.count("scaled")) == (1, 1)
    of_slot = corepod("events", "shop/0", "--json").out.splitlines()
    assert {json.loads(line)["slot"] for line in of_slot} == {0}
    assert {json.loads(line)["pool"] for line in of_slot} == {"shop"}


def test_following_survives_a_new_start_of_the_pool(shop: Pool, start: Start) -> None:
    with subprocess.Popen(
        words("events", "-f", "--json", "shop"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=APPS
    ) as process:
        seen: list[str] = []
        reader = threading.Thread(target=lambda: seen.extend(process.stdout or ()))
        reader.start()
        try:
            until(lambda: _kinds(seen).count("ready") == 2, lambda: f"two ready: {seen}")
            assert shop.stop() == 0
            until(lambda: any("waiting until it does" in line for line in seen), lambda: f"it says so: {seen}")
            start("ok:app", "--name", "shop", "-w", "1", *QUICK).ready()
            until(lambda: _kinds(seen).count("started") == 2, lambda: f"the next one: {seen}")
            until(lambda: _kinds(seen).count("ready") == 3, lambda: f"its worker: {seen}")
        finally:
            process.terminate()
            reader.join(DEADLINE)
    numbers = [json.loads(line)["number"] for line in seen if line.startswith("{")]
    assert numbers.count(1) == 2  # each of both pools told its first event once


def _kinds(lines: list[str]) -> list[str]:
    return [json.loads(line)["kind"] for line in list(lines) if line.startswith("{")]


def test_following_what_is_not_there_ends_with_a_line() -> None:
    done = corepod("events", "-f", "no-such-pool")
    assert (done.code, done.out) == (8, "")
    assert "no pool called no-such-pool runs here" in done.err


def test_a_reader_that_has_seen_enough_is_no_error(shop: Pool) -> None:
    command = " ".join(words("events", "-f", "shop")) + " | head -n 1"
    done = subprocess.run(
        ["bash", "-c", command + '; echo "${PIPESTATUS[0]}"'],
        capture_output=True, text=True, timeout=3 * DEADLINE, check=True, cwd=APPS,
    )  # fmt: skip
    assert " started " in done.stdout
    assert done.stderr == ""


def test_what_another_server_says_is_harmless(runtime: Path) -> None:
    """A socket in the folder that isn't a pool's."""
    (runtime / "corepod").mkdir()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(address(runtime))
        sock.listen()

        def serve() -> None:
            for _ in range(2):
                connection, _ = sock.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"\x1b[2J hello\r\n")

        thread = threading.Thread(target=serve, daemon=True)  # it waits for ever for a client that doesn't come
        thread.start()
        (found,) = listed(runtime)
        plain = corepod("ps").out
        thread.join(DEADLINE)
    assert found["state"] == "silent"
    assert "\x1b" not in json.dumps(found) + plain
