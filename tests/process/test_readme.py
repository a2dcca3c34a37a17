"""The README's examples of `corepod run`, as they stand there: their settings are valid, their applications serve."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.harness import Pool

README = (Path(__file__).parents[2] / "README.md").read_text()
SHOWN = [re.sub(r" +#.*", "", line) for line in re.findall(r"^    (corepod run .*)$", README, re.MULTILINE)]
MAIN = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

def create_app(kind="development"):
    return app
"""
WSGI = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(MAIN)
    (tmp_path / "mysite").mkdir()
    (tmp_path / "mysite" / "wsgi.py").write_text(WSGI)
    return tmp_path


@pytest.mark.parametrize("command", SHOWN)
def test_its_settings_are_valid(command: str, folder: Path) -> None:
    _, _, *words = shlex.split(command)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COREPOD_")}
    done = subprocess.run(
        [sys.executable, "-m", "corepod", "config", *words], cwd=folder, env=clean, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


# The address is that of the test, and with it whatever follows in the examples of addresses.
@pytest.mark.parametrize("command", [command for command in SHOWN if "--bind" not in command])
def test_its_application_serves(command: str, folder: Path, start: Callable[..., Pool]) -> None:
    _, _, app, *flags = shlex.split(command)
    pool = start(app, *flags, "--workers", "1", "--pin", "never", cwd=folder).ready()
    assert pool.get().text == "ok"


def test_it_shows_how_a_configuration_of_another_server_is_read(folder: Path) -> None:
    [command] = [re.sub(r" +#.*", "", line) for line in re.findall(r"^    (corepod migrate .*)$", README, re.MULTILINE)]
    (folder / "gunicorn.conf.py").write_text('wsgi_app = "mysite.wsgi"\nworkers = 2\nbind = "unix:site.sock"\n')
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("COREPOD_", "GUNICORN_"))}
    words = [sys.executable, "-m", *shlex.split(command)]
    done = subprocess.run(words, cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 'bind = ["unix:site.sock"]' in done.stdout


def test_there_are_examples_of_both_kinds() -> None:
    assert len(SHOWN) > 5
    assert any("--bind" in command for command in SHOWN)
