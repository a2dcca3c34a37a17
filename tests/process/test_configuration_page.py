"""The commands of docs/configuration.md do what it says, with the file that it shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
COMMANDS = re.findall(r"^    (corepod .+)$", PAGE, re.MULTILINE)
FILE = textwrap.dedent(re.search(r"<!-- corepod.toml -->\n\n((?:    .*\n|\n)+)", PAGE)[1])  # type: ignore[index]
APP = "async def app(scope, receive, send): ...\n"
SHOWN = {
    "corepod init": "wrote corepod.toml for shop:app",
    "corepod migrate gunicorn.conf.py": "wsgi_timeout = 30",
    "corepod migrate 'gunicorn --workers 3 --bind unix:shop.sock -m 007 shop.wsgi'": 'socket_mode = "660"',
    "corepod migrate -- uvicorn main:app --host 0.0.0.0 --port 80": 'bind = ["0.0.0.0:80"]',
    "corepod config shop": "[apps.shop]",
    "corepod config shop --env production": "[apps.shop.env.production]",
    "corepod check": "admin  application  admin:app can be imported",
    "corepod systemd shop": "run shop --config",
    "corepod systemd --user --socket": "# admin.socket",
    "corepod systemd --write units": "wrote units/admin.service",
}


def test_every_command_of_the_page_is_tried() -> None:
    assert sorted(COMMANDS) == sorted(SHOWN)


@pytest.mark.parametrize("command", SHOWN)
def test_a_command_of_the_page(command: str, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "admin.py").write_text(APP)
    (tmp_path / "gunicorn.conf.py").touch()
    if command != "corepod init":
        (tmp_path / "corepod.toml").write_text(FILE.replace("8001", "0").replace("8002", "0"))
    else:
        (tmp_path / "shop.py").rename(tmp_path / "main.py")
    words = [sys.executable, "-m", *shlex.split(command)]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("COREPOD_")}
    done = subprocess.run(words, cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert SHOWN[command].replace("shop:app", "main:app" if "init" in command else "shop:app") in done.stdout
