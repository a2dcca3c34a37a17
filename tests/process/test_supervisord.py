"""Under a real supervisord, as in a container with several programs: it signals the whole group, and isn't PID 1."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.process.harness import APPS, CLIENT, Pool
from tests.process.traffic import Client
from tests.procfs import alive, descendants
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.compat("supervisor")

CONFIG = """
[supervisord]
nodaemon=true
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
[unix_http_server]
file={folder}/supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{folder}/supervisor.sock
[program:shop]
command={python} -m corepod run duties:app --workers 2 --pin never --bind 127.0.0.1:0 --admin 127.0.0.1:0
directory={apps}
environment=XDG_RUNTIME_DIR="{folder}"
autorestart=true
startsecs=0
stopwaitsecs=120
stopasgroup=true
killasgroup=true
stdout_logfile=/dev/stdout
stdout_logfile_maxbytes=0
redirect_stderr=true
"""


class Managed(Pool):
    """The pool of the program, whichever run of it is the latest. Its log is what supervisord passes on."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.config = folder, folder / "supervisord.conf"
        self.config.write_text(CONFIG.format(folder=folder, python=sys.executable, apps=APPS))
        self.log_path, self._seen = folder / "out", {}
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.config)]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("COREPOD_")}
        with self.log_path.open("ab") as file:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, env=environment
            )

    @property
    def log(self) -> str:
        """That of the latest run."""
        whole = self.log_path.read_text(errors="replace")
        starts = [match.start() for match in re.finditer(r"^.*\d workers on", whole, re.MULTILINE)]
        return whole[starts[-1] :] if starts else ""

    @property
    def runs(self) -> int:
        return len(re.findall(r"\d workers on", self.log_path.read_text(errors="replace")))

    def control(self, *words: str) -> str:
        command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(self.config), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=2 * DEADLINE, check=False).stdout


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Managed]:
    managed = Managed(tmp_path)
    try:
        yield managed
    finally:
        family = descendants(managed.process.pid)
        managed.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            managed.process.wait(DEADLINE)
        for pid in filter(alive, family):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        managed.process.kill()
        managed.process.wait()


def in_flight(pool: Managed, path: Path) -> list[Client]:
    clients = [Client(pool, f"/until?path={path}") for _ in range(4)]
    until(lambda: sum(slot["in_flight"] for slot in pool.status()["slots"]) == 4, "requests in flight")
    return clients


def test_stop_start_and_reload(pool: Managed, tmp_path: Path) -> None:
    pool.ready()
    before = {slot["pid"] for slot in pool.status()["slots"]}
    assert "signalled" in pool.control("signal", "HUP", "shop")
    pool.until_log("reload: done")
    pool.ready()
    assert not before & {slot["pid"] for slot in pool.status()["slots"]}

    clients = in_flight(pool, tmp_path / "go")
    assert pool.control("signal", "TERM", "shop")  # what stopasgroup does, without waiting for the end
    pool.until_log("SIGTERM: draining")
    (tmp_path / "go").touch()
    assert [client.result() for client in clients] == [200] * 4
    until(lambda: pool.runs == 2, "it is started again")
    pool.ready()

    assert "shop: stopped" in pool.control("stop", "shop")
    log = (tmp_path / "supervisord.log").read_text()
    assert "exited: shop (exit status 0" in log
    assert "stopped: shop (exit status 0)" in log
    assert "shop: started" in pool.control("start", "shop")
    until(lambda: pool.runs == 3, "it is started again")
    assert CLIENT.get(f"http://127.0.0.1:{pool.ready().port}/pid").status_code == 200


def test_the_end_of_supervisord(pool: Managed, tmp_path: Path) -> None:
    pool.ready()
    clients = in_flight(pool, tmp_path / "go")
    pool.process.send_signal(signal.SIGTERM)
    pool.until_log("SIGTERM: draining")
    (tmp_path / "go").touch()
    assert [client.result() for client in clients] == [200] * 4
    assert pool.wait() == 0
    log = (tmp_path / "supervisord.log").read_text()
    assert "stopped: shop (exit status 0)" in log
    for word in ("died", "is gone", "makes way", " ERROR "):
        assert word not in pool.log, pool.log
