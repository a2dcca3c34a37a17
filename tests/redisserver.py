"""A real Redis for tests, on a port of its own; everything that it writes is in a folder of the test."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import redis

from tests.plugins.needs import program
from tests.process.traffic import held_ports
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class RedisServer:
    """`options` are lines of redis.conf. It keeps its port when it is started again."""

    def __init__(self, folder: Path, port: int, *options: str, sentinel: bool = False) -> None:
        self._executable = program("redis-server")
        self.folder, self.port, self._sentinel = folder, port, sentinel
        folder.mkdir()
        lines = [f"port {port}", "bind 127.0.0.1", f'dir "{folder}"', "daemonize no"]
        lines += [] if sentinel else ['save ""', "appendonly no"]
        (folder / "redis.conf").write_text("\n".join([*lines, *options, ""]))
        self.process: subprocess.Popen[bytes] | None = None
        self.password: str | None = next((line.split()[1] for line in options if line.startswith("requirepass")), None)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def log(self) -> str:
        return (self.folder / "output").read_text(errors="replace")

    def start(self) -> RedisServer:
        """Returns when it answers."""
        words = [self._executable, str(self.folder / "redis.conf"), *(["--sentinel"] if self._sentinel else [])]
        with (self.folder / "output").open("ab") as output:
            # A variable of this name is how a test finds the program.
            environment = {name: value for name, value in os.environ.items() if name != "REDIS_SERVER"}
            self.process = subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT, env=environment)
        until(self._answers, lambda: f"Redis answers:\n{self.log}")
        return self

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
            return bool(self.command("PING"))
        return False

    def command(self, *words: Any) -> Any:
        """What the server answers, asked on a connection of its own."""
        with redis.Redis(
            port=self.port, password=self.password, decode_responses=True, socket_timeout=DEADLINE
        ) as client:
            return client.execute_command(*words)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(DEADLINE)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()


@contextlib.contextmanager
def redis_server(folder: Path, *options: str, sentinel: bool = False) -> Iterator[RedisServer]:
    """One that runs."""
    with held_ports(1) as [port]:
        server = RedisServer(folder, port, *options, sentinel=sentinel)
        try:
            yield server.start()
        finally:
            server.close()
