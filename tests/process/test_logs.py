"""The log of a real pool: named lines, and readers that stop, go away or have no room."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.process.container import Container
from tests.process.harness import Pool, running
from tests.process.inplace import in_place_of_supervisor
from tests.process.traffic import ask, held_ports, refused, stopped
from tests.procfs import alive
from tests.unit.clf import CLF
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., Pool]

ONE = ("--workers", "1", "--lame-duck", "0", "--crash-budget", "1000/60")
NAMED = ("--log-prefix", "always")
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


class Deaf(Pool):
    """A pool whose log nobody may be able to read: its ports are chosen before."""

    def __init__(self, app: str, *args: str, **options: Any) -> None:
        with contextlib.ExitStack() as stack:  # left here only where there is no pool, for example in a skipped test
            port, admin = stack.enter_context(held_ports(2))
            self._ports = port, admin
            super().__init__(app, "--bind", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}", *args, **options)
            self._held = stack.pop_all()

    def _addresses(self) -> tuple[int, int]:
        return self._ports

    def ready(self, workers: int | None = None) -> Pool:
        def listens() -> bool:
            with contextlib.suppress(OSError):
                return ask(self.admin_port, "/livez") == "ok\n"
            return False

        until(listens, "the admin port")
        return super().ready(workers)

    def close(self) -> None:
        self._held.close()
        super().close()


class Pipe:
    """The other end of a pool's log."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        self.data = b""
        self._reader: threading.Thread | None = None

    def given_away(self) -> Pipe:
        """The pool has its copy now."""
        os.close(self.write_end)
        self.write_end = -1
        return self

    def goes_away(self) -> None:
        """Nobody reads it any more."""
        os.close(self.read_end)
        self.read_end = -1

    def read_on(self) -> None:
        """Read from now on, until the last writer is gone."""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while part := os.read(self.read_end, 1 << 16):
            self.data += part

    def close(self) -> None:
        if self._reader is not None:
            self._reader.join(DEADLINE)
        for fd in (self.read_end, self.write_end):
            with contextlib.suppress(OSError):
                os.close(fd)

    @property
    def text(self) -> str:
        return self.data.decode(errors="replace")


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


# Lines


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    flags = ("--pin", "always", "--access-log", *NAMED)
    with running("duties:app", *ONE, *flags, log=tmp_path_factory.mktemp("pool") / "log") as made:
        yield made.ready()


def name(pool: Pool) -> str:
    slot = pool.slot()
    return f"worker {slot['worker']} slot {slot['slot']} core {slot['core']} pid {slot['pid']}"


def test_each_line_of_a_worker_is_named(pool: Pool) -> None:
    pool.get("/say?text=said+on+output")
    pool.get("/say?text=said+on+error&err=1")
    pool.until_log(f"{name(pool)} | said on output\n")
    pool.until_log(f"{name(pool)} | said on error\n")
    assert re.search(rf"^{STAMP} INFO    \[{name(pool)}\] ready$", pool.log, re.MULTILINE)


def test_what_a_grandchild_prints_is_its_workers(pool: Pool) -> None:
    pool.get("/echo_child?text=from+a+child")
    pool.until_log(f"{name(pool)} | from a child\n")


def test_access_log(pool: Pool) -> None:
    pool.get("/pid?x=1")
    pool.until_log("GET /pid?x=1")
    line = next(line for line in pool.log.splitlines() if "GET /pid?x=1" in line)
    assert line.startswith(f"{name(pool)} | ")
    assert " 200" in line


def test_a_long_line_is_cut_and_not_lost(pool: Pool) -> None:
    pool.get("/long?kb=1000")

    def pieces() -> list[str]:
        return [line for line in pool.log.splitlines() if "xxxx" in line]

    until(
        lambda: sum(line.count("x") for line in pieces()) >= 1000 * 1024,
        lambda: "the whole line\n" + "\n".join(f"{len(line)} {line[:300]}" for line in pool.log.splitlines()),
    )
    lines = pieces()
    assert sum(line.count("x") for line in lines) == 1000 * 1024
    assert len(lines) > 1
    assert max(map(len, lines)) < 400_000
    assert all(line.startswith(f"{name(pool)} | ") for line in lines)


