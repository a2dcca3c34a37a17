"""A pool behind nginx on a Unix socket: what `corepod migrate` makes of the unit that tutorials show, with the
configuration of nginx that docs/deploy.md shows."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.process.nginx import Nginx, nginx
from tests.process.test_migrated import pool as migrated
from tests.process.test_migrated import program
from tests.process.traffic import Traffic
from tests.unit.worker.conftest import certificate as certificate
from tests.unit.wsclient import CLOSE, TEXT, RawWebSocket, frame
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.process.harness import Pool

    Start = Callable[..., Pool]
    Made = Callable[..., tuple[Pool, Nginx]]

UNIT = Path(__file__).parents[1] / "corpus" / "systemd" / "tutorial.service"
ASGI = "-k uvicorn.workers.UvicornWorker "
RESTART = b"\x03\xf4service restart"


@pytest.fixture
def behind(start: Start, tmp_path: Path) -> Iterator[Made]:
    """Makes a pool of the unit, and nginx before it: with `worker` more flags of gunicorn, with `settings` those of
    corepod."""
    with ExitStack() as stack:

        def make(worker: str = "", listen: str = "", **settings: Any) -> tuple[Pool, Nginx]:
            unit = tmp_path / "shop.service"
            unit.write_text(UNIT.read_text().replace("--workers 3 ", f"--workers 3 {worker}"))
            told = program(str(unit), tmp_path)
            folder = tmp_path / "pool"
            one = migrated(start, replace(told, settings={**told.settings, **settings}), folder).ready()
            return one, stack.enter_context(nginx(tmp_path / "nginx", folder / "sock", listen))

        yield make


def test_the_application_sees_the_client_and_not_nginx(
    behind: Made, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    chain, key = certificate
    _, front = behind(listen=f"ssl; ssl_certificate {chain}; ssl_certificate_key {key}")
    assert stat.S_IMODE(os.stat(tmp_path / "pool" / "sock").st_mode) == 0o660
    transport = httpx.HTTPTransport(verify=False, local_address="127.0.0.9")
    with httpx.Client(transport=transport, timeout=DEADLINE) as client:
        url = f"https://127.0.0.1:{front.port}"
        environ = client.get(f"{url}/environ", headers={"Host": "shop.example:8443"}).json()["environ"]
        assert environ["REMOTE_ADDR"] == "127.0.0.9"
        assert environ["wsgi.url_scheme"] == "https"
        assert environ["HTTP_HOST"] == "shop.example:8443"
        assert "HTTP_UPGRADE" not in environ

        # With a length, and in chunks.
        parts = [b"x" * (1 << 20)] * 8
        for body in (b"".join(parts), iter(parts)):
            assert client.post(f"{url}/upload", content=body).json()["length"] == 8 << 20


def test_no_request_is_lost_while_workers_are_replaced(behind: Made) -> None:
    one, front = behind()
    before = {slot["pid"] for slot in one.status()["slots"]}
    with Traffic(front.port, "/", clients=4, keep_alive=True) as traffic:
        traffic.more(50)
        os.kill(one.supervisor, signal.SIGHUP)
        until(lambda: not before & {slot["pid"] for slot in one.status()["slots"]}, "new workers in all slots")
        traffic.more(50)
    assert not traffic.failures, front.errors
    assert all(line.startswith("GET / 200 by ") for line in front.lines())


def test_connections_that_the_pool_closes_cost_no_request(behind: Made) -> None:
    """Asked again at about the moment at which it closes them."""
    keep_alive = 0.1
    one, front = behind(keep_alive=keep_alive)
    asked = 60
    with httpx.Client(base_url=f"http://127.0.0.1:{front.port}", timeout=DEADLINE) as client:
        for n in range(asked):
            assert client.get("/").status_code == 200, front.errors
            time.sleep(keep_alive * (0.7 + n % 10 * 0.05) if n % 6 else 0.0)  # some at once: for those it is kept
    until(lambda: len(front.lines()) == asked, "a line for each request")
    assert all(line.startswith("GET / 200 by ") for line in front.lines())
    # Some were kept, and some closed.
    accepted = re.findall(r"^corepod_connections_accepted_total\{.*\} (\d+)", one.admin("/metrics").text, re.MULTILINE)
    assert 1 < sum(map(int, accepted)) < asked


def test_a_websocket_is_closed_cleanly_when_its_worker_is_replaced(behind: Made) -> None:
    one, front = behind(ASGI)
    before = {slot["pid"] for slot in one.status()["slots"]}
    with RawWebSocket(socket.create_connection(("127.0.0.1", front.port), timeout=DEADLINE)) as peer:
        peer.send(frame(TEXT, b"hello"))
        assert peer.read() == (TEXT, b"hello")
        os.kill(one.supervisor, signal.SIGHUP)
        assert peer.read() == (CLOSE, RESTART)
        peer.send(frame(CLOSE, RESTART[:2]))
        assert peer.some(1) == b"", "closed, and not reset"
    until(lambda: not before & {slot["pid"] for slot in one.status()["slots"]}, "new workers in all slots")
