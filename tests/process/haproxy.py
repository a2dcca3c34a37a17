"""A real HAProxy before pools, with the configuration that `corepod front` writes for them."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
from corepod.local.front.haproxy import FALL

from tests.plugins.needs import program
from tests.process.harness import CLIENT
from tests.process.traffic import held_ports
from tests.procfs import descendants
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.process.background import Machine
    from tests.process.harness import Pool


class Haproxy:
    """One that runs in the foreground; `port` is the front's, `stats` that of its own pages."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, stats: int, output: Path) -> None:
        self.process, self.port, self.stats, self._output = process, port, stats, output

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")

    def warnings(self) -> list[str]:
        """Of its configuration. That a server is down for the moment is none: the first check may meet a pool that the
        machine has paused."""
        return [line for line in self.output.splitlines() if "WARNING" in line and ": Server " not in line]

    def get(self, path: str = "/", **options: Any) -> httpx.Response:
        return self.ask("GET", path, **options)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A request on a connection of its own, of a client that has no cookie but those in `options`."""
        CLIENT.cookies.clear()
        return CLIENT.request(method, f"http://127.0.0.1:{self.port}{path}", **options)

    def rows(self, backend: str = "pods") -> dict[str, dict[str, str]]:
        """HAProxy's own figures of the backend's servers: names as in its documentation, section 9.1."""
        text = CLIENT.get(f"http://127.0.0.1:{self.stats}/stats;csv").text.removeprefix("# ")
        rows = csv.DictReader(io.StringIO(text))
        return {row["svname"]: row for row in rows if row["pxname"] == backend and row["svname"] != "BACKEND"}

    def total(self, column: str, backend: str = "pods") -> int:
        return sum(int(row[column] or 0) for row in self.rows(backend).values())

    def status(self, server: str) -> str:
        """UP, DOWN or NOLB (nothing new goes there); a count behind it says how many checks are still in its favour."""
        return self.rows()[server]["status"]

    def until_status(self, server: str, status: str) -> None:
        until(lambda: self.status(server) == status, lambda: f"{server} {status}: {self.rows()[server]}\n{self.output}")

    def workers(self) -> set[int]:
        """The processes of a master that serve: `mode` was -Ws."""
        return set(descendants(self.process.pid))

    def healthy(self) -> bool:
        """Whether HAProxy itself answers."""
        try:
            return CLIENT.get(f"http://127.0.0.1:{self.stats}/healthz").status_code == 200
        except httpx.HTTPError:
            return False

    def end(self) -> None:
        """At once, if it hasn't ended."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(DEADLINE)


@contextlib.contextmanager
def haproxy(folder: Path, text: str, port: int, stats: int, mode: str = "-db") -> Iterator[Haproxy]:
    """Runs with this configuration, which has these ports of 127.0.0.1, and answers."""
    folder.mkdir()
    configuration, output = folder / "haproxy.cfg", folder / "output"
    configuration.write_text(text)
    with output.open("wb") as file:
        words = [program("haproxy"), mode, "-f", str(configuration)]
        # To HAProxy itself its variables would mean something else.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HAPROXY")}
        process = subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT, env=environment)
    front = Haproxy(process, port, stats, output)
    try:
        until(lambda: process.poll() is not None or front.healthy(), "HAProxy answers")
        assert process.poll() is None, front.output
        assert not front.warnings(), front.output
        yield front
    finally:
        front.end()


class Fronts:
    """Makes pools of a user, and fronts before them, which end with the test."""

    def __init__(self, start: Callable[..., Pool], user: Machine, folder: Path, stack: contextlib.ExitStack) -> None:
        self._start, self.user, self._folder, self._stack = start, user, folder, stack
        self.names: dict[int, str] = {}  # of the pools, by the pid of the supervisor
        self._pools: list[Pool] = []

    def pools(self, count: int, app: str = "duties:app", *args: str, env: dict[str, str] | None = None) -> list[Pool]:
        """Pools of one slot, whose workers may die as often as a test likes."""
        made = []
        for _ in range(count):
            name = f"{self.user.name}-{len(self.names) + 1}"
            words = ("--workers", "1", "--pin", "never", "--crash-budget", "1000/1", "--name", name, *args)
            made.append(self._start(app, *words, env={**self.user.environment, **(env or {})}))
            self.names[made[-1].supervisor] = name
        self._pools += made
        return [pool.ready() for pool in made]

    def name(self, pool: Pool) -> str:
        """By which the front knows it, too."""
        return self.names[pool.supervisor]

    def end_pools(self) -> None:
        """At once: some are lame ducks for longer than a test may take."""
        for pool in self._pools:
            if pool.process.poll() is None:
                pool.signal(signal.SIGQUIT)

    def text(self, pools: list[Pool], port: int, stats: int, *options: str) -> str:
        """What the command writes."""
        where = ("--bind", f"127.0.0.1:{port}", "--stats", f"127.0.0.1:{stats}")
        done = self.user.corepod("front", *map(self.name, pools), *where, *options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def front(
        self,
        pools: list[Pool],
        *options: str,
        change: Callable[[str], str] = str,
        falls: bool = False,
        mode: str = "-db",
    ) -> Haproxy:
        """A front before them that has found each of them ready. `change` is what a test wants otherwise. `falls`: it
        leaves a pool after as many failed checks as written. They take a second, and a busy machine may pause a worker
        for longer: so it has more patience where that isn't what is tested."""
        port, stats = self._stack.enter_context(held_ports(2))
        text = change(self.text(pools, port, stats, *options))
        assert text.count(f" fall {FALL} ") == 1
        text = text if falls else text.replace(f" fall {FALL} ", " fall 1000 ")
        front = self._stack.enter_context(haproxy(self._folder / f"front{port}", text, port, stats, mode))
        for pool in pools:
            front.until_status(self.name(pool), "UP")
        return front
