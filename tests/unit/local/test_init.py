"""`corepod init`: which application is found in a folder, and the file that is written for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import jsonschema
import pytest
from corepod.config import document
from corepod.config.schema import schema
from corepod.local.commands.init import content
from corepod.local.discovery import Found, find
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

MANAGE = "import os\ndef main():\n    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')\n"
DJANGO = "from django.core.asgi import get_asgi_application\napplication = get_asgi_application()\n"


def fill(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("files", "app", "chdir"),
    [
        ({"main.py": "from fastapi import FastAPI\napp = FastAPI()"}, "main:app", ""),
        ({"app.py": "import flask\napplication = flask.Flask(__name__)"}, "app:application", ""),
        ({"main.py": "api: FastAPI = FastAPI()"}, "main:api", ""),
        ({"main.py": "async def app(scope, receive, send): ..."}, "main:app", ""),
        ({"wsgi.py": "def application(environ, start_response): ..."}, "wsgi:application", ""),
        ({"shop/__init__.py": "def create_app(config=None): ..."}, "shop:create_app()", ""),
        ({"src/shop/main.py": "app = object()"}, "shop.main:app", "src"),
        ({"manage.py": MANAGE, "mysite/asgi.py": DJANGO, "mysite/wsgi.py": DJANGO}, "mysite.asgi:application", ""),
        ({"manage.py": MANAGE, "mysite/wsgi.py": DJANGO}, "mysite.wsgi:application", ""),
        ({"src/manage.py": MANAGE, "src/mysite/asgi.py": DJANGO}, "mysite.asgi:application", "src"),
        # An application comes before a factory, and a name that says so before another one.
        ({"main.py": "def create_app(): ...", "server.py": "app = create_app()"}, "server:app", ""),
        ({"main.py": "web = Flask()\napp = web"}, "main:app", ""),
        ({"main.py": "def broken(:", "app.py": "app = 1"}, "app:app", ""),
    ],
)
def test_the_application_that_is_meant(tmp_path: Path, files: dict[str, str], app: str, chdir: str) -> None:
    fill(tmp_path, files)
    found = find(tmp_path)[0]
    assert (found.app, found.chdir) == (app, chdir)
    assert (tmp_path / found.file).is_file()


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"main.py": "print('no application')"},
        {"main.py": "def create_app(config): ..."},
        {"tests/app.py": "app = 1"},
        {"main.py": "def app(): ..."},
        {"main.py": "if True:\n    def f():\n        app = 1"},
    ],
)
def test_none(tmp_path: Path, files: dict[str, str]) -> None:
    fill(tmp_path, files)
    assert find(tmp_path) == []


def test_nothing_is_imported(tmp_path: Path) -> None:
    fill(tmp_path, {"main.py": "open('imported', 'w')\napp = 1"})
    assert corepod("init", cwd=tmp_path).returncode == 0
    assert not (tmp_path / "imported").exists()


@given(st.text(max_size=20), st.booleans(), st.text(max_size=20))
def test_the_file_is_valid_whatever_the_folder_is_called(folder: str, has_env_file: bool, app: str) -> None:
    text = content([Found(app, "main.py"), Found("b:c", "b.py")], folder, has_env_file=has_env_file)
    written = tomllib.loads(text)
    jsonschema.validate(written, schema())
    assert written["app"] == app


def test_what_is_commented_out_is_valid_too(tmp_path: Path) -> None:
    lines = content([Found("main:app", "main.py")], "shop", has_env_file=False).splitlines()
    shown = [line.removeprefix("# ") for line in lines if line.startswith("# ") and ("= " in line or line[2] == "[")]
    text = "\n".join([line for line in lines if not line.startswith("#")] + shown)
    path, faults = tmp_path / "corepod.toml", list[str]()
    path.write_text(text)
    read = document.read(str(path), faults)
    assert faults == []
    assert (list(read.apps), read.environments) == (["admin"], ["production"])


def corepod(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "corepod", *args]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("COREPOD_")}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, env=clean)


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    fill(tmp_path, {"main.py": "app = 1", "corepod.toml": "workers = 7\n"})
    refused = corepod("init", cwd=tmp_path)
    assert refused.returncode == 2
    assert "left alone" in refused.stderr
    assert (tmp_path / "corepod.toml").read_text() == "workers = 7\n"
    assert 'app = "main:app"' in corepod("init", "--print", cwd=tmp_path).stdout
    assert json.loads(corepod("init", "--force", "--json", cwd=tmp_path).stdout)["app"] == "main:app"
    assert 'app = "main:app"' in (tmp_path / "corepod.toml").read_text()


def test_without_an_application_it_has_to_be_named(tmp_path: Path) -> None:
    assert "name it: corepod init MODULE:ATTRIBUTE" in corepod("init", cwd=tmp_path).stderr
    assert corepod("init", "shop:app", cwd=tmp_path).returncode == 0
    first, *_ = (tmp_path / "corepod.toml").read_text().splitlines()
    schema_file = tmp_path / first.removeprefix("#:schema ")
    assert json.loads(schema_file.read_text()) == schema()