# A worker may be held up in the middle of a line for longer than a line without an end is waited for.
PATIENT = """
from corepod.supervisor.io import relay
from corepod.supervisor import main
relay.PARTIAL = 60.0
sys.exit(main.main())
"""


def test_a_long_line_comes_whole(start: Start) -> None:
    pool = start("duties:app", *ONE, *NAMED, "--pin", "always", prefix=in_place_of_supervisor(PATIENT)).ready()
    pool.get("/long?kb=200")
    until(lambda: f"{name(pool)} | {'x' * 200 * 1024}\n" in pool.log, "the line")


def test_a_line_without_an_end_is_not_held_back(pool: Pool) -> None:
    pool.get("/say?text=a+question:&part=1&err=1")
    pool.until_log(f"{name(pool)} | a question:\n")


def test_the_next_worker_has_another_name(pool: Pool) -> None:
    restarts, first = pool.ready().slot()["restarts"], name(pool)
    os.kill(pool.slot()["pid"], signal.SIGKILL)
    pool.until_restarts(restarts + 1)
    assert name(pool) != first
    pool.get("/say?text=the+next+one")
    pool.until_log(f"{name(pool)} | the next one\n")


@pytest.mark.parametrize("flags", [(), ("--log-prefix", "never")])
def test_a_file_gets_the_lines_as_they_are(start: Start, flags: tuple[str, ...]) -> None:
    """The application's own format is what a collector of logs expects, and so is that of the access log. Our other
    lines still say which worker it was."""
    pool = start("duties:app", *ONE, "--access-log", "--pin", "never", *flags).ready()
    who = re.escape(f"[{name(pool)}]".replace(" core None", ""))
    pool.get("/say?text=plain")
    pool.get("/say?text=plain+too&err=1")
    pool.get("/echo_child?text=a+child")
    pool.until_log("GET /echo_child")
    # Standard error comes through a pipe of its own.
    until(lambda: {"plain", "plain too", "a child"} <= set(pool.log.splitlines()), "all three lines")
    assert re.search(r'^127\.0\.0\.1 - - \[.*\] "GET /say\S* HTTP/1\.1" 200 \d+ [\d.]+$', pool.log, re.MULTILINE)
    assert re.search(rf"^{STAMP} INFO    {who} ready$", pool.log, re.MULTILINE)


def test_as_json(start: Start, tmp_path: Path) -> None:
    """Every line, standard output apart from standard error."""
    with (tmp_path / "err").open("wb") as err:
        pool = start("duties:app", *ONE, "--log-format", "json", "--access-log", kind=Deaf, stderr=err).ready()
    slot = pool.slot()
    pool.get("/say?text=out")
    pool.get("/say?text=err&err=1")
    os.kill(slot["pid"], signal.SIGSEGV)
    pool.until_restarts(1)
    assert pool.stop() == 0
    out = [json.loads(line) for line in pool.log.splitlines()]
    errors = [json.loads(line) for line in (tmp_path / "err").read_text().splitlines()]
    assert all(re.fullmatch(STAMP, record["time"]) for record in [*out, *errors])
    who = {"worker": slot["worker"], "slot": 0, "core": slot["core"], "pid": slot["pid"]}
    said = {**who, "stream": "stdout", "message": "out"}
    assert [said] == [{k: r[k] for k in said} for r in out if r["message"] == "out"]
    said = {**who, "stream": "stderr", "message": "err"}
    assert [said] == [{k: r[k] for k in said} for r in errors if r["message"] == "err"]
    assert any("GET /say" in record["message"] for record in out)
    ready = {**who, "level": "info", "message": "ready"}
    assert ready in [{k: r.get(k) for k in ready} for r in errors]
    # A traceback is one record.
    assert any(record["message"].startswith("stacks:\nFatal Python error") for record in errors)


