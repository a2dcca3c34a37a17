"""A real nginx in front of a pool, with the configuration that docs/deploy.md shows."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.plugins.needs import program
from tests.process.traffic import held_ports
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[2] / "docs" / "deploy.md"
# What every distribution's nginx.conf has around a site. Of the files that nginx makes, none is outside of the folder.
AROUND = """
daemon off;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
    log_format tried '$request_method $uri $status by $upstream_status';
    access_log {folder}/access.log tried;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {site}
}}
"""


class Nginx:
    """One that runs; its files are in `folder`."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port

    def lines(self) -> list[str]:
        """Of the access log: method, path, status, and the status of each attempt to ask the pool."""
        return (self.folder / "access.log").read_text().splitlines()

    @property
    def errors(self) -> str:
        return (self.folder / "error.log").read_text()


def shown() -> str:
    """The configuration on the page."""
    [site] = re.findall(r"^```nginx\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(site)


def exchanged(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"{old!r} stands once in\n{text}"
    return text.replace(old, new)


@contextlib.contextmanager
def nginx(folder: Path, upstream: Path, listen: str = "") -> Iterator[Nginx]:
    """Runs on a free port of 127.0.0.1, before the pool that has this socket. `listen` are parameters of the port."""
    executable = program("nginx")
    folder.mkdir()
    with held_ports(1) as [port]:
        site = exchanged(shown(), "unix:/run/shop.sock", f"unix:{upstream}")
        site = exchanged(site, "listen 80;", f"listen 127.0.0.1:{port} {listen};")
        # As root it would become another user, to whom the pool's socket and these folders are closed.
        user = "user root;" if os.geteuid() == 0 else ""
        configuration = folder / "nginx.conf"
        configuration.write_text(AROUND.format(folder=folder, user=user, site=site))
        output = folder / "output"
        with output.open("wb") as file:
            words = [executable, "-e", str(folder / "error.log"), "-p", str(folder), "-c", str(configuration)]
            # To nginx itself the variable would mean sockets that it inherits.
            environment = {name: value for name, value in os.environ.items() if name != "NGINX"}
            process = subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT, env=environment)
        try:
            until(lambda: process.poll() is not None or listens(port), "nginx listens")
            assert process.poll() is None, output.read_text()
            yield Nginx(folder, port)
        finally:
            process.terminate()
            process.wait(DEADLINE)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE).close()
    except ConnectionRefusedError:
        return False
    return True