@pytest.mark.parametrize("command", ["run", "pid1"])
def test_an_applications_records_are_json_with_fields(start: Start, command: str) -> None:
    flags = ("--log-format", "json", "--access-log", "--pin", "never")
    pool = start("shop_log:app", *ONE, *flags, command=command, kind=Deaf).ready()
    slot = pool.slot()
    for path in ("/warn", "/fail", "/print"):
        pool.get(path)
    assert pool.stop() == 0
    plain = [line for line in pool.log.splitlines() if not line.startswith("{")]
    # In a pod workers write to the container's log themselves: nobody is in between.
    assert plain == (["printed"] if command == "pid1" else [])
    records = [json.loads(line) for line in pool.log.splitlines() if line not in plain]
    said = {record["message"]: record for record in records}
    assert all(re.fullmatch(STAMP, record["time"]) for record in records)
    stock, failed = said["low stock of tea"], said["it failed"]
    expected = {"level": "warning", "logger": "shop.orders", "sku": 7, "worker": slot["worker"], "pid": slot["pid"]}
    assert {key: stock[key] for key in expected} == expected
    assert failed["exception"].endswith("ValueError: two\nlines")
    assert said["imported"]["step"] == 1
    access = next(record for record in records if record.get("path") == "/warn")
    assert (access["logger"], access["status"], access["method"]) == ("corepod.access", 404, "GET")
    if command == "run":
        assert said["printed"]["stream"] == "stdout"


@pytest.mark.parametrize("when", ["import", "lifespan"])
@pytest.mark.parametrize("how", ["dictConfig", "disable"])
def test_an_application_that_silences_logging_does_not_silence_the_server(start: Start, when: str, how: str) -> None:
    pool = start("silencing:app", *ONE, "--access-log", env={"WHEN": when, "HOW": how}).ready()
    assert pool.get("/fail").status_code == 500
    assert pool.get("/task").status_code == 200
    log = pool.until_log("GET /task")
    assert "GET /fail" in log
    # Standard error comes through a pipe of its own.
    pool.until_log("ValueError: raised in a request")
    pool.until_log("ValueError: raised in a task")


IN_SIPS = """
from corepod.supervisor.io import relay
from corepod.supervisor import main
relay.CHUNK = 100
sys.exit(main.main())
"""


def test_the_last_words_of_a_worker_are_not_lost(start: Start, tmp_path: Path) -> None:
    """What it prints while it ends is in its pipe when it is dead already. Read in sips, so that it takes a while."""
    pool = start("duties:app", *ONE, *NAMED, prefix=in_place_of_supervisor(IN_SIPS)).ready()
    worker = pool.slot()["pid"]
    client = threading.Thread(target=pool.get, args=(f"/until?path={tmp_path}/go",))
    client.start()
    until(lambda: pool.slot()["in_flight"] == 1, "a request in flight")
    pool.signal(signal.SIGTERM)
    until(lambda: refused(pool.port), "the worker told to drain")
    with stopped(pool.supervisor):
        (tmp_path / "go").touch()
        until(lambda: not alive(worker), "the worker gone")
    assert pool.wait() == 0
    client.join(DEADLINE)
    for number in range(100):
        assert f"| last words {number} of {worker}\n" in pool.log
    assert pool.log.splitlines()[-1].endswith("stopped")


# In a pod


def test_in_a_pod_workers_write_themselves(start: Start) -> None:
    pool = start("duties:app", *ONE, "--access-log", "--pin", "never", command="pid1").ready()
    worker = pool.slot()["pid"]
    pool.get("/say?text=plain")
    pool.get("/echo_child?text=a+child")
    pool.until_log("GET /echo_child")  # a worker writes it when the response has left
    lines = pool.log.splitlines()
    assert "plain" in lines
    assert "a child" in lines
    access = next(line for line in lines if "GET /say" in line)
    assert CLF.fullmatch(access), "nothing before or behind what the format says"
    assert {os.readlink(f"/proc/{worker}/fd/{fd}") for fd in (1, 2)} == {str(pool.log_path)}


def flood(pool: Pool, kilobytes: int = 2000) -> None:
    pool.get(f"/flood?kb={kilobytes}")


def test_a_reader_that_stops(start: Start, pipe: Pipe) -> None:
    """The worker isn't held up, probes and restarts go on, and what is lost is counted and told."""
    pool = start("duties:app", *ONE, *NAMED, kind=Deaf, stdout=pipe.write_end).ready()
    pipe.given_away()
    flood(pool)
    assert until(lambda: pool.status()["log_lines_dropped"], "lines dropped") > 0
    for restarts in (1, 2, 3):
        os.kill(pool.slot()["pid"], signal.SIGKILL)
        pool.until_restarts(restarts)
        assert pool.admin("/livez").status_code == 200
    assert pool.get("/pid").status_code == 200
    until(
        lambda: (
            f"corepod_log_lines_dropped_total {pool.status()['log_lines_dropped']}\n" in pool.admin("/metrics").text
        ),
        "the same number in both places",
    )
    pipe.read_on()
    until(lambda: pool.get("/say?text=heard+again") and "| heard again\n" in pipe.text, "the log goes on")
    # Behind a line that gets through at once; that one may still have waited behind others.
    until(lambda: pool.get("/say?text=more") and "line(s) of this log were dropped" in pipe.text, "the gap is told")
    assert pool.stop() == 0


def test_a_reader_that_goes_away(start: Start, pipe: Pipe) -> None:
    pool = start("duties:app", *ONE, kind=Deaf, stdout=pipe.write_end).ready()
    pipe.given_away()
    pipe.goes_away()
    flood(pool, 200)
    assert until(lambda: pool.status()["log_lines_dropped"], "lines dropped") > 0
    os.kill(pool.slot()["pid"], signal.SIGKILL)
    pool.until_restarts(1)
    pool.signal(signal.SIGUSR1)
    assert pool.get("/pid").status_code == 200
    assert pool.stop() == 0


def test_no_room_on_the_disk(start: Start) -> None:
    with open("/dev/full", "wb") as full:
        pool = start("duties:app", *ONE, kind=Deaf, stdout=full).ready()
    flood(pool, 50)
    assert until(lambda: pool.status()["log_lines_dropped"], "lines dropped") > 0
    os.kill(pool.slot()["pid"], signal.SIGKILL)
    pool.until_restarts(1)
    assert pool.stop() == 0


def test_a_stop_does_not_wait_for_a_reader(start: Start, pipe: Pipe) -> None:
    pool = start("duties:app", *ONE, kind=Deaf, stdout=pipe.write_end).ready()
    flood(pool, 200)
    assert pool.stop() == 0


def test_a_worker_of_a_pod_that_stands_before_a_full_pipe_is_named_and_left_alone(start: Start, pipe: Pipe) -> None:
    """The next one would stand there too; only whoever reads the log can help."""
    limits = ("--stuck-dump", "0.5", "--stuck-timeout", "1.5")
    pool = start("duties:app", *ONE, *limits, kind=Deaf, command="pid1", stdout=pipe.write_end).ready()
    pipe.given_away()
    worker = pool.slot()["pid"]
    client = threading.Thread(target=flood, args=(pool,))
    client.start()
    try:
        until(lambda: "its output is not being read" in pool.admin("/readyz").text, "the reason named")
        assert re.match(r"slot 0 has been stuck for \d+ s: its output is not being read", pool.admin("/readyz").text)
        until(lambda: float(re.findall(r" for (\d+) s", pool.admin("/readyz").text)[0]) >= 3, "twice the limit")
        assert pool.slot()["pid"] == worker
        assert pool.admin("/livez").status_code == 200
    finally:
        pipe.read_on()
        client.join(DEADLINE)
    until(lambda: pool.admin("/readyz").status_code == 200, "ready again")
    assert (pool.slot()["pid"], pool.slot()["restarts"]) == (worker, 0)
    until(
        lambda: "stuck writing its output: the log's pipe is full and is not being read" in pipe.text,
        "the line about it",
    )
    assert "flood flood" in pipe.text
    assert pool.stop() == 0


@pytest.mark.root
def test_pid_1_goes_on_when_nobody_reads(start: Start, pipe: Pipe) -> None:
    class DeafContainer(Deaf, Container):
        pass

    pool = start("duties:app", *ONE, kind=DeafContainer, command="run", stdout=pipe.write_end).ready()
    flood(pool, 500)
    os.kill(pool.outside(pool.slot()["pid"]), signal.SIGKILL)
    pool.until_restarts(1)
    assert pool.stop() == 0
